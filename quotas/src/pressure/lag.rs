//! Lag: whether the calls of a thread stand in a queue that does not empty.
//!
//! Invariant: the level lies between the least and the greatest wait that was measured, and a queue that was
//! empty once within an interval does not raise it.
//! Not here: measuring a wait. The thread notes how long each call that was ready had to wait for it, and how
//! late a timer of its own was, at least every 10 ms, so that an idle thread is measured, too.
//!
//! **From CoDel** (Nichols and Jacobson, 2012; `Codel.h` in Facebook's folly). Queues are good: they take up
//! bursts. Only a queue that *stands* is bad, and what tells them apart is the least wait within an interval:
//! in a good queue somebody finds it empty. Of CoDel only this detector is taken. It also drops from the queue,
//! faster the longer it stands; here nothing that was taken in is dropped, and what comes in is cut off by
//! priority. The minima are not smoothed: one call that holds its thread for longer than an interval leaves no
//! measurement in it, so that the interval begins anew, and the queue behind it has time to empty.

use std::time::Duration;

use super::INTERVAL;
use crate::units::Moment;

/// Measures one thread, and belongs to it.
#[derive(Debug, Default)]
pub struct Lag {
    /// When the interval ends that is being measured.
    ends: Moment,
    /// The shortest wait in it.
    least: Option<Duration>,
    level: Duration,
}

impl Lag {
    /// One that measured nothing yet.
    pub fn new(now: Moment) -> Self {
        Self { ends: now + INTERVAL, ..Self::default() }
    }

    /// Notes that what was ready had waited so long when the thread came to it, now.
    pub fn note(&mut self, wait: Duration, now: Moment) {
        self.close(now);
        self.least = Some(self.least.map_or(wait, |least| least.min(wait)));
    }

    /// How long those waited in the last interval that waited the least.
    pub fn level(&mut self, now: Moment) -> Duration {
        self.close(now);
        self.level
    }

    /// Ends the interval if it is over.
    fn close(&mut self, now: Moment) {
        if now < self.ends {
            return;
        }
        self.ends = now + INTERVAL;
        if let Some(least) = self.least.take() {
            self.level = least;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(millis: u64) -> Moment {
        Moment::default() + ms(millis)
    }

    /// The level after calls that started at a time after a wait, both in milliseconds.
    fn after(waits: impl IntoIterator<Item = (u64, u64)>) -> Duration {
        let mut lag = Lag::new(at(0));
        let mut last = 0;
        for (start, wait) in waits {
            lag.note(ms(wait), at(start));
            last = start;
        }
        lag.level(at(last + 100))
    }

    #[test]
    fn a_burst_that_empties_is_no_lag() {
        let bursts = (0..100).flat_map(|burst| (0..10).map(move |nth| (burst * 20 + nth, nth * 9)));
        assert_eq!(after(bursts), ms(0));
    }

    #[test]
    fn a_queue_that_stands_is() {
        let standing = after((0..200).map(|call| (call * 10, 30 + call % 7)));
        assert_eq!(standing, ms(30));
    }

    #[test]
    fn the_level_is_the_least_wait_of_the_last_interval() {
        assert_eq!(after([(10, 40), (50, 60)]), ms(40));
        assert_eq!(after([(10, 40), (110, 0)]), ms(0));
    }

    #[test]
    fn a_thread_that_was_held_for_a_while_has_time_to_empty_its_queue() {
        let mut lag = Lag::new(at(0));
        lag.note(ms(0), at(90));
        lag.note(ms(390), at(490));
        lag.note(ms(1), at(520));
        assert_eq!(lag.level(at(590)), ms(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_level_never_exceeds_the_longest_wait_and_falls_when_nobody_waits(
            waits in prop::collection::vec((0..50_u64, 0..500_u64), 1..300),
        ) {
            let mut lag = Lag::new(at(0));
            let longest = waits.iter().map(|(_, wait)| ms(*wait)).max().unwrap();
            let mut now = 0;
            for (gap, wait) in waits {
                now += gap;
                lag.note(ms(wait), at(now));
                prop_assert!(lag.level(at(now)) <= longest);
            }
            // The interval that was under way and one more.
            for _ in 0..20 {
                now += 10;
                lag.note(ms(0), at(now));
            }
            prop_assert_eq!(lag.level(at(now)), ms(0));
        }
    }
}
