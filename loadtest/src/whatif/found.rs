//! What was found: how many were refused, by which rule of whom, and when.
//!
//! Invariant: every arrival is counted once, and a refusal under the rule that the server would have named.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use quotas::refusal::Refusal;
use serde_json::json;

use super::clock;

/// What came of a trace.
#[derive(Debug, Default, PartialEq)]
pub struct Found {
    /// Calls that were let in.
    pub admitted: u64,
    /// Calls that were refused.
    pub refused: u64,
    /// When the last one came, since the trace began.
    pub length: Duration,
    /// By rule and scope.
    pub rules: BTreeMap<(&'static str, String), Refusals>,
    /// How long it took to play.
    pub took: Duration,
    /// How much of this traffic the quotas bear; nothing where they bear as much as was tried.
    pub knee: Option<Knee>,
}

/// What one rule refused.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Refusals {
    /// Calls.
    pub count: u64,
    /// When the first was.
    pub first: Duration,
    /// When the last was.
    pub last: Duration,
    /// The second of the most, and how many there were.
    pub worst: (u64, u64),
    /// The second under way, and how many.
    under_way: (u64, u64),
}

/// How many times the traffic the quotas bear.
#[derive(Debug, Clone, PartialEq)]
pub struct Knee {
    /// So many times.
    pub times: f64,
    /// The rule that refuses first beyond.
    pub rule: &'static str,
}

impl Found {
    pub(super) fn let_in(&mut self, at: Duration) {
        self.admitted += 1;
        self.length = at;
    }

    pub(super) fn refuse(&mut self, at: Duration, refusal: &Refusal) {
        self.refused += 1;
        self.length = at;
        let rule = self.rules.entry((refusal.rule, refusal.scope.to_string())).or_default();
        if rule.count == 0 {
            rule.first = at;
        }
        rule.count += 1;
        rule.last = at;
        let second = at.as_secs();
        rule.under_way =
            if rule.under_way.0 == second { (second, rule.under_way.1 + 1) } else { (second, 1) };
        if rule.under_way.1 > rule.worst.1 {
            rule.worst = rule.under_way;
        }
    }

    /// The rule that refused first.
    pub(super) fn first_rule(&self) -> Option<&'static str> {
        self.rules.iter().min_by_key(|(_, refusals)| refusals.first).map(|((rule, _), _)| *rule)
    }

    /// For a person.
    pub fn table(&self) -> String {
        let all = self.admitted + self.refused;
        let percent = self.refused as f64 / all.max(1) as f64 * 100.0;
        let mut out = format!(
            "{all} arrivals in {}: {} let in, {} refused ({percent:.2} %)\nplayed in {:.0?}, {:.0} times as fast as it came\n",
            clock(self.length),
            self.admitted,
            self.refused,
            self.took,
            self.length.as_secs_f64() / self.took.as_secs_f64().max(1e-9),
        );
        if !self.rules.is_empty() {
            let heads = ["refused by", "of", "calls", "first", "last", "most in a second"];
            let [rule, scope, calls, first, last, worst] = heads;
            let _ = writeln!(out, "\n{rule:<28} {scope:<28} {calls:>9}  {first:<12}  {last:<12}  {worst}");
        }
        let mut rules: Vec<_> = self.rules.iter().collect();
        rules.sort_by_key(|(_, refusals)| std::cmp::Reverse(refusals.count));
        for ((rule, scope), Refusals { count, first, last, worst, .. }) in rules {
            let (first, last) = (clock(*first), clock(*last));
            let (second, most) = worst;
            let second = clock(Duration::from_secs(*second));
            let _ = writeln!(
                out,
                "{rule:<28} {scope:<28} {count:>9}  {first:<12}  {last:<12}  {most} at {second}"
            );
        }
        let _ = match &self.knee {
            None => writeln!(out, "\nthe knee: none up to 64 times this traffic"),
            Some(Knee { times, rule }) => {
                writeln!(out, "\nthe knee: {times:.2} times this traffic; beyond it {rule} refuses first")
            }
        };
        out.push_str("not played: switches, quarantine, pressure and memory, of which a trace tells nothing");
        out
    }

    /// For a machine.
    pub fn json(&self) -> String {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        let rules: Vec<_> = self
            .rules
            .iter()
            .map(|((rule, scope), refusals)| {
                json!({
                    "rule": rule,
                    "scope": scope,
                    "refused": refusals.count,
                    "first_ms": ms(refusals.first),
                    "last_ms": ms(refusals.last),
                    "worst_second": { "at_s": refusals.worst.0, "refused": refusals.worst.1 },
                })
            })
            .collect();
        json!({
            "version": 1,
            "arrivals": self.admitted + self.refused,
            "admitted": self.admitted,
            "refused": self.refused,
            "length_ms": ms(self.length),
            "rules": rules,
            "knee": self.knee.as_ref().map(|knee| json!({ "times": knee.times, "rule": knee.rule })),
        })
        .to_string()
    }
}
