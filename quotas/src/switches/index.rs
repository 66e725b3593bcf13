//! The index of a board: its switches by ids that a call can lend, since a [`Scope`] would have to be made for
//! each lookup.
//!
//! Invariant: it holds exactly the board's switches; a kind of scope that a change does not touch is shared.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use super::Switch;
use crate::scope::{ClassName, EndpointId, RevisionNumber, Scope, ScriptId, ServiceName, TeamName};

/// Switches by the ids of one kind.
type By<Id> = Arc<HashMap<Id, Arc<Switch>>>;

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// How many can refuse or observe a call; none is the usual case.
    pub(super) calls: usize,
    pub(super) all: Option<Arc<Switch>>,
    pub(super) teams: By<TeamName>,
    pub(super) scripts: By<ScriptId>,
    pub(super) endpoints: By<EndpointId>,
    pub(super) revisions: Arc<HashMap<ScriptId, BTreeMap<RevisionNumber, Arc<Switch>>>>,
    pub(super) classes: By<ClassName>,
    pub(super) services: By<ServiceName>,
}

impl Index {
    /// Sets the switch of a scope, or takes it away.
    pub(super) fn set(&mut self, scope: &Scope, switch: Option<&Arc<Switch>>) {
        let was_there = match scope {
            Scope::All => std::mem::replace(&mut self.all, switch.cloned()).is_some(),
            Scope::Team(id) => put(&mut self.teams, id, switch),
            Scope::Script(id) => put(&mut self.scripts, id, switch),
            Scope::Endpoint(id) => put(&mut self.endpoints, id, switch),
            Scope::Revision(id) => {
                let scripts = Arc::make_mut(&mut self.revisions);
                let numbers = scripts.entry(id.script.clone()).or_default();
                let before = match switch {
                    Some(switch) => numbers.insert(id.number, Arc::clone(switch)),
                    None => numbers.remove(&id.number),
                };
                if numbers.is_empty() {
                    scripts.remove(&id.script);
                }
                before.is_some()
            }
            Scope::Class(id) => put(&mut self.classes, id, switch),
            Scope::Service(id) => put(&mut self.services, id, switch),
        };
        // A service's refuses no call, only what a call asks for.
        if !matches!(scope, Scope::Service(_)) {
            self.calls = self.calls + usize::from(switch.is_some()) - usize::from(was_there);
        }
    }
}

/// Whether there was one before.
fn put<Id: Clone + Eq + Hash>(by: &mut By<Id>, id: &Id, switch: Option<&Arc<Switch>>) -> bool {
    let by = Arc::make_mut(by);
    match switch {
        Some(switch) => by.insert(id.clone(), Arc::clone(switch)).is_some(),
        None => by.remove(id).is_some(),
    }
}
