//! Verdicts: whether a threshold held, and by how much.
//!
//! Invariant: a threshold about something that never happened is missed, unless it is about a count: no answer at all
//! is not a quick answer.
//! Not here: how a threshold is written (`plan::threshold`).

use serde::{Deserialize, Serialize};

use super::Isolation;
use crate::plan::Plan;
use crate::plan::threshold::{Metric, Subject, Threshold};
use crate::tally::Tally;

/// What came of a threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verdict {
    /// The threshold as it was written.
    pub that: String,
    /// Whom it was about, when not everybody.
    pub of: Option<String>,
    /// What was found, with its unit.
    pub found: String,
    /// Whether it held.
    pub held: bool,
}

/// Judges a threshold by what was counted in so many seconds.
pub fn judge(
    threshold: &Threshold,
    of: Option<String>,
    tally: &Tally,
    (seconds, isolation): (f64, Option<Isolation>),
) -> Verdict {
    let that = threshold.text.clone();
    let found = match threshold.metric {
        Metric::Isolation => isolation.map(Isolation::score),
        _ => value(&threshold.metric, threshold.share, tally, seconds),
    };
    let Some(found) = found else {
        return Verdict { that, of, found: "no answer".to_owned(), held: false };
    };
    let held = threshold.compare.holds(found, threshold.bound);
    let found = match threshold.metric {
        Metric::Quantile(_) | Metric::Max | Metric::Mean => milliseconds(found),
        Metric::Rate => format!("{found:.1}/s"),
        Metric::Isolation => format!("{found:.2}"),
        _ if threshold.share => format!("{found:.3}%"),
        _ => format!("{found}"),
    };
    Verdict { that, of, found, held }
}

/// Seconds, as a person reads them.
pub fn milliseconds(seconds: f64) -> String {
    let ms = seconds * 1e3;
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}ms"),
        ms if ms < 1_000.0 => format!("{ms:.1}ms"),
        ms => format!("{:.2}s", ms / 1e3),
    }
}

/// The name of whom a threshold is about.
pub fn name<'a>(subject: &Subject, plan: &'a Plan) -> &'a str {
    match *subject {
        Subject::Request(number) => &plan.requests[number].name,
        Subject::Class(number) => &plan.classes[number].name,
    }
}

fn value(metric: &Metric, share: bool, tally: &Tally, seconds: f64) -> Option<f64> {
    let of = |counts: &std::collections::BTreeMap<String, u64>, name: Option<&str>| match name {
        None => counts.values().sum(),
        Some(name) => counts.get(name).copied().unwrap_or(0),
    };
    let count = match metric {
        Metric::Quantile(quantile) => return tally.times.quantile(*quantile),
        Metric::Max => return tally.times.quantile(1.0),
        Metric::Mean => return (tally.times.count() > 0).then(|| tally.times.histogram().mean() / 1e6),
        Metric::Rate => return Some((tally.answered() - tally.refusals()) as f64 / seconds.max(1e-3)),
        Metric::Errors => tally.errors,
        Metric::Refused(code) => of(&tally.refused, code.as_deref()),
        Metric::Status(status) => tally.statuses.get(status).copied().unwrap_or(0),
        Metric::Transport(kind) => of(&tally.transport, *kind),
        Metric::Checks(name) => of(&tally.checks, name.as_deref()),
        Metric::Isolation => return None,
        Metric::Late => tally.late,
        Metric::Unsent => tally.unsent,
    };
    Some(if share { tally.percent(count) } else { count as f64 })
}
