//! Busy: whether a thread had something to do all the time, or stood still for other reasons.
//!
//! Invariant: a thread that sleeps between its tasks is not busy, however late the machine wakes it.
//! Not here: how late it is (`pressure`).
//!
//! A thread is late where it has more to do than it can, and where the machine gives it no processor. In the second
//! case refusing calls helps nobody: there are few of them, and those who take the processor go on. Two clocks tell
//! them apart: the runtime counts the time from when it is awake until it sleeps again, and the system the time that
//! the thread had a processor. What counts is how much the thread *ran* of what it ran or slept. The time in which it
//! wanted to run and was not let is neither: a thread with too much to do does not sleep however little of a processor
//! it gets, and one with little to do is not busy because it was interrupted for a tenth of a second.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use runtime::fuel::processor_nanos;
use tokio::runtime::Handle;

/// Over how many looks the share is taken.
const LOOKS: usize = 6;
/// The share of the time that it ran or slept from which on a thread that ran is busy.
const SHARE: f64 = 0.7;
/// A thread that ran for less than this since the first look is not busy: there is too little to tell by.
const LEAST: Duration = Duration::from_millis(5);

/// Watches the thread that it is made on.
#[derive(Debug)]
pub(super) struct Busy {
    runtime: Handle,
    looks: VecDeque<Look>,
}

/// What the clocks said.
#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    /// How long the runtime was awake.
    awake: Duration,
    /// How long the thread had a processor.
    ran: Duration,
}

impl Busy {
    /// Of this thread, which runs a runtime of its own.
    pub(super) fn here() -> Self {
        Self { runtime: Handle::current(), looks: VecDeque::with_capacity(LOOKS + 1) }
    }

    /// Whether the thread was busy since some looks ago.
    pub(super) fn look(&mut self) -> bool {
        let look = Look {
            at: Instant::now(),
            awake: self.runtime.metrics().worker_total_busy_duration(0),
            ran: Duration::from_nanos(processor_nanos()),
        };
        self.looks.push_back(look);
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        let first = self.looks.front().copied().unwrap_or(look);
        is_busy(first, look)
    }
}

fn is_busy(first: Look, last: Look) -> bool {
    let ran = last.ran.saturating_sub(first.ran);
    let awake = last.awake.saturating_sub(first.awake);
    let slept = last.at.saturating_duration_since(first.at).saturating_sub(awake);
    ran >= LEAST && ran.as_secs_f64() >= SHARE * (ran + slept).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks ten times, after each work of so many milliseconds and a sleep of so many; in `held` of the rest it
    /// neither works nor sleeps in the runtime, as if it was not let.
    fn looks(work: u64, held: u64, sleep: u64) -> Vec<bool> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut busy = Busy::here();
            let mut seen = Vec::new();
            for _ in 0..10 {
                let until = processor_nanos() + work * 1_000_000;
                while processor_nanos() < until {
                    std::hint::spin_loop();
                }
                std::thread::sleep(Duration::from_millis(held));
                match sleep {
                    0 => tokio::task::yield_now().await,
                    _ => tokio::time::sleep(Duration::from_millis(sleep)).await,
                }
                seen.push(busy.look());
            }
            seen
        })
    }

    #[test]
    fn a_thread_that_sleeps_between_its_tasks_is_not_busy_and_one_that_never_does_is() {
        assert!(!looks(1, 0, 20)[LOOKS..].contains(&true));
        // The runtime counts when it looks up, which one that is busy does now and then.
        let worked = looks(200, 0, 0);
        assert!(worked[LOOKS..].contains(&true), "{worked:?}");
    }

    #[test]
    fn a_thread_that_is_kept_from_its_work_is_busy_only_if_it_has_enough_of_it() {
        assert!(!looks(1, 50, 5)[LOOKS..].contains(&true));
        let kept = looks(20, 20, 0);
        assert!(kept[LOOKS..].contains(&true), "{kept:?}");
    }
}
