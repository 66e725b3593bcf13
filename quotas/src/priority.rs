//! Priority: which calls a pressed node gives up first, and which it keeps to the end.
//!
//! Invariant: every score of a more important class is below every score of a less important one, and nothing
//! that a device says makes its calls more important than their endpoint is.
//! Not here: how pressed the node is (`pressure`), who reads the header or the manifest, hashing with a secret.
//!
//! **Scores.** After Netflix's prioritized shedding: a call has a number from 1, kept longest, to 100, and a
//! node refuses what lies above a cut-off. The class decides the band and the [`Cohort`] the place in it, as
//! in Uber's Cinnamon: a part of a class is shed by refusing the same clients every time, so that the others
//! are served whole, where refusing by chance would break one answer of every client. After [`EPOCH`] the
//! cohorts are dealt anew, so that it is not always the same clients.

use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

/// How important a call is: the greater is kept longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Nobody waits for it.
    Background,
    /// It is fetched before somebody asks for it.
    Prefetch,
    /// A person waits for it.
    #[default]
    User,
}

/// Text that names no priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a priority; there are user, prefetch, background")]
pub struct ParsePriorityError(String);

/// Where a call stands in the order in which calls are given up: 1 is kept longest, 100 goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(u8);

/// The group that a client is in for one [`EPOCH`]: a number that is spread evenly and that clients cannot
/// choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cohort(u64);

/// How long a client stays in its cohort.
pub const EPOCH: Duration = Duration::from_secs(600);

impl Priority {
    /// All of them, the most important first.
    pub const ALL: [Self; 3] = [Self::User, Self::Prefetch, Self::Background];

    /// Its name in manifests and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Prefetch => "prefetch",
            Self::Background => "background",
        }
    }

    /// The scores of its calls.
    pub const fn scores(self) -> RangeInclusive<u8> {
        match self {
            Self::User => 1..=30,
            Self::Prefetch => 31..=70,
            Self::Background => 71..=100,
        }
    }

    /// The next that is less important; the least stays what it is.
    #[must_use]
    pub fn less(self) -> Self {
        match self {
            Self::User => Self::Prefetch,
            Self::Prefetch | Self::Background => Self::Background,
        }
    }

    /// What a call is where its endpoint is this and its device asks for something: a device may only lower.
    #[must_use]
    pub fn lowered(self, asked: Self) -> Self {
        self.min(asked)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = ParsePriorityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == text)
            .ok_or_else(|| ParsePriorityError(text.to_owned()))
    }
}

impl ParsePriorityError {
    /// The stable code of this error.
    pub const CODE: &'static str = "priority.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

impl Cohort {
    /// The cohort with this number. Take one that is spread over all 64 bits: its high bits count.
    pub const fn new(spread: u64) -> Self {
        Self(spread)
    }

    /// The cohort of a client in an epoch, a count of [`EPOCH`]s, under a secret of the process or the fleet.
    pub fn of<K: Hash + ?Sized>(client: &K, epoch: u64, secret: &impl BuildHasher) -> Self {
        Self(secret.hash_one((epoch, client)))
    }
}

impl Score {
    /// The score of the calls that are given up first.
    pub const MAX: u8 = 100;

    /// This score; nothing for zero or for more than [`Score::MAX`].
    pub const fn new(score: u8) -> Option<Self> {
        match score {
            1..=Self::MAX => Some(Self(score)),
            _ => None,
        }
    }

    /// The score of a call of this class and cohort.
    pub fn of(priority: Priority, cohort: Cohort) -> Self {
        let scores = priority.scores();
        let width = u64::from(scores.end() - scores.start()) + 1;
        // The high bits decide the place in the band, which is even without a remainder's bias.
        let place = (u128::from(cohort.0) * u128::from(width)) >> 64;
        Self(scores.start() + u8::try_from(place).expect("less than the band's width"))
    }

    /// The number.
    pub const fn get(self) -> u8 {
        self.0
    }

    /// The class that has this score in its band.
    pub fn priority(self) -> Priority {
        let of = |priority: &Priority| priority.scores().contains(&self.0);
        Priority::ALL.into_iter().find(of).expect("the bands cover all scores")
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests;
