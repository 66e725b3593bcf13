//! The window: what came of the requests of the last ten seconds.
//!
//! Invariant: a request counts for between nine and ten seconds.
//! Not here: what follows from the counts, other than whether they are too bad.

use super::Outcome;
use crate::units::Moment;

/// Buckets of a second each.
const BUCKETS: usize = 10;
const SECOND: u64 = 1_000_000_000;
/// The shares, in percent, from which the counts are too bad.
const FAILED: u32 = 50;
const SLOW: u32 = 80;

#[derive(Debug, Default)]
pub(super) struct Window {
    buckets: [Counts; BUCKETS],
    /// The second of the newest bucket.
    newest: u64,
}

/// What came of requests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u32,
    pub(super) failed: u32,
    pub(super) slow: u32,
}

impl Window {
    pub(super) fn count(&mut self, outcome: Outcome, now: Moment) {
        self.forget(now);
        let bucket = &mut self.buckets[(self.newest % BUCKETS as u64) as usize];
        bucket.calls += 1;
        bucket.failed += u32::from(outcome == Outcome::Failed);
        bucket.slow += u32::from(outcome == Outcome::Slow);
    }

    pub(super) fn counts(&mut self, now: Moment) -> Counts {
        self.forget(now);
        self.buckets.iter().fold(Counts::default(), |sum, bucket| Counts {
            calls: sum.calls + bucket.calls,
            failed: sum.failed + bucket.failed,
            slow: sum.slow + bucket.slow,
        })
    }

    /// Empties the buckets of the seconds since the newest.
    fn forget(&mut self, now: Moment) {
        let second = now.nanos() / SECOND;
        let passed = second.saturating_sub(self.newest).min(BUCKETS as u64);
        self.newest = self.newest.max(second);
        for ago in 0..passed {
            self.buckets[((self.newest - ago) % BUCKETS as u64) as usize] = Counts::default();
        }
    }
}

impl Counts {
    /// Whether half of at least so many requests failed, or four fifths were slow.
    pub(super) fn too_bad(self, least: u32) -> bool {
        let share =
            |count: u32, percent: u32| u64::from(count) * 100 >= u64::from(self.calls) * u64::from(percent);
        self.calls >= least && (share(self.failed, FAILED) || share(self.slow, SLOW))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_request_is_forgotten_in_its_tenth_second() {
        let at = |millis| Moment::default() + Duration::from_millis(millis);
        let mut window = Window::default();
        window.count(Outcome::Failed, at(1_999));
        window.count(Outcome::Slow, at(2_000));
        let calls = [10_999, 11_000, 11_999, 12_000].map(|millis| window.counts(at(millis)).calls);
        assert_eq!(calls, [2, 1, 1, 0]);
        window.count(Outcome::Good, at(90_000));
        assert_eq!(window.counts(at(90_000)), Counts { calls: 1, failed: 0, slow: 0 });
    }

    #[test]
    fn half_failed_or_four_fifths_slow_of_enough_is_too_bad() {
        for (calls, failed, slow, bad) in [
            (19, 19, 0, false),
            (20, 10, 0, true),
            (20, 9, 11, false),
            (20, 0, 16, true),
            (100, 49, 0, false),
            (100, 0, 79, false),
        ] {
            let counts = Counts { calls, failed, slow };
            assert_eq!(counts.too_bad(20), bad, "{counts:?}");
        }
    }
}
