//! Tallies: what became of requests, counted, with the times they took.
//!
//! Times are kept as HdrHistogram keeps them, with three digits, but only where there are any: a second of a run has
//! some hundred of them and a whole histogram has thousands of places.
//!
//! Invariant: adding tallies is the same as counting everything in one, in whatever order.
//! Not here: files (`results`), who counts (`run::record`).

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// The places of a histogram of three digits that are told apart between a power of two and the next.
const HALF: u64 = 1_024;
/// The longest time that is told: what takes longer counts as this.
const LONGEST: u64 = 3_600_000_000;

/// Times, in microseconds with three digits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Times(BTreeMap<u64, u64>);

impl Times {
    /// Adds one.
    pub fn record(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(LONGEST).min(LONGEST);
        *self.0.entry(place(micros)).or_default() += 1;
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        for (micros, count) in &other.0 {
            *self.0.entry(*micros).or_default() += count;
        }
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// Each time in microseconds and how often it was seen, from the least.
    pub fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.0.iter().map(|(micros, count)| (*micros, *count))
    }

    /// As a histogram.
    pub fn histogram(&self) -> Histogram<u64> {
        let mut histogram = empty();
        for (micros, count) in &self.0 {
            histogram.saturating_record_n(*micros, *count);
        }
        histogram
    }

    /// A quantile, in seconds. Nothing where there is none.
    pub fn quantile(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.histogram().value_at_quantile(quantile) as f64 / 1e6)
    }
}

impl From<&Histogram<u64>> for Times {
    fn from(histogram: &Histogram<u64>) -> Self {
        Self(
            histogram
                .iter_recorded()
                .map(|value| (place(value.value_iterated_to()), value.count_at_value()))
                .collect(),
        )
    }
}

/// A histogram of three digits for microseconds up to an hour.
pub fn empty() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are in order")
}

/// The least of the values that a histogram of three digits does not tell apart.
fn place(micros: u64) -> u64 {
    let scale = (micros / (2 * HALF)).checked_ilog2().map_or(0, |power| power + 1);
    micros >> scale << scale
}

/// What became of requests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Requests that were asked for.
    pub asked: u64,
    /// Those that were sent more than 10 ms later than meant.
    pub late: u64,
    /// Those of them that waited for a connection.
    pub waited: u64,
    /// Those that were never sent.
    pub unsent: u64,
    /// Requests that went wrong: no answer, a wrong one, or a check that did not hold.
    pub errors: u64,
    /// Answers by status, refusals among them.
    pub statuses: BTreeMap<u16, u64>,
    /// Refusals by code.
    pub refused: BTreeMap<String, u64>,
    /// Requests without an answer, by what happened.
    pub transport: BTreeMap<String, u64>,
    /// Checks that did not hold, by name.
    pub checks: BTreeMap<String, u64>,
    /// From when a request was meant to begin to the end of its answer. What was given up counts with the time that
    /// it was waited for. Refusals do not count here: they are quick.
    pub times: Times,
    /// The same for refusals.
    pub refusal_times: Times,
}

impl Tally {
    /// All of them together.
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        tallies.into_iter().for_each(|tally| sum.add(tally));
        sum
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        self.asked += other.asked;
        self.late += other.late;
        self.waited += other.waited;
        self.unsent += other.unsent;
        self.errors += other.errors;
        add(&mut self.statuses, &other.statuses);
        add(&mut self.refused, &other.refused);
        add(&mut self.transport, &other.transport);
        add(&mut self.checks, &other.checks);
        self.times.add(&other.times);
        self.refusal_times.add(&other.refusal_times);
    }

    /// All answers, with refusals.
    pub fn answered(&self) -> u64 {
        self.statuses.values().sum()
    }

    /// All refusals.
    pub fn refusals(&self) -> u64 {
        self.refused.values().sum()
    }

    /// All without an answer.
    pub fn unanswered(&self) -> u64 {
        self.transport.values().sum()
    }

    /// The percentage of what was asked for.
    pub fn percent(&self, part: u64) -> f64 {
        if self.asked == 0 { 0.0 } else { 100.0 * part as f64 / self.asked as f64 }
    }
}

fn add<K: Ord + Clone>(counts: &mut BTreeMap<K, u64>, others: &BTreeMap<K, u64>) {
    for (key, count) in others {
        *counts.entry(key.clone()).or_default() += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_that_of_a_histogram_of_three_digits() {
        let histogram = empty();
        for power in 0..31 {
            for near in [0, 1, 3, 1_000] {
                let micros = (1_u64 << power) + near;
                assert_eq!(place(micros), histogram.lowest_equivalent(micros), "{micros}");
            }
        }
    }

    #[test]
    fn times_become_a_histogram_and_come_back() {
        let mut times = Times::default();
        for micros in (0..200_000).step_by(37) {
            times.record(Duration::from_micros(micros));
        }
        assert_eq!(Times::from(&times.histogram()), times);
        assert_eq!(times.count(), 5_406);
        let median = times.quantile(0.5).unwrap();
        assert!((median / 0.1 - 1.0).abs() < 2e-3, "{median}");
    }
}
