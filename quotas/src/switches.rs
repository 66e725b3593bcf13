//! Switches: what somebody turned off, as an immutable snapshot.
//!
//! Invariant: a board never changes; a change makes a new one, and one writer publishes it. A switch stays in
//! force until a newer board leaves it out: time alone opens nothing (see [`Board::expired`]).
//! Not here: publishing, journals, other nodes, telling the time.
//!
//! **Merging.** For each scope the higher generation wins. On equal generations off wins over released, and
//! refusing over observing; what remains is decided by the later end (none is the latest), then by the
//! switch's text, so that boards that saw the same changes in any order are equal. A release is remembered
//! with its generation, or a switch that arrives late would turn off again what was released after it. Where
//! it is forgotten all the same, whatever is switched next of a scope unknown comes after it.

mod index;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::index::Index;
use crate::scope::{ClassName, EndpointId, RevisionNumber, Scope, ServiceName};

/// Something turned off, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// What is off.
    pub scope: Scope,
    /// Who turned it off.
    pub by: Arc<str>,
    /// Why they did.
    pub reason: Arc<str>,
    /// Since when, in milliseconds of wall-clock time.
    pub since: u64,
    /// Until when, in milliseconds of wall-clock time; without it, until somebody turns it on.
    pub until: Option<u64>,
    /// Counts the changes of this scope's switch; take it from [`Board::next_generation`].
    pub generation: u64,
    /// Only count what would be refused.
    pub observe: bool,
}

/// What the board has to know of a call. The team and the script are the endpoint's.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    /// The endpoint called.
    pub endpoint: &'a EndpointId,
    /// The revision that would run.
    pub revision: RevisionNumber,
    /// The device's class, if it has one.
    pub class: Option<&'a ClassName>,
}

/// All switches that are off. Cheap to ask: one look when nothing is off, otherwise one lookup a kind of
/// scope that has switches, and no allocation. Cheap to change: a new board shares with the one before what is
/// the same.
#[derive(Debug, Clone, Default)]
pub struct Board {
    switches: Arc<BTreeMap<Scope, Arc<Switch>>>,
    released: Arc<BTreeMap<Scope, u64>>,
    /// No scope that was forgotten had a later generation.
    floor: u64,
    index: Index,
}

/// A change of one scope's switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is off.
    Off(Arc<Switch>),
    /// It was turned on again, in this generation.
    On(Scope, u64),
    /// That it was turned on again need not be remembered any longer.
    Forget(Scope),
}

impl PartialEq for Board {
    fn eq(&self, other: &Self) -> bool {
        (&self.switches, &self.released, self.floor) == (&other.switches, &other.released, other.floor)
    }
}

impl Eq for Board {}

impl Board {
    /// The switch that refuses this call, if one does: the first of all, team, script, endpoint, revision,
    /// class. Switches that only observe are passed over.
    pub fn verdict(&self, ask: &CallFacts<'_>) -> Option<&Switch> {
        self.first(ask, false)
    }

    /// The switch that would refuse this call if it did not merely observe: the same order, and only switches
    /// that observe.
    pub fn observed(&self, ask: &CallFacts<'_>) -> Option<&Switch> {
        self.first(ask, true)
    }

    fn first(&self, ask: &CallFacts<'_>, observe: bool) -> Option<&Switch> {
        let index = &self.index;
        if index.calls == 0 {
            return None;
        }
        let script = &ask.endpoint.script;
        let wanted = |switch: &&Arc<Switch>| switch.observe == observe;
        index
            .all
            .as_ref()
            .filter(wanted)
            .or_else(|| index.teams.get(&script.team).filter(wanted))
            .or_else(|| index.scripts.get(script).filter(wanted))
            .or_else(|| index.endpoints.get(ask.endpoint).filter(wanted))
            .or_else(|| index.revisions.get(script)?.get(&ask.revision).filter(wanted))
            .or_else(|| index.classes.get(ask.class?).filter(wanted))
            .map(|switch| &**switch)
    }

    /// The switch that refuses calls to a service, if one does.
    pub fn service_off(&self, service: &ServiceName) -> Option<&Switch> {
        self.index.services.get(service).map(|switch| &**switch).filter(|switch| !switch.observe)
    }

    /// The switch of a scope, whether it refuses or observes.
    pub fn get(&self, scope: &Scope) -> Option<&Switch> {
        self.switches.get(scope).map(|switch| &**switch)
    }

    /// All switches, in the order of their scopes.
    pub fn iter(&self) -> impl Iterator<Item = &Switch> {
        self.switches.values().map(|switch| &**switch)
    }

    /// Whether nothing is off.
    pub fn is_empty(&self) -> bool {
        self.switches.is_empty()
    }

    /// The generation that the next change of a scope's switch has to have, so that it wins over all that is
    /// known here.
    pub fn next_generation(&self, scope: &Scope) -> u64 {
        let switched = self.switches.get(scope).map(|switch| switch.generation);
        let released = self.released.get(scope).copied();
        switched.max(released).unwrap_or(self.floor).saturating_add(1)
    }

    /// This board with changes that were made here or elsewhere, each unless what is known of its scope wins over
    /// it. What the changes do not touch is shared with this board.
    #[must_use]
    pub fn changed(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut next = self.clone();
        for change in changes {
            match change {
                Change::Off(switch) => next.merge_switch(switch),
                Change::On(scope, generation) => next.merge_release(scope, generation),
                Change::Forget(scope) => next.forget(&scope),
            }
        }
        next
    }

    /// This board with a switch turned off. A flip that must win takes its generation from
    /// [`Board::next_generation`].
    #[must_use]
    pub fn with(&self, switch: Switch) -> Self {
        self.changed([Change::Off(Arc::new(switch))])
    }

    /// This board with a scope's switch turned on again, as the newest change of that scope.
    #[must_use]
    pub fn without(&self, scope: &Scope) -> Self {
        self.released(scope, self.next_generation(scope))
    }

    /// This board with a release that was made elsewhere.
    #[must_use]
    pub fn released(&self, scope: &Scope, generation: u64) -> Self {
        self.changed([Change::On(scope.clone(), generation)])
    }

    /// This board and another made one.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let off = other.switches.values().map(|switch| Change::Off(Arc::clone(switch)));
        let on = other.released.iter().map(|(scope, generation)| Change::On(scope.clone(), *generation));
        let floor = self.floor.max(other.floor);
        Self { floor, ..self.changed(off.chain(on)) }
    }

    /// The scopes whose switches have come to their end. They stay in force until they are released: who
    /// keeps the record decides, and records it first.
    pub fn expired(&self, now_unix_ms: u64) -> Vec<Scope> {
        self.iter()
            .filter(|switch| switch.until.is_some_and(|until| until <= now_unix_ms))
            .map(|switch| switch.scope.clone())
            .collect()
    }

    fn merge_switch(&mut self, switch: Arc<Switch>) {
        if self.released.get(&switch.scope).is_some_and(|generation| *generation > switch.generation) {
            return;
        }
        if self.switches.get(&switch.scope).is_some_and(|known| rank(known) >= rank(&switch)) {
            return;
        }
        if self.released.contains_key(&switch.scope) {
            Arc::make_mut(&mut self.released).remove(&switch.scope);
        }
        self.index.set(&switch.scope, Some(&switch));
        Arc::make_mut(&mut self.switches).insert(switch.scope.clone(), switch);
    }

    fn merge_release(&mut self, scope: Scope, generation: u64) {
        let newest = self.released.get(&scope).is_none_or(|known| *known < generation);
        let switch = self.switches.get(&scope);
        if !newest || switch.is_some_and(|switch| switch.generation >= generation) {
            return;
        }
        if switch.is_some() {
            self.index.set(&scope, None);
            Arc::make_mut(&mut self.switches).remove(&scope);
        }
        Arc::make_mut(&mut self.released).insert(scope, generation);
    }

    fn forget(&mut self, scope: &Scope) {
        if self.released.contains_key(scope) {
            let generation = Arc::make_mut(&mut self.released).remove(scope);
            self.floor = self.floor.max(generation.unwrap_or_default());
        }
    }
}

/// Orders switches of one scope: the greater wins.
fn rank(switch: &Switch) -> (u64, bool, u64, u64, &str, &str) {
    let until = switch.until.unwrap_or(u64::MAX);
    (switch.generation, !switch.observe, until, switch.since, &switch.by, &switch.reason)
}

#[cfg(test)]
mod tests;
