//! Results: what came of a run, as it is kept, shown and compared.
//!
//! Invariant: what is kept is what was counted; sums are taken from the intervals and never from other sums, so that
//! merged files are the same as one run.
//! Not here: counting (`run`), how a file is read and written (`results::file`).

pub mod file;

pub mod verdict;

mod table;

mod hgrm;

mod junit;

mod page;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::plan::Plan;
use crate::run::record::Record;
use crate::tally::{Tally, Times};
use verdict::Verdict;

/// The format of the file.
pub const FORMAT: &str = "callboard-loadtest/1";
/// The percentage of requests that may be late or unsent; of a run with more nothing can be said.
pub const LATE_MAX: f64 = 1.0;

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// [`FORMAT`].
    pub format: String,
    /// The name of the plan.
    pub plan: String,
    /// Whom it was played against.
    pub target: String,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: String,
    /// Which parts of the load these are, like `1/2`; one for each process.
    pub shares: Vec<String>,
    /// When it began.
    pub started: String,
    /// For how long requests were asked for, in seconds.
    pub seconds: f64,
    /// How long an interval is, in seconds.
    pub interval: f64,
    /// For how long it was calm, in seconds, where the plan compares that with what came later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calm: Option<f64>,
    /// Why it ended early, if it did.
    pub ended_early: Option<String>,
    /// The figures that are asked for first; they follow from the rest.
    pub summary: Summary,
    /// What came of the thresholds.
    pub thresholds: Vec<Verdict>,
    /// By the names of requests; the sums of the intervals.
    pub requests: BTreeMap<String, Tally>,
    /// By the names of classes.
    pub classes: BTreeMap<String, Tally>,
    /// How much later than meant requests were sent.
    #[serde(with = "file::histogram")]
    pub lags: Times,
    /// By time.
    pub intervals: Vec<Slot>,
    /// What the server told of itself.
    pub metrics: Vec<Sample>,
    /// What was done to the server, in the order of time.
    #[serde(default)]
    pub actions: Vec<Acted>,
}

/// A program that was run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acted {
    /// The name of the action.
    pub name: String,
    /// When it began, in seconds since the run did.
    pub at: f64,
    /// How long it took, in seconds.
    pub took: f64,
    /// Why it did not do what it should.
    pub failed: Option<String>,
}

/// An interval.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// When it began, in seconds since the run did.
    pub at: f64,
    /// Requests that ended in it.
    pub ended: u64,
    /// What became of those that were meant to begin in it, by name.
    pub requests: BTreeMap<String, Tally>,
}

/// What a server told of itself at a time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// When, in seconds since the run began.
    pub at: f64,
    /// Each metric, summed over its labels.
    pub values: BTreeMap<String, f64>,
}

/// The p99 of a request in calm and after it, in seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Isolation {
    /// In calm.
    pub before: f64,
    /// After it.
    pub after: f64,
}

impl Isolation {
    /// The one divided by the other: 1 where what came later cost this request nothing.
    pub fn score(self) -> f64 {
        (self.before / self.after.max(1e-6)).min(1.0)
    }
}

/// The figures that are asked for first. Times are in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Summary {
    pub asked: u64,
    pub answered: u64,
    pub refused: u64,
    pub errors: u64,
    pub late: u64,
    pub unsent: u64,
    pub valid: bool,
    pub p50_ms: f64,
    pub p90_ms: f64,
    pub p99_ms: f64,
    pub p99_9_ms: f64,
    pub max_ms: f64,
}

/// What is known of a run beside what was counted.
#[derive(Debug, Clone)]
pub struct About {
    /// Whom it was played against.
    pub target: String,
    /// Whether with HTTP/2.
    pub http2: bool,
    /// Which part of the load.
    pub share: String,
    /// When it began.
    pub started: jiff::Timestamp,
    /// Why it ended early.
    pub ended_early: Option<String>,
    /// For how long requests were asked for, in seconds.
    pub seconds: f64,
    /// What the server told of itself.
    pub metrics: Vec<Sample>,
    /// What was done to the server.
    pub actions: Vec<Acted>,
}

impl Results {
    /// The results of a plan.
    pub fn new(plan: &Plan, record: &Record, about: About) -> Self {
        let interval = plan.interval.as_secs_f64();
        let named = |tallies: &[Tally]| -> BTreeMap<String, Tally> {
            let used = plan.requests.iter().zip(tallies).filter(|(_, tally)| tally.asked > 0);
            used.map(|(request, tally)| (request.name.clone(), tally.clone())).collect()
        };
        let slots = record.intervals.iter().enumerate().map(|(number, interval_)| Slot {
            at: number as f64 * interval,
            ended: interval_.ended,
            requests: named(&interval_.requests),
        });
        let classes = plan.classes.iter().zip(&record.classes);
        let mut results = Self {
            format: FORMAT.to_owned(),
            plan: plan.name.clone(),
            target: about.target,
            protocol: if about.http2 { "HTTP/2" } else { "HTTP/1.1" }.to_owned(),
            shares: vec![about.share],
            started: about.started.to_string(),
            seconds: about.seconds,
            interval,
            calm: plan.calm.map(|calm| calm.as_secs_f64()),
            ended_early: about.ended_early,
            summary: Summary::default(),
            thresholds: Vec::new(),
            requests: BTreeMap::new(),
            classes: classes.map(|(class, tally)| (class.name.clone(), tally.clone())).collect(),
            lags: record.lags.clone(),
            intervals: slots.collect(),
            metrics: about.metrics,
            actions: about.actions,
        };
        results.sum_up();
        results.thresholds = plan
            .thresholds
            .iter()
            .map(|threshold| {
                let subject = threshold.of.as_ref().map(|of| verdict::name(of, plan).to_owned());
                results.verdict(threshold, subject)
            })
            .collect();
        results
    }

    /// Takes all sums from the intervals again.
    pub fn sum_up(&mut self) {
        self.requests.clear();
        for slot in &self.intervals {
            for (name, tally) in &slot.requests {
                self.requests.entry(name.clone()).or_default().add(tally);
            }
        }
        let total = self.total();
        let ms = |quantile| total.times.quantile(quantile).unwrap_or(0.0) * 1e3;
        self.summary = Summary {
            asked: total.asked,
            answered: total.answered(),
            refused: total.refusals(),
            errors: total.errors,
            late: total.late,
            unsent: total.unsent,
            valid: total.asked > 0 && total.percent(total.late + total.unsent) <= LATE_MAX,
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            p99_9_ms: ms(0.999),
            max_ms: ms(1.0),
        };
    }

    /// Everything together.
    pub fn total(&self) -> Tally {
        Tally::sum(self.requests.values())
    }

    /// Everything of an interval.
    pub fn slot(slot: &Slot) -> Tally {
        Tally::sum(slot.requests.values())
    }

    /// How well a request was kept from what came after the calm. Nothing where it was not answered before and after.
    pub fn isolation(&self, request: &str) -> Option<Isolation> {
        let calm = self.calm?;
        let p99 = |is_within: &dyn Fn(f64) -> bool| {
            let slots = self.intervals.iter().filter(|slot| is_within(slot.at));
            Tally::sum(slots.filter_map(|slot| slot.requests.get(request))).times.quantile(0.99)
        };
        // An interval that belongs to both sides is left out.
        let before = p99(&|at| at + self.interval <= calm + 1e-9)?;
        let after = p99(&|at| at + 1e-9 >= calm)?;
        Some(Isolation { before, after })
    }

    /// What comes of a threshold, about everybody or one.
    pub fn verdict(&self, threshold: &crate::plan::threshold::Threshold, of: Option<String>) -> Verdict {
        let tally = match &of {
            None => Some(self.total()),
            Some(name) => self.requests.get(name).or_else(|| self.classes.get(name)).cloned(),
        };
        let isolation = of.as_deref().and_then(|of| self.isolation(of));
        verdict::judge(threshold, of, &tally.unwrap_or_default(), (self.seconds, isolation))
    }
}
