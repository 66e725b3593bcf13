//! Desk: what a node knows of switches and what it makes of every change, without telling anybody.
//!
//! Invariant: what was acknowledged as set on this node stays set until a release was acknowledged by whoever knew
//! of it, or its time is over; whatever other nodes did meanwhile, and whatever the store has lost or not yet heard.
//! Not here: files, the store, clocks, messages (`supervisor` has them).
//!
//! **Nodes that could not hear of each other.** A row is known to be in the store, or it is not yet: then it is
//! *unstored*, with the rows of the store that its maker had seen. The store gives a switch that is set only to who
//! has seen it ([`SwitchRow::may_replace`]); and a node whose unstored switch meets a row from the store, made by
//! somebody who could not know of the switch, puts what refuses the more of both above both
//! ([`SwitchRow::joined`]). So a partition ends with everything refused that either side was
//! told is refused, and with all nodes agreed. That is the add-wins rule of observed-remove sets, with the store's
//! conditional write in the place of unique tags.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use quotas::switches::{Board, Home, Switch, SwitchId};

use super::rows::Rows;
use crate::storage::{Seen, SwitchRow};
use crate::verdicts;

/// The most rows that are remembered of what was seen before an unstored one. Older ones are rows that others know
/// to be gone; where one comes back all the same, more is refused, not less.
const SEEN_MAX: usize = 8;

/// The desk.
#[derive(Debug)]
pub(crate) struct Desk {
    rows: Rows,
    board: Arc<Board>,
    unstored: HashMap<SwitchId, Unstored>,
    /// Releases that are being recorded.
    releasing: HashMap<SwitchId, SwitchRow>,
}

/// What is known of a row that the store may not have.
#[derive(Debug, Default)]
struct Unstored {
    /// What was seen of the switch before, of the store's and of our own.
    seen: Vec<SwitchRow>,
    /// Whether the store may have the switch set.
    may_be_set: bool,
}

/// A release that may be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Releasing {
    /// The row that releases.
    pub(crate) row: SwitchRow,
    /// The row that is released.
    pub(crate) set: SwitchRow,
    /// Whether the store has to have it before it is in force.
    pub(crate) store_first: bool,
}

/// What came of rows from the store.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    /// Rows that are in force now: to be written to the journal.
    pub(crate) taken: Vec<SwitchRow>,
    /// Rows that were made here, above what came: to be written to the journal, and to the store.
    pub(crate) raised: Vec<SwitchRow>,
    /// Rows of which it is known now that the store has them.
    pub(crate) stored: Vec<(SwitchId, u64)>,
}

impl Merged {
    /// Whether nothing came of them.
    pub(crate) fn is_empty(&self) -> bool {
        self.taken.is_empty() && self.raised.is_empty() && self.stored.is_empty()
    }
}

impl Desk {
    /// The desk of a node that starts with these rows, some of which the store may not have.
    pub(crate) fn new(home: Home, rows: Vec<SwitchRow>, unstored: HashSet<SwitchId>) -> Self {
        let unstored = unstored.into_iter().map(|id| (id, Unstored { seen: Vec::new(), may_be_set: true }));
        let mut desk = Self {
            rows: Rows::default(),
            board: Arc::new(Board::at(home)),
            unstored: unstored.collect(),
            releasing: HashMap::new(),
        };
        desk.put(rows);
        desk
    }

    /// What the rows make; nobody changes it but the desk.
    pub(crate) fn board(&self) -> &Arc<Board> {
        &self.board
    }

    /// The rows.
    pub(crate) fn rows(&self) -> &Rows {
        &self.rows
    }

    /// Whether the store may not have the newest row of a switch.
    pub(crate) fn is_unstored(&self, id: &SwitchId) -> bool {
        self.unstored.contains_key(id)
    }

    /// What was seen of a switch before its newest row; nothing where the store had that row.
    pub(crate) fn seen(&self, id: &SwitchId) -> Option<Vec<SwitchRow>> {
        self.unstored.get(id).map(|unstored| unstored.seen.clone())
    }

    /// Sets a switch, from here.
    pub(crate) fn flip(&mut self, switch: &Switch) -> SwitchRow {
        let row = verdicts::row_of(switch);
        self.make(row.clone());
        row
    }

    /// The release of a switch that is set, of the given generation if one is given.
    pub(crate) fn release(
        &mut self,
        id: &SwitchId,
        of: Option<u64>,
        by: &str,
        reason: Option<&str>,
        now_ms: u64,
    ) -> Option<Releasing> {
        let set =
            self.rows.get(id).filter(|row| row.off && of.is_none_or(|of| of == row.generation))?.clone();
        let row = SwitchRow {
            off: false,
            generation: set.generation.saturating_add(1),
            by: by.to_owned(),
            reason: reason.unwrap_or_default().to_owned(),
            since_ms: now_ms,
            until_ms: None,
            ..set.clone()
        };
        self.releasing.insert(id.clone(), row.clone());
        let store_first = self.unstored.get(id).is_none_or(|unstored| unstored.may_be_set);
        Some(Releasing { row, set, store_first })
    }

    /// A release was recorded, in the store or in the journal alone; whether it is in force.
    pub(crate) fn released(&mut self, row: SwitchRow, stored: bool) -> bool {
        let id = row.id();
        self.releasing.remove(&id);
        let wins = self.rows.get(&id).is_none_or(|known| row.outranks(known));
        // Somebody may have set it again meanwhile; then that stands.
        match (wins, stored) {
            (true, true) => {
                self.unstored.remove(&id);
                self.put([row]);
            }
            (true, false) => self.make(row),
            (false, _) => {}
        }
        wins
    }

    /// A release could not be recorded.
    pub(crate) fn not_released(&mut self, id: &SwitchId) {
        self.releasing.remove(id);
    }

    /// The store has this generation of a switch; whether that was news.
    pub(crate) fn stored(&mut self, id: &SwitchId, generation: u64) -> bool {
        self.rows.get(id).is_some_and(|row| row.generation == generation)
            && self.unstored.remove(id).is_some()
    }

    /// Rows as the store has them.
    pub(crate) fn merge(&mut self, rows: impl IntoIterator<Item = SwitchRow>) -> Merged {
        let (mut merged, mut plain) = (Merged::default(), Vec::new());
        for row in rows {
            let id = row.id();
            let known = self.rows.get(&id).filter(|_| self.unstored.contains_key(&id));
            match known {
                Some(known) if *known == row => {
                    self.unstored.remove(&id);
                    merged.stored.push((id, row.generation));
                }
                Some(known) if row.outranks(known) => self.meet(row, &mut merged),
                Some(_) => {}
                None => plain.push(row),
            }
        }
        // All at once: each time the board is made anew.
        merged.taken.extend(self.put(plain));
        merged
    }

    /// The store did not take a row of ours: this one stays there.
    pub(crate) fn lost(&mut self, sent: &SwitchRow, present: SwitchRow) -> Merged {
        let id = sent.id();
        let is_newest = self.rows.get(&id).is_some_and(|known| known == sent);
        if !is_newest || !self.unstored.contains_key(&id) {
            // What came after it is on its way by itself.
            return self.merge([present]);
        }
        let mut merged = Merged::default();
        self.meet(present, &mut merged);
        merged
    }

    /// An unstored row of ours meets one of the store that is not to give way to it.
    fn meet(&mut self, present: SwitchRow, merged: &mut Merged) {
        let id = present.id();
        let Some(known) = self.rows.get(&id) else { return };
        let is_ours = self.releasing.get(&id) == Some(&present);
        // A switch of ours is not given up for one that refuses as much: who has seen only that one may be about to
        // release it.
        if is_ours || (present.outranks(known) && !known.off) {
            self.unstored.remove(&id);
            merged.taken.extend(self.put([present]));
            return;
        }
        let raised = known.joined(&present);
        self.unstored.insert(id, Unstored { may_be_set: present.off, seen: vec![present] });
        self.put([raised.clone()]);
        merged.raised.push(raised);
    }

    /// Puts a row of ours in force that the store does not have yet.
    fn make(&mut self, row: SwitchRow) {
        let id = row.id();
        let before = self.rows.get(&id).cloned();
        let was_stored = !self.unstored.contains_key(&id);
        let unstored = self.unstored.entry(id).or_default();
        unstored.may_be_set |= was_stored && before.as_ref().is_some_and(|before| before.off);
        unstored.seen.extend(before);
        if unstored.seen.len() > SEEN_MAX {
            unstored.seen.remove(0);
        }
        self.put([row]);
    }

    /// Takes rows that win over what is known; answers which did.
    fn put(&mut self, rows: impl IntoIterator<Item = SwitchRow>) -> Vec<SwitchRow> {
        let (taken, changes) = self.rows.take(rows);
        if !changes.is_empty() {
            self.board = Arc::new(self.board.changed(changes));
        }
        taken
    }
}

/// What was seen, as the store asks for it.
pub(crate) fn seen(rows: &Option<Vec<SwitchRow>>) -> Seen<'_> {
    rows.as_deref().map_or(Seen::All, Seen::Only)
}
