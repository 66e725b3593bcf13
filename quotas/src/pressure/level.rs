//! The level: what is let in, where every thread reads it, with what an explanation says of it.
//!
//! Two rules write to it: the cut-off, every 100 ms, and the surge, whenever a thread notes how late it is. The
//! lower one counts.
//!
//! Invariant: a reader sees one step of each whole, never half of one and half of the next; asking whether a
//! score is let in costs two loads and no lock.
//! Not here: how the cut-off comes about (`cutoff`) and the surge (`surge`), telling the time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::cutoff::{CutOff, UserFloor};
use super::surge;
use super::{Pressure, Signal, Signals};
use crate::priority::{Priority, Score};
use crate::refusal::{Refusal, RefusalCode};
use crate::scope::Scope;

/// What is let in, shared by all threads and written by one. The default lets everything in.
#[derive(Debug, Default)]
pub struct ShedLevel {
    steps: Word,
    surge: Word,
}

/// One rule's part of it: bits 0 to 6 the highest score let in, taken from 100, so that a zero lets everything in;
/// 7 to 9 the signal; 10 to 19 the pressure in thousandths; 20 to 63 since when, in milliseconds.
#[derive(Debug, Default)]
struct Word(AtomicU64);

/// What a node refuses for pressure, and since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shedding {
    /// Scores above this are refused.
    pub cutoff: u8,
    /// The signal that the node was last pressed by.
    pub signal: Signal,
    /// The pressure when the cut-off was last looked after, in thousandths of what counts.
    pub pressure_permille: u16,
    /// Since when any score is refused, in milliseconds of wall-clock time.
    pub since: u64,
}

/// When a call that was refused for pressure may be tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);
const SIGNAL_BITS: u32 = 7;
const PRESSURE_BITS: u32 = 10;
const SINCE_BITS: u32 = 20;

impl ShedLevel {
    /// Whether calls of this score are let in.
    pub fn admits(&self, score: Score) -> bool {
        score.get() <= self.steps.cutoff().min(self.surge.cutoff())
    }

    /// Why a call of this score is refused; nothing when it is let in.
    pub fn against(&self, score: Score) -> Option<Shedding> {
        self.get().filter(|shedding| score.get() > shedding.cutoff)
    }

    /// What is refused; nothing when everything is let in.
    pub fn get(&self) -> Option<Shedding> {
        let rules = [self.steps.get(), self.surge.get()];
        rules.into_iter().flatten().min_by_key(|shedding| shedding.cutoff)
    }

    /// Tells all threads of a step; only the one that takes the steps calls this.
    pub fn publish(&self, cutoff: &CutOff, pressure: Pressure, unix_ms: u64) {
        // Truncated, as a score is let in only when it is not above the cut-off.
        self.steps.set(cutoff.points() as u8, cutoff.signal(), pressure, unix_ms);
    }

    /// Tells all threads how late the one is that calls are let in to. Only that one calls this.
    pub fn late(&self, wait: Duration, floor: UserFloor, unix_ms: u64) {
        let pressure = Signals { lag: wait, ..Signals::default() }.pressure();
        self.surge.set(surge::cutoff(wait, floor), Signal::Lag, pressure, unix_ms);
    }

    /// What is refused of calls with this deadline, with so much work before them in the thread's queue.
    pub fn behind(
        &self,
        ahead: Duration,
        deadline: Duration,
        floor: UserFloor,
        unix_ms: u64,
    ) -> Option<Shedding> {
        let cutoff = surge::queue_cutoff(ahead, deadline, floor);
        let permille = ahead.as_nanos().saturating_mul(1_000) / deadline.as_nanos().max(1);
        let queue = (cutoff < Score::MAX).then(|| Shedding {
            cutoff,
            signal: Signal::Lag,
            pressure_permille: u16::try_from(permille).unwrap_or(u16::MAX).min(1_000),
            since: unix_ms.saturating_sub(u64::try_from(ahead.as_millis()).unwrap_or(0)),
        });
        [queue, self.steps.get()].into_iter().flatten().min_by_key(|shedding| shedding.cutoff)
    }
}

impl Word {
    fn cutoff(&self) -> u8 {
        // The word guards no other memory.
        cutoff(self.0.load(Ordering::Relaxed))
    }

    fn get(&self) -> Option<Shedding> {
        let word = self.0.load(Ordering::Relaxed);
        (cutoff(word) < Score::MAX).then(|| Shedding {
            cutoff: cutoff(word),
            signal: Signal::ALL[(word >> SIGNAL_BITS & 0b111) as usize],
            pressure_permille: (word >> PRESSURE_BITS & 0x3ff) as u16,
            since: word >> SINCE_BITS,
        })
    }

    fn set(&self, cutoff: u8, signal: Signal, pressure: Pressure, unix_ms: u64) {
        let word = if cutoff >= Score::MAX {
            0
        } else {
            let since = self.get().map_or(unix_ms, |shedding| shedding.since);
            u64::from(Score::MAX - cutoff)
                | (signal as u64) << SIGNAL_BITS
                | ((pressure.u() * 1_000.0).round() as u64) << PRESSURE_BITS
                | since << SINCE_BITS
        };
        self.0.store(word, Ordering::Relaxed);
    }
}

/// The highest score let in by a word.
fn cutoff(word: u64) -> u8 {
    Score::MAX - (word & 0x7f) as u8
}

impl Shedding {
    /// The refusal of a call of this priority with a score above the cut-off; the score is of a class less where the team
    /// is over its share.
    pub fn refusal(&self, priority: Priority, score: Score, over_share: bool) -> Refusal {
        let mut refusal = Refusal::new(RefusalCode::PressureShed, "node.pressure", Scope::All);
        let Self { cutoff, signal, pressure_permille, since } = self;
        refusal.since = Some(*since);
        refusal.retry_after = Some(RETRY_AFTER);
        refusal.reason = Some(
            format!(
                "the node is pressed by its {signal} ({pressure_permille} of 1000): calls of {priority} with a score of \
                 {score} are given up, those up to {cutoff} are kept{}",
                if over_share {
                    "; this team used more of the thread than its part, so its calls go one class sooner than others'"
                } else {
                    ""
                }
            )
            .into(),
        );
        refusal
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::units::Moment;

    fn pressed(memory: f64) -> Pressure {
        Signals { memory, ..Signals::default() }.pressure()
    }

    fn score(score: u8) -> Score {
        Score::new(score).unwrap()
    }

    #[test]
    fn a_refusal_says_by_what_and_since_when() {
        let (level, mut cutoff) = (ShedLevel::default(), CutOff::new(UserFloor::default()));
        assert!(level.get().is_none() && level.admits(score(100)));
        for (step, memory) in [0.94, 0.905].into_iter().enumerate() {
            let now = Moment::default() + super::super::INTERVAL * step as u32;
            cutoff.step(pressed(memory), now);
            level.publish(&cutoff, pressed(memory), 1_700_000_000_000 + step as u64);
        }
        // 0.94 asks for 100·(1 − 0.9³) = 27, and the background goes first.
        assert!(level.admits(score(70)) && !level.admits(score(71)));
        assert_eq!(level.against(score(70)), None);
        let refusal = level.against(score(99)).unwrap().refusal(Priority::Background, score(99), false);
        assert_eq!(refusal.since, Some(1_700_000_000_000));
        assert_eq!(
            refusal.to_string(),
            "pressure.shed: refused by node.pressure of all: the node is pressed by its memory (550 of 1000): \
             calls of background with a score of 99 are given up, those up to 70 are kept"
        );
    }

    #[test]
    fn of_a_surge_and_a_cut_off_the_lower_counts() {
        let (level, mut cutoff) = (ShedLevel::default(), CutOff::new(UserFloor::default()));
        let ms = Duration::from_millis;
        cutoff.step(pressed(0.92), Moment::default());
        level.publish(&cutoff, pressed(0.92), 5);
        let seen = |wait, unix_ms| {
            level.late(wait, UserFloor::default(), unix_ms);
            level.get().map(|shedding| (shedding.cutoff, shedding.signal, shedding.since))
        };
        // 0.92 asks for 100·(1 − 0.7³) = 65, and the background goes first.
        assert_eq!(seen(ms(1), 6), Some((70, Signal::Memory, 5)));
        assert_eq!(seen(ms(20), 7), Some((30, Signal::Lag, 7)));
        assert_eq!(seen(ms(15), 8), Some((30, Signal::Lag, 7)));
        assert!(level.admits(score(30)) && !level.admits(score(31)));
        assert_eq!(seen(ms(1), 9), Some((70, Signal::Memory, 5)));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_published_is_what_is_read(
            memory in prop::collection::vec(0.7..1.1, 1..60),
            start in 0..(1_u64 << 43),
        ) {
            let (level, mut cutoff) = (ShedLevel::default(), CutOff::new(UserFloor::default()));
            let mut since = None;
            for (step, memory) in memory.into_iter().enumerate() {
                let (now, unix_ms) = (super::super::INTERVAL * step as u32, start + 100 * step as u64);
                cutoff.step(pressed(memory), Moment::default() + now);
                level.publish(&cutoff, pressed(memory), unix_ms);
                since = cutoff.is_shedding().then(|| since.unwrap_or(unix_ms));
                prop_assert_eq!(level.get().map(|shedding| shedding.since), since);
                for number in 1..=Score::MAX {
                    let admitted = f64::from(number) <= cutoff.points();
                    prop_assert_eq!(level.admits(score(number)), admitted);
                    prop_assert_eq!(level.against(score(number)).is_none(), admitted);
                }
                if let Some(shedding) = level.get() {
                    let permille = (pressed(memory).u() * 1_000.0).round() as u16;
                    prop_assert_eq!((shedding.signal, shedding.pressure_permille), (Signal::Memory, permille));
                }
            }
        }
    }
}
