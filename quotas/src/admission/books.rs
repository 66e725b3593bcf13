//! Books: for one call, what the rules that it was asked of said, and which of them it is charged to.
//!
//! Invariant: of the rules that observe only the first that would have refused is counted, as only the first that
//! refuses is named; and once one would have, the call is charged to none that observes.
//! Not here: the order of the rules (`admission`).

use crate::rule::{Rule, RuleCounts, Tally};

/// What was said of one call.
pub(super) struct Books<'a> {
    counts: &'a RuleCounts,
    /// The first rule that would have refused it.
    observed: Option<(Rule, &'a Tally)>,
    /// A budget's soft limit is reached.
    pub(super) nearly: bool,
}

impl<'a> Books<'a> {
    pub(super) fn open(counts: &'a RuleCounts) -> Self {
        Self { counts, observed: None, nearly: false }
    }

    /// A rule says no. Answers whether the call is refused by it, or goes on because the rule only observes.
    #[cold]
    pub(super) fn refuse(&mut self, rule: Rule, tally: &'a Tally) -> bool {
        if tally.observes() {
            self.observed.get_or_insert((rule, tally));
            return false;
        }
        self.counts.count_refused(rule, tally);
        self.close();
        true
    }

    /// Whether the call is charged to a rule.
    pub(super) fn charges(&self, tally: &Tally) -> bool {
        self.observed.is_none() || !tally.observes()
    }

    /// Nothing more is asked: counts the rule that would have refused, and answers which.
    pub(super) fn close(&mut self) -> Option<Rule> {
        let (rule, tally) = self.observed.take()?;
        self.counts.count_observed(rule, tally);
        Some(rule)
    }
}
