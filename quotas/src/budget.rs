//! Budgets: how much may be used in a minute or a day, of what is known only when a call has ended.
//!
//! Invariant: in every window of the budget's length, wherever it begins, at most the limit is used and the
//! overdraft: at most as many calls as are alive at one time, each with its allowance. Requests are known when
//! they come, and are never overdrawn.
//! Not here: the arithmetic of the window (`window`), the order in which budgets are asked (`admission`).
//!
//! **Asked before, charged after.** What a call costs is known when it has run, so the question at admission is
//! whether anything is left. The last call that is let in finds less than the limit used; after it nothing is
//! added but by calls that were let in and have not ended: no more than the concurrency limit of whoever holds
//! the budget, and none can use more than its allowance.
//!
//! **No double at the border.** A counter that begins anew each minute allows twice its limit around the turn. Here
//! time is cut into slots, 24 to a window, and what counts are the slot of now and the 24 before it, which hold
//! any window that ends now. The price is that what was used counts for up to a slot longer than it has to: who
//! uses a budget to the end all the time gets 24/25 of it at least.
//!
//! A soft limit, a share of the hard one, warns and refuses nothing. A changed limit keeps what was used.

mod window;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use self::window::Window;
use crate::refusal::RatePolicy;
use crate::rule::{Rule, Tally};
use crate::units::{Amount, Bytes, Fuel, Moment};

/// The length of a budget's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Length {
    /// 60 s.
    Minute,
    /// 3,600 s.
    Hour,
    /// 86,400 s.
    Day,
}

impl Length {
    /// The length in seconds.
    pub const fn seconds(self) -> u32 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

/// What a budget counts, and over which time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BudgetKind {
    /// Fuel in a minute.
    FuelMinute,
    /// Fuel in a day.
    FuelDay,
    /// Calls of host functions in a minute.
    HostCallsMinute,
    /// Calls of host functions in a day.
    HostCallsDay,
    /// Bytes moved in a minute: by host functions, and by answers.
    BytesMinute,
    /// Bytes moved in a day.
    BytesDay,
    /// Requests in a day.
    RequestsDay,
}

/// What a call used, as budgets count it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Work.
    pub fuel: Fuel,
    /// Calls of host functions.
    pub host_calls: u32,
    /// Bytes that they and the answer moved.
    pub bytes: Bytes,
}

impl BudgetKind {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 7] = [
        Self::FuelMinute,
        Self::FuelDay,
        Self::HostCallsMinute,
        Self::HostCallsDay,
        Self::BytesMinute,
        Self::BytesDay,
        Self::RequestsDay,
    ];

    /// Over which time.
    pub const fn length(self) -> Length {
        match self {
            Self::FuelMinute | Self::HostCallsMinute | Self::BytesMinute => Length::Minute,
            Self::FuelDay | Self::HostCallsDay | Self::BytesDay | Self::RequestsDay => Length::Day,
        }
    }

    /// A number of what is counted.
    pub const fn amount(self, number: u64) -> Amount {
        match self {
            Self::FuelMinute | Self::FuelDay => Amount::Fuel(Fuel::new(number)),
            Self::BytesMinute | Self::BytesDay => Amount::Bytes(Bytes::new(number)),
            Self::HostCallsMinute | Self::HostCallsDay | Self::RequestsDay => Amount::Calls(number),
        }
    }

    /// What a call that ended adds. Requests were counted when they came.
    fn of(self, spent: &Spent) -> u64 {
        match self {
            Self::FuelMinute | Self::FuelDay => spent.fuel.get(),
            Self::HostCallsMinute | Self::HostCallsDay => u64::from(spent.host_calls),
            Self::BytesMinute | Self::BytesDay => spent.bytes.get(),
            Self::RequestsDay => 0,
        }
    }
}

/// The limits of all budgets of a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BudgetLimits(pub [u64; BudgetKind::ALL.len()]);

impl BudgetLimits {
    /// The limit of one.
    pub const fn get(&self, kind: BudgetKind) -> u64 {
        self.0[kind as usize]
    }
}

/// One budget, shared by all threads of a node.
#[derive(Debug)]
pub struct Budget {
    window: Window,
    limit: AtomicU64,
    /// From how much used on to warn.
    soft: AtomicU64,
    /// Whether more than that was used when it was last charged.
    warned: AtomicBool,
    /// Since when it refuses, in milliseconds of wall-clock time; zero when it does not.
    since: AtomicU64,
    /// What came of asking it.
    pub tally: Tally,
}

/// A budget of which nothing is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// The limit.
    pub limit: u64,
    /// What is used.
    pub used: u64,
}

impl Budget {
    /// A budget of which nothing is used. A limit is at least 1, and at most [`Budget::most`].
    pub fn new(length: Length, limit: u64, soft_percent: u8) -> Self {
        let budget = Self {
            window: Window::new(length),
            limit: AtomicU64::new(1),
            soft: AtomicU64::new(1),
            warned: AtomicBool::new(false),
            since: AtomicU64::new(0),
            tally: Tally::default(),
        };
        budget.set(limit, soft_percent);
        budget
    }

    /// The highest limit of a budget over this time: its counter holds twice as much.
    pub const fn most(length: Length) -> u64 {
        Window::capacity(length) / 2
    }

    /// Changes the limits; what was used stays used. The soft one is a share of the hard one in percent.
    pub fn set(&self, limit: u64, soft_percent: u8) {
        let limit = limit.clamp(1, Self::most(self.window.length()));
        let soft = u128::from(limit) * u128::from(soft_percent.clamp(1, 100)) / 100;
        self.limit.store(limit, Ordering::Relaxed);
        self.soft.store(u64::try_from(soft).unwrap_or(limit).max(1), Ordering::Relaxed);
    }

    /// The limit.
    pub fn limit(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// From how much used on to warn.
    pub fn soft(&self) -> u64 {
        self.soft.load(Ordering::Relaxed)
    }

    /// What counts as used now.
    pub fn used(&self, now: Moment) -> u64 {
        self.window.used(now)
    }

    /// Whether anything is left; charges nothing. Answers whether the soft limit is reached.
    pub fn ask(&self, now: Moment) -> Result<bool, Exhausted> {
        let (limit, used) = (self.limit(), self.used(now));
        if used < limit { Ok(used >= self.soft()) } else { Err(Exhausted { limit, used }) }
    }

    /// Charges what was used, whatever is left. Answers whether the soft limit was reached by it.
    pub fn charge(&self, amount: u64, now: Moment) -> bool {
        if amount == 0 {
            return false;
        }
        let used = self.window.charge(amount, now);
        self.note(used, amount)
    }

    /// Charges so much if anything is left; otherwise changes nothing. Answers whether the soft limit was reached
    /// by it. Can refuse right after [`Budget::ask`] admitted, when another thread was charged in between.
    pub fn charge_if_left(&self, amount: u64, now: Moment) -> Result<bool, Exhausted> {
        let limit = self.limit();
        match self.window.charge_below(limit, amount, now) {
            Ok(used) => Ok(self.note(used, amount)),
            Err(used) => Err(Exhausted { limit, used }),
        }
    }

    /// The time until something is left again, if nothing is charged; zero where something is.
    pub fn left_after(&self, now: Moment) -> Duration {
        self.window.below_after(self.limit(), now)
    }

    /// The time until all is left again, if nothing is charged.
    pub fn reset_after(&self, now: Moment) -> Duration {
        self.window.below_after(1, now)
    }

    /// Since when it refuses: the time of its first refusal after it last had something left.
    pub(crate) fn refuses_since(&self, unix_ms: u64) -> u64 {
        match self.since.compare_exchange(0, unix_ms, Ordering::Relaxed, Ordering::Relaxed) {
            Ok(_) => unix_ms,
            Err(since) => since,
        }
    }

    /// What to tell a client, when more than the soft limit is used.
    pub(crate) fn warning(&self, rule: Rule, now: Moment) -> Option<RatePolicy> {
        (self.used(now) >= self.soft()).then(|| self.policy(rule, now))
    }

    #[cold]
    pub(crate) fn policy(&self, rule: Rule, now: Moment) -> RatePolicy {
        let (limit, used, reset) = (self.limit(), self.used(now), self.reset_after(now));
        let whole_seconds = reset.as_secs() + u64::from(reset.subsec_nanos() > 0);
        RatePolicy {
            name: rule.policy(),
            quota: limit,
            window_s: self.window.length().seconds(),
            remaining: limit.saturating_sub(used),
            reset_s: u32::try_from(whole_seconds).unwrap_or(u32::MAX),
        }
    }

    /// Remembers where a charge has led; answers whether it led over the soft limit.
    fn note(&self, used: u64, amount: u64) -> bool {
        let is_soft = used >= self.soft();
        if used.saturating_sub(amount) < self.limit() && self.since.load(Ordering::Relaxed) != 0 {
            self.since.store(0, Ordering::Relaxed);
        }
        // Looked at before it is written: the word is shared by all threads.
        if self.warned.load(Ordering::Relaxed) == is_soft {
            return false;
        }
        self.warned.swap(is_soft, Ordering::Relaxed) != is_soft && is_soft
    }
}

/// All budgets of one scope.
#[derive(Debug)]
pub struct Budgets([Budget; BudgetKind::ALL.len()]);

impl Budgets {
    /// Budgets of which nothing is used.
    pub fn new(limits: &BudgetLimits, soft_percent: u8) -> Self {
        Self(BudgetKind::ALL.map(|kind| Budget::new(kind.length(), limits.get(kind), soft_percent)))
    }

    /// One of them.
    pub fn get(&self, kind: BudgetKind) -> &Budget {
        &self.0[kind as usize]
    }

    /// All, in the order in which they are asked.
    pub fn iter(&self) -> impl Iterator<Item = (BudgetKind, &Budget)> {
        BudgetKind::ALL.into_iter().zip(&self.0)
    }

    /// Charges what a call used; `nearly` is told of each whose soft limit was reached by it. A call that an
    /// observing rule would have refused is charged to no budget that observes.
    pub(crate) fn charge(
        &self,
        spent: &Spent,
        was_observed: bool,
        now: Moment,
        mut nearly: impl FnMut(BudgetKind),
    ) {
        for (kind, budget) in self.iter().filter(|(_, budget)| !(was_observed && budget.tally.observes())) {
            if budget.charge(kind.of(spent), now) {
                nearly(kind);
            }
        }
    }
}

#[cfg(test)]
mod tests;
