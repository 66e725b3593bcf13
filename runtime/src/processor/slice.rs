//! Slices: how soon a thread gets the processor when something comes for it.
//!
//! The system lets who runs go on for a slice before it gives way, however unimportant it is: up to some milliseconds,
//! which is ten times what a call takes. Who is woken is let in at once where its own slices are shorter, unless those
//! of who runs are about to end anyway; then it waits for the system's next tick. So threads that serve ask for short
//! ones, and those that compute in the background for long ones. Neither gets more or less of the processor for that.
//!
//! The system's scheduler does so from Linux 6.12 on (EEVDF: Stoica and Abdel-Wahab, 1995); one before ignores the
//! wish.

use std::io;
use std::time::Duration;

use super::attributes;

/// For threads that serve: shorter than the system's own, which is 0.7 ms on one processor and 2.8 ms on eight or
/// more, and longer than most calls. With 0.1 ms, the shortest that there is, calls were interrupted by compilers.
pub const SERVING: Duration = Duration::from_micros(500);
/// For threads and processes that compute in the background.
pub const BACKGROUND: Duration = Duration::from_millis(20);

/// Asks for such slices for this thread.
///
/// # Errors
/// The system refused; then the thread has slices as long as others'.
pub fn ask_for(slice: Duration) -> io::Result<()> {
    let nanos = u64::try_from(slice.as_nanos()).unwrap_or(u64::MAX);
    attributes::change(None, |now| now.sched_runtime = nanos)
}

#[cfg(test)]
mod tests {
    use rustix::process::{getpriority_process, setpriority_process};

    use super::*;

    #[test]
    fn a_wish_leaves_the_priority_as_it_is() {
        let priority = std::thread::spawn(|| {
            let thread = rustix::thread::gettid();
            setpriority_process(Some(thread), 3).unwrap();
            ask_for(BACKGROUND).unwrap();
            ask_for(SERVING).unwrap();
            getpriority_process(Some(thread)).unwrap()
        });
        assert_eq!(priority.join().unwrap(), 3);
    }
}
