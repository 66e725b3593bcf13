//! `scale`: what a node costs as its endpoints, teams, rules and threads become more.
//!
//! Invariant: each size is measured on servers that were started anew with that many endpoints in their store, and only
//! when they have nothing to do any more of themselves, so that nothing is warm but what the measurement warms.
//! Not here: what other servers cost (`super`).

mod fill;
mod found;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use api::Client;
use clap::Args;
use hdrhistogram::Histogram;

use self::fill::{EXPECTED, PER_SCRIPT, PER_TEAM, path};
pub use self::fill::{FillOptions, run as fill};
use self::found::{Found, Size, Threads};
use super::cpu::{self, Cpus, ProcessId};
use super::load::Load;
use super::program::Program;
use super::{CONNECTIONS, deploy, measured};
use crate::chance::Chance;

/// Endpoints that are called in turn, to see what it costs that they are not one.
const SPREAD: usize = 1_000;
/// Endpoints that are called for the first time, each of another script as far as there are so many.
const COLD: usize = 1_000;
/// Switches that are set.
const RULES: usize = 200;
/// How long a server may take until it is ready, and until it has nothing to do.
const PATIENCE: Duration = Duration::from_secs(300);
/// A server that used less than this part of a processor in [`LOOK`] has nothing to do.
const QUIET: f64 = 0.05;
const LOOK: Duration = Duration::from_millis(400);

/// What is measured.
#[derive(Debug, Args)]
pub struct ScaleOptions {
    /// Numbers of endpoints, each more than the one before
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "10,1000")]
    endpoints: Vec<usize>,
    /// How long a run is, in seconds
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// The program to measure [default: `callboard` beside this program]
    #[arg(long, value_name = "PATH")]
    callboard: Option<PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// Measures, and prints what it found.
///
/// # Errors
/// A server did not start, or answered anything but what was expected.
pub fn run(options: &ScaleOptions) -> anyhow::Result<()> {
    ensure!(
        options.endpoints.is_sorted_by(|one, next| one < next)
            && options
                .endpoints
                .iter()
                .all(|count| (PER_SCRIPT..=1_000_000).contains(count) && count % PER_SCRIPT == 0),
        "--endpoints: give numbers of {PER_SCRIPT} to 1000000 that {PER_SCRIPT} divides, the smallest first"
    );
    let callboard = measured(options.callboard.as_deref(), &std::env::current_exe()?)?;
    let directory = tempfile::tempdir().context("a directory for the server's data")?;
    let scale = Scale {
        callboard: &callboard,
        directory: directory.path(),
        cpus: Cpus::of_this_thread(),
        time: Duration::from_secs(options.seconds),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let found = runtime.block_on(scale.measure(&options.endpoints))?;
    println!("{}", if options.json { serde_json::to_string_pretty(&found)? } else { found.table() });
    Ok(())
}

struct Scale<'a> {
    callboard: &'a Path,
    directory: &'a Path,
    cpus: Cpus,
    time: Duration,
}

impl Scale<'_> {
    async fn measure(&self, sizes: &[usize]) -> anyhow::Result<Found> {
        let mut found = Found { version: 2, rules: RULES, ..Found::default() };
        let mut deployed = 0;
        for endpoints in sizes.iter().copied() {
            eprintln!("{endpoints} endpoints …");
            let server = self.start(2, [])?;
            let client = deploy::client(&server)?;
            fill::scripts(&client, deployed / PER_SCRIPT..endpoints / PER_SCRIPT).await?;
            deployed = endpoints;
            let deploy_ms = fill::timed(&client).await?.as_secs_f64() * 1e3;
            drop(server);
            let before = found.sizes.last().copied();
            let size = Size {
                endpoints,
                teams: endpoints.div_ceil(PER_SCRIPT * PER_TEAM),
                deploy_ms,
                store_mib: mib(bytes_below(&self.directory.join("data"))?),
                ..Size::default()
            };
            let size = self.idle(size, before).await?;
            found.sizes.push(self.busy(size).await?);
        }
        let server = self.cpus.for_server(|| self.start(1, []))?;
        let client = self.at_rest(&server).await?;
        fill::rules(&client, RULES).await?;
        found.cpu_us_rules = self.cpu_us(&server, &[&path(0)]).await?;
        drop(server);
        for threads in [1, 2] {
            let server = self.start(threads, [])?;
            self.at_rest(&server).await?;
            // It sleeps while it waits: the processors are the server's, too.
            let load = self.load(&server, &[&path(0)], false).await?;
            let run = load.run_warm(self.time, server.serving).await?;
            found.threads.push(Threads { threads, requests_per_second: run.rate(), cpu_us: run.cpu_each() });
        }
        Ok(found)
    }

    /// What endpoints cost that nobody called, and what their first calls take.
    async fn idle(&self, size: Size, before: Option<Size>) -> anyhow::Result<Size> {
        let began = Instant::now();
        let server = self.cpus.for_server(|| self.start(1, ["node.cache=1MiB".to_owned()]))?;
        ready(&deploy::client(&server)?).await?;
        let start_ms = began.elapsed().as_secs_f64() * 1e3;
        self.at_rest(&server).await?;
        let idle_mib = mib(cpu::resident(server.serving)?);
        let paths = spread(size.endpoints, COLD);
        self.cpus.pin_load();
        let load = self.load(&server, &paths.iter().map(String::as_str).collect::<Vec<_>>(), true).await?;
        let cold = load.once().await?;
        self.cpus.release();
        let us = |cold: &Histogram<u64>, quantile| cold.value_at_quantile(quantile) as f64 / 1e3;
        let each = |before: Size| {
            (idle_mib - before.idle_mib) * f64::from(1 << 20) / (size.endpoints - before.endpoints) as f64
        };
        Ok(Size {
            start_ms,
            idle_mib,
            idle_bytes_each: before.map_or(0.0, each),
            cold_p50_us: us(&cold, 0.5),
            cold_p99_us: us(&cold, 0.99),
            ..size
        })
    }

    /// What calls cost among so many endpoints.
    async fn busy(&self, size: Size) -> anyhow::Result<Size> {
        let server = self.cpus.for_server(|| self.start(1, []))?;
        self.at_rest(&server).await?;
        let ready_mib = mib(cpu::resident(server.serving)?);
        let paths = spread(size.endpoints, SPREAD);
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let cpu_us_one = self.cpu_us(&server, &paths[..1]).await?;
        let cpu_us_spread = self.cpu_us(&server, &paths).await?;
        Ok(Size { ready_mib, cpu_us_one, cpu_us_spread, ..size })
    }

    async fn cpu_us(&self, server: &Program, paths: &[&str]) -> anyhow::Result<f64> {
        self.cpus.pin_load();
        let run = self.load(server, paths, true).await?.run_warm(self.time, server.serving).await?;
        self.cpus.release();
        Ok(run.cpu_each())
    }

    async fn load(&self, server: &Program, paths: &[&str], awake: bool) -> anyhow::Result<Load> {
        let is_right = |body: &str| body == EXPECTED;
        Load::new(&server.device, paths, CONNECTIONS, awake, (true, is_right)).await
    }

    fn start(&self, workers: usize, settings: impl IntoIterator<Item = String>) -> anyhow::Result<Program> {
        let always = [
            format!("node.workers={workers}"),
            "compiler.at_once=2".to_owned(),
            // Many teams keep a thread busy all the time; who takes more than an even part of it would be refused some
            // calls, as it should be, and this measures calls that are answered.
            "node.shedding=observe".to_owned(),
        ];
        Program::callboard(self.callboard, self.directory, always.into_iter().chain(settings))
    }

    /// Waits until a server is ready and has nothing to do any more, like reading units for whoever comes.
    async fn at_rest(&self, server: &Program) -> anyhow::Result<Client> {
        let client = deploy::client(server)?;
        ready(&client).await?;
        quiet(server.serving).await?;
        Ok(client)
    }
}

/// Paths of so many endpoints at most, of one script after the other, in an order that is always the same.
fn spread(endpoints: usize, most: usize) -> Vec<String> {
    let mut chance = Chance::new(1);
    let mut scripts: Vec<usize> = (0..endpoints / PER_SCRIPT).collect();
    for at in (1..scripts.len()).rev() {
        scripts.swap(at, (chance.number() % (at as u64 + 1)) as usize);
    }
    let all = (0..PER_SCRIPT).flat_map(|nth| scripts.iter().map(move |script| script * PER_SCRIPT + nth));
    all.take(most).map(path).collect()
}

/// Waits until a server says that it is ready.
async fn ready(client: &Client) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    while client.ready().await.is_err() {
        ensure!(Instant::now() < until, "it was not ready in {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn quiet(serving: ProcessId) -> anyhow::Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let before = cpu::used(serving)?;
        tokio::time::sleep(LOOK).await;
        if cpu::used(serving)?.saturating_sub(before) <= LOOK.mul_f64(QUIET) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "it had something to do for {PATIENCE:?}");
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn bytes_below(directory: &Path) -> anyhow::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_below(&entry.path())? } else { about.len() };
    }
    Ok(bytes)
}
