//! Progress: one line on the terminal that tells how a run goes.
//!
//! Invariant: where nobody looks nothing is written; the line never reaches into the next one.
//! Not here: what comes of the run (`results::table`).

use std::io::{IsTerminal, Write};
use std::time::Duration;

use super::record::Record;
use crate::results::verdict::milliseconds;
use crate::tally::Tally;

/// Intervals in the picture of the p99.
const PICTURE: usize = 24;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The line.
#[derive(Debug)]
pub struct Progress {
    shown: bool,
    length: Duration,
    interval: Duration,
}

impl Progress {
    /// A line, where somebody looks.
    pub fn new(quiet: bool, length: Duration, interval: Duration) -> Self {
        Self { shown: !quiet && std::io::stderr().is_terminal(), length, interval }
    }

    /// Whether anybody looks.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Writes the line over the one before.
    pub fn show(&self, record: &Record, at: Duration) {
        // A terminal that is gone is no reason to end a run.
        let _ = write!(std::io::stderr(), "\r\x1b[2K{}", self.line(record, at));
    }

    /// Takes the line away.
    pub fn end(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }

    fn line(&self, record: &Record, at: Duration) -> String {
        let whole: Vec<Tally> = record
            .intervals
            .iter()
            .map(|interval| {
                let mut sum = Tally::default();
                interval.requests.iter().for_each(|tally| sum.add(tally));
                sum
            })
            .collect();
        // The interval that goes on says too little; the one before may still have requests under way.
        let last = whole.len().saturating_sub(2);
        let empty = Tally::default();
        let now = whole.get(last).unwrap_or(&empty);
        let ended = record.intervals.get(last).map_or(0, |interval| interval.ended);
        let each = self.interval.as_secs_f64();
        let time = |quantile| now.times.quantile(quantile).map_or("-".to_owned(), milliseconds);
        let (errors, refused): (u64, u64) = whole
            .iter()
            .fold((0, 0), |(errors, refused), tally| (errors + tally.errors, refused + tally.refusals()));
        let p99: Vec<f64> = whole
            .iter()
            .rev()
            .take(PICTURE)
            .rev()
            .map(|tally| tally.times.quantile(0.99).unwrap_or(0.0))
            .collect();
        format!(
            "{:>4.0}/{:.0}s  asked {:.0}/s  ended {:.0}/s  p50 {}  p99 {}  refused {refused}  errors {errors}  {}",
            at.as_secs_f64(),
            self.length.as_secs_f64(),
            now.asked as f64 / each,
            ended as f64 / each,
            time(0.5),
            time(0.99),
            sparkline(&p99)
        )
    }
}

/// Values as bars beside the greatest.
fn sparkline(values: &[f64]) -> String {
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let bar = |value: &f64| BARS[((value / most * 7.0).round() as usize).min(7)];
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_is_as_high_as_its_values() {
        assert_eq!(sparkline(&[0.0, 1.0, 3.5, 7.0]), "▁▂▅█");
        assert_eq!(sparkline(&[0.0, 0.0]), "▁▁");
        assert_eq!(sparkline(&[]), "");
    }
}
