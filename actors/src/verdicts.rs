//! Decisions of the actors that need neither a clock nor a file: what to count, what wins, how long to wait.
//!
//! Invariant: pure; time and chance are arguments.
//! Not here: who acts on them (`supervisor`, `watch`).

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use quotas::switches::{Change, Switch, SwitchId};
use quotas::units::Moment;

use crate::storage::SwitchRow;

/// Failures of one endpoint's actors within a window.
#[derive(Debug, Default)]
pub struct Failures {
    at: VecDeque<Moment>,
}

impl Failures {
    /// Counts a failure; answers whether there were more than `most` within `window`.
    pub fn count(&mut self, now: Moment, most: u32, window: Duration) -> bool {
        self.at.push_back(now);
        while self.at.front().is_some_and(|first| now.since(*first) > window) {
            self.at.pop_front();
        }
        self.at.len() > usize::try_from(most).unwrap_or(usize::MAX)
    }
}

/// How long to wait after so many failures in a row: a tenth of a second, doubled each time, two seconds at
/// most.
pub fn backoff(failures: u32) -> Duration {
    let tenths = 1_u64.checked_shl(failures.saturating_sub(1)).unwrap_or(u64::MAX);
    Duration::from_millis(tenths.saturating_mul(100).min(2_000))
}

/// A time moved by chance, up to a fifth to either side. `chance` is any number.
pub fn jittered(time: Duration, chance: u64) -> Duration {
    let share = 800 + u32::try_from(chance % 401).unwrap_or(0);
    time.saturating_mul(share) / 1000
}

/// Tells when a switch has come to its end, by the slower of two clocks: the wall clock, and the wall clock of the
/// start with the time that has passed since. A clock that is set forward ends nothing early, and one that is set
/// back ends it late. After a start the wall clock is believed.
#[derive(Debug, Clone, Copy)]
pub struct SlowClock {
    wall_ms: u64,
    at: Moment,
}

impl SlowClock {
    /// A clock that starts now.
    pub fn new(wall_ms: u64, at: Moment) -> Self {
        Self { wall_ms, at }
    }

    /// The time, in Unix milliseconds.
    pub fn now(&self, wall_ms: u64, at: Moment) -> u64 {
        let passed = u64::try_from(at.since(self.at).as_millis()).unwrap_or(u64::MAX);
        wall_ms.min(self.wall_ms.saturating_add(passed))
    }
}

/// Of all rows of a switch the one that wins.
pub fn newest(rows: impl IntoIterator<Item = SwitchRow>) -> BTreeMap<SwitchId, SwitchRow> {
    let mut newest: BTreeMap<SwitchId, SwitchRow> = BTreeMap::new();
    for row in rows {
        let id = row.id();
        match newest.get(&id) {
            Some(known) if !row.outranks(known) => {}
            _ => drop(newest.insert(id, row)),
        }
    }
    newest
}

/// Of these rows those that are off, and of the others the newest: as many as are remembered.
pub fn remembered(rows: BTreeMap<SwitchId, SwitchRow>, most: usize) -> Vec<SwitchRow> {
    let (mut kept, mut released): (Vec<_>, Vec<_>) = rows.into_values().partition(|row| row.off);
    released.sort_by_key(|row| std::cmp::Reverse(row.since_ms));
    kept.extend(released.into_iter().take(most));
    kept.sort_by_cached_key(SwitchRow::id);
    kept
}

/// What a row changes on the board.
pub fn change_of(row: &SwitchRow) -> Change {
    match row.off {
        true => Change::Off(Arc::new(switch_of(row))),
        false => Change::On(row.id(), row.generation),
    }
}

/// A row that holds, as a switch.
pub fn switch_of(row: &SwitchRow) -> Switch {
    Switch {
        scope: row.scope.clone(),
        effect: row.effect,
        by: row.by.as_str().into(),
        reason: row.reason.as_str().into(),
        since: row.since_ms,
        until: row.until_ms,
        generation: row.generation,
        observe: row.observe,
    }
}

/// A switch as a row.
pub fn row_of(switch: &Switch) -> SwitchRow {
    SwitchRow {
        scope: switch.scope.clone(),
        effect: switch.effect,
        off: true,
        generation: switch.generation,
        by: switch.by.to_string(),
        reason: switch.reason.to_string(),
        since_ms: switch.since,
        until_ms: switch.until,
        observe: switch.observe,
    }
}

#[cfg(test)]
mod tests {
    use quotas::scope::Scope;
    use quotas::switches::Board;

    use super::*;

    fn row(scope: &str, generation: u64, off: bool) -> SwitchRow {
        SwitchRow {
            scope: Scope::parse(scope).unwrap(),
            effect: quotas::switches::Effect::Kill,
            off,
            generation,
            by: "ana".to_owned(),
            reason: String::new(),
            since_ms: 1,
            until_ms: None,
            observe: false,
        }
    }

    #[test]
    fn more_failures_than_allowed_within_the_window_are_too_many() {
        let (mut failures, second) = (Failures::default(), 1_000_000_000_u64);
        let mut fail = |at| failures.count(Moment::from_nanos(at * second), 2, Duration::from_secs(10));
        assert_eq!([0, 5, 9, 20, 29, 30].map(&mut fail), [false, false, true, false, false, true]);
    }

    #[test]
    fn waits_double_up_to_two_seconds() {
        let waits = [1, 2, 3, 5, 6, 100].map(|failures| backoff(failures).as_millis());
        assert_eq!(waits, [100, 200, 400, 1600, 2000, 2000]);
    }

    #[test]
    fn chance_moves_a_time_by_a_fifth_at_most() {
        for chance in [0, 1, 200, 400, 401, u64::MAX] {
            let moved = jittered(Duration::from_secs(10), chance);
            assert!((8_000..=12_000).contains(&moved.as_millis()), "{moved:?}");
        }
    }

    #[test]
    fn a_clock_that_is_set_ends_no_switch_early() {
        let minute = |minutes: u64| Moment::from_nanos(minutes * 60_000_000_000);
        let clock = SlowClock::new(1_000, minute(5));
        let now = |wall_ms, minutes| clock.now(wall_ms, minute(minutes));
        assert_eq!(now(61_000, 6), 61_000);
        assert_eq!(now(3_661_000, 6), 61_000, "set forward by an hour");
        assert_eq!(now(500, 6), 500, "set back");
    }

    #[test]
    fn a_board_is_made_of_the_newest_rows_in_any_order() {
        let rows =
            [row("all", 1, true), row("team:tv", 2, false), row("team:tv", 1, true), row("all", 1, false)];
        let forth = newest(rows.clone());
        let back = newest(rows.into_iter().rev());
        assert_eq!(forth, back);
        let board = Board::default().changed(forth.values().map(change_of));
        let tv: SwitchId = "team:tv".parse().unwrap();
        assert!(board.get(&SwitchId::kill(Scope::All)).is_some());
        assert!(board.get(&tv).is_none());
        assert_eq!(board.next_generation(&tv), 3);
        assert_eq!(
            board.iter().map(|armed| row_of(armed.switch())).collect::<Vec<_>>(),
            [row("all", 1, true)]
        );
    }

    #[test]
    fn what_is_off_is_remembered_and_of_the_rest_the_newest() {
        let released = |scope: &str, since_ms| SwitchRow { since_ms, ..row(scope, 1, false) };
        let rows = newest([
            row("all", 1, true),
            released("team:a", 3),
            released("team:b", 2),
            released("team:c", 4),
        ]);
        let kept = |most| remembered(rows.clone(), most).into_iter().map(|row| row.scope.to_string());
        assert_eq!(kept(2).collect::<Vec<_>>(), ["all", "team:a", "team:c"]);
        assert_eq!(kept(0).collect::<Vec<_>>(), ["all"]);
    }
}
