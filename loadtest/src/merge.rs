//! `merge`: the results of several processes that made parts of one load, as if one had made all of it.
//!
//! Invariant: histograms are added, never their percentiles; a part is never counted twice.
//! Not here: starting the processes.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Args;

use crate::plan::threshold;
use crate::results::Results;
use crate::run::{self, BAD_INPUT, Out};

/// What is put together.
#[derive(Debug, Args)]
pub struct Options {
    /// Files that `--json` wrote
    #[arg(required = true, num_args = 2..)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    out: Out,
}

/// Puts results together and tells what came of them.
pub fn run(options: &Options) -> ExitCode {
    let merged = options
        .files
        .iter()
        .map(|file| Results::load(file))
        .collect::<anyhow::Result<Vec<_>>>()
        .and_then(merge)
        .and_then(|results| Ok((options.out.open()?, results)));
    match merged.and_then(|(files, results)| {
        print!("{}", results.table());
        files.write(&results)?;
        Ok(results)
    }) {
        Ok(results) => ExitCode::from(run::code(&results)),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

/// One of several.
///
/// # Errors
/// They are not parts of one load.
pub fn merge(parts: Vec<Results>) -> anyhow::Result<Results> {
    let mut parts = parts.into_iter();
    let mut all = parts.next().context("there is nothing to put together")?;
    for part in parts {
        let same = all.plan == part.plan
            && all.protocol == part.protocol
            && all.interval == part.interval
            && all.calm == part.calm
            && of(&all.shares) == of(&part.shares);
        ensure!(
            same,
            "`{}` ({}) and `{}` ({}) are not parts of one load",
            all.plan,
            all.shares.join(", "),
            part.plan,
            part.shares.join(", ")
        );
        for share in part.shares {
            ensure!(!all.shares.contains(&share), "the part {share} is there twice");
            all.shares.push(share);
        }
        all.started = all.started.min(part.started);
        all.seconds = all.seconds.max(part.seconds);
        all.ended_early = all.ended_early.or(part.ended_early);
        all.lags.add(&part.lags);
        for (name, tally) in part.classes {
            all.classes.entry(name).or_default().add(&tally);
        }
        for (number, slot) in part.intervals.into_iter().enumerate() {
            let Some(mine) = all.intervals.get_mut(number) else {
                all.intervals.push(slot);
                continue;
            };
            mine.ended += slot.ended;
            for (name, tally) in slot.requests {
                mine.requests.entry(name).or_default().add(&tally);
            }
        }
        if all.metrics.is_empty() {
            all.metrics = part.metrics;
        }
        all.actions.extend(part.actions);
    }
    let whole = of(&all.shares).and_then(|of| of.parse::<usize>().ok()).unwrap_or(1);
    if all.shares.len() < whole {
        let there = all.shares.join(", ");
        eprintln!("warning: of {whole} parts only {there} are there: this is not the whole load");
    }
    all.sum_up();
    all.thresholds = all
        .thresholds
        .iter()
        .map(|verdict| Ok(all.verdict(&threshold::again(&verdict.that)?, verdict.of.clone())))
        .collect::<anyhow::Result<_>>()?;
    Ok(all)
}

/// Of how many parts these are, as it is written.
fn of(shares: &[String]) -> Option<&str> {
    shares.first()?.split_once('/').map(|(_, of)| of)
}
