//! Last words: a process that is about to crash writes on the flight board which of its threads does.
//!
//! Invariant: the handler runs on the thread that crashed, on its alternate stack (the standard library gives one to
//! each thread), and does nothing but two atomic stores; what would have happened without it happens after it.
//! Not here: what the warden makes of it (`warden::autopsy`).

use std::ffi::c_int;
use std::io;
use std::num::NonZeroU32;
use std::sync::{Arc, OnceLock};

use actors::flight::FlightBoard;

/// The signals by which a process dies of its own.
const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGABRT];

/// What the handler needs, complete before it is installed.
struct Known {
    board: Arc<FlightBoard>,
    /// What was done at these signals before.
    before: [libc::sigaction; SIGNALS.len()],
}

static KNOWN: OnceLock<Known> = OnceLock::new();

/// From now on a crash is noted on this board. Once in a process.
///
/// # Errors
/// The system does not take the handler.
// Handlers of these signals cannot be had from safe code: they must not return to what failed, and this one does
// only to fail again under the handler that was there before.
#[allow(unsafe_code)]
pub fn note_on(board: Arc<FlightBoard>) -> io::Result<()> {
    // SAFETY: `sigaction` is plain data, for which zeros are the default action. The calls read and write only
    // what they are handed. The handler touches nothing but `KNOWN`, which is complete before it can run, and calls
    // only what may be called in a handler: `gettid`, `getpid`, `sigaction`, `raise` and stores to atomics.
    unsafe {
        let mut before: [libc::sigaction; SIGNALS.len()] = std::mem::zeroed();
        for (signal, before) in SIGNALS.iter().zip(&mut before) {
            check(libc::sigaction(*signal, std::ptr::null(), before))?;
        }
        KNOWN.set(Known { board, before }).map_err(|_| io::Error::other("crashes are noted already"))?;
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        let handler: extern "C" fn(c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_crash;
        action.sa_sigaction = handler as libc::sighandler_t;
        for signal in SIGNALS {
            check(libc::sigaction(signal, &action, std::ptr::null_mut()))?;
        }
    }
    Ok(())
}

fn check(result: c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[allow(unsafe_code)]
extern "C" fn on_crash(signal: c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
    // SAFETY: the system hands over a valid `siginfo_t`, of which the fields that are read are there for a signal
    // that somebody sent, and are looked at for no other. See `note_on` for the calls.
    unsafe {
        let (code, is_sent) = ((*info).si_code, (*info).si_code <= 0);
        let is_ours = !is_sent || (code != libc::SI_USER && (*info).si_pid() == libc::getpid());
        let Some(known) = KNOWN.get() else { return };
        if let (true, Some(number)) = (is_ours, NonZeroU32::new(signal.unsigned_abs())) {
            let thread = rustix::thread::gettid().as_raw_nonzero().get();
            known.board.note_crash(thread.unsigned_abs(), number);
        }
        if let Some(place) = SIGNALS.iter().position(|known| *known == signal) {
            libc::sigaction(signal, &known.before[place], std::ptr::null_mut());
        }
        if is_sent {
            // Nothing fails again by itself; this is delivered when the handler has returned.
            libc::raise(signal);
        }
    }
}
