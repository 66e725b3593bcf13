//! Track: whether an endpoint's calls run beside everybody else's, or on threads of their own.
//!
//! Invariant: an endpoint is moved for what its own calls did, and moves back by itself when they stop doing it;
//! a revision that nobody has seen run yet starts on threads of its own.
//! Not here: the threads (the lanes), telling anybody about a move.
//!
//! **Two measures.** What hurts the others on a thread is the longest time that a call held it in one piece (a
//! native function that nothing can interrupt), and how much of the thread it takes in all: calls that compute
//! are cut into slices, but each of them stands in the queue again and again. The first moves an endpoint at
//! once; the second is a mean over about the last eight calls, so that one large call moves nobody. It is counted
//! in fuel and not in time: on a busy machine, and most of all on threads of a lower priority, everybody's time is
//! long, and an endpoint that was moved for it would never get back.
//!
//! **Back again.** After [`Paces::stay`] without an offence, and with the mean below half the limit, so that an
//! endpoint at the limit does not go back and forth.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::scope::RevisionNumber;
use crate::units::{Fuel, Moment};

/// On which threads a call runs, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pace {
    /// Beside everybody else's.
    Fast,
    /// On threads of its own: its revision has not shown yet that it does no harm.
    New,
    /// On threads of its own: a call held its thread too long in one piece.
    Held,
    /// On threads of its own: its calls compute much.
    Heavy,
    /// On threads of its own: somebody decided so.
    Sentenced,
}

/// When an endpoint is moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paces {
    /// Calls of a new revision that have to end well before it runs beside everybody else's.
    pub proof: u32,
    /// The longest that a call may hold its thread in one piece.
    pub piece: Duration,
    /// The most work that its calls may do, in the mean.
    pub mean: Fuel,
    /// How long an endpoint that was moved stays, at least.
    pub stay: Duration,
}

/// What a call did to its thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// The longest time in one piece.
    pub piece: Duration,
    /// The work that it did.
    pub fuel: Fuel,
    /// How it ended.
    pub ending: Ending,
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// By itself, with an answer or an error of its own.
    Well,
    /// It was stopped or given up while it computed or waited for its turn to.
    Stopped,
    /// In any other way: by a mistake of the script, or while it waited for a service.
    Badly,
}

/// One endpoint's track, shared by all threads of a node.
#[derive(Debug)]
pub struct Track {
    pace: AtomicU8,
    revision: AtomicU64,
    /// Calls of the revision that ended well, while it is new.
    proven: AtomicU32,
    /// The work of its calls that were stopped, while it is new.
    in_vain: AtomicU64,
    /// The mean work of a call, in units of fuel.
    mean: AtomicU64,
    /// When it may go back, in nanoseconds of the caller's clock.
    back_at: AtomicU64,
}

impl Pace {
    /// Whether it is the pace of everybody else.
    pub fn is_fast(self) -> bool {
        self == Self::Fast
    }

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fast => "fast",
            Self::New => "new",
            Self::Held => "held",
            Self::Heavy => "heavy",
            Self::Sentenced => "sentenced",
        }
    }

    const ALL: [Self; 5] = [Self::Fast, Self::New, Self::Held, Self::Heavy, Self::Sentenced];

    fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Self::Fast)
    }
}

impl Paces {
    /// Where nothing else is said.
    pub const DEFAULT: Self = Self {
        proof: 10,
        piece: Duration::from_millis(20),
        // About two milliseconds.
        mean: Fuel::new(100_000),
        stay: Duration::from_secs(30),
    };
}

impl Default for Track {
    fn default() -> Self {
        Self {
            pace: AtomicU8::new(Pace::Fast as u8),
            revision: AtomicU64::new(0),
            proven: AtomicU32::new(0),
            in_vain: AtomicU64::new(0),
            mean: AtomicU64::new(0),
            back_at: AtomicU64::new(0),
        }
    }
}

impl Track {
    /// The pace of the next call.
    pub fn pace(&self) -> Pace {
        Pace::of(self.pace.load(Ordering::Relaxed))
    }

    /// The mean work of a call.
    pub fn mean(&self) -> Fuel {
        Fuel::new(self.mean.load(Ordering::Relaxed))
    }

    /// From now on calls run this revision. One that is new begins on threads of its own; one that ran here or
    /// elsewhere before begins beside everybody else's.
    pub fn serve(&self, revision: RevisionNumber, is_new: bool) {
        if self.revision.swap(revision.get(), Ordering::Relaxed) == revision.get() {
            return;
        }
        self.proven.store(0, Ordering::Relaxed);
        self.in_vain.store(0, Ordering::Relaxed);
        self.mean.store(0, Ordering::Relaxed);
        self.set(if is_new { Pace::New } else { Pace::Fast });
    }

    /// Sends the endpoint to threads of its own for so long, whatever its calls do.
    pub fn sentence(&self, until: Moment) {
        self.back_at.store(until.nanos(), Ordering::Relaxed);
        self.set(Pace::Sentenced);
    }

    /// Ends a sentence.
    pub fn pardon(&self) {
        // One that was moved for what it did stays moved.
        let _ = self.pace.compare_exchange(
            Pace::Sentenced as u8,
            Pace::Fast as u8,
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
    }

    /// Counts what a call of this revision did, and answers the new pace when that moved the endpoint. Threads
    /// that count at the same time may lose each other's part of the mean, never a move.
    pub fn ran(&self, revision: RevisionNumber, held: Held, paces: &Paces, now: Moment) -> Option<Pace> {
        if self.revision.load(Ordering::Relaxed) != revision.get() {
            return None;
        }
        let fuel = held.fuel.get();
        let before = self.mean.load(Ordering::Relaxed);
        let mean = if before == 0 { fuel } else { before - before / 8 + fuel / 8 };
        self.mean.store(mean.max(1), Ordering::Relaxed);

        let pace = self.pace();
        let limit = paces.mean.get();
        // The first calls of a revision prove nothing about its mean.
        let is_heavy = mean > limit && pace != Pace::New;
        let next = if held.piece > paces.piece {
            Pace::Held
        } else if is_heavy {
            Pace::Heavy
        } else {
            match pace {
                Pace::Fast => return None,
                // It computes until it is stopped: nobody needs ten calls to see that. Of many at once each gets little
                // done until then, so that it is all of theirs that counts.
                Pace::New if self.worked_in_vain(&held) > limit => Pace::Heavy,
                Pace::New => {
                    let well = u32::from(held.ending == Ending::Well);
                    if self.proven.fetch_add(well, Ordering::Relaxed) + well < paces.proof {
                        return None;
                    }
                    if mean > limit { Pace::Heavy } else { Pace::Fast }
                }
                _ if now.nanos() < self.back_at.load(Ordering::Relaxed) => return None,
                _ if mean > limit / 2 => return None,
                _ => Pace::Fast,
            }
        };
        if matches!(next, Pace::Held | Pace::Heavy) {
            let stay = now.saturating_add(paces.stay).nanos();
            self.back_at.fetch_max(stay, Ordering::Relaxed);
            if pace == Pace::Sentenced {
                return None;
            }
        }
        (self.pace.swap(next as u8, Ordering::Relaxed) != next as u8).then_some(next)
    }

    fn worked_in_vain(&self, held: &Held) -> u64 {
        let fuel = held.fuel.get();
        match held.ending {
            Ending::Well => 0,
            Ending::Stopped => self.in_vain.fetch_add(fuel, Ordering::Relaxed).saturating_add(fuel),
            Ending::Badly => fuel,
        }
    }

    fn set(&self, pace: Pace) {
        self.pace.store(pace as u8, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests;
