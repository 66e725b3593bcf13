//! Switches as they are kept, and which of two rows of one switch counts.
//!
//! Invariant: of any two rows that differ one outranks the other, so that all who have both agree. A row that holds
//! gives way only to who has seen it, or to who says that whatever came before is meant.

use quotas::scope::Scope;
use quotas::switches::{Effect, SwitchId};

/// A switch as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwitchRow {
    /// What it is about.
    pub scope: Scope,
    /// What it does; of a released one only the kind counts.
    pub effect: Effect,
    /// Whether it holds; a released switch stays as a tombstone so that an older flip cannot come back.
    pub off: bool,
    /// Counts its flips.
    pub generation: u64,
    /// Who flipped it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when, in Unix milliseconds.
    pub since_ms: u64,
    /// Until when, in Unix milliseconds.
    pub until_ms: Option<u64>,
    /// Whether it only reports what it would refuse.
    pub observe: bool,
}

/// What the writer of a switch has seen of it in the store.
#[derive(Debug, Clone, Copy)]
pub enum Seen<'a> {
    /// All that came before: the higher generation wins.
    All,
    /// These rows alone. One that is off and is none of them stays: it was acknowledged to somebody whom the writer
    /// does not know of.
    Only(&'a [SwitchRow]),
}

/// What came of setting a switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Switched {
    /// It is stored, or was already.
    Kept,
    /// Another one stays.
    Lost {
        /// That one.
        present: Box<SwitchRow>,
    },
}

impl SwitchRow {
    /// Which switch it is of.
    pub fn id(&self) -> SwitchId {
        SwitchId { scope: self.scope.clone(), kind: self.effect.kind() }
    }

    /// Whether this row comes after that one of the same switch: the higher generation does, and when equal, off
    /// does, then what refuses, what is stricter and what lasts longer. The rest decides so that nobody who has
    /// both thinks otherwise.
    pub fn outranks(&self, present: &Self) -> bool {
        self.rank() > present.rank()
    }

    fn rank(&self) -> impl Ord {
        let holds = (self.off, !self.observe, self.effect.strictness(), self.until_ms.unwrap_or(u64::MAX));
        (self.generation, holds, self.since_ms, self.by.clone(), self.reason.clone())
    }

    /// Whether this row refuses all that that one does, as long as that one does.
    pub fn covers(&self, other: &Self) -> bool {
        let until = |row: &Self| row.until_ms.unwrap_or(u64::MAX);
        let refuses = self.off
            && (!self.observe || other.observe)
            && self.effect.strictness() >= other.effect.strictness()
            && until(self) >= until(other);
        !other.off || refuses
    }

    /// Whether this row may take the place of that one in the store.
    pub fn may_replace(&self, present: &Self, seen: Seen<'_>) -> bool {
        let knows = match seen {
            Seen::All => true,
            Seen::Only(rows) => rows.contains(present),
        };
        self.outranks(present) && (knows || !present.off)
    }

    /// A row above this one and that one that refuses what either of them does: for two that were made without
    /// knowing of each other.
    #[must_use]
    pub fn joined(&self, other: &Self) -> Self {
        let (strong, weak) = if self.covers(other) { (self, other) } else { (other, self) };
        let mut joined = strong.clone();
        joined.generation = self.generation.max(other.generation).saturating_add(1);
        if weak.off {
            joined.observe &= weak.observe;
            joined.until_ms = joined.until_ms.zip(weak.until_ms).map(|(one, other)| one.max(other));
            if weak.effect.strictness() > joined.effect.strictness() {
                joined.effect = weak.effect;
            }
        }
        joined
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(generation: u64, off: bool) -> SwitchRow {
        SwitchRow {
            scope: Scope::All,
            effect: Effect::Kill,
            off,
            generation,
            by: String::new(),
            reason: String::new(),
            since_ms: 0,
            until_ms: None,
            observe: false,
        }
    }

    #[test]
    fn the_higher_generation_wins_and_off_wins_when_equal() {
        fn check(new: (u64, bool), old: (u64, bool), outranks: bool) {
            let (new, old) = (row(new.0, new.1), row(old.0, old.1));
            assert_eq!(new.outranks(&old), outranks, "{new:?} after {old:?}");
            assert_eq!(new.may_replace(&old, Seen::All), outranks);
        }
        check((2, false), (1, true), true);
        check((1, true), (2, false), false);
        check((1, true), (1, false), true);
        check((1, false), (1, true), false);
        check((1, true), (1, true), false);
    }

    #[test]
    fn what_is_off_gives_way_only_to_who_has_seen_it() {
        let off = SwitchRow { until_ms: Some(9), ..row(1, true) };
        for newer in [row(2, true), row(2, false), SwitchRow { observe: true, ..row(2, true) }] {
            assert!(!newer.may_replace(&off, Seen::Only(&[])), "{newer:?}");
            assert!(!newer.may_replace(&off, Seen::Only(&[row(1, true)])), "{newer:?}");
            assert!(newer.may_replace(&off, Seen::Only(std::slice::from_ref(&off))), "{newer:?}");
            assert!(newer.may_replace(&off, Seen::All), "{newer:?}");
        }
        // What is released protects nobody.
        assert!(row(2, false).may_replace(&row(1, false), Seen::Only(&[])));
    }

    #[test]
    fn two_that_did_not_know_of_each_other_are_joined_above_both() {
        let cap = |calls| Effect::Cap(quotas::units::InFlight::new(calls).unwrap());
        let one = SwitchRow { effect: cap(5), until_ms: Some(9), ..row(3, true) };
        let other = SwitchRow { effect: cap(2), observe: true, until_ms: Some(12), ..row(7, true) };
        for joined in [one.joined(&other), other.joined(&one)] {
            assert_eq!((joined.generation, joined.off, joined.observe), (8, true, false));
            assert_eq!((joined.effect, joined.until_ms), (cap(2), Some(12)));
            assert!(joined.covers(&one) && joined.covers(&other));
        }
        let released = row(9, false);
        for joined in [one.joined(&released), released.joined(&one)] {
            assert_eq!(joined, SwitchRow { generation: 10, ..one.clone() });
        }
    }
}
