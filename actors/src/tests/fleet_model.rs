//! A model of a fleet and its switches: nodes that crash, a store that comes and goes, clocks that are set. What is
//! asked is asked of the real desk, the real lines of the journal and the store's real rule; only the mailboxes, the
//! file and the network are played.

use std::collections::{BTreeMap, HashMap};

use quotas::priority::Priority;
use quotas::switches::{Board, Effect, Home, Kind, Switch, SwitchId};
use quotas::units::{InFlight, Moment};

use crate::journal::{Entry, line, replay};
use crate::storage::{SwitchRow, Switched};
use crate::supervisor::desk::{Desk, Merged, Releasing, seen};
use crate::verdicts::{SlowClock, row_of, switch_of};

const NODES: usize = 3;
/// Steps of one run, and how many runs there are.
const STEPS: usize = 400;
const RUNS: u64 = 300;
/// An hour, by which clocks are set.
const HOUR_MS: u64 = 3_600_000;
const START_MS: u64 = 1_700_000_000_000;
const IDS: [&str; 4] = ["team:tv", "cap team:tv", "shed all", "freeze script:tv/home"];

/// Numbers that look like chance and are the same in every run of a seed.
struct Chance(u64);

impl Chance {
    /// Less than `n`. The generator is SplitMix64.
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// A row on its way to the store, as the supervisor's background task has it.
#[derive(Clone)]
struct Sending {
    row: SwitchRow,
    seen: Option<Vec<SwitchRow>>,
}

struct Node {
    desk: Desk,
    /// The bytes on its disk.
    journal: Vec<u8>,
    sending: Vec<Sending>,
    /// A release that the store has, and this node has not yet heard that it has.
    opening: Vec<(Releasing, bool)>,
    clock: SlowClock,
    /// How far its wall clock is off.
    ahead_ms: i64,
    /// Whether it reaches the store.
    cut_off: bool,
}

struct World {
    chance: Chance,
    now_ms: u64,
    store: BTreeMap<SwitchId, SwitchRow>,
    up: bool,
    nodes: Vec<Node>,
    /// What was acknowledged on each node, and not changed since by anybody who could know of it.
    promised: Vec<HashMap<SwitchId, SwitchRow>>,
    trace: Vec<String>,
}

impl Node {
    fn start(journal: &[u8], now_ms: u64, store: Option<&BTreeMap<SwitchId, SwitchRow>>) -> Self {
        let replayed = replay(journal);
        let entries = replayed.entries();
        let journal = entries.flat_map(|entry| line(&entry)).collect();
        let mut node = Self {
            desk: Desk::new(Home::default(), replayed.rows, replayed.unstored),
            journal,
            sending: Vec::new(),
            opening: Vec::new(),
            // Whoever starts a node sees to its clock.
            clock: SlowClock::new(now_ms, at(now_ms)),
            ahead_ms: 0,
            cut_off: false,
        };
        let stored: Vec<SwitchRow> = store.map(|store| store.values().cloned().collect()).unwrap_or_default();
        let learned = node.desk.merge(stored.clone());
        node.write(learned.taken.into_iter().map(Entry::Row));
        let unsent: Vec<SwitchRow> =
            node.desk.rows().iter().filter(|row| !stored.contains(row)).cloned().collect();
        unsent.into_iter().for_each(|row| node.send(row));
        node
    }

    fn write(&mut self, entries: impl IntoIterator<Item = Entry>) {
        entries.into_iter().for_each(|entry| self.journal.extend(line(&entry)));
    }

    fn write_unstored(&mut self, row: SwitchRow) {
        let mark = Entry::Unstored(row.id(), row.generation);
        self.write([mark, Entry::Row(row)]);
    }

    fn send(&mut self, row: SwitchRow) {
        let seen = self.desk.seen(&row.id());
        self.sending.push(Sending { row, seen });
    }

    /// What the supervisor does with what came from the store.
    fn came(&mut self, merged: Merged) {
        self.write(merged.taken.into_iter().map(Entry::Row));
        for row in merged.raised {
            self.write_unstored(row.clone());
            self.send(row);
        }
        self.write(merged.stored.into_iter().map(|(id, generation)| Entry::Stored(id, generation)));
    }

    fn wall_ms(&self, now_ms: u64) -> u64 {
        now_ms.saturating_add_signed(self.ahead_ms)
    }
}

fn at(now_ms: u64) -> Moment {
    Moment::from_nanos(now_ms * 1_000_000)
}

fn put(
    store: &mut BTreeMap<SwitchId, SwitchRow>,
    row: &SwitchRow,
    known: &Option<Vec<SwitchRow>>,
) -> Switched {
    match store.get(&row.id()) {
        Some(present) if present == row => Switched::Kept,
        Some(present) if !row.may_replace(present, seen(known)) => {
            Switched::Lost { present: Box::new(present.clone()) }
        }
        _ => {
            store.insert(row.id(), row.clone());
            Switched::Kept
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        Self {
            chance: Chance(seed),
            now_ms: START_MS,
            store: BTreeMap::new(),
            up: true,
            nodes: (0..NODES).map(|_| Node::start(&[], START_MS, None)).collect(),
            promised: vec![HashMap::new(); NODES],
            trace: Vec::new(),
        }
    }

    fn reaches(&self, node: usize) -> bool {
        self.up && !self.nodes[node].cut_off
    }

    fn step(&mut self) {
        self.now_ms += self.chance.below(2_000) as u64;
        let node = self.chance.below(NODES);
        match self.chance.below(16) {
            0..=2 => self.flip(node),
            3..=4 => self.release(node, None),
            5 => self.open(node),
            6..=8 => self.deliver(node),
            9..=10 => self.look(node),
            11 => self.expire(node),
            12 => self.crash(node),
            13 => {
                self.up = !self.chance.one_in(3);
                self.trace.push(format!("the store is {}", if self.up { "up" } else { "down" }));
            }
            14 => {
                self.nodes[node].cut_off = self.chance.one_in(2);
                self.trace.push(format!("{node} is cut off: {}", self.nodes[node].cut_off));
            }
            _ => {
                let ahead = [-1, 0, 1][self.chance.below(3)] * HOUR_MS as i64;
                self.nodes[node].ahead_ms = ahead;
                self.trace.push(format!("{node}'s clock is {ahead} ms ahead"));
            }
        }
        self.check();
    }

    fn flip(&mut self, node: usize) {
        let id: SwitchId = IDS[self.chance.below(IDS.len())].parse().unwrap();
        let effect = match id.kind {
            Kind::Cap => Effect::Cap(InFlight::new(1 + self.chance.below(4) as u32).unwrap()),
            Kind::Shed => Effect::Shed([Priority::Prefetch, Priority::Background][self.chance.below(2)]),
            Kind::Freeze => Effect::Freeze,
            _ => Effect::Kill,
        };
        let until = self.chance.one_in(3).then(|| self.now_ms + 1 + self.chance.below(60_000) as u64);
        let now_ms = self.now_ms;
        let of = &mut self.nodes[node];
        if until.is_some_and(|until| until <= of.wall_ms(now_ms)) {
            return;
        }
        let switch = Switch {
            scope: id.scope.clone(),
            effect,
            by: format!("n{node}").as_str().into(),
            reason: format!("step {}", self.trace.len()).as_str().into(),
            since: of.wall_ms(now_ms),
            until,
            generation: of.desk.board().next_generation(&id),
            observe: self.chance.one_in(5),
        };
        let before = of.desk.rows().get(&id).cloned();
        let row = of.desk.flip(&switch);
        of.send(row.clone());
        self.trace.push(format!("{node} sets {id} {row:?}"));
        // A node that dies while it writes has told nobody.
        let whole = of.journal.len();
        of.write_unstored(row.clone());
        if let Some(before) = before {
            self.changed(&before);
        }
        self.promised[node].remove(&id);
        if self.chance.one_in(20) {
            let torn = whole + self.chance.below(self.nodes[node].journal.len() - whole);
            self.nodes[node].journal.truncate(torn);
            return self.crash(node);
        }
        self.promised[node].insert(id, row);
    }

    /// Somebody who saw this row released it or put another in its place: what it stood for is promised no more.
    fn changed(&mut self, seen: &SwitchRow) {
        for promised in &mut self.promised {
            if promised.get(&seen.id()).is_some_and(|promise| seen.covers(promise)) {
                promised.remove(&seen.id());
            }
        }
    }

    /// An operator releases a switch, or its end does.
    fn release(&mut self, node: usize, ended: Option<(SwitchId, u64)>) {
        let is_asked = ended.is_none();
        let (id, of) = ended.map_or_else(
            || (IDS[self.chance.below(IDS.len())].parse().unwrap(), None),
            |(id, generation)| (id, Some(generation)),
        );
        let reaches = self.reaches(node);
        let wall_ms = self.nodes[node].wall_ms(self.now_ms);
        let who = if is_asked { "ana" } else { "expiry" };
        let Some(releasing) = self.nodes[node].desk.release(&id, of, who, None, wall_ms) else { return };
        let known = Some(vec![releasing.set.clone()]);
        let done = reaches.then(|| put(&mut self.store, &releasing.row, &known));
        // The answer of the store may be lost on its way.
        let heard = done.filter(|_| !self.chance.one_in(8));
        self.trace.push(format!("{node} releases {id} for {who}: reached {reaches}, heard {heard:?}"));
        if is_asked && (reaches || !releasing.store_first) {
            self.changed(&releasing.set);
        }
        let node = &mut self.nodes[node];
        match heard {
            Some(Switched::Kept) => {
                node.write([Entry::Row(releasing.row.clone())]);
                node.opening.push((releasing, true));
            }
            Some(Switched::Lost { present }) => {
                let merged = node.desk.merge([*present]);
                node.came(merged);
                node.desk.not_released(&id);
            }
            None if releasing.store_first => node.desk.not_released(&id),
            None => {
                node.write_unstored(releasing.row.clone());
                node.opening.push((releasing, false));
            }
        }
    }

    /// A release that is recorded takes effect.
    fn open(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        if let Some((releasing, stored)) = node.opening.pop() {
            let row = releasing.row;
            if node.desk.released(row.clone(), stored) && !stored {
                node.send(row);
            }
        }
    }

    /// The store answers to one row, or does not.
    fn deliver(&mut self, node: usize) {
        if self.nodes[node].sending.is_empty() || !self.reaches(node) {
            return;
        }
        let place = self.chance.below(self.nodes[node].sending.len());
        let Sending { row, seen } = self.nodes[node].sending[place].clone();
        let id = row.id();
        let done = put(&mut self.store, &row, &seen);
        self.trace.push(format!("{node} sends {id} {}: {done:?}", row.generation));
        if self.chance.one_in(8) {
            // The answer is lost, and it is sent again.
            return;
        }
        let node = &mut self.nodes[node];
        node.sending.remove(place);
        match done {
            Switched::Kept => {
                if node.desk.stored(&id, row.generation) {
                    node.write([Entry::Stored(id, row.generation)]);
                }
            }
            Switched::Lost { present } => {
                let merged = node.desk.lost(&row, *present);
                node.came(merged);
            }
        }
        // As the background task does that finds a newer change.
        let board = std::sync::Arc::clone(node.desk.board());
        node.sending.retain(|sending| {
            board.next_generation(&sending.row.id()) <= sending.row.generation.saturating_add(1)
        });
    }

    fn look(&mut self, node: usize) {
        if self.reaches(node) {
            let merged = self.nodes[node].desk.merge(self.store.values().cloned());
            self.trace.push(format!("{node} looks: {merged:?}"));
            self.nodes[node].came(merged);
        }
    }

    fn expire(&mut self, node: usize) {
        let of = &self.nodes[node];
        let now = of.clock.now(of.wall_ms(self.now_ms), at(self.now_ms));
        for ended in of.desk.board().expired(now) {
            self.release(node, Some(ended));
        }
    }

    fn crash(&mut self, node: usize) {
        let store = self.up.then_some(&self.store);
        let journal = std::mem::take(&mut self.nodes[node].journal);
        let started = Node::start(&journal, self.now_ms, store);
        self.nodes[node] = started;
        self.trace.push(format!("{node} crashed and is back"));
    }

    /// Whatever was acknowledged on a node holds there.
    fn check(&self) {
        for (node, promised) in self.promised.iter().enumerate() {
            let board = self.nodes[node].desk.board();
            for (id, promise) in promised {
                if promise.until_ms.is_none_or(|until| until > self.now_ms) && !holds(board, id, promise) {
                    let trace =
                        self.trace.iter().rev().take(40).rev().cloned().collect::<Vec<_>>().join("\n");
                    panic!(
                        "{trace}\n{id} is open on {node}, which acknowledged {promise:?}: {:?}",
                        board.get(id)
                    );
                }
            }
        }
    }

    /// All is well again, and everybody has had time.
    fn settle(&mut self) {
        self.up = true;
        for node in 0..NODES {
            (self.nodes[node].cut_off, self.nodes[node].ahead_ms) = (false, 0);
        }
        for _ in 0..200 {
            for node in 0..NODES {
                while !self.nodes[node].opening.is_empty() {
                    self.open(node);
                }
                for _ in 0..4 {
                    self.deliver(node);
                }
                self.look(node);
                self.check();
            }
        }
        for node in &self.nodes {
            let rows: BTreeMap<SwitchId, SwitchRow> =
                node.desk.rows().iter().map(|row| (row.id(), row.clone())).collect();
            assert_eq!(rows, self.store, "a node and the store disagree:\n{}", self.trace.join("\n"));
            let set = self.store.values().filter(|row| row.off).map(switch_of);
            let expected = set.fold(Board::default(), |board, switch| board.with(switch));
            let of = |board: &Board| board.iter().map(|armed| armed.switch().clone()).collect::<Vec<_>>();
            assert_eq!(of(node.desk.board()), of(&expected), "the board is not what the rows say");
            assert!(IDS.iter().all(|id| !node.desk.is_unstored(&id.parse().unwrap())));
        }
    }
}

fn holds(board: &Board, id: &SwitchId, promise: &SwitchRow) -> bool {
    board
        .get(id)
        .is_some_and(|switch| row_of(switch).covers(&SwitchRow { until_ms: Some(0), ..promise.clone() }))
}

#[test]
fn what_was_acknowledged_stays_closed_and_a_quiet_fleet_agrees() {
    let begun = std::time::Instant::now();
    for seed in 0..RUNS {
        let mut world = World::new(seed.wrapping_mul(0x5851_f42d_4c95_7f2d));
        (0..STEPS).for_each(|_| world.step());
        world.settle();
    }
    println!("{} steps in {:?}", RUNS as usize * STEPS, begun.elapsed());
}
