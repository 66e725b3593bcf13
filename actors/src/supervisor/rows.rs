//! Rows: the newest of each switch, as far as it has to be known here.
//!
//! Invariant: what is off is never forgotten. Releases are, the oldest first, when there are too many: they are
//! remembered only so that a switch that arrives late does not turn off again what was released after it.
//! Not here: putting them in force, recording them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use quotas::scope::{Scope, TeamName};
use quotas::switches::{Change, SwitchId};

use crate::error::ControlError;
use crate::storage::SwitchRow;
use crate::verdicts;

/// Releases that are remembered.
pub(crate) const RELEASED_MAX: usize = 10_000;
/// Switches that may be set.
const OFF_MAX: usize = 10_000;
/// Switches of a team that may be set for one who is bound to it to set another.
const OFF_OF_TEAM_MAX: usize = 100;

/// The rows.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    newest: BTreeMap<SwitchId, SwitchRow>,
    /// The switches that were released, and when.
    released: BTreeSet<(u64, SwitchId)>,
    /// How many are set, in all and of each team.
    off: usize,
    off_of: HashMap<TeamName, usize>,
    /// The newest release that was forgotten, and the highest generation of one.
    forgotten: (u64, u64),
}

impl Rows {
    /// The row of a switch, which may be set or released.
    pub(crate) fn get(&self, id: &SwitchId) -> Option<&SwitchRow> {
        self.newest.get(id)
    }

    /// All rows.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &SwitchRow> {
        self.newest.values()
    }

    /// Whether a switch is set.
    pub(super) fn is_off(&self, id: &SwitchId) -> bool {
        self.get(id).is_some_and(|row| row.off)
    }

    /// Whether there is room for one more switch, for one who is bound to this team.
    pub(super) fn room_for(&self, id: &SwitchId, bound: Option<&TeamName>) -> Result<(), ControlError> {
        // What is off can be changed, and everything can be turned off at all times.
        if self.is_off(id) || id.scope == Scope::All {
            return Ok(());
        }
        if let Some(team) = bound.filter(|team| self.off_of(team) >= OFF_OF_TEAM_MAX) {
            return Err(ControlError::SwitchesFull { most: OFF_OF_TEAM_MAX, of: format!("the team {team}") });
        }
        if self.off >= OFF_MAX {
            return Err(ControlError::SwitchesFull { most: OFF_MAX, of: "all teams".to_owned() });
        }
        Ok(())
    }

    fn off_of(&self, team: &TeamName) -> usize {
        self.off_of.get(team).copied().unwrap_or(0)
    }

    /// Takes rows that win over what is known; answers which did, and what changes on the board.
    pub(super) fn take(
        &mut self,
        rows: impl IntoIterator<Item = SwitchRow>,
    ) -> (Vec<SwitchRow>, Vec<Change>) {
        let (mut taken, mut changes) = (Vec::new(), Vec::new());
        for row in rows {
            let known = self.newest.get(&row.id());
            if known.is_some_and(|known| !row.outranks(known)) {
                continue;
            }
            if known.is_none() && !row.off && row.since_ms <= self.forgotten.0 {
                // Told again of what was forgotten: it is forgotten again.
                if row.generation > self.forgotten.1 {
                    self.forgotten.1 = row.generation;
                    changes.push(verdicts::change_of(&row));
                    changes.push(Change::Forget(row.id()));
                }
                continue;
            }
            changes.push(verdicts::change_of(&row));
            self.put(row.clone());
            taken.push(row);
        }
        while self.released.len() > RELEASED_MAX {
            let Some((since, id)) = self.released.pop_first() else { break };
            let generation = self.newest.remove(&id).map_or(0, |row| row.generation);
            self.forgotten = (self.forgotten.0.max(since), self.forgotten.1.max(generation));
            changes.push(Change::Forget(id));
        }
        (taken, changes)
    }

    fn put(&mut self, row: SwitchRow) {
        let id = row.id();
        let (since, off) = (row.since_ms, row.off);
        let before = self.newest.insert(id.clone(), row);
        if let Some(before) = before.as_ref().filter(|before| !before.off) {
            self.released.remove(&(before.since_ms, id.clone()));
        }
        self.count(&id.scope, before.is_some_and(|before| before.off), off);
        if !off {
            self.released.insert((since, id));
        }
    }

    fn count(&mut self, scope: &Scope, was_off: bool, is_off: bool) {
        if was_off == is_off {
            return;
        }
        let step = |count: usize| if is_off { count + 1 } else { count - 1 };
        self.off = step(self.off);
        if let Some(team) = scope.team() {
            let now = step(self.off_of(team));
            match now {
                0 => drop(self.off_of.remove(team)),
                _ => drop(self.off_of.insert(team.clone(), now)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use quotas::switches::Board;

    use super::*;

    fn row(scope: &str, generation: u64, off: bool, since_ms: u64) -> SwitchRow {
        SwitchRow {
            scope: Scope::parse(scope).unwrap(),
            effect: quotas::switches::Effect::Kill,
            off,
            generation,
            by: "ana".to_owned(),
            reason: String::new(),
            since_ms,
            until_ms: None,
            observe: false,
        }
    }

    fn id(text: &str) -> SwitchId {
        text.parse().unwrap()
    }

    fn code(done: Result<(), ControlError>) -> &'static str {
        done.map_or_else(|error| error.code(), |()| "ok")
    }

    #[test]
    fn a_team_holds_so_many_and_turns_on_to_turn_off() {
        let (tv, new) = (TeamName::parse("tv").unwrap(), id("script:tv/new"));
        let mut rows = Rows::default();
        rows.take((0..OFF_OF_TEAM_MAX).map(|n| row(&format!("script:tv/s{n}"), 1, true, 1)));
        assert_eq!(code(rows.room_for(&new, Some(&tv))), "switch.too_many");
        let of_another = id("script:radio/new");
        assert_eq!(code(rows.room_for(&of_another, Some(&TeamName::parse("radio").unwrap()))), "ok");
        assert_eq!(code(rows.room_for(&new, None)), "ok", "who is bound to no team is not held to it");
        assert_eq!(code(rows.room_for(&id("script:tv/s1"), Some(&tv))), "ok");
        rows.take([row("script:tv/s1", 2, false, 2)]);
        assert_eq!(code(rows.room_for(&new, Some(&tv))), "ok");
    }

    #[test]
    fn only_so_many_are_off_in_all_but_everything_can_always_be() {
        let mut rows = Rows::default();
        rows.take((0..OFF_MAX).map(|n| row(&format!("script:tv/s{n}"), 1, true, 1)));
        assert_eq!(code(rows.room_for(&id("team:radio"), None)), "switch.too_many");
        assert_eq!(code(rows.room_for(&id("all"), None)), "ok");
    }

    #[test]
    fn the_oldest_releases_are_forgotten_and_nothing_that_is_off() {
        let mut rows = Rows::default();
        let (_, changes) = rows.take([row("team:off", 1, true, 0), row("team:on", 5, false, 1)]);
        let mut board = Board::default().changed(changes);
        let (first, later) = (id("team:on"), id("team:new"));
        let release = |n: usize| row(&format!("script:tv/s{n}"), 2, false, 2 + n as u64);
        let (taken, changes) = rows.take((0..RELEASED_MAX).map(release));
        board = board.changed(changes);
        assert_eq!((taken.len(), rows.released.len(), rows.get(&first)), (RELEASED_MAX, RELEASED_MAX, None));
        assert!(rows.is_off(&id("team:off")));
        // Whatever is switched next wins over what was forgotten.
        assert_eq!((board.next_generation(&first), board.next_generation(&later)), (6, 6));
        // Who tells of it again is not listened to, but for a generation that was not known.
        assert_eq!(rows.take([row("team:on", 5, false, 1)]), (Vec::new(), Vec::new()));
        let (taken, changes) = rows.take([row("team:other", 9, false, 1)]);
        assert!(taken.is_empty());
        assert_eq!(board.changed(changes).next_generation(&later), 10);
    }
}
