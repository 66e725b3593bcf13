//! A call on its way through a lane: let in, with what it brings, and what became of it.
//!
//! Invariant: a call holds its place from admission until its answer was written, or until it is dropped.
//! Not here: deciding and running (`lane`), status codes.

use std::sync::Arc;

use quotas::concurrency::Permit;
use quotas::memory::Hold;
use quotas::refusal::{RatePolicy, Refusal};
use quotas::scope::{ClassName, RevisionNumber};
use quotas::units::Moment;
use runtime::error::Failure;
use runtime::host::request::Request;
use runtime::host::response::Response;
use runtime::run::Cost;

use super::Coming;
use crate::metrics::Counted;
use crate::units::UnitFailure;

/// A call that was let in, with its place.
#[derive(Debug)]
#[must_use = "an admitted call that is dropped gives its place back"]
pub struct Admitted {
    pub(super) permit: Permit,
    /// When it was let in.
    pub(super) at: Moment,
    pub(super) memory: Arc<Hold>,
    pub(super) warning: Option<RatePolicy>,
    /// Where its end is counted, as its coming was.
    pub(super) counted: Counted,
}

impl Admitted {
    /// What it holds of the memory of all calls; given back with its place.
    pub fn memory(&self) -> &Hold {
        &self.memory
    }
}

/// What a call has from the moment that it was let in.
#[derive(Debug)]
pub(crate) struct Begun {
    /// When that was, on the clock of the fuel meter.
    pub(crate) since: u64,
    /// What it holds of the memory of all calls.
    pub(crate) memory: Arc<Hold>,
    /// A rule that only observes would have refused it.
    pub(crate) was_observed: bool,
    /// Until it begins, where it has to wait for that.
    pub(crate) coming: Option<Coming>,
    /// Its place, where it runs on another thread than who waits for it.
    pub(crate) place: Option<Arc<Permit>>,
}

/// A call's place among those that may be alive at one time.
#[derive(Debug)]
pub enum Place {
    /// Who waits for the call has it.
    Own(Permit),
    /// Who runs the call has it too, and both have to be through.
    Shared(Arc<Permit>),
}

impl Place {
    /// For whoever runs the call.
    pub(super) fn share(&self) -> Option<Arc<Permit>> {
        match self {
            Self::Own(_) => None,
            Self::Shared(permit) => Some(Arc::clone(permit)),
        }
    }
}

/// What a call brings.
pub struct Incoming {
    /// The request, as the script sees it.
    pub request: Request,
    /// The device's class.
    pub class: Option<ClassName>,
    /// The request's id.
    pub request_id: Arc<str>,
    /// How many callboards it came through.
    pub hops: u32,
}

/// What became of a call.
#[derive(Debug)]
pub struct Answered {
    /// The answer, or why there is none.
    pub result: Result<Response, CallFailure>,
    /// The revision that ran.
    pub revision: RevisionNumber,
    /// What it used.
    pub cost: Cost,
    /// Its place and its memory; to be kept until the body was written.
    pub kept: (Place, Arc<Hold>),
    /// The rate that is nearly used up.
    pub warning: Option<RatePolicy>,
}

/// Why a call that was let in gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallFailure {
    /// The script failed, or was stopped.
    Script(Failure),
    /// Something was turned off meanwhile, or the thread has no room.
    Refused(Box<Refusal>),
    /// There is no unit to run.
    Unit {
        /// The stable code.
        code: &'static str,
        /// More, for the operator.
        detail: String,
    },
    /// Its actor failed.
    Lost,
}

impl CallFailure {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Script(failure) => failure.code(),
            Self::Refused(refusal) => refusal.code.as_str(),
            Self::Unit { code, .. } => code,
            Self::Lost => "endpoint.lost",
        }
    }
}

impl From<UnitFailure> for CallFailure {
    fn from(failure: UnitFailure) -> Self {
        Self::Unit { code: failure.code, detail: failure.detail }
    }
}

#[cfg(test)]
mod tests {
    use quotas::concurrency::Gate;
    use quotas::units::InFlight;

    use super::*;

    #[test]
    fn a_place_is_given_back_when_who_waits_and_who_runs_are_both_through() {
        let gate = Arc::new(Gate::new(InFlight::new(1).unwrap()));
        let permit = || Permit::take(&gate, &gate_of(9), &gate_of(9)).unwrap();
        for drop_first in [true, false] {
            let place = Place::Shared(Arc::new(permit()));
            let runs = place.share();
            assert_eq!(gate.in_flight(), 1);
            let left: Box<dyn std::any::Any> = if drop_first {
                drop(place);
                Box::new(runs)
            } else {
                drop(runs);
                Box::new(place)
            };
            assert_eq!(gate.in_flight(), 1, "one of the two is still at it");
            drop(left);
            assert_eq!(gate.in_flight(), 0);
        }
        let own = Place::Own(permit());
        assert!(own.share().is_none());
        drop(own);
        assert_eq!(gate.in_flight(), 0);
    }

    fn gate_of(limit: u32) -> Arc<Gate> {
        Arc::new(Gate::new(InFlight::new(limit).unwrap()))
    }
}
