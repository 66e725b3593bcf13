//! `compare`: do two runs differ by more than chance?
//!
//! Answers that are close in time depend on each other, so that single requests are no independent samples. Whole
//! intervals are drawn again instead, with replacement, and each draw's quantiles are compared: the block bootstrap
//! (H. R. Künsch, The Jackknife and the Bootstrap for General Stationary Observations, Annals of Statistics 17, 1989;
//! percentile intervals as in B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). A
//! difference is shown when the 99 % interval of the ratio lies beyond the least difference that is of interest: 99
//! and not 95, as several figures are looked at.
//!
//! Invariant: the same files give the same answer; no difference is claimed of too few intervals.
//! Not here: what differs from one start of a server to the next, which two runs cannot tell; alternate several.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;

use crate::chance::Chance;
use crate::results::Results;
use crate::results::verdict::milliseconds;
use crate::run::BAD_INPUT;
use crate::tally::Tally;

/// How often intervals are drawn again.
const DRAWS: usize = 2_000;
/// Of fewer intervals nothing is said.
const LEAST: usize = 10;
/// The part of the draws that is cut off at each end.
const TAIL: f64 = 0.005;
/// What is looked at.
const QUANTILES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// What is compared.
#[derive(Debug, Args)]
pub struct Options {
    /// The run before, a file that `--json` wrote
    a: PathBuf,
    /// The run after
    b: PathBuf,
    /// The least difference that is of interest, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 5.0)]
    at_least: f64,
}

/// What two runs have of a figure.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    name: &'static str,
    /// Both in seconds.
    values: [f64; 2],
    /// The ratio's interval.
    ratio: [f64; 2],
    /// 1 where the second is slower for sure, -1 where it is faster.
    shown: i8,
}

/// Compares and tells.
pub fn run(options: &Options) -> ExitCode {
    let compared = (|| {
        let (a, b) = (Results::load(&options.a)?, Results::load(&options.b)?);
        ensure!(
            a.summary.valid && b.summary.valid,
            "an invalid run says nothing: none of its requests was asked, or more than 1 % were late or unsent"
        );
        compare(&a, &b, options.at_least / 100.0)
    })();
    match compared {
        Ok(lines) => {
            print!("{}", text(&lines, options.at_least));
            ExitCode::from(u8::from(lines.iter().any(|line| line.shown > 0)))
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn text(lines: &[Line], at_least: f64) -> String {
    let mut out = format!("{:<8} {:>10} {:>10} {:>9}   99 % interval\n", "", "A", "B", "change");
    let percent = |ratio: f64| (ratio - 1.0) * 100.0;
    for Line { name, values, ratio, shown } in lines {
        let [a, b] = values.map(milliseconds);
        let word = match shown {
            0 => "no difference shown",
            1 => "B is slower",
            _ => "B is faster",
        };
        let (change, from, to) = (percent(values[1] / values[0]), percent(ratio[0]), percent(ratio[1]));
        let _ = writeln!(out, "{name:<8} {a:>10} {b:>10} {change:>+8.1}%   {from:+.1}% to {to:+.1}%  {word}");
    }
    let shown = |sign| lines.iter().any(|line| line.shown == sign);
    let all = match (shown(1), shown(-1)) {
        (false, false) => format!("no difference shown of {at_least} % or more"),
        (true, false) => "B is slower".to_owned(),
        (false, true) => "B is faster".to_owned(),
        (true, true) => "B is slower in part and faster in part".to_owned(),
    };
    let _ = writeln!(out, "\n{all}");
    out
}

fn compare(a: &Results, b: &Results, at_least: f64) -> anyhow::Result<Vec<Line>> {
    let [a, b] = [blocks(a).context("A")?, blocks(b).context("B")?];
    let mut chance = Chance::new(1);
    let whole = |blocks: &Blocks| blocks.quantiles(0..blocks.blocks.len());
    let values = [whole(&a), whole(&b)];
    let mut ratios = vec![Vec::with_capacity(DRAWS); QUANTILES.len()];
    for _ in 0..DRAWS {
        let [one, other] = [a.draw(&mut chance), b.draw(&mut chance)];
        for (ratios, (one, other)) in ratios.iter_mut().zip(one.into_iter().zip(other)) {
            ratios.push(other / one.max(1e-6));
        }
    }
    Ok(QUANTILES
        .iter()
        .zip(ratios)
        .enumerate()
        .map(|(number, (&(name, _), mut ratios))| {
            ratios.sort_by(f64::total_cmp);
            let at = |share: f64| ratios[((ratios.len() - 1) as f64 * share).round() as usize];
            let ratio = [at(TAIL), at(1.0 - TAIL)];
            let shown = if ratio[0] > 1.0 + at_least {
                1
            } else if ratio[1] < 1.0 / (1.0 + at_least) {
                -1
            } else {
                0
            };
            Line { name, values: values.each_ref().map(|values| values[number]), ratio, shown }
        })
        .collect())
}

/// Intervals, each with the times that were seen in it.
struct Blocks {
    /// All times that were seen at all, in microseconds.
    times: Vec<u64>,
    /// Of each interval: which of them, and how often.
    blocks: Vec<Vec<(usize, u64)>>,
}

fn blocks(results: &Results) -> anyhow::Result<Blocks> {
    let slots: Vec<Tally> =
        results.intervals.iter().map(Results::slot).filter(|tally| tally.times.count() > 0).collect();
    ensure!(slots.len() >= LEAST, "it has {} intervals with answers, and {LEAST} are needed", slots.len());
    let mut all = Tally::default();
    for slot in &slots {
        all.times.add(&slot.times);
    }
    let times: Vec<u64> = all.times.iter().map(|(micros, _)| micros).collect();
    let place = |micros: u64| times.partition_point(|other| *other < micros);
    let blocks = slots
        .iter()
        .map(|slot| slot.times.iter().map(|(micros, count)| (place(micros), count)).collect())
        .collect();
    Ok(Blocks { times, blocks })
}

impl Blocks {
    fn draw(&self, chance: &mut Chance) -> [f64; QUANTILES.len()] {
        let count = self.blocks.len();
        self.quantiles((0..count).map(|_| (chance.number() % count as u64) as usize))
    }

    /// The quantiles of some of the intervals, in seconds.
    fn quantiles(&self, drawn: impl Iterator<Item = usize>) -> [f64; QUANTILES.len()] {
        let mut counts = vec![0; self.times.len()];
        for block in drawn {
            for (place, count) in &self.blocks[block] {
                counts[*place] += count;
            }
        }
        let total: u64 = counts.iter().sum();
        QUANTILES.map(|(_, quantile)| {
            let wanted = (quantile * total as f64).ceil().max(1.0) as u64;
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += count;
                seen >= wanted
            });
            found.map_or(0.0, |place| self.times[place] as f64 / 1e6)
        })
    }
}
