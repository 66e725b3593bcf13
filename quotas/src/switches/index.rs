//! The index of a board: its switches by ids that a call can lend, since a [`Scope`] would have to be made for
//! each lookup.
//!
//! Invariant: it holds exactly the board's switches that are about calls of this node; a kind of scope that a
//! change does not touch is shared.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::Arc;

use super::armed::Armed;
use super::{CallFacts, Kind, SwitchId};
use crate::scope::{ClassName, EndpointId, RevisionNumber, Scope, ScriptId, TeamName};

/// The switches of one scope, one of each kind at most.
type Few = Vec<Arc<Armed>>;
/// Switches by the ids of one kind of scope.
type By<Id> = Arc<HashMap<Id, Few>>;

/// The switches that a call meets, the widest scope first.
pub(super) type Met<'a> = [Option<&'a Few>; 8];

#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// How many there are; none is the usual case.
    pub(super) calls: usize,
    /// Those that every call of this node meets.
    all: Few,
    region: Few,
    node: Few,
    teams: By<TeamName>,
    scripts: By<ScriptId>,
    endpoints: By<EndpointId>,
    revisions: Arc<HashMap<ScriptId, BTreeMap<RevisionNumber, Few>>>,
    classes: By<ClassName>,
}

impl Index {
    /// Sets a switch of this node, or takes it away.
    pub(super) fn set(&mut self, id: &SwitchId, armed: Option<&Arc<Armed>>) {
        if id.kind == Kind::Freeze {
            return;
        }
        let set = |few: &mut Few| replace(few, id.kind, armed);
        let was_there = match &id.scope {
            Scope::All => set(&mut self.all),
            Scope::Region(_) => set(&mut self.region),
            Scope::Node(_) => set(&mut self.node),
            Scope::Team(id) => put(&mut self.teams, id, set),
            Scope::Script(id) => put(&mut self.scripts, id, set),
            Scope::Endpoint(id) => put(&mut self.endpoints, id, set),
            Scope::Revision(id) => {
                let scripts = Arc::make_mut(&mut self.revisions);
                let numbers = scripts.entry(id.script.clone()).or_default();
                let few = numbers.entry(id.number).or_default();
                let was_there = set(few);
                if few.is_empty() {
                    numbers.remove(&id.number);
                }
                if numbers.is_empty() {
                    scripts.remove(&id.script);
                }
                was_there
            }
            Scope::Class(id) => put(&mut self.classes, id, set),
            // It refuses no call, only what a call asks for.
            Scope::Service(_) => return,
        };
        self.calls = self.calls + usize::from(armed.is_some()) - usize::from(was_there);
    }

    /// What a call meets.
    pub(super) fn met(&self, call: &CallFacts<'_>) -> Met<'_> {
        let script = &call.endpoint.script;
        [
            Some(&self.all),
            Some(&self.region),
            Some(&self.node),
            self.teams.get(&script.team),
            self.scripts.get(script),
            self.endpoints.get(call.endpoint),
            self.revisions.get(script).and_then(|numbers| numbers.get(&call.revision)),
            call.class.and_then(|class| self.classes.get(class)),
        ]
    }
}

/// Whether there was one of the kind before.
fn replace(few: &mut Few, kind: Kind, armed: Option<&Arc<Armed>>) -> bool {
    let before = few.len();
    few.retain(|known| known.switch().effect.kind() != kind);
    let was_there = few.len() < before;
    few.extend(armed.cloned());
    was_there
}

fn put<Id: Clone + Eq + Hash>(by: &mut By<Id>, id: &Id, set: impl FnOnce(&mut Few) -> bool) -> bool {
    let by = Arc::make_mut(by);
    let few = by.entry(id.clone()).or_default();
    let was_there = set(few);
    if few.is_empty() {
        by.remove(id);
    }
    was_there
}
