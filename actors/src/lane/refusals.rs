//! Refusals that a lane itself makes or remembers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quotas::limits::Allowance;
use quotas::refusal::{Refusal, RefusalCode};
use quotas::scope::{ClassName, EndpointId, RevisionNumber, Scope};
use quotas::switches::{Board, CallFacts};

use super::CallFailure;
use crate::routes::EndpointEntry;
use crate::who::unix_ms;

/// How many decisions a lane remembers.
const DECISIONS_MAX: usize = 1_024;
/// When to come back to a thread without room.
const BACK_AFTER: Duration = Duration::from_millis(100);

/// Why a device got no answer, under the id that it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Its id; of a call that was let in, the request's.
    pub id: String,
    /// The id of the request, which its device knows in any case.
    pub request: Arc<str>,
    /// What was called.
    pub endpoint: EndpointId,
    /// When, in Unix milliseconds.
    pub at_ms: u64,
    /// The revision that ran, if one did.
    pub revision: Option<RevisionNumber>,
    /// What it might use, if it ran.
    pub allowance: Option<Allowance>,
    /// Why there was no answer; a refusal from before the call was let in is one of [`CallFailure::Refused`].
    pub failure: CallFailure,
}

impl Decision {
    /// The rule that refused, or the code of the failure.
    pub fn rule(&self) -> &'static str {
        match &self.failure {
            CallFailure::Refused(refusal) => refusal.rule,
            failure => failure.code(),
        }
    }
}

/// Decisions of one rule about one endpoint, as far as they are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct History {
    /// How many there are.
    pub count: u64,
    /// When the first was made, in Unix milliseconds.
    pub first_ms: u64,
    /// When the last was.
    pub last_ms: u64,
}

impl History {
    /// What several lanes remember, together.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            count: self.count + other.count,
            first_ms: self.first_ms.min(other.first_ms),
            last_ms: self.last_ms.max(other.last_ms),
        }
    }
}

/// The last decisions of a lane.
#[derive(Debug, Default)]
pub(super) struct Decisions(VecDeque<Decision>);

impl Decisions {
    pub(super) fn keep(&mut self, decision: Decision) {
        if self.0.len() >= DECISIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(decision);
    }

    pub(super) fn find(&self, id: &str) -> Option<Decision> {
        self.0.iter().rev().find(|decision| decision.id == id || *decision.request == *id).cloned()
    }

    /// How often a rule decided about an endpoint; nothing when it never did.
    pub(super) fn history(&self, endpoint: &EndpointId, rule: &str) -> Option<History> {
        let of_rule = |decision: &&Decision| decision.rule() == rule && decision.endpoint == *endpoint;
        let one =
            |decision: &Decision| History { count: 1, first_ms: decision.at_ms, last_ms: decision.at_ms };
        self.0.iter().filter(of_rule).map(one).reduce(History::and)
    }
}

/// Why a call that was let in may not go on: of the switches only one that kills stops it.
pub(super) fn killed(
    board: &Board,
    entry: &EndpointEntry,
    class: Option<&ClassName>,
) -> Option<Box<Refusal>> {
    let (endpoint, revision, priority) = (&entry.id, entry.revision, entry.spec.priority);
    let switch = board.killed(&CallFacts { endpoint, revision, class, priority })?;
    Some(Box::new(switch.refusal(unix_ms())))
}

pub(super) fn no_room(endpoint: &EndpointId) -> Box<Refusal> {
    let scope = Scope::Endpoint(endpoint.clone());
    Box::new(Refusal {
        retry_after: Some(BACK_AFTER),
        ..Refusal::new(RefusalCode::LaneFull, "lane.mailbox", scope)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_decision_is_forgotten_first() {
        let mut decisions = Decisions::default();
        let endpoint = EndpointId::parse("tv/home/home").unwrap();
        for number in 0..=DECISIONS_MAX {
            let refusal = *no_room(&endpoint);
            decisions.keep(Decision {
                id: number.to_string(),
                request: "r".into(),
                endpoint: endpoint.clone(),
                at_ms: 0,
                revision: None,
                allowance: None,
                failure: CallFailure::Refused(Box::new(refusal)),
            });
        }
        assert!(decisions.find("0").is_none());
        let history = decisions.history(&endpoint, "lane.mailbox").unwrap();
        assert_eq!(history.count, DECISIONS_MAX as u64);
        assert_eq!(decisions.history(&endpoint, "rate.team"), None);
        assert_eq!(decisions.find("1").map(|decision| decision.endpoint), Some(endpoint));
        assert_eq!(decisions.0.len(), DECISIONS_MAX);
    }
}
