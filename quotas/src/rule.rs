//! Rules: the names of everything that counts calls, and what came of asking each.
//!
//! Invariant: a rule's text is stable: refusals, metrics and dashboards match on it. There is a fixed number of
//! rules, so that counting by rule is bounded.
//! Not here: the counters that rules decide by (`rate`, `budget`, `concurrency`), their order (`admission`).
//!
//! **Observing.** A rule that observes is asked like any other, and what it would refuse is counted instead of
//! refused. The count is what enforcing would have refused: a call that a rule would have refused is not charged
//! to the rules that observe, as it would not have been had it been refused. What is enforced is charged with
//! every call that runs, or observing one rule would open another. So the two agree call by call as long as what
//! is enforced meanwhile refuses nothing; where it does, the count is an estimate.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::budget::BudgetKind;

/// Whose calls a rule counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    /// One client's.
    Client,
    /// A class of devices'.
    Class,
    /// An endpoint's.
    Endpoint,
    /// A team's.
    Team,
    /// The node's.
    Node,
}

impl Holder {
    /// Its word in a rule's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Class => "class",
            Self::Endpoint => "endpoint",
            Self::Team => "team",
            Self::Node => "node",
        }
    }
}

/// A rule that counts calls or what they use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Calls in a second: of a client, a class, an endpoint, a team.
    Rate(Holder),
    /// What is used in a minute or a day: of a class, an endpoint, a team.
    Budget(BudgetKind, Holder),
    /// Calls alive at one time: of an endpoint, a team, the node.
    Concurrency(Holder),
}

macro_rules! names {
    ($($pattern:pat => $text:literal,)*; $($kind:ident $word:literal,)*) => {
        impl Rule {
            /// Every rule, in the order in which they are asked.
            pub fn all() -> impl Iterator<Item = Self> {
                use Holder::{Class, Client, Endpoint, Node, Team};
                let rates = [Class, Client, Endpoint, Team].map(Self::Rate);
                let budgets = [Class, Endpoint, Team].into_iter();
                let budgets = budgets.flat_map(|of| BudgetKind::ALL.map(|kind| Self::Budget(kind, of)));
                rates.into_iter().chain(budgets).chain([Endpoint, Team, Node].map(Self::Concurrency))
            }

            /// The stable text, such as `budget.fuel_day.team`.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($pattern => $text,)*
                    $(
                        Self::Budget(BudgetKind::$kind, Holder::Class) => concat!("budget.", $word, ".class"),
                        Self::Budget(BudgetKind::$kind, Holder::Endpoint) => concat!("budget.", $word, ".endpoint"),
                        Self::Budget(BudgetKind::$kind, _) => concat!("budget.", $word, ".team"),
                    )*
                }
            }

            /// How clients are told of it in the headers of rates: by kind, never by a name.
            pub const fn policy(self) -> &'static str {
                match self {
                    Self::Rate(of) | Self::Concurrency(of) => of.as_str(),
                    $(
                        Self::Budget(BudgetKind::$kind, Holder::Class) => concat!("class-", $word),
                        Self::Budget(BudgetKind::$kind, Holder::Endpoint) => concat!("endpoint-", $word),
                        Self::Budget(BudgetKind::$kind, _) => concat!("team-", $word),
                    )*
                }
            }
        }

        impl BudgetKind {
            /// Its word in the names of rules and settings.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)*
                }
            }
        }
    };
}

names! {
    Self::Rate(Holder::Client) => "rate.client",
    Self::Rate(Holder::Class) => "rate.class",
    Self::Rate(Holder::Endpoint) => "rate.endpoint",
    Self::Rate(_) => "rate.team",
    Self::Concurrency(Holder::Endpoint) => "concurrency.endpoint",
    Self::Concurrency(Holder::Team) => "concurrency.team",
    Self::Concurrency(_) => "concurrency.node",
    ;
    FuelMinute "fuel_minute",
    FuelDay "fuel_day",
    HostCallsMinute "host_calls_minute",
    HostCallsDay "host_calls_day",
    BytesMinute "bytes_minute",
    BytesDay "bytes_day",
    RequestsDay "requests_day",
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// How many rules there are.
const RULES: usize = 28;

impl Rule {
    /// Its place among all.
    const fn place(self) -> usize {
        match self {
            Self::Rate(of) => of as usize,
            Self::Budget(kind, of) => 4 + kind as usize * 3 + (of as usize - Holder::Class as usize),
            Self::Concurrency(of) => 25 + (of as usize - Holder::Endpoint as usize),
        }
    }
}

/// What came of asking one rule of one scope, and whether it refuses at all.
#[derive(Debug, Default)]
pub struct Tally {
    asked: AtomicU64,
    refused: AtomicU64,
    observed: AtomicU64,
    observes: AtomicBool,
}

impl Tally {
    /// Calls that came to the rule. Counted by the rates of classes, endpoints and teams alone.
    pub fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// Calls that it refused.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Calls that it would have refused if it did not only observe.
    pub fn observed(&self) -> u64 {
        self.observed.load(Ordering::Relaxed)
    }

    /// Whether it only observes.
    pub fn observes(&self) -> bool {
        self.observes.load(Ordering::Relaxed)
    }

    /// Says whether it only observes.
    pub fn set_observes(&self, observes: bool) {
        self.observes.store(observes, Ordering::Relaxed);
    }

    pub(crate) fn ask(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
    }
}

/// What came of asking each rule, on a whole node: what refused or would have.
#[derive(Debug)]
pub struct RuleCounts {
    refused: [AtomicU64; RULES],
    observed: [AtomicU64; RULES],
}

impl Default for RuleCounts {
    fn default() -> Self {
        let none = || [const { AtomicU64::new(0) }; RULES];
        Self { refused: none(), observed: none() }
    }
}

impl RuleCounts {
    /// Calls that a rule refused, of whatever scope.
    pub fn refused(&self, rule: Rule) -> u64 {
        self.refused[rule.place()].load(Ordering::Relaxed)
    }

    /// Calls that it would have refused where it only observed.
    pub fn observed(&self, rule: Rule) -> u64 {
        self.observed[rule.place()].load(Ordering::Relaxed)
    }

    pub(crate) fn count_refused(&self, rule: Rule, tally: &Tally) {
        tally.refused.fetch_add(1, Ordering::Relaxed);
        self.refused[rule.place()].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_observed(&self, rule: Rule, tally: &Tally) {
        tally.observed.fetch_add(1, Ordering::Relaxed);
        self.observed[rule.place()].fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_rule_has_a_name_and_a_place_of_its_own() {
        let all: Vec<Rule> = Rule::all().collect();
        assert_eq!(all.len(), RULES);
        let names: HashSet<&str> = all.iter().map(|rule| rule.as_str()).collect();
        let places: HashSet<usize> = all.iter().map(|rule| rule.place()).collect();
        assert_eq!((names.len(), places.len()), (RULES, RULES));
        assert!(places.into_iter().all(|place| place < RULES));
        assert_eq!(Rule::Budget(BudgetKind::FuelDay, Holder::Team).to_string(), "budget.fuel_day.team");
    }

    #[test]
    fn refused_and_observed_are_counted_apart() {
        let (counts, tally) = (RuleCounts::default(), Tally::default());
        let rule = Rule::Rate(Holder::Team);
        counts.count_refused(rule, &tally);
        counts.count_observed(rule, &tally);
        counts.count_observed(rule, &tally);
        assert_eq!((counts.refused(rule), counts.observed(rule)), (1, 2));
        assert_eq!((tally.refused(), tally.observed(), tally.asked()), (1, 2, 0));
        assert_eq!(counts.refused(Rule::Rate(Holder::Class)), 0);
    }
}
