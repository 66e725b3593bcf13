//! `bench` and `peers`: callboard, plain Rust and the servers that others make for scripts do the same jobs in turn,
//! and what each costs is set side by side.
//!
//! Invariant: one answer that is not an expected one fails the whole bench. Runs alternate, since the
//! machine has other work; what is compared is processor time, and only within a round.
//! Not here: the jobs in plain Rust (`baseline`) and in the peers (`loadtest/peers`), the services behind (`upstream`).

pub mod job;

pub use program::Program;
pub use scale::{FillOptions, ScaleOptions, fill, run as run_scale};

mod cpu;
mod deploy;
mod load;
mod peers;
mod program;
mod reply;
mod report;
mod scale;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Args;

use cpu::Cpus;
use job::{JOBS, Job, Server, Way};
use load::{Load, Run};
use peers::Peer;
use report::{Entry, Report};

/// Connections that are called over, each one request after the other.
const CONNECTIONS: usize = 32;

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

/// What is measured beside what others make.
#[derive(Debug, Args)]
pub struct PeersOptions {
    #[command(flatten)]
    bench: Options,
    /// Where npm installed workerd, deno and bun
    #[arg(long, value_name = "DIR", default_value = "loadtest/peers/node_modules")]
    tools: PathBuf,
}

/// Runs the bench beside plain Rust and prints what it found.
///
/// # Errors
/// A server did not start, or answered anything but what was expected.
pub fn run(options: &Options) -> anyhow::Result<()> {
    begin(options, &[])
}

/// Runs the bench beside the peers that are installed, too, and prints what it found.
///
/// # Errors
/// A server did not start, or answered anything but what was expected; or there is no peer.
pub fn run_peers(options: &PeersOptions) -> anyhow::Result<()> {
    let (peers, missing) = Peer::installed(&options.tools);
    if !missing.is_empty() {
        eprintln!("not installed, and so left out: {}", missing.join(", "));
    }
    ensure!(
        !peers.is_empty(),
        "no peer is installed; install them with:\n  npm install --no-package-lock --prefix loadtest/peers\n  \
         apt-get install nginx-light libnginx-mod-http-lua lua-cjson"
    );
    begin(&options.bench, &peers)
}

fn begin(options: &Options, peers: &[Peer]) -> anyhow::Result<()> {
    let ours = std::env::current_exe()?;
    let callboard = measured(options.callboard.as_deref(), &ours)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(measure(options, peers, &ours, &callboard))
}

/// The program that is measured.
fn measured(named: Option<&Path>, ours: &Path) -> anyhow::Result<PathBuf> {
    let callboard = named.map_or_else(|| ours.with_file_name("callboard"), Path::to_path_buf);
    ensure!(
        callboard.is_file(),
        "there is no program {}; build it with: cargo build --release --workspace --bins",
        callboard.display()
    );
    if cfg!(debug_assertions) {
        eprintln!("this is no release build: what it measures means nothing");
    }
    Ok(callboard)
}

async fn measure(options: &Options, peers: &[Peer], ours: &Path, callboard: &Path) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("a directory for the servers' data")?;
    let cpus = Cpus::of_this_thread();
    let upstream = cpus.beside_load(|| Program::upstream(ours))?;
    let baseline = cpus.for_server(|| Program::baseline(ours, &upstream.device))?;
    let services = ["profile", "catalog", "resume"].map(|name| {
        [format!("service.{name}.url={}", upstream.device), format!("service.{name}.timeout=10s")]
    });
    let settings = services.into_iter().flatten().chain(["node.workers=1".to_owned()]);
    let served = cpus.for_server(|| Program::callboard(callboard, directory.path(), settings))?;
    deploy::deploy(&served).await.context("deploying the jobs")?;
    let mut servers = vec![(Server::Callboard, served), (Server::Actix, baseline)];
    for peer in peers {
        servers.push((peer.server, cpus.for_server(|| peer.start(directory.path(), &upstream.device))?));
    }
    cpus.pin_load();

    let mut report = Report::new(options, CONNECTIONS, cpus);
    for round in 1..=options.rounds {
        for job in JOBS.iter().filter(|job| options.only.as_deref().is_none_or(|only| only == job.name)) {
            for way in job.ways() {
                let Some((_, program)) = servers.iter().find(|(server, _)| *server == way.server) else {
                    continue;
                };
                let run = run_way(program, (job, way), options)
                    .await
                    .with_context(|| format!("{}, {}, round {round}", job.name, way.name))?;
                eprintln!("round {round}  {:<11} {:<24} {run}", job.name, way.name);
                report.add(Entry { job: job.name, way: way.name, server: way.server, round, run });
            }
        }
    }
    println!("{}", if options.json { report.json()? } else { report.table() });
    Ok(())
}

async fn run_way(program: &Program, (job, way): (&Job, &Way), options: &Options) -> anyhow::Result<Run> {
    let awake = !job.calls_services;
    let exactly = !Server::PEERS.contains(&way.server);
    let is_right = |body: &str| if exactly { body == job.expected() } else { job.is_done_by(body) };
    let load = Load::new(&program.device, &[way.path], CONNECTIONS, awake, (exactly, is_right)).await?;
    load.run_warm(Duration::from_secs(options.seconds), program.serving).await
}
