//! The arithmetic of GCRA on one word of state.
//!
//! Invariant: a question and a refusal leave the state as it was; sums saturate, so that no moment and no
//! quota can make them wrap.
//! Not here: what the arithmetic promises, and why it is done this way (the module above).

use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};

use super::{Quota, Wait};
use crate::units::{Moment, PerSecond};

/// A quota that can be changed while it is charged against.
#[derive(Debug)]
pub(crate) struct QuotaCell {
    /// The rate in the upper half, the burst in the lower: one load, so that they always belong together.
    packed: AtomicU64,
    /// Counts the beginnings and the ends of changes: odd while the states are rescaled.
    version: AtomicU64,
    /// Held while the quota is changed. Who finds it changing waits here.
    changing: Mutex<()>,
}

impl QuotaCell {
    pub(crate) fn new(quota: Quota) -> Self {
        Self { packed: AtomicU64::new(pack(quota)), version: AtomicU64::new(0), changing: Mutex::new(()) }
    }

    pub(crate) fn load(&self) -> Quota {
        unpack(self.packed.load(Ordering::Acquire))
    }

    /// Changes the quota and rescales every state that counts against it.
    pub(crate) fn rescale(&self, states: &[InMemoryState], quota: Quota, now: Moment) {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (old, new) = (interval(self.load()), interval(quota));
        self.version.fetch_add(1, Ordering::AcqRel);
        if new != old {
            for state in states {
                scale(state, old, new, now);
            }
        }
        self.packed.store(pack(quota), Ordering::Release);
        self.version.fetch_add(1, Ordering::AcqRel);
    }

    /// The quota at a time when it was not changing, and the version by which to see whether it still is it.
    fn settled(&self) -> (Quota, u64) {
        loop {
            let version = self.version.load(Ordering::Acquire);
            if version.is_multiple_of(2) {
                return (self.load(), version);
            }
            drop(self.changing.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// Whether nothing changed since a version, as of the state that was read just before.
    fn is_still(&self, version: u64) -> bool {
        // Who saw a rescaled state sees here that it was being rescaled, though governor reads the state
        // without an order when it tries again.
        fence(Ordering::Acquire);
        self.version.load(Ordering::Acquire) == version
    }
}

fn pack(quota: Quota) -> u64 {
    u64::from(quota.rate.get()) << 32 | u64::from(quota.burst.get())
}

fn unpack(packed: u64) -> Quota {
    // The halves are exactly 32 bits each, so the casts cut off nothing that belongs to them.
    let (rate, burst) = ((packed >> 32) as u32, packed as u32);
    Quota {
        rate: PerSecond::new(rate).expect("packed from a rate"),
        burst: burst.try_into().expect("packed from a burst that is not zero"),
    }
}

/// T in nanoseconds. A rate is at most one call a nanosecond, so this is at least one.
fn interval(quota: Quota) -> u64 {
    quota.interval_nanos()
}

/// The TAT after one more call, or how long that call has to wait.
fn advance(tat: Option<Nanos>, quota: Quota, now: Moment) -> Result<u64, Wait> {
    let step = interval(quota);
    let tolerance = step.saturating_mul(u64::from(quota.burst.get() - 1));
    let tat = tat.map_or(now.nanos(), Nanos::as_u64);
    match tat.saturating_sub(tolerance).saturating_sub(now.nanos()) {
        0 => Ok(tat.max(now.nanos()).saturating_add(step)),
        wait => Err(Wait(Duration::from_nanos(wait))),
    }
}

pub(super) fn ask(state: &InMemoryState, quota: Quota, now: Moment) -> Result<(), Wait> {
    advance(peek(state), quota, now).map(|_| ())
}

/// Charges one call, against a quota and a state that belong together.
pub(super) fn charge(state: &InMemoryState, cell: &QuotaCell, now: Moment) -> Result<(), Wait> {
    charge_paused(state, cell, now, || {})
}

/// Charges one call, and pauses where other threads can come in between: after the state was read, and before
/// it is replaced. A change that comes at the first pause is seen by its version; one that comes at the second
/// has replaced the state, so that the charge fails and is tried again.
pub(super) fn charge_paused(
    state: &InMemoryState,
    cell: &QuotaCell,
    now: Moment,
    pause: impl Fn(),
) -> Result<(), Wait> {
    loop {
        let (quota, version) = cell.settled();
        let charged = state.measure_and_replace(&NotKeyed::NonKey, |tat| {
            pause();
            if !cell.is_still(version) {
                return Err(None);
            }
            let next = advance(tat, quota, now).map_err(Some)?;
            pause();
            Ok(((), Nanos::from(next)))
        });
        match charged {
            Ok(()) => return Ok(()),
            Err(Some(wait)) => return Err(wait),
            Err(None) => {}
        }
    }
}

/// The nanoseconds until nothing is owed any more: TAT − now.
pub(super) fn owed(state: &InMemoryState, now: Moment) -> u64 {
    peek(state).map_or(0, |tat| tat.as_u64().saturating_sub(now.nanos()))
}

pub(super) fn remaining(state: &InMemoryState, quota: Quota, now: Moment) -> u32 {
    let used = owed(state, now).div_ceil(interval(quota));
    quota.burst.get().saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
}

/// Whether at most a fifth of the burst is left, without a division.
pub(super) fn is_nearly_used(state: &InMemoryState, quota: Quota, now: Moment) -> bool {
    // Used is what is owed in whole calls, rounded up: at least n are when more than n − 1 are owed.
    let burst = quota.burst.get();
    let most = u64::from(burst - burst / 5) - 1;
    owed(state, now) > most.saturating_mul(interval(quota))
}

/// Uses up the whole burst but one call.
pub(super) fn drain(state: &InMemoryState, quota: Quota, now: Moment) {
    let used = interval(quota).saturating_mul(u64::from(quota.burst.get() - 1));
    replace(state, |_| now.nanos().saturating_add(used));
}

/// Keeps the number of calls used when the price of a call changes, rounded up. A state that owes nothing is
/// replaced too, by one a little further in the past: a charge at the old price that is under way has to fail.
fn scale(state: &InMemoryState, old: u64, new: u64, now: Moment) {
    replace(state, |tat| {
        let Some(tat) = tat.map(Nanos::as_u64) else { return now.nanos() / 2 };
        match tat.saturating_sub(now.nanos()) {
            0 => tat.saturating_sub(1),
            owed => {
                let scaled = (u128::from(owed) * u128::from(new)).div_ceil(u128::from(old));
                now.nanos().saturating_add(u64::try_from(scaled).unwrap_or(u64::MAX))
            }
        }
    });
}

fn replace(state: &InMemoryState, next: impl Fn(Option<Nanos>) -> u64) {
    let Ok(()) = state.measure_and_replace(&NotKeyed::NonKey, |tat| {
        Ok::<_, std::convert::Infallible>(((), Nanos::from(next(tat))))
    });
}

/// Reads the state: a closure that answers `Err` is shown it and leaves it alone.
fn peek(state: &InMemoryState) -> Option<Nanos> {
    match state.measure_and_replace(&NotKeyed::NonKey, Err::<((), Nanos), _>) {
        Ok(()) => unreachable!("the closure never answers Ok"),
        Err(tat) => tat,
    }
}
