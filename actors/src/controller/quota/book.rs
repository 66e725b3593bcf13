//! The book: what is set of each scope, as the store has it, and the part of it that this node has.
//!
//! Invariant: of each scope the newest row is known; a row whose settings were taken back stays, so that an older
//! one cannot come back.
//! Not here: putting it in force, storing it.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use quotas::scope::Scope;

use crate::error::ControlError;
use crate::storage::QuotaRow;

/// Scopes of which something may be set.
const ROWS_MAX: usize = 10_000;
/// When to try again to take back what is over.
const AGAIN: Duration = Duration::from_secs(5);

/// The book.
#[derive(Debug, Default)]
pub(in crate::controller) struct Book {
    rows: BTreeMap<Scope, QuotaRow>,
    /// The parts of this node that are not the whole.
    pub(super) parts: HashMap<Scope, f64>,
    /// How many nodes there were when the parts were last thought of.
    pub(super) nodes: usize,
    /// Scopes that are on their way to be taken back, and until when.
    ending: HashMap<Scope, Instant>,
}

impl Book {
    pub(in crate::controller) fn new(rows: Vec<QuotaRow>) -> Self {
        let mut book = Self::default();
        book.take(rows);
        book
    }

    /// What is set of a scope.
    pub(super) fn row(&self, scope: &Scope) -> QuotaRow {
        let none = || QuotaRow { scope: scope.clone(), generation: 0, rules: Vec::new() };
        self.rows.get(scope).cloned().unwrap_or_else(none)
    }

    /// All rows of which something is set.
    pub(super) fn rows(&self) -> impl Iterator<Item = &QuotaRow> {
        self.rows.values().filter(|row| !row.rules.is_empty())
    }

    /// Takes rows that are newer than what is known; answers the scopes that they are about.
    pub(super) fn take(&mut self, rows: Vec<QuotaRow>) -> Vec<Scope> {
        let mut taken = Vec::new();
        for row in rows {
            if self.rows.get(&row.scope).is_none_or(|known| row.replaces(known)) {
                taken.push(row.scope.clone());
                self.ending.remove(&row.scope);
                self.rows.insert(row.scope.clone(), row);
            }
        }
        taken
    }

    /// The part of a scope's rates and budgets that this node has. What is new to it, all nodes have alike.
    pub(super) fn part(&self, scope: &Scope) -> f64 {
        self.parts.get(scope).copied().unwrap_or_else(|| quotas::portion::first(self.nodes))
    }

    /// Whether something may be set of a scope until then.
    pub(super) fn room_for(
        &self,
        scope: &Scope,
        until_ms: Option<u64>,
        now_ms: u64,
    ) -> Result<(), ControlError> {
        if until_ms.is_some_and(|until| until <= now_ms) {
            return Err(ControlError::QuotaInvalid("it would have ended already".to_owned()));
        }
        if self.rows.len() >= ROWS_MAX && !self.rows.contains_key(scope) {
            return Err(ControlError::QuotaInvalid(format!(
                "quotas of {ROWS_MAX} scopes are set, as many as may be"
            )));
        }
        Ok(())
    }

    /// The rows of which something is over, as they are without it. Each is told again after a while if it is
    /// still there.
    pub(super) fn over(&mut self, now_ms: u64) -> Vec<QuotaRow> {
        let now = Instant::now();
        let mut over = Vec::new();
        for row in self.rows.values().filter(|row| row.rules.iter().any(|rule| !rule.holds(now_ms))) {
            if self.ending.get(&row.scope).is_some_and(|again| *again > now) {
                continue;
            }
            self.ending.insert(row.scope.clone(), now + AGAIN);
            let rules = row.rules.iter().filter(|rule| rule.holds(now_ms)).cloned().collect();
            over.push(QuotaRow { generation: row.generation + 1, rules, ..row.clone() });
        }
        over
    }
}

#[cfg(test)]
mod tests {
    use quotas::setting::{Name, Setting};

    use super::*;
    use crate::storage::QuotaRule;

    fn row(generation: u64, until_ms: Option<u64>) -> QuotaRow {
        let rule = |name, until_ms| QuotaRule {
            name,
            setting: Setting { limit: Some(7), ..Setting::default() },
            by: "ana".to_owned(),
            reason: "a test".to_owned(),
            since_ms: 1,
            until_ms,
        };
        let rules = vec![rule(Name::Rate, None), rule(Name::Concurrency, until_ms)];
        QuotaRow { scope: Scope::parse("team:tv").unwrap(), generation, rules }
    }

    #[test]
    fn the_newest_row_is_known_and_an_older_one_does_not_come_back() {
        let mut book = Book::default();
        let scope = row(1, None).scope;
        assert_eq!(book.take(vec![row(2, None)]), std::slice::from_ref(&scope));
        assert!(book.take(vec![row(1, None), row(2, Some(5))]).is_empty());
        let back = QuotaRow { rules: Vec::new(), ..row(3, None) };
        assert_eq!(book.take(vec![back.clone(), row(2, None)]).len(), 1);
        assert_eq!(book.row(&scope), back);
    }

    #[test]
    fn what_is_over_is_taken_back_alone_and_told_once() {
        let mut book = Book::new(vec![row(4, Some(100))]);
        assert!(book.over(99).is_empty());
        let over = book.over(100);
        let names: Vec<Name> = over[0].rules.iter().map(|rule| rule.name).collect();
        assert_eq!((over[0].generation, names), (5, vec![Name::Rate]));
        assert!(book.over(101).is_empty());
    }

    #[test]
    fn only_so_many_scopes_have_something_set_and_none_in_the_past() {
        let scope = |n: usize| Scope::parse(&format!("team:t{n}")).unwrap();
        let rows = (0..ROWS_MAX).map(|n| QuotaRow { scope: scope(n), ..row(1, None) }).collect();
        let book = Book::new(rows);
        assert!(book.room_for(&scope(5), None, 1).is_ok());
        assert!(book.room_for(&scope(ROWS_MAX), None, 1).is_err());
        assert!(book.room_for(&scope(5), Some(1), 1).is_err());
    }
}
