//! Shares: who uses more of a thread than their part while others want it, too.
//!
//! Invariant: of those who use a thread at one time at most all but one are over their part, and one who is alone
//! never is; nor is who takes next to nothing of it.
//! Not here: measuring what a call used, what becomes of the calls of who is over.
//!
//! Shares bind only where there is too little: while a thread has time left, anybody may use all of it. When it has
//! not, the calls of those who are over their part are given up one class sooner than those of the others. The part
//! is the same for everybody who was active of late; what they used is forgotten by half in about half a second,
//! so that who was greedy a moment ago is not held to it for long.

use std::hash::Hash;
use std::time::Duration;

use foldhash::HashMap;

use super::INTERVAL;
use crate::units::Moment;

/// What is left of a use after one [`INTERVAL`].
const KEPT: f64 = 0.87;
/// Uses below this are forgotten: nobody who matters uses so little.
const NEGLIGIBLE: f64 = 10e-6;
/// How much more than an even part is borne, since nobody's calls come evenly.
const SLACK: f64 = 1.25;
/// The share of an even part of the thread's whole time below which nobody is over it: where all ask for little, who
/// asks for most of that is not why the thread is late.
const MODEST: f64 = 0.2;
/// What somebody has used who has the thread all the time, in seconds.
const ALL: f64 = INTERVAL.as_millis() as f64 / 1e3 / (1.0 - KEPT);
/// How many are told apart; those who come after are taken for the greedy one's neighbours, never for greedy.
const KNOWN_MAX: usize = 1_024;

/// What each one used of a thread of late.
#[derive(Debug)]
pub struct Shares<K> {
    /// In seconds of the thread's time, decaying.
    used: HashMap<K, f64>,
    sum: f64,
    next: Moment,
}

impl<K> Default for Shares<K> {
    fn default() -> Self {
        Self { used: HashMap::default(), sum: 0.0, next: Moment::default() }
    }
}

impl<K: Eq + Hash + Clone> Shares<K> {
    /// Notes that one used the thread for so long.
    pub fn used(&mut self, who: &K, time: Duration) {
        let time = time.as_secs_f64();
        let has_room = self.used.len() < KNOWN_MAX;
        match self.used.get_mut(who) {
            Some(used) => *used += time,
            None if has_room => drop(self.used.insert(who.clone(), time)),
            None => return,
        }
        self.sum += time;
    }

    /// Lets what was used fade, if the last time is an interval ago.
    pub fn fade(&mut self, now: Moment) {
        if now < self.next {
            return;
        }
        self.next = now + INTERVAL;
        self.used.retain(|_, used| {
            *used *= KEPT;
            *used > NEGLIGIBLE
        });
        // Summed anew, so that no rounding adds up over the days.
        self.sum = self.used.values().sum();
    }

    /// Whether one used more than its part, while others used the thread, too.
    pub fn is_over(&self, who: &K) -> bool {
        let active = self.used.len();
        let part = (self.sum * SLACK).max(ALL * MODEST) / active.max(1) as f64;
        active > 1 && self.used.get(who).is_some_and(|used| *used > part)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn over(used: &[u64]) -> Vec<bool> {
        let mut shares = Shares::default();
        (0..).zip(used).for_each(|(who, used): (usize, _)| shares.used(&who, ms(*used)));
        (0..used.len()).map(|who| shares.is_over(&who)).collect()
    }

    #[test]
    fn whoever_takes_more_than_an_even_part_is_over_it() {
        assert_eq!(over(&[90]), [false], "nobody else wants it");
        assert_eq!(over(&[50, 50]), [false, false]);
        assert_eq!(over(&[60, 40]), [false, false], "within the slack");
        assert_eq!(over(&[90, 10]), [true, false]);
        assert_eq!(over(&[50, 50, 5, 5]), [true, true, false, false]);
    }

    #[test]
    fn whoever_takes_next_to_nothing_of_a_thread_is_not_over_however_little_the_others_take() {
        // Somebody who has all of a thread has used 769 ms of late; of two, a tenth of that is modest.
        assert_eq!(over(&[76, 1]), [false, false]);
        assert_eq!(over(&[78, 1]), [true, false]);
        assert_eq!(over(&[76, 1, 1]), [true, false, false]);
    }

    #[test]
    fn what_was_used_is_forgotten() {
        let mut shares = Shares::default();
        shares.used(&"greedy", ms(900));
        shares.used(&"modest", ms(10));
        assert!(shares.is_over(&"greedy"));
        for step in 1..=40 {
            shares.used(&"modest", ms(10));
            shares.used(&"greedy", ms(10));
            shares.fade(Moment::default() + INTERVAL * step);
        }
        assert!(!shares.is_over(&"greedy"));
        for step in 41..=200 {
            shares.fade(Moment::default() + INTERVAL * step);
        }
        assert!(shares.used.is_empty() && shares.sum == 0.0);
    }

    proptest! {
        #[test]
        fn somebody_is_always_within_their_part(used in prop::collection::vec(0_u64..1_000, 1..50)) {
            prop_assert!(over(&used).contains(&false));
        }
    }
}
