//! Aftermath: what the processes before this one left to a node: whom their deaths are put down to, and what is set
//! aside for it.
//!
//! Invariant: what is set aside is in force before its first call, whenever its script is read.
//! Not here: who decided it (the program's warden, by `quotas::blame`).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quotas::blame::Culprit;
use quotas::quarantine::Quarantine;
use quotas::scope::{EndpointId, RevisionNumber};
use tokio::sync::mpsc::UnboundedSender;

/// What the processes before this one left.
#[derive(Debug, Clone, Default)]
pub struct Aftermath {
    /// Deaths that nobody was told of yet.
    pub deaths: Vec<Death>,
    /// What is not to run.
    pub set_aside: Vec<SetAside>,
    /// Who wants to know for what an operator vouches.
    pub lifted: Option<UnboundedSender<EndpointId>>,
}

/// The death of a process.
#[derive(Debug, Clone)]
pub struct Death {
    /// What happened, and when.
    pub what: String,
    /// Whom it is put down to; nobody when that is not known.
    pub culprit: Option<Culprit>,
}

/// An endpoint that is not to run.
#[derive(Debug, Clone)]
pub struct SetAside {
    /// Which.
    pub endpoint: EndpointId,
    /// The revision that did the harm.
    pub revision: RevisionNumber,
    /// What happened.
    pub reason: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Until when, in Unix milliseconds.
    pub until_ms: u64,
    /// Nobody was told yet.
    pub is_new: bool,
}

/// What is set aside, for whoever makes or ends it.
#[derive(Debug, Default)]
pub(crate) struct Aside(Mutex<BTreeMap<EndpointId, Quarantine>>);

impl Aside {
    pub(super) fn of(all: &[SetAside]) -> Self {
        let quarantine = |one: &SetAside| Quarantine {
            revision: Some(one.revision),
            by: "warden".into(),
            reason: one.reason.as_str().into(),
            since: one.since_ms,
            until: Some(one.until_ms),
        };
        let all = all.iter().map(|one| (one.endpoint.clone(), quarantine(one)));
        Self(Mutex::new(all.collect()))
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<EndpointId, Quarantine>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why an endpoint is set aside, if it is.
    pub(crate) fn get(&self, endpoint: &EndpointId) -> Option<Quarantine> {
        self.all().get(endpoint).cloned()
    }

    /// Takes an endpoint out.
    pub(crate) fn remove(&self, endpoint: &EndpointId) {
        self.all().remove(endpoint);
    }

    /// Takes out those whose time is over.
    pub(crate) fn over(&self, now_ms: u64) -> Vec<(EndpointId, Arc<str>)> {
        let mut all = self.all();
        let over = all.iter().filter(|(_, one)| one.until.is_some_and(|until| until <= now_ms));
        let over: Vec<_> = over.map(|(endpoint, one)| (endpoint.clone(), Arc::clone(&one.reason))).collect();
        over.iter().for_each(|(endpoint, _)| drop(all.remove(endpoint)));
        over
    }
}
