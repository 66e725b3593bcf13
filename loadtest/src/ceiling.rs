//! `ceiling`: how much load this machine makes before the load test itself is what is slow.
//!
//! Invariant: a rate counts as borne when a run at it is valid by the same rule as any run (`results::LATE_MAX`) and
//! everything was answered by a server that does next to nothing.
//! Not here: what a server bears.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::bench::Program;
use crate::plan::Plan;
use crate::plan::unit::Rate;
use crate::results::Results;
use crate::run::control::{self, About};
use crate::run::schedule::Share;
use crate::run::wire::Target;
use crate::run::{FAILED, address};

/// What makes the load.
#[derive(Debug, Args)]
pub struct Options {
    /// Threads that send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// How long each rate is tried, in seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=60))]
    seconds: u64,
}

/// The first rate that is tried, in requests a second.
const FIRST: f64 = 1_000.0;
/// The last.
const LAST: f64 = 1_000_000.0;
/// How often the gap between what is borne and what is not is halved.
const STEPS: u32 = 5;

/// Looks for it, and prints it.
pub fn run(options: &Options) -> ExitCode {
    match look(options) {
        Ok(Some(found)) => {
            let Results { summary, lags, .. } = &found;
            println!(
                "{} threads make {:.0} requests a second; of {} at that rate {} were sent late, the lag's p99 was {:.2} ms\n\
                 the server that answered does nothing and shares this machine; beyond that rate a run is invalid here",
                options.threads,
                summary.asked as f64 / found.seconds,
                summary.asked,
                summary.late,
                lags.quantile(0.99).unwrap_or(0.0) * 1e3,
            );
            ExitCode::SUCCESS
        }
        Ok(None) => {
            eprintln!("error: not even {FIRST:.0} requests a second are sent in time on this machine");
            ExitCode::from(FAILED)
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}

fn look(options: &Options) -> anyhow::Result<Option<Results>> {
    let idle = Program::upstream(&std::env::current_exe()?)?;
    let target = address(&idle.device, false, "the server").map_err(anyhow::Error::msg)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
    let mut best = None;
    let mut bears = |rate: f64| -> anyhow::Result<bool> {
        let results = runtime.block_on(once(options, &idle.device, &target, rate))?;
        let summary = results.summary;
        let is_borne = summary.valid && summary.answered == summary.asked;
        eprintln!("{rate:>9.0}/s: {}", if is_borne { "in time" } else { "late" });
        if is_borne {
            best = Some(results);
        }
        Ok(is_borne)
    };
    let (mut low, mut high) = (0.0, FIRST);
    while high <= LAST && bears(high)? {
        (low, high) = (high, high * 2.0);
    }
    if low > 0.0 {
        for _ in 0..STEPS {
            let middle = f64::midpoint(low, high);
            if bears(middle)? { low = middle } else { high = middle }
        }
    }
    Ok(best)
}

async fn once(options: &Options, url: &str, target: &Target, rate: f64) -> anyhow::Result<Results> {
    let plan = Plan::get("/profile", Rate(rate), Duration::from_secs(options.seconds));
    let about = About {
        url: url.to_owned(),
        target: target.clone(),
        metrics: None,
        quiet: true,
        threads: options.threads,
        share: Share::WHOLE,
        acts: false,
    };
    control::play(Arc::new(plan), about).await
}
