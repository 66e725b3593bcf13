//! Slice: the threads that send get the processor at once when an answer comes, though the server runs beside them.
//!
//! Devices are on machines of their own. Here they may share one with the server and with what disturbs it, and how
//! long a sender itself waited for the processor would be taken for the server's time: the system lets who runs go on
//! for a slice of some milliseconds, unless who is woken asked for shorter ones. It gets no more of the processor for
//! that. Linux does so from 6.12 on; one before ignores the wish.

/// Shorter than the system's own, of at least 0.7 ms, and longer than a turn of a sender; in nanoseconds.
const SLICE: u64 = 500_000;

/// Asks for short slices for this thread; where the system refuses, it sends all the same.
#[allow(unsafe_code)]
pub fn shorten() {
    let size = size_of::<libc::sched_attr>() as u32;
    // SAFETY: all of it are numbers.
    let mut now: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: both calls are about this thread, and read or write one value of the size that they are told.
    unsafe {
        if libc::syscall(libc::SYS_sched_getattr, 0, &raw mut now, size, 0) == 0 {
            now.sched_runtime = SLICE;
            libc::syscall(libc::SYS_sched_setattr, 0, &raw const now, 0);
        }
    }
}
