//! Rates: how many calls in a time, by governor's state and the arithmetic of GCRA.
//!
//! With T = 1/rate and τ = T·(burst−1), a call at `now` is admitted when `now ≥ TAT − τ`, and then
//! `TAT = max(TAT, now) + T`. TAT, the *theoretical arrival time*, is one atomic word.
//!
//! Invariant: in every window of length W at most burst + ⌊W/T⌋ calls are charged, however many threads ask
//! and however the clock stalls. Where the quota changes within a window, the burst is the largest of the
//! quotas in force, and W/T is summed over their times before it is rounded down. Under steady demand of at least the rate, at least
//! ⌊W/T⌋ − 1 are charged; with a burst of one this needs a demand without gaps, since a call that comes late
//! then cannot be made up for.
//! Not here: which rules apply to a call, and in which order (`admission`).
//!
//! **Why not governor's own limiter.** It reads a clock of its own and checks and charges in one step, while
//! here the time is an argument and every rule is asked before any is charged. So its parts are used: its
//! `Quota` for T and the burst, and its `InMemoryState` for TAT. `StateStore::measure_and_replace` leaves the
//! state alone when its closure answers `Err`, which makes a question without a charge possible, and retries
//! the closure when another thread was faster, which makes the charge conditional.
//!
//! **Asked and charged apart.** Between [`Bucket::ask`] and [`Bucket::charge`] another thread may take the last
//! call. The charge then refuses, and the bound above holds without exception. What is given up is smaller:
//! a call that loses such a race keeps what it was charged before by *other* buckets, as a charge cannot be
//! taken back exactly. `admission` orders its charges so that this only touches narrower rules than the one
//! that refused.
//!
//! **Changes.** Limiters outlive revisions and are rescaled, not rebuilt, or every change would hand out a
//! fresh burst: `TAT' = now + (TAT − now)·T'/T`. Calls that were used stay used; with the same burst, the same
//! fraction is left. A change holds up those who ask until the states are rescaled (one word of a limiter, all
//! words of the table of clients), so that every call is charged either wholly before it or wholly after it.

mod gcra;

pub(crate) use gcra::QuotaCell;

use std::num::NonZeroU32;
use std::time::Duration;

use governor::state::InMemoryState;

use crate::refusal::RatePolicy;
use crate::rule::Tally;
use crate::units::{Moment, PerSecond};

/// A rate and the burst that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quota {
    /// Calls in a second, in the long run.
    pub rate: PerSecond,
    /// Calls at once after a quiet time.
    pub burst: NonZeroU32,
}

impl Quota {
    /// T: the time after which one more call is allowed.
    pub fn interval(self) -> Duration {
        Duration::from_nanos(self.interval_nanos())
    }

    /// T in nanoseconds, as governor's own quota has it, without its division of long numbers.
    fn interval_nanos(self) -> u64 {
        1_000_000_000 / u64::from(self.rate.get())
    }
}

/// How long until a call would be admitted, if nobody else comes first. Never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Wait(Duration);

impl Wait {
    /// The time to wait.
    pub fn get(self) -> Duration {
        self.0
    }
}

/// The rate limiter of one endpoint, team or class, shared by all threads of a node.
#[derive(Debug)]
pub struct Limiter {
    quota: QuotaCell,
    state: InMemoryState,
    /// What came of asking it.
    pub tally: Tally,
}

impl Limiter {
    /// A limiter with its whole burst left.
    pub fn new(quota: Quota) -> Self {
        Self { quota: QuotaCell::new(quota), state: InMemoryState::default(), tally: Tally::default() }
    }

    /// A limiter with one call left, for a process that was restarted a moment ago: a crash loop must not
    /// hand out a fresh burst each time.
    pub fn cold(quota: Quota, now: Moment) -> Self {
        let limiter = Self::new(quota);
        gcra::drain(&limiter.state, quota, now);
        limiter
    }

    /// The quota in force.
    pub fn quota(&self) -> Quota {
        self.quota.load()
    }

    /// The bucket that calls are asked of and charged to.
    pub fn bucket(&self) -> Bucket<'_> {
        Bucket { quota: &self.quota, state: &self.state }
    }

    /// Whether a call would be admitted; charges nothing. See [`Bucket::ask`].
    pub fn ask(&self, now: Moment) -> Result<(), Wait> {
        self.bucket().ask(now)
    }

    /// Charges a call if it is admitted; otherwise changes nothing. See [`Bucket::charge`].
    pub fn charge(&self, now: Moment) -> Result<(), Wait> {
        self.bucket().charge(now)
    }

    /// Calls that would be admitted at once.
    pub fn remaining(&self, now: Moment) -> u32 {
        self.bucket().remaining(now)
    }

    /// The time until the whole burst is left again, if nobody calls.
    pub fn reset_after(&self, now: Moment) -> Duration {
        self.bucket().reset_after(now)
    }

    /// Changes the quota; what was used stays used.
    pub fn rescale(&self, quota: Quota, now: Moment) {
        self.quota.rescale(std::slice::from_ref(&self.state), quota, now);
    }
}

/// One count of calls against a quota: a [`Limiter`]'s, or one client's.
#[derive(Debug, Clone, Copy)]
pub struct Bucket<'a> {
    quota: &'a QuotaCell,
    state: &'a InMemoryState,
}

impl<'a> Bucket<'a> {
    pub(crate) fn new(quota: &'a QuotaCell, state: &'a InMemoryState) -> Self {
        Self { quota, state }
    }

    /// The quota in force.
    pub fn quota(&self) -> Quota {
        self.quota.load()
    }

    /// Whether a call would be admitted; charges nothing.
    pub fn ask(&self, now: Moment) -> Result<(), Wait> {
        gcra::ask(self.state, self.quota.load(), now)
    }

    /// Charges a call if it is admitted; otherwise changes nothing. Can refuse right after [`Bucket::ask`]
    /// admitted, when another thread was charged in between.
    pub fn charge(&self, now: Moment) -> Result<(), Wait> {
        gcra::charge(self.state, self.quota, now)
    }

    /// Calls that would be admitted at once.
    pub fn remaining(&self, now: Moment) -> u32 {
        gcra::remaining(self.state, self.quota.load(), now)
    }

    /// The time until the whole burst is left again, if nobody calls.
    pub fn reset_after(&self, now: Moment) -> Duration {
        Duration::from_nanos(gcra::owed(self.state, now))
    }

    /// Its state under this name, with its burst, when at least 80 % of that is used.
    pub(crate) fn warning(&self, name: &'static str, now: Moment) -> Option<(RatePolicy, u64)> {
        let quota = self.quota.load();
        gcra::is_nearly_used(self.state, quota, now)
            .then(|| (self.policy(name, now), u64::from(quota.burst.get())))
    }

    /// What to tell a client about this bucket.
    pub fn policy(&self, name: &'static str, now: Moment) -> RatePolicy {
        let reset = self.reset_after(now);
        let whole_seconds = reset.as_secs() + u64::from(reset.subsec_nanos() > 0);
        RatePolicy {
            name,
            quota: self.quota().rate.get().into(),
            window_s: 1,
            remaining: self.remaining(now).into(),
            reset_s: u32::try_from(whole_seconds).unwrap_or(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests;
