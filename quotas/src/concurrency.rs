//! Concurrency: how many calls are alive at one time, in gates that are given back by themselves.
//!
//! Invariant: a gate's count is the number of permits alive that went through it; a call goes through all of
//! its gates or through none.
//! Not here: which gates a call goes through and what a refusal says (`admission`).

mod shares;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub use self::shares::{Share, Shares};
use crate::rule::{Holder, Rule, Tally};
use crate::units::InFlight;

/// A counter of calls alive, with a limit.
#[derive(Debug)]
pub struct Gate {
    limit: AtomicU32,
    in_flight: AtomicU32,
    /// What came of asking it.
    pub tally: Tally,
}

/// A gate has no room for another call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// Calls that may be alive.
    pub limit: InFlight,
    /// Calls that are alive. More than the limit where that was lowered a moment ago.
    pub in_flight: u32,
}

/// Which of a call's gates is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GateKind {
    /// The endpoint's.
    Endpoint,
    /// The team's.
    Team,
    /// The node's.
    Node,
}

impl GateKind {
    /// Whose calls it counts.
    pub const fn holder(self) -> Holder {
        match self {
            Self::Endpoint => Holder::Endpoint,
            Self::Team => Holder::Team,
            Self::Node => Holder::Node,
        }
    }
}

impl Gate {
    /// A gate that nobody went through yet.
    pub fn new(limit: InFlight) -> Self {
        Self { limit: AtomicU32::new(limit.get()), in_flight: AtomicU32::new(0), tally: Tally::default() }
    }

    /// Calls that may be alive.
    pub fn limit(&self) -> InFlight {
        InFlight::new(self.limit.load(Ordering::Relaxed)).expect("stored from a limit that is not zero")
    }

    /// Changes the limit. Lowering it throws nobody out: no one enters until enough have left.
    pub fn set_limit(&self, limit: InFlight) {
        self.limit.store(limit.get(), Ordering::Relaxed);
    }

    /// Calls that are alive.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Whether another call would be let in; lets none in.
    pub fn ask(&self) -> Result<(), Full> {
        self.room(self.in_flight())
    }

    fn room(&self, in_flight: u32) -> Result<(), Full> {
        let limit = self.limit();
        if in_flight < limit.get() { Ok(()) } else { Err(Full { limit, in_flight }) }
    }

    fn enter(&self) -> Result<(), Full> {
        let mut seen = self.in_flight();
        loop {
            self.room(seen)?;
            // The count guards no other memory, so no order beyond its own is needed.
            match self.in_flight.compare_exchange_weak(seen, seen + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(()),
                Err(now) => seen = now,
            }
        }
    }

    fn leave(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A place in one gate; dropping it gives it back.
#[derive(Debug)]
pub struct Place(Arc<Gate>);

impl Place {
    /// Goes in, or says how full it is.
    pub fn take(gate: &Arc<Gate>) -> Result<Self, Full> {
        gate.enter()?;
        Ok(Self(Arc::clone(gate)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The right of one call to be alive. Dropping it, anywhere and for whatever reason, gives it back: keep it
/// until the answer's body was written.
#[derive(Debug)]
#[must_use = "a permit that is dropped gives its place back at once"]
pub struct Permit {
    _endpoint: Option<Place>,
    _team: Option<Place>,
    _node: Place,
    observed: Option<Rule>,
    is_nearly_used: bool,
    /// Whose budget of requests this call took to its soft limit, a bit each.
    reached: u8,
    /// In the gates of caps; costs nothing where there is none.
    capped: Vec<Place>,
}

impl Permit {
    /// Goes through the three gates in this order, or through none: what was entered before a gate that is
    /// full is left again.
    pub fn take(endpoint: &Arc<Gate>, team: &Arc<Gate>, node: &Arc<Gate>) -> Result<Self, (GateKind, Full)> {
        Self::take_open(Some(endpoint), Some(team), node)
    }

    /// The same past the gates that are not given: they observe, and would have refused the call.
    pub(crate) fn take_open(
        endpoint: Option<&Arc<Gate>>,
        team: Option<&Arc<Gate>>,
        node: &Arc<Gate>,
    ) -> Result<Self, (GateKind, Full)> {
        let place = |kind, gate| Place::take(gate).map_err(|full| (kind, full));
        Ok(Self {
            _endpoint: endpoint.map(|gate| place(GateKind::Endpoint, gate)).transpose()?,
            _team: team.map(|gate| place(GateKind::Team, gate)).transpose()?,
            _node: place(GateKind::Node, node)?,
            observed: None,
            is_nearly_used: false,
            reached: 0,
            capped: Vec::new(),
        })
    }

    /// Keeps a place in one more gate.
    pub fn keep(&mut self, place: Place) {
        self.capped.push(place);
    }

    /// The rule that would have refused the call if it did not only observe.
    pub fn observed(&self) -> Option<Rule> {
        self.observed
    }

    /// Whether the soft limit of one of the call's budgets is reached.
    pub(crate) fn is_nearly_used(&self) -> bool {
        self.is_nearly_used
    }

    /// Remembers that this call took a budget of requests to its soft limit.
    pub(crate) fn reach(&mut self, holder: Holder) {
        self.reached |= 1 << holder as u8;
    }

    /// Whether this call took this one's budget of requests to its soft limit.
    pub(crate) fn has_reached(&self, holder: Holder) -> bool {
        self.reached & (1 << holder as u8) != 0
    }

    pub(crate) fn with_remarks(mut self, observed: Option<Rule>, is_nearly_used: bool) -> Self {
        (self.observed, self.is_nearly_used) = (observed, is_nearly_used);
        self
    }
}

#[cfg(test)]
mod tests;
