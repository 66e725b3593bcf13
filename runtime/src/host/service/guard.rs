//! What protects a service from a team, and the team from it: its breaker, the limit that is found for it, its
//! retries.
//!
//! Invariant: a request that was not made, or whose end says nothing of the service, teaches nothing.
//! Not here: the rules themselves (`quotas`), making requests (`client`).
//!
//! **For each team its own.** What a team asks for decides what it is answered: one that asks for what makes a service
//! fail, or takes it long, must not shut the service to the others. Where the service itself fails, each team finds
//! that out within twenty requests.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use quotas::breaker::{Breaker, Outcome, Refused, Report, Ticket};
use quotas::concurrency::Gate;
use quotas::gradient::{Bounds, Gradient, Sample};
use quotas::retries::RetryBudget;
use quotas::units::{InFlight, Moment};

use super::ServiceError;
use crate::fuel::now_nanos;

/// The rules of one service for one team that adapt by themselves, shared by the threads of a node.
#[derive(Debug)]
pub struct ServiceGuard {
    /// The team's requests that may be under way, as many as were found to be good.
    pub gate: Arc<Gate>,
    breaker: Arc<Breaker>,
    gradient: Mutex<Gradient>,
    /// What is left for second tries.
    pub(super) retries: RetryBudget,
    configured: InFlight,
    timeout: Duration,
}

/// A request that is under way.
pub(super) struct UnderWay {
    ticket: Ticket,
    since: Moment,
}

impl ServiceGuard {
    /// The guard of a service of which nothing is known yet: the limit begins as it is configured.
    pub(super) fn new(configured: InFlight, timeout: Duration) -> Self {
        let bounds = Bounds { start: configured, ..Bounds::up_to(configured, timeout) };
        Self {
            gate: Arc::new(Gate::new(configured)),
            breaker: Arc::new(Breaker::new(now())),
            gradient: Mutex::new(Gradient::new(bounds, now())),
            retries: RetryBudget::default(),
            configured,
            timeout,
        }
    }

    /// How the breaker stands.
    pub fn breaker(&self) -> Report {
        self.breaker.report(now())
    }

    /// Whether fewer requests may be under way than the operator configured.
    pub(super) fn is_lowered(&self) -> bool {
        self.gate.limit() < self.configured
    }

    /// The right to make a request.
    pub(super) fn begin(&self) -> Result<UnderWay, Refused> {
        let since = now();
        Ok(UnderWay { ticket: self.breaker.admit(since, chance())?, since })
    }

    /// Learns from how a request ended: with an answer, unless there is an error.
    pub(super) fn ended(&self, request: UnderWay, error: Option<&ServiceError>) {
        let now = now();
        let took = now.since(request.since);
        let Some((outcome, sample)) = self.lesson(error, took) else { return };
        request.ticket.finish(outcome, now, chance());
        let mut gradient = self.gradient.lock().unwrap_or_else(PoisonError::into_inner);
        if gradient.finished(sample, self.gate.in_flight(), now) {
            self.gate.set_limit(gradient.limit());
        }
    }

    /// What an end says of the service; nothing when it says nothing.
    fn lesson(&self, error: Option<&ServiceError>, took: Duration) -> Option<(Outcome, Sample)> {
        let answered = if took > self.timeout.mul_f64(0.8) { Outcome::Slow } else { Outcome::Good };
        let Some(error) = error else { return Some((answered, Sample::Took(took))) };
        match (error.kind, error.answer.as_ref().map(|answer| answer.status)) {
            (_, Some(503)) => Some((Outcome::Failed, Sample::Dropped)),
            (_, Some(500..)) => Some((Outcome::Failed, Sample::Ignore)),
            (_, Some(429)) => Some((answered, Sample::Dropped)),
            (_, Some(_)) | ("too_large", None) => Some((answered, Sample::Took(took))),
            ("timeout", None) if took >= self.timeout => Some((Outcome::Failed, Sample::Dropped)),
            ("unreachable" | "protocol", None) => Some((Outcome::Failed, Sample::Ignore)),
            // The call's own time or memory was over: that is not the service's fault.
            _ => None,
        }
    }
}

fn now() -> Moment {
    Moment::from_nanos(now_nanos())
}

/// Even between 0 and 1. Who can foresee it can at most choose when to be refused.
fn chance() -> f64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(RandomState::new().hash_one(0));
    }
    // SplitMix64 (Steele, Lea and Flood, 2014).
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::super::Answer;
    use super::*;

    const TIMEOUT: Duration = Duration::from_millis(100);

    fn guard() -> ServiceGuard {
        ServiceGuard::new(InFlight::new(64).unwrap(), TIMEOUT)
    }

    fn failed(kind: &'static str, status: Option<u16>) -> ServiceError {
        let (headers, body) = (http::HeaderMap::new(), bytes::Bytes::new());
        let answer = status.map(|status| Box::new(Answer { status, headers, body }));
        ServiceError { answer, ..ServiceError::new(kind, "catalog", "") }
    }

    #[test]
    fn what_an_end_teaches_is_about_the_service_and_nobody_else() {
        let (quick, late) = (Duration::from_millis(5), Duration::from_millis(90));
        let took = Sample::Took;
        let table = [
            (None, quick, Some((Outcome::Good, took(quick)))),
            (None, late, Some((Outcome::Slow, took(late)))),
            (Some(failed("status", Some(404))), quick, Some((Outcome::Good, took(quick)))),
            (Some(failed("status", Some(429))), quick, Some((Outcome::Good, Sample::Dropped))),
            (Some(failed("status", Some(500))), quick, Some((Outcome::Failed, Sample::Ignore))),
            (Some(failed("status", Some(503))), quick, Some((Outcome::Failed, Sample::Dropped))),
            (Some(failed("too_large", None)), quick, Some((Outcome::Good, took(quick)))),
            (Some(failed("unreachable", None)), quick, Some((Outcome::Failed, Sample::Ignore))),
            (Some(failed("protocol", None)), quick, Some((Outcome::Failed, Sample::Ignore))),
            (Some(failed("timeout", None)), TIMEOUT, Some((Outcome::Failed, Sample::Dropped))),
            (Some(failed("timeout", None)), late, None),
            (Some(failed("full", None)), quick, None),
        ];
        for (error, after, lesson) in table {
            assert_eq!(guard().lesson(error.as_ref(), after), lesson, "{error:?} after {after:?}");
        }
    }

    #[test]
    fn a_service_that_fails_is_left_alone() {
        let guard = guard();
        for _ in 0..20 {
            let request = guard.begin().unwrap();
            guard.ended(request, Some(&failed("unreachable", None)));
        }
        assert!(matches!(guard.begin(), Err(Refused::Open { .. })));
        assert_eq!(guard.breaker().phase.as_str(), "open");
    }

    #[test]
    fn chance_is_even() {
        let mean = (0..10_000).map(|_| chance()).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02, "{mean}");
    }
}
