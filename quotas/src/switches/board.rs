//! The board: all switches at one time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::armed::{Armed, Tally};
use super::index::Index;
use super::{CallFacts, Change, Kind, Switch, SwitchId};
use crate::concurrency::Gate;
use crate::scope::{NodeName, RegionName, Scope, ScriptId, ServiceName};

/// Where a board is: which switches of nodes and regions are in force on it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Home {
    /// The node.
    pub node: Option<NodeName>,
    /// The region that the node is in.
    pub region: Option<RegionName>,
}

impl Home {
    /// Whether a switch of this scope is in force here. Those of other nodes and regions are only known.
    pub fn has(&self, scope: &Scope) -> bool {
        match scope {
            Scope::Node(node) => self.node.as_ref() == Some(node),
            Scope::Region(region) => self.region.as_ref() == Some(region),
            _ => true,
        }
    }
}

/// All switches. Cheap to ask: one look when nothing is off, otherwise one lookup a kind of
/// scope that has switches, and no allocation. Cheap to change: a new board shares with the one before what is
/// the same.
#[derive(Debug, Clone, Default)]
pub struct Board {
    home: Arc<Home>,
    tally: Arc<Tally>,
    switches: Arc<BTreeMap<SwitchId, Arc<Armed>>>,
    released: Arc<BTreeMap<SwitchId, u64>>,
    /// No switch that was forgotten had a later generation.
    floor: u64,
    index: Index,
}

impl PartialEq for Board {
    fn eq(&self, other: &Self) -> bool {
        (&self.switches, &self.released, self.floor) == (&other.switches, &other.released, other.floor)
    }
}

impl Eq for Board {}

impl Board {
    /// A board without switches, on this node.
    pub fn at(home: Home) -> Self {
        Self { home: Arc::new(home), ..Self::default() }
    }

    /// What its switches counted, and those of the boards that it was made of.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Where it is.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The switch that refuses this call, if one does: by kind, the first of kill, fallback, last-good, shed, cap,
    /// and within a kind the first of all, region, node, team, script, endpoint, revision, class. Switches that
    /// only observe are passed over.
    pub fn verdict(&self, call: &CallFacts<'_>) -> Option<&Armed> {
        if self.index.calls == 0 {
            return None;
        }
        let met = self.index.met(call);
        let refuses = |kind, armed: &&Arc<Armed>| {
            let switch = armed.switch();
            switch.effect.kind() == kind && !switch.observe && armed.is_against(call)
        };
        let first = |kind| met.iter().flatten().copied().flatten().find(|armed| refuses(kind, armed));
        Kind::OF_CALLS.into_iter().find_map(first).map(|armed| &**armed)
    }

    /// The kill switch that refuses this call and stops it if it runs.
    pub fn killed(&self, call: &CallFacts<'_>) -> Option<&Armed> {
        self.verdict(call).filter(|armed| armed.switch().effect.kind() == Kind::Kill)
    }

    /// Has every switch that merely observes count this call if it would refuse it; whether one would.
    pub fn observe(&self, call: &CallFacts<'_>) -> bool {
        let mut observed = false;
        if self.index.calls > 0 {
            for armed in self.index.met(call).into_iter().flatten().flatten() {
                if armed.switch().observe && armed.is_against(call) {
                    armed.count();
                    observed = true;
                }
            }
        }
        observed
    }

    /// The gates of the caps that this call counts in: those that refuse, with `true`, and those that observe.
    pub fn gates(&self, call: &CallFacts<'_>) -> impl Iterator<Item = (&Armed, &Arc<Gate>)> {
        let met = if self.index.calls == 0 { Default::default() } else { self.index.met(call) };
        let all = met.into_iter().flatten().flatten();
        all.filter_map(|armed| Some((&**armed, armed.gate()?)))
    }

    /// The switches that keep a script from being changed, those that only observe too.
    pub fn freezes(&self, script: &ScriptId) -> impl Iterator<Item = &Armed> {
        let scopes = [Scope::All, Scope::Team(script.team.clone()), Scope::Script(script.clone())];
        let ids = scopes.into_iter().map(|scope| SwitchId { scope, kind: Kind::Freeze });
        ids.filter_map(|id| self.armed(&id)).map(|armed| &**armed)
    }

    /// The switch of a service, whether it is off or only observed.
    pub fn of_service(&self, service: &ServiceName) -> Option<&Arc<Armed>> {
        self.armed(&SwitchId::kill(Scope::Service(service.clone())))
    }

    /// A switch, whether it refuses or observes.
    pub fn get(&self, id: &SwitchId) -> Option<&Switch> {
        self.armed(id).map(|armed| armed.switch())
    }

    /// A switch with its counts.
    pub fn armed(&self, id: &SwitchId) -> Option<&Arc<Armed>> {
        self.switches.get(id)
    }

    /// All switches, in the order of their scopes.
    pub fn iter(&self) -> impl Iterator<Item = &Armed> {
        self.switches.values().map(|armed| &**armed)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.switches.is_empty()
    }

    /// Whether no call can be refused by a switch.
    pub fn is_quiet(&self) -> bool {
        self.index.calls == 0
    }

    /// The generation that the next change of a switch has to have, so that it wins over all that is known here.
    pub fn next_generation(&self, id: &SwitchId) -> u64 {
        let switched = self.get(id).map(|switch| switch.generation);
        let released = self.released.get(id).copied();
        switched.max(released).unwrap_or(self.floor).saturating_add(1)
    }

    /// This board with changes that were made here or elsewhere, each unless what is known of its switch wins over
    /// it. What the changes do not touch is shared with this board.
    #[must_use]
    pub fn changed(&self, changes: impl IntoIterator<Item = Change>) -> Self {
        let mut next = self.clone();
        for change in changes {
            match change {
                Change::Off(switch) => next.merge_switch(switch),
                Change::On(id, generation) => next.merge_release(id, generation),
                Change::Forget(id) => next.forget(&id),
            }
        }
        next
    }

    /// This board with a switch set. A flip that must win takes its generation from
    /// [`Board::next_generation`].
    #[must_use]
    pub fn with(&self, switch: Switch) -> Self {
        self.changed([Change::Off(Arc::new(switch))])
    }

    /// This board with a switch released, as its newest change.
    #[must_use]
    pub fn without(&self, id: &SwitchId) -> Self {
        self.released(id, self.next_generation(id))
    }

    /// This board with a release that was made elsewhere.
    #[must_use]
    pub fn released(&self, id: &SwitchId, generation: u64) -> Self {
        self.changed([Change::On(id.clone(), generation)])
    }

    /// This board and another made one.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        let off = other.switches.values().map(|armed| Change::Off(Arc::new(armed.switch().clone())));
        let on = other.released.iter().map(|(id, generation)| Change::On(id.clone(), *generation));
        let floor = self.floor.max(other.floor);
        Self { floor, ..self.changed(off.chain(on)) }
    }

    /// The switches that have come to their end, and their generations. They stay in force until they are
    /// released: who keeps the record decides, and records it first.
    pub fn expired(&self, now_unix_ms: u64) -> Vec<(SwitchId, u64)> {
        let ended = |switch: &&Switch| switch.until.is_some_and(|until| until <= now_unix_ms);
        let switches = self.iter().map(Armed::switch).filter(ended);
        switches.map(|switch| (switch.id(), switch.generation)).collect()
    }

    fn merge_switch(&mut self, switch: Arc<Switch>) {
        let id = switch.id();
        if self.released.get(&id).is_some_and(|generation| *generation > switch.generation) {
            return;
        }
        let known = self.switches.get(&id);
        if known.is_some_and(|known| known.switch().rank() >= switch.rank()) {
            return;
        }
        let armed = Arc::new(Armed::new(switch, known.map(|known| &**known), Arc::clone(&self.tally)));
        if self.released.contains_key(&id) {
            Arc::make_mut(&mut self.released).remove(&id);
        }
        self.point(&id, Some(&armed));
        Arc::make_mut(&mut self.switches).insert(id, armed);
    }

    fn merge_release(&mut self, id: SwitchId, generation: u64) {
        let newest = self.released.get(&id).is_none_or(|known| *known < generation);
        let switch = self.get(&id);
        if !newest || switch.is_some_and(|switch| switch.generation >= generation) {
            return;
        }
        if switch.is_some() {
            self.point(&id, None);
            Arc::make_mut(&mut self.switches).remove(&id);
        }
        Arc::make_mut(&mut self.released).insert(id, generation);
    }

    fn point(&mut self, id: &SwitchId, armed: Option<&Arc<Armed>>) {
        if self.home.has(&id.scope) {
            self.index.set(id, armed);
        }
    }

    fn forget(&mut self, id: &SwitchId) {
        if self.released.contains_key(id) {
            let generation = Arc::make_mut(&mut self.released).remove(id);
            self.floor = self.floor.max(generation.unwrap_or_default());
        }
    }
}
