//! Quarantine: an endpoint whose actors fail again and again, or whose calls leave memory behind, is set aside until an
//! operator lifts it, or a new revision comes.

use actix::{Handler, Message};
use quotas::quarantine::Quarantine;
use quotas::scope::{EndpointId, RevisionNumber, Scope};
use quotas::units::{Bytes, Moment};
use runtime::fuel::now_nanos;

use super::{Supervisor, record};
use crate::error::ControlError;
use crate::events::Event;
use crate::who::{Who, unix_ms};

/// How many endpoints' failures are remembered.
const FAILURES_MAX: usize = 4_096;
/// How much memory the calls of one revision may leave behind before it is set aside. It stays on the account of its
/// team until the process ends.
const LEFT_MAX: Bytes = Bytes::mib(64);

/// A lane: the actor of this endpoint had failed.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct EndpointFailed {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The revision that it ran.
    pub revision: RevisionNumber,
}

impl Handler<EndpointFailed> for Supervisor {
    type Result = ();

    fn handle(&mut self, EndpointFailed { endpoint, revision }: EndpointFailed, _: &mut Self::Context) {
        Event::EndpointFailed { endpoint: &endpoint, revision }.tell();
        if self.failures.len() >= FAILURES_MAX && !self.failures.contains_key(&endpoint) {
            self.failures.clear();
        }
        let (most, window) = self.restarts;
        let failures = self.failures.entry(endpoint.clone()).or_default();
        if !failures.count(Moment::from_nanos(now_nanos()), most, window) {
            return;
        }
        self.failures.remove(&endpoint);
        let reason = format!("its actors failed more than {most} times within {} s", window.as_secs());
        self.set_aside(endpoint, revision, reason);
    }
}

/// A lane: memory of a call of this endpoint could not be freed when it was over.
#[derive(Debug, Clone, Message)]
#[rtype(result = "()")]
pub struct MemoryLeft {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// The revision that it ran.
    pub revision: RevisionNumber,
    /// How much.
    pub bytes: Bytes,
}

impl Handler<MemoryLeft> for Supervisor {
    type Result = ();

    fn handle(&mut self, MemoryLeft { endpoint, revision, bytes }: MemoryLeft, _: &mut Self::Context) {
        if self.left.len() >= FAILURES_MAX && !self.left.contains_key(&endpoint) {
            self.left.clear();
        }
        let (of, left) = self.left.entry(endpoint.clone()).or_insert((revision, Bytes::new(0)));
        if *of != revision {
            (*of, *left) = (revision, Bytes::new(0));
        }
        if left.get() == 0 {
            Event::MemoryLeft { endpoint: &endpoint, revision, bytes }.tell();
        }
        *left = Bytes::new(left.get().saturating_add(bytes.get()));
        if *left >= LEFT_MAX {
            self.left.remove(&endpoint);
            let reason = format!(
                "its calls left {LEFT_MAX} of memory behind that nobody can free: something in it holds itself"
            );
            self.set_aside(endpoint, revision, reason);
        }
    }
}

impl Supervisor {
    fn set_aside(&mut self, endpoint: EndpointId, revision: RevisionNumber, reason: String) {
        let routes = self.shared.routes.load();
        let Some(entry) = routes.endpoint(&endpoint) else { return };
        entry.guard.quarantine.set(Quarantine {
            revision: Some(revision),
            by: "supervisor".into(),
            reason: reason.as_str().into(),
            since: unix_ms(),
            until: None,
        });
        Event::EndpointQuarantined { endpoint: &endpoint, revision }.tell();
        let audit =
            Who::node(&self.shared.name).entry("quarantine.on", Scope::Endpoint(endpoint), Some(reason));
        record::note(self, audit);
    }
}

/// An operator: end the quarantine of this endpoint.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), ControlError>")]
pub struct Lift {
    /// Who asks.
    pub who: Who,
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Why.
    pub reason: Option<String>,
}

impl Handler<Lift> for Supervisor {
    type Result = Result<(), ControlError>;

    fn handle(&mut self, Lift { who, endpoint, reason }: Lift, _: &mut Self::Context) -> Self::Result {
        let routes = self.shared.routes.load();
        let entry = routes.endpoint(&endpoint).ok_or(ControlError::EndpointUnknown(endpoint.clone()))?;
        self.failures.remove(&endpoint);
        self.vouch_for(&endpoint);
        if entry.guard.quarantine.get().is_some() {
            entry.guard.quarantine.lift();
            Event::QuarantineLifted { endpoint: &endpoint, by: &who.name }.tell();
            record::note(self, who.entry("quarantine.off", Scope::Endpoint(endpoint), reason));
        }
        Ok(())
    }
}
