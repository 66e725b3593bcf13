//! The record: who asked what and what came of it, second by second.
//!
//! Invariant: a request counts in the interval in which it was meant to begin, so that a stall shows where it was; how
//! many answers came in an interval is counted beside that.
//! Not here: sending, files.

use std::time::Duration;

use super::schedule::Arrival;
use crate::plan::Plan;
use crate::tally::{Tally, Times};

/// What is sent more than this later than meant is late.
pub const LATE: Duration = Duration::from_millis(10);

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered: status, the code of a refusal, and the numbers of the checks that did not hold.
    Answered {
        /// The status.
        status: u16,
        /// The code of the refusal.
        refused: Option<String>,
        /// The checks that did not hold, by their numbers.
        failed: Vec<usize>,
    },
    /// There was no answer, for this reason.
    Transport(&'static str),
    /// It was not even sent.
    Unsent,
}

/// A request that has ended.
#[derive(Debug)]
pub struct Ended<'a> {
    /// What it was.
    pub arrival: &'a Arrival,
    /// How much later than meant it was sent.
    pub lag: Duration,
    /// Whether it waited for a connection.
    pub waited: bool,
    /// When it ended, since the run began.
    pub at: Duration,
    /// What became of it.
    pub outcome: Outcome,
}

/// An interval.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Interval {
    /// Of each request of the plan.
    pub requests: Vec<Tally>,
    /// Requests that ended in it, whenever they began.
    pub ended: u64,
}

/// What one thread counted.
#[derive(Debug, Clone)]
pub struct Record {
    interval: Duration,
    requests: usize,
    /// The intervals, from the beginning of the run.
    pub intervals: Vec<Interval>,
    /// Of each class of the plan.
    pub classes: Vec<Tally>,
    /// How much later than meant requests were sent.
    pub lags: Times,
}

impl Record {
    /// Nothing yet.
    pub fn new(plan: &Plan) -> Self {
        Self {
            interval: plan.interval,
            requests: plan.requests.len(),
            intervals: Vec::new(),
            classes: vec![Tally::default(); plan.classes.len()],
            lags: Times::default(),
        }
    }

    /// A request is due.
    pub fn asked(&mut self, arrival: &Arrival) {
        self.interval(arrival.due).requests[arrival.request].asked += 1;
        if let Some(class) = arrival.class {
            self.classes[class].asked += 1;
        }
    }

    /// A request has ended.
    pub fn ended(&mut self, plan: &Plan, ended: &Ended<'_>) {
        self.interval(ended.at).ended += 1;
        self.lags.record(ended.lag);
        let arrival = ended.arrival;
        count(&mut self.interval(arrival.due).requests[arrival.request], plan, ended);
        if let Some(class) = arrival.class {
            count(&mut self.classes[class], plan, ended);
        }
    }

    /// Adds what another thread counted.
    pub fn add(&mut self, other: &Self) {
        for (number, interval) in other.intervals.iter().enumerate() {
            let mine = self.interval(self.interval * number as u32);
            mine.ended += interval.ended;
            for (mine, tally) in mine.requests.iter_mut().zip(&interval.requests) {
                mine.add(tally);
            }
        }
        for (mine, tally) in self.classes.iter_mut().zip(&other.classes) {
            mine.add(tally);
        }
        self.lags.add(&other.lags);
    }

    /// The sum of intervals, over the requests that are wanted.
    pub fn sum(&self, from: usize, wanted: impl Fn(usize) -> bool) -> Tally {
        let mut sum = Tally::default();
        for interval in self.intervals.iter().skip(from) {
            for (_, tally) in interval.requests.iter().enumerate().filter(|(request, _)| wanted(*request)) {
                sum.add(tally);
            }
        }
        sum
    }

    fn interval(&mut self, at: Duration) -> &mut Interval {
        let number = (at.as_nanos() / self.interval.as_nanos()) as usize;
        let requests = self.requests;
        if number >= self.intervals.len() {
            let empty = || Interval { requests: vec![Tally::default(); requests], ended: 0 };
            self.intervals.resize_with(number + 1, empty);
        }
        &mut self.intervals[number]
    }
}

fn count(tally: &mut Tally, plan: &Plan, ended: &Ended<'_>) {
    let request = &plan.requests[ended.arrival.request];
    let took = ended.at.saturating_sub(ended.arrival.due);
    if ended.outcome == Outcome::Unsent {
        tally.unsent += 1;
        return;
    }
    if ended.lag > LATE {
        tally.late += 1;
        tally.waited += u64::from(ended.waited);
    }
    match &ended.outcome {
        Outcome::Unsent => {}
        Outcome::Transport(kind) => {
            bump(&mut tally.transport, kind);
            tally.errors += 1;
            if *kind == "timeout" {
                tally.times.record(took);
            }
        }
        Outcome::Answered { status, refused: Some(code), .. } => {
            *tally.statuses.entry(*status).or_default() += 1;
            bump(&mut tally.refused, code);
            tally.refusal_times.record(took);
        }
        Outcome::Answered { status, refused: None, failed } => {
            *tally.statuses.entry(*status).or_default() += 1;
            tally.times.record(took);
            for check in failed {
                bump(&mut tally.checks, &request.checks[*check].name);
            }
            tally.errors += u64::from(!failed.is_empty() || !request.takes(*status));
        }
    }
}

fn bump(counts: &mut std::collections::BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}
