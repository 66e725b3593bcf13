//! `bench`: callboard and plain Rust do the same jobs in turn, and what each costs is set side by side.
//!
//! Invariant: one answer that is not the expected one fails the whole bench. Runs alternate, since the
//! machine has other work; what is compared is processor time, and only within a round.
//! Not here: the jobs in plain Rust (`baseline`), the services behind (`upstream`).

pub mod job;

mod cpu;
mod deploy;
mod load;
mod program;
mod reply;
mod report;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use cpu::Cpus;
use job::{JOBS, Job, Side, Way};
use load::{Load, Run};
use program::Program;
use report::{Entry, Report};

/// Connections that are called over, each one request after the other.
const CONNECTIONS: usize = 32;
/// How long a way is called before anything is counted.
const WARM_UP: Duration = Duration::from_millis(1_000);

/// What is measured and how long.
#[derive(Debug, Args)]
pub struct Options {
    /// How long a run is, in seconds
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// How often each way is run
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// The program to measure [default: `callboard` beside this program]
    #[arg(long, value_name = "PATH")]
    callboard: Option<PathBuf>,
    /// Only this job: hello, composition or fan-out
    #[arg(long, value_name = "JOB", value_parser = clap::builder::PossibleValuesParser::new(JOBS.map(|job| job.name)))]
    only: Option<String>,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Runs the bench and prints what it found.
///
/// # Errors
/// A server did not start, or answered anything but what was expected.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let ours = std::env::current_exe()?;
    let callboard = options.callboard.clone().unwrap_or_else(|| ours.with_file_name("callboard"));
    ensure!(
        callboard.is_file(),
        "there is no program {}; build it with: cargo build --release --workspace --bins",
        callboard.display()
    );
    if cfg!(debug_assertions) {
        eprintln!("this is no release build: what it measures means nothing");
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(measure(options, &ours, &callboard))
}

async fn measure(options: &Options, ours: &Path, callboard: &Path) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("a directory for the server's data")?;
    let cpus = Cpus::of_this_thread();
    let upstream = cpus.beside_load(|| Program::upstream(ours))?;
    let baseline = cpus.for_server(|| Program::baseline(ours, &upstream.device))?;
    let served = cpus.for_server(|| Program::callboard(callboard, directory.path(), &upstream.device))?;
    deploy::deploy(&served).await.context("deploying the jobs")?;
    cpus.pin_load();

    let mut report = Report::new(options, CONNECTIONS, cpus);
    for round in 1..=options.rounds {
        for job in JOBS.iter().filter(|job| options.only.as_deref().is_none_or(|only| only == job.name)) {
            for way in job.ways {
                let program = match way.side {
                    Side::Callboard => &served,
                    Side::Baseline => &baseline,
                };
                let run = run_way(program, (job, way), options)
                    .await
                    .with_context(|| format!("{}, {}, round {round}", job.name, way.name))?;
                eprintln!("round {round}  {:<11} {:<24} {run}", job.name, way.name);
                report.add(Entry { job: job.name, way: way.name, side: way.side, round, run });
            }
        }
    }
    println!("{}", if options.json { report.json()? } else { report.table() });
    Ok(())
}

async fn run_way(program: &Program, (job, way): (&Job, &Way), options: &Options) -> anyhow::Result<Run> {
    let awake = !job.calls_services;
    let load = Load::new(&program.device, way.path, &job.expected(), CONNECTIONS, awake)?;
    load.run(WARM_UP, program.serving).await?;
    load.run(Duration::from_secs(options.seconds), program.serving).await
}
