//! Traffic: how many calls there were in the last minutes.
//!
//! Invariant: a count has a fixed size however much it counts, and counting takes no lock.
//! Not here: what is counted for whom (lanes, services), reading clocks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::units::Moment;

/// How many minutes are told apart; the last one is the present one.
const MINUTES: u64 = 5;
const NANOS: u64 = 60_000_000_000;

/// How many there were in each of the last minutes: a ring of counters, each under the number of its minute.
///
/// Threads may count at the same time; those that meet at the turn of a minute may lose some.
#[derive(Debug, Default)]
pub struct Minutes([AtomicU64; MINUTES as usize]);

/// The minute's number in the high half, its count in the low one.
const fn pack(minute: u64, count: u32) -> u64 {
    minute << 32 | count as u64
}

impl Minutes {
    /// Counts one.
    pub fn count(&self, now: Moment) {
        let minute = now.nanos() / NANOS;
        let slot = &self.0[(minute % MINUTES) as usize];
        let seen = slot.load(Ordering::Relaxed);
        if seen >> 32 == minute && seen as u32 != u32::MAX {
            slot.fetch_add(1, Ordering::Relaxed);
        } else if seen >> 32 != minute {
            slot.store(pack(minute, 1), Ordering::Relaxed);
        }
    }

    /// How many there were in the window that ends now.
    pub fn total(&self, now: Moment) -> u64 {
        let minute = now.nanos() / NANOS;
        let counts = self.0.iter().map(|slot| slot.load(Ordering::Relaxed));
        counts.filter(|seen| minute - (seen >> 32).min(minute) < MINUTES).map(|seen| seen & 0xffff_ffff).sum()
    }

    /// Adds what another counted up to now.
    pub fn add(&self, other: &Self) {
        for (mine, theirs) in self.0.iter().zip(&other.0) {
            let (seen, added) = (mine.load(Ordering::Relaxed), theirs.load(Ordering::Relaxed));
            let sum = match (seen >> 32).cmp(&(added >> 32)) {
                std::cmp::Ordering::Less => added,
                std::cmp::Ordering::Equal => pack(seen >> 32, (seen as u32).saturating_add(added as u32)),
                std::cmp::Ordering::Greater => seen,
            };
            mine.store(sum, Ordering::Relaxed);
        }
    }
}

impl Clone for Minutes {
    fn clone(&self) -> Self {
        let copy = Self::default();
        copy.add(self);
        copy
    }
}

/// How long the window is that ends now, for one who began to count at `since`: four whole minutes and the begun
/// one.
pub fn window(since: Moment, now: Moment) -> Duration {
    now.since(since).min(Duration::from_nanos((MINUTES - 1) * NANOS + now.nanos() % NANOS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn what_is_older_than_five_minutes_is_forgotten() {
        let minutes = Minutes::default();
        for second in [0, 59, 60, 299] {
            minutes.count(at(second));
        }
        let totals = [59, 299, 300, 359, 360, 539, 540, 10_000].map(|second| minutes.total(at(second)));
        assert_eq!(totals, [4, 4, 2, 2, 1, 1, 0, 0]);
        minutes.count(at(10_000));
        assert_eq!(minutes.total(at(10_000)), 1);
    }

    #[test]
    fn two_counts_are_added_minute_by_minute() {
        let (one, other) = (Minutes::default(), Minutes::default());
        one.count(at(0));
        one.count(at(310));
        other.count(at(305));
        other.count(at(70));
        let copy = one.clone();
        one.add(&other);
        assert_eq!((copy.total(at(310)), one.total(at(310))), (1, 3));
    }

    #[test]
    fn the_window_begins_at_the_start_and_is_five_minutes_at_most() {
        let windows = [30, 40, 299, 300, 359, 360].map(|second| window(at(30), at(second)).as_secs());
        assert_eq!(windows, [0, 10, 269, 240, 299, 240]);
    }
}
