//! The table: results for a terminal.
//!
//! Invariant: nothing that went wrong is left out, and no line is wider than its names make it.
//! Not here: colours, files.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::verdict::milliseconds;
use super::{Acted, LATE_MAX, Results};
use crate::tally::Tally;

impl Results {
    /// For a person.
    pub fn table(&self) -> String {
        let total = self.total();
        let mut out = String::new();
        let Self { plan, target, protocol, seconds, .. } = self;
        let rate = |count: u64| count as f64 / seconds.max(1e-3);
        let _ = writeln!(out, "{plan}: {target}, {protocol}, {seconds:.1} s");
        let _ = writeln!(
            out,
            "asked {} ({:.1}/s), answered {} ({:.1}/s), refused {}, errors {}",
            total.asked,
            rate(total.asked),
            total.answered(),
            rate(total.answered()),
            total.refusals(),
            total.errors
        );
        self.lines(&total, &mut out);
        counts(&mut out, "status", &total.statuses, total.asked);
        counts(&mut out, "refused", &total.refused, total.asked);
        if total.refused.contains_key("rate.exceeded") {
            out.push_str(
                "        unless they were raised there, a client may ask 20/s, and a load test is one, an endpoint 500/s and a \
                 team 2000/s;\n        `callboard why` names the rule, docs/loadtest.md says how to raise them\n",
            );
        }
        counts(&mut out, "no answer", &total.transport, total.asked);
        counts(&mut out, "check failed", &total.checks, total.asked);
        let lag = |quantile| milliseconds(self.lags.quantile(quantile).unwrap_or(0.0));
        let _ = writeln!(
            out,
            "\nsent later than meant by more than 10 ms: {} ({:.2} %; {} of them waited for a connection), not sent: {}; \
             lag p99 {}, max {}",
            total.late,
            total.percent(total.late),
            total.waited,
            total.unsent,
            lag(0.99),
            lag(1.0)
        );
        if !self.thresholds.is_empty() {
            out.push('\n');
        }
        for verdict in &self.thresholds {
            let of = verdict.of.as_ref().map(|of| format!(" of {of}")).unwrap_or_default();
            let word = if verdict.held { "held  " } else { "MISSED" };
            let _ = writeln!(out, "{word}  {}{of}: {}", verdict.that, verdict.found);
        }
        for (name, isolation) in self.requests.keys().filter_map(|name| Some((name, self.isolation(name)?))) {
            let (before, after) = (milliseconds(isolation.before), milliseconds(isolation.after));
            let _ = writeln!(
                out,
                "isolation of {name}: {:.2} (p99 {before} in calm, {after} after it)",
                isolation.score()
            );
        }
        self.acted(&mut out);
        if let Some(why) = &self.ended_early {
            let _ = writeln!(out, "\nended early: {why}");
        }
        if total.asked == 0 {
            out.push_str("\nINVALID: nothing was asked, and so nothing was measured; give a stage of the plan a rate\n");
        } else if !self.summary.valid {
            let why = if total.waited + total.unsent > total.late.saturating_sub(total.waited) {
                "all connections were in use: raise `connections` in the plan"
            } else {
                "this machine did not keep up: give it more time, or share the load (`--threads`, `--share`)"
            };
            let _ = writeln!(
                out,
                "\nINVALID: {:.2} % of the requests were late or unsent, and more than {LATE_MAX} % say nothing of the \
                 server; {why}",
                total.percent(total.late + total.unsent)
            );
        }
        out
    }

    /// What was done to the server, by name.
    fn acted(&self, out: &mut String) {
        let mut names: Vec<&str> = Vec::new();
        for acted in &self.actions {
            if !names.contains(&acted.name.as_str()) {
                names.push(&acted.name);
            }
        }
        for (number, name) in names.into_iter().enumerate() {
            let lead = if number == 0 { "\n" } else { "" };
            let mine: Vec<&Acted> = self.actions.iter().filter(|acted| acted.name == name).collect();
            let longest = mine.iter().map(|acted| acted.took).fold(0.0, f64::max);
            let (first, last) = (mine[0].at, mine[mine.len() - 1].at);
            let when = if mine.len() == 1 {
                format!("at {first:.1} s")
            } else {
                format!("{} times from {first:.1} s to {last:.1} s", mine.len())
            };
            let _ = write!(out, "{lead}action {name}: {when}, took {} at most", milliseconds(longest));
            let mut failed = mine.iter().filter_map(|acted| acted.failed.as_deref());
            match failed.next() {
                None => out.push('\n'),
                Some(first) => {
                    let _ = writeln!(out, "; {} FAILED: {first}", failed.count() + 1);
                }
            }
        }
    }

    fn lines(&self, total: &Tally, out: &mut String) {
        let names = self.requests.keys().chain(self.classes.keys());
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0).clamp(8, 40);
        let _ = write!(out, "\n{:<width$}", "");
        for title in ["asked", "refused", "errors", "p50", "p90", "p99", "p99.9", "max"] {
            let _ = write!(out, " {title:>9}");
        }
        out.push('\n');
        let several = self.requests.len() > 1;
        let all = several.then_some(("all", total));
        let named = self.requests.iter().chain(&self.classes).map(|(name, tally)| (name.as_str(), tally));
        for (name, tally) in all.into_iter().chain(named) {
            let _ =
                write!(out, "{name:<width$} {:>9} {:>9} {:>9}", tally.asked, tally.refusals(), tally.errors);
            let histogram = tally.times.histogram();
            for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
                let text = match histogram.len() {
                    0 => "-".to_owned(),
                    _ => milliseconds(histogram.value_at_quantile(quantile) as f64 / 1e6),
                };
                let _ = write!(out, " {text:>9}");
            }
            out.push('\n');
        }
    }
}

fn counts<K: std::fmt::Display>(out: &mut String, what: &str, counts: &BTreeMap<K, u64>, of: u64) {
    for (number, (name, count)) in counts.iter().enumerate() {
        let lead = if number == 0 { "\n" } else { "" };
        let percent = 100.0 * *count as f64 / of.max(1) as f64;
        let _ = writeln!(out, "{lead}{what} {name:<24} {count:>9} {percent:>7.2} %");
    }
}
