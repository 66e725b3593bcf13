//! Attributes: what the system's scheduler keeps of a thread (`sched_setattr(2)`).

use std::io;

use rustix::process::Pid;

/// Changes those of a thread; without one, of this thread. All that `change` leaves alone stays as it is.
///
/// # Errors
/// The system refused, or there is no such thread.
#[allow(unsafe_code)]
pub(super) fn change(thread: Option<Pid>, change: impl FnOnce(&mut libc::sched_attr)) -> io::Result<()> {
    let mut attributes = read(thread)?;
    change(&mut attributes);
    // SAFETY: the call reads one value, which says its size.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, number(thread), &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The policy of a thread, as the system numbers them; without one, of this thread.
///
/// # Errors
/// There is no such thread.
pub(super) fn policy(thread: Option<Pid>) -> io::Result<libc::c_int> {
    read(thread).map(|attributes| attributes.sched_policy.cast_signed())
}

#[allow(unsafe_code)]
pub(super) fn read(thread: Option<Pid>) -> io::Result<libc::sched_attr> {
    let size = size_of::<libc::sched_attr>() as u32;
    let mut attributes = libc::sched_attr {
        size,
        sched_policy: 0,
        sched_flags: 0,
        sched_nice: 0,
        sched_priority: 0,
        sched_runtime: 0,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: the call writes one value of the size that it is told.
    match unsafe { libc::syscall(libc::SYS_sched_getattr, number(thread), &raw mut attributes, size, 0) } {
        0 => Ok(attributes),
        _ => Err(io::Error::last_os_error()),
    }
}

fn number(thread: Option<Pid>) -> libc::pid_t {
    thread.map_or(0, |thread| thread.as_raw_nonzero().get())
}
