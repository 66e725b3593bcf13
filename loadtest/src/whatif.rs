//! `whatif`: recorded arrivals meet other quotas, and the server's own admission code says who would have been refused.
//!
//! Invariant: no clock is read while it plays, so that a trace of an hour takes as long as its requests and comes to
//! the same end every time.
//! Not here: admission (`quotas`); what the machine can bear (`simulate`), which depends on more than quotas.

mod found;

mod quotas;

mod recorded;

mod replay;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;

use crate::plan::fault::{Fault, Source};
use crate::run::{BAD_INPUT, MISSED};
use found::Found;
use quotas::Quotas;
use recorded::Arrival;

/// What is played against what.
#[derive(Debug, Args)]
pub struct Options {
    /// The quotas to try, as TOML
    #[arg(long, value_name = "FILE")]
    quotas: PathBuf,
    /// The recorded arrivals, one in a line
    #[arg(long, value_name = "FILE")]
    trace: PathBuf,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// The knee is looked for up to so many times the traffic.
const KNEE_MAX: f64 = 64.0;
/// How exactly: to one part in so many.
const KNEE_STEPS: u32 = 7;

/// Plays the trace, prints what came of it, and says by the exit code whether anybody would have been refused.
pub fn run(options: &Options) -> ExitCode {
    match play(options) {
        Ok(found) => {
            println!("{}", if options.json { found.json() } else { found.table() });
            if found.refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(MISSED) }
        }
        Err(fault) => {
            eprintln!("error: {fault}");
            ExitCode::from(BAD_INPUT)
        }
    }
}

fn play(options: &Options) -> Result<Found, Fault> {
    let text = |path: &Path, option: &str| {
        std::fs::read_to_string(path).map_err(|error| Fault {
            place: option.to_owned(),
            problem: format!("{} cannot be read: {error}", path.display()),
            advice: "name a file of text".to_owned(),
        })
    };
    let (quotas, trace) = (text(&options.quotas, "--quotas")?, text(&options.trace, "--trace")?);
    let [quotas_file, trace_file] = [&options.quotas, &options.trace].map(|path| path.display().to_string());
    let quotas = Quotas::read(Source { file: &quotas_file, text: &quotas })?;
    let arrivals = recorded::read(Source { file: &trace_file, text: &trace }, &quotas)?;
    let began = Instant::now();
    let mut found = replay::play(&quotas, &arrivals, 1.0);
    found.took = began.elapsed();
    found.knee = knee(&quotas, &arrivals, &found);
    Ok(found)
}

/// How many times this traffic the quotas bear before anybody is refused, and by which rule first. Below one: what is
/// left of it then.
fn knee(quotas: &Quotas, arrivals: &[Arrival], now: &Found) -> Option<found::Knee> {
    let refuses = |times: f64| {
        let found = replay::play(quotas, arrivals, times);
        (found.refused > 0).then(|| found.first_rule()).flatten()
    };
    let (mut bears, mut breaks) = if now.refused > 0 { (0.0, 1.0) } else { (1.0, 2.0) };
    let mut rule = if now.refused > 0 { now.first_rule() } else { refuses(breaks) };
    while rule.is_none() && breaks < KNEE_MAX {
        (bears, breaks) = (breaks, breaks * 2.0);
        rule = refuses(breaks);
    }
    let mut rule = rule?;
    for _ in 0..KNEE_STEPS {
        let middle = f64::midpoint(bears, breaks);
        match refuses(middle) {
            Some(first) => (breaks, rule) = (middle, first),
            None => bears = middle,
        }
    }
    Some(found::Knee { times: bears, rule })
}

/// A time since the trace began, for a person.
fn clock(at: Duration) -> String {
    let seconds = at.as_secs();
    format!("{}:{:02}:{:02}.{:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60, at.subsec_millis())
}
