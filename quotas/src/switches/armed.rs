//! Armed: a switch on a board, with what it counts and, for a cap, the gate that it owns.
//!
//! Invariant: a switch that observes asks the same question as one that refuses. A cap's gate outlives the
//! switch that is set anew, so that calls alive stay counted.
//! Not here: which switches a call meets (`index`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{CallFacts, Effect, Kind, Switch};
use crate::concurrency::{Full, Gate};
use crate::refusal::{Refusal, left_until};

/// How often switches of each kind refused since the start of the node, or would have: goes up alone, whichever
/// switches come and go.
#[derive(Debug, Default)]
pub struct Tally([[AtomicU64; 2]; Kind::ALL.len()]);

impl Tally {
    fn of(&self, kind: Kind, observe: bool) -> &AtomicU64 {
        &self.0[kind as usize][usize::from(observe)]
    }

    /// How often switches of a kind refused; with `observe`, how often they would have.
    pub fn get(&self, kind: Kind, observe: bool) -> u64 {
        self.of(kind, observe).load(Ordering::Relaxed)
    }
}

/// A switch with its counts.
#[derive(Debug)]
pub struct Armed {
    switch: Arc<Switch>,
    gate: Option<Arc<Gate>>,
    hits: AtomicU64,
    tally: Arc<Tally>,
}

impl Armed {
    /// A switch that takes the place of another one of its id.
    pub(super) fn new(switch: Arc<Switch>, before: Option<&Self>, tally: Arc<Tally>) -> Self {
        let gate = match switch.effect {
            Effect::Cap(calls) => Some(match before.and_then(|before| before.gate.as_ref()) {
                Some(gate) => {
                    gate.set_limit(calls);
                    Arc::clone(gate)
                }
                None => Arc::new(Gate::new(calls)),
            }),
            _ => None,
        };
        Self { switch, gate, hits: AtomicU64::new(0), tally }
    }

    /// The switch.
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// How often it refused on this node, or would have if it did not merely observe, since it was set.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Counts that it refuses, or would.
    pub fn count(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        self.tally.of(self.switch.effect.kind(), self.switch.observe).fetch_add(1, Ordering::Relaxed);
    }

    /// The gate of a cap.
    pub fn gate(&self) -> Option<&Arc<Gate>> {
        self.gate.as_ref()
    }

    /// How full a cap is that has no room.
    pub fn full(&self) -> Option<Full> {
        self.gate.as_ref()?.ask().err()
    }

    /// What who is refused is told. `unix_ms` is the wall clock's time.
    pub fn refusal(&self, unix_ms: u64) -> Refusal {
        let switch = &*self.switch;
        let kind = switch.effect.kind();
        Refusal {
            since: Some(switch.since),
            until: switch.until,
            by: Some(Arc::clone(&switch.by)),
            reason: Some(Arc::clone(&switch.reason)),
            retry_after: left_until(switch.until, unix_ms),
            ..Refusal::new(kind.code(), kind.rule(), switch.scope.clone())
        }
    }

    /// Whether it refuses a call in its scope, or would.
    pub(super) fn is_against(&self, call: &CallFacts<'_>) -> bool {
        match self.switch.effect {
            Effect::Kill | Effect::Fallback | Effect::LastGood => true,
            Effect::Shed(most) => call.priority <= most,
            Effect::Cap(_) => self.full().is_some(),
            Effect::Freeze => false,
        }
    }
}

impl PartialEq for Armed {
    fn eq(&self, other: &Self) -> bool {
        self.switch == other.switch
    }
}

impl Eq for Armed {}
