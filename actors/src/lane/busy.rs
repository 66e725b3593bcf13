//! Busy: whether a thread had something to do all the time, or stood still for other reasons.
//!
//! Invariant: a thread that sleeps between its tasks is not busy, however late the machine wakes it.
//! Not here: how late it is (`pressure`).
//!
//! A thread is late where it has more to do than it can, and where the machine gives it no processor. In the second
//! case refusing calls helps nobody: there are few of them, and those who take the processor go on. The runtime knows
//! the difference: it counts the time from when it is awake until it sleeps again, and a thread with too much to do
//! does not sleep.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

/// Over how many looks the share is taken.
const LOOKS: usize = 6;
/// The share of its time from which on a thread is busy.
const SHARE: f64 = 0.7;

/// Watches the thread that it is made on.
#[derive(Debug)]
pub(super) struct Busy {
    runtime: Handle,
    looks: VecDeque<(Instant, Duration)>,
}

impl Busy {
    /// Of this thread, which runs a runtime of its own.
    pub(super) fn here() -> Self {
        Self { runtime: Handle::current(), looks: VecDeque::with_capacity(LOOKS + 1) }
    }

    /// Whether the thread was busy since some looks ago.
    pub(super) fn look(&mut self) -> bool {
        let look = (Instant::now(), self.runtime.metrics().worker_total_busy_duration(0));
        self.looks.push_back(look);
        if self.looks.len() > LOOKS {
            self.looks.pop_front();
        }
        let first = self.looks.front().copied().unwrap_or(look);
        share(first, look) >= SHARE
    }
}

fn share((began, before): (Instant, Duration), (now, busy): (Instant, Duration)) -> f64 {
    let time = now.saturating_duration_since(began).as_secs_f64();
    if time > 0.0 { busy.saturating_sub(before).as_secs_f64() / time } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks ten times, after each work of so many milliseconds and a sleep of so many.
    fn looks(work: u64, sleep: u64) -> Vec<bool> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let mut busy = Busy::here();
            let mut seen = Vec::new();
            for _ in 0..10 {
                let until = Instant::now() + Duration::from_millis(work);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
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
        assert!(!looks(1, 20)[LOOKS..].contains(&true));
        // The runtime counts when it looks up, which one that is busy does now and then.
        let worked = looks(200, 0);
        assert!(worked[LOOKS..].contains(&true), "{worked:?}");
    }
}
