//! Giving way: a thread that computes for long lets those in who wait for its core.
//!
//! Nearly always the scheduler does that by itself. What is left waits for the system's next tick, which is 4 ms away
//! where there are 250 in a second: ten times what most calls take. Who is woken just after another began is not let
//! in, and stays at that core even if the next one falls idle meanwhile. Who serves and had more than a share of the
//! core does not get it right away, whatever the others on it are: one that takes what is left over (`leftovers`) gets
//! it instead. And a kernel that preempts lazily does not even tell another core of whom it woke for it, so that who
//! computes there without calling the system goes on.
//! Invariant: nobody gives away more than they get back soon. The system takes a whole slice off who gives way, which
//! is nothing to one that takes what is left over, 0.5 ms to one that serves, and a core for long to one that has a
//! share of it at a low priority: that one gives away nothing.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::time::Duration;

use super::attributes;
use super::slice::SERVING;

/// How often one that cannot do so by itself is made to.
const OFTEN: Duration = Duration::from_micros(200);

/// Lets in whoever waits for this core, where that costs this thread little. It takes less than a microsecond where
/// nobody waits.
pub fn now() {
    if attributes::read(None).is_ok_and(|of| costs_little(&of)) {
        std::thread::yield_now();
    }
}

fn costs_little(of: &libc::sched_attr) -> bool {
    // A system that does not know slices says that they are none.
    let has_short_slices = of.sched_runtime > 0 && Duration::from_nanos(of.sched_runtime) <= SERVING;
    has_short_slices || of.sched_policy == libc::SCHED_IDLE.unsigned_abs()
}

/// What makes a thread give way again and again, whatever it computes.
#[derive(Debug)]
pub struct Reminder {
    timer: libc::timer_t,
}

/// Its thread is reminded for as long as there is this.
#[derive(Debug)]
pub struct Reminded<'a>(&'a Reminder);

impl Reminder {
    /// One of this thread. What the thread calls has to bear that a signal interrupts it (`SIGALRM`).
    ///
    /// # Errors
    /// The system refused.
    pub fn new() -> io::Result<Self> {
        Self::calling(give_way)
    }

    /// From now on every 0.2 ms that the thread runs. Time in which it waits for a processor counts once.
    pub fn remind(&self) -> Reminded<'_> {
        self.set(OFTEN);
        Reminded(self)
    }

    /// Does so whenever work has the thread.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        poll_fn(|task| {
            let _reminded = self.remind();
            work.as_mut().poll(task)
        })
        .await
    }

    #[allow(unsafe_code)]
    fn calling(handler: extern "C" fn(libc::c_int)) -> io::Result<Self> {
        let done = |result| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
        // SAFETY: all of these are plain numbers and pointers, for which zero is a value.
        let (mut action, mut event, mut timer): (libc::sigaction, libc::sigevent, libc::timer_t) =
            unsafe { std::mem::zeroed() };
        action.sa_sigaction = handler as libc::sighandler_t;
        // Scripts run on stacks that leave no room for others.
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        // SAFETY: the handlers of this file do nothing that a handler may not do.
        done(unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) })?;
        event.sigev_notify = libc::SIGEV_THREAD_ID;
        event.sigev_signo = libc::SIGALRM;
        event.sigev_notify_thread_id = rustix::thread::gettid().as_raw_nonzero().get();
        // SAFETY: the call reads one value and writes another.
        done(unsafe { libc::timer_create(libc::CLOCK_MONOTONIC, &raw mut event, &raw mut timer) })?;
        Ok(Self { timer })
    }

    /// Zero is never.
    #[allow(unsafe_code)]
    fn set(&self, period: Duration) {
        let period = libc::timespec { tv_sec: 0, tv_nsec: period.subsec_nanos().into() };
        let times = libc::itimerspec { it_interval: period, it_value: period };
        // SAFETY: the call reads one value, of a timer that is there. It cannot fail then.
        unsafe { libc::timer_settime(self.timer, 0, &raw const times, std::ptr::null_mut()) };
    }
}

impl Drop for Reminded<'_> {
    fn drop(&mut self) {
        self.0.set(Duration::ZERO);
    }
}

impl Drop for Reminder {
    #[allow(unsafe_code)]
    fn drop(&mut self) {
        // SAFETY: nobody else has this timer.
        unsafe { libc::timer_delete(self.timer) };
    }
}

extern "C" fn give_way(_: libc::c_int) {
    // Two calls of the system, neither of which can fail here and change `errno` for whoever is interrupted.
    now();
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::time::Instant;

    use super::super::testing::on_one_core;
    use super::super::{leftovers, slice};
    use super::*;

    /// Whether one that became such a thread lets in, giving way, another that wants all of its core.
    fn lets_in(become_it: fn()) -> bool {
        (0..100).find_map(|_| lets_in_now(become_it)).expect("it never had the core while the other waited")
    }

    /// The same. Nothing when it did not have the core before the other was done.
    fn lets_in_now(become_it: fn()) -> Option<bool> {
        /// More than a background thread's slice, and it ends where nobody stops it.
        const MANY: u32 = 10_000_000;
        let count = AtomicU32::new(0);
        std::thread::scope(|scope| {
            let background = scope.spawn(|| {
                on_one_core();
                become_it();
                // Once the other has run, it waits whenever this one runs.
                while count.load(Ordering::Relaxed) == 0 {
                    std::hint::spin_loop();
                }
                let before = count.load(Ordering::Relaxed);
                // One that had less than its share until now has as much before others.
                let lets_in = (0..100).any(|_| {
                    now();
                    count.load(Ordering::Relaxed) != before
                });
                count.fetch_max(MANY, Ordering::Relaxed);
                (before < MANY).then_some(lets_in)
            });
            scope.spawn(|| {
                on_one_core();
                while count.fetch_add(1, Ordering::Relaxed) < MANY {}
            });
            background.join().unwrap()
        })
    }

    fn share() {
        leftovers::lower().unwrap();
    }

    #[test]
    fn who_serves_or_takes_leftovers_lets_others_in_and_who_has_a_share_keeps_it() {
        // One may be interrupted at that very moment, hardly three.
        assert!((0..3).any(|_| !lets_in(share)), "who has a share gives it up");
        assert!(lets_in(|| slice::ask_for(SERVING).unwrap()), "who serves keeps the core");
        if leftovers::is_open() {
            let leftovers = || {
                share();
                leftovers::take();
            };
            assert!(lets_in(leftovers), "who takes leftovers keeps the core");
        }
    }

    #[test]
    fn a_thread_that_computes_is_interrupted_again_and_again_and_one_that_reads_does_not_see_it() {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        extern "C" fn count(_: libc::c_int) {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        let interrupted = || COUNT.load(Ordering::Relaxed);
        std::thread::spawn(move || {
            let reminder = Reminder::calling(count).unwrap();
            assert_eq!(interrupted(), 0, "nobody asked to be reminded");
            let reminded = reminder.remind();
            let began = Instant::now();
            while interrupted() < 20 {
                assert!(began.elapsed() < Duration::from_secs(20), "nothing interrupts it");
            }
            let (read, write) = std::os::unix::net::UnixStream::pair().unwrap();
            let before = interrupted();
            std::thread::spawn(move || {
                while interrupted() < before + 20 && began.elapsed() < Duration::from_secs(20) {}
                rustix::io::write(&write, b"x").unwrap();
            });
            assert_eq!(rustix::io::read(&read, &mut [0; 2]), Ok(1), "it starts the call again");
            assert!(interrupted() >= before + 20);
            drop(reminded);
            let after = interrupted();
            std::thread::sleep(OFTEN * 20);
            assert_eq!(interrupted(), after, "and no more");
        })
        .join()
        .unwrap();
    }
}
