//! `scale`: what a node costs as its endpoints, teams, rules and threads become more.
//!
//! Invariant: each size is measured on a server that was started anew with that many endpoints in its store, so that
//! nothing is warm but what the measurement warms.
//! Not here: what other servers cost (`super`).

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use api::client::Upload;
use api::{Client, SwitchKind, SwitchRequest};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::cpu::{self, Cpus};
use super::load::Load;
use super::program::Program;
use super::{CONNECTIONS, deploy, measured};
use crate::chance::Chance;

/// Endpoints of a script, and scripts of a team: what a team may have by default.
const PER_SCRIPT: usize = 10;
const PER_TEAM: usize = 200;
/// Endpoints that are called in turn, to see what it costs that they are not one.
const SPREAD: usize = 1_000;
/// Endpoints that are called for the first time.
const COLD: usize = 2_000;
/// Deploys that are under way at one time.
const DEPLOYS: usize = 4;
/// Switches that are set, of endpoints that are not called.
const RULES: usize = 200;
/// How long a server may take until it is ready.
const READY: Duration = Duration::from_secs(120);
const EXPECTED: &str = "Hello TV";

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
    callboard: Option<std::path::PathBuf>,
    /// For machines
    #[arg(long)]
    json: bool,
}

/// What was found of a number of endpoints.
#[derive(Debug, Clone, Default, Serialize)]
struct Size {
    endpoints: usize,
    teams: usize,
    start_ms: f64,
    resident_mib: f64,
    store_mib: f64,
    /// Beside the smallest size.
    bytes_an_endpoint: f64,
    cpu_us_one: f64,
    cpu_us_spread: f64,
    cold_p50_us: f64,
    cold_p99_us: f64,
}

/// What was found of a number of threads.
#[derive(Debug, Clone, Serialize)]
struct Threads {
    threads: usize,
    requests_per_second: f64,
    cpu_us: f64,
}

#[derive(Debug, Default, Serialize)]
struct Found {
    version: u32,
    sizes: Vec<Size>,
    /// With so many switches set.
    rules: usize,
    cpu_us_rules: f64,
    threads: Vec<Threads>,
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
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(options, &callboard))
}

async fn measure(options: &ScaleOptions, callboard: &Path) -> anyhow::Result<()> {
    let directory = tempfile::tempdir().context("a directory for the server's data")?;
    let (cpus, time) = (Cpus::of_this_thread(), Duration::from_secs(options.seconds));
    let start = |workers: usize| {
        Program::callboard(
            callboard,
            directory.path(),
            [format!("node.workers={workers}"), "compiler.at_once=2".to_owned()],
        )
    };
    let mut found = Found { version: 1, rules: RULES, ..Found::default() };
    let mut deployed = 0;
    for (nth, endpoints) in options.endpoints.iter().copied().enumerate() {
        let server = start(2)?;
        deploy_all(&deploy::client(&server)?, deployed / PER_SCRIPT..endpoints / PER_SCRIPT).await?;
        deployed = endpoints;
        drop(server);

        let began = Instant::now();
        let server = cpus.for_server(|| start(1))?;
        let client = deploy::client(&server)?;
        ready(&client).await?;
        let start_ms = began.elapsed().as_secs_f64() * 1e3;
        let resident = cpu::resident(server.serving)?;
        cpus.pin_load();
        // Those that are called first are not called again: they would not be cold.
        let mut chance = Chance::new(nth as u64 + 1);
        let mut paths: Vec<String> = (0..endpoints).map(path).collect();
        for at in (1..paths.len()).rev() {
            paths.swap(at, (chance.number() % (at as u64 + 1)) as usize);
        }
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let load = async |paths: &[&str], awake| {
            Load::new(&server.device, paths, CONNECTIONS, awake, (true, |body: &str| body == EXPECTED)).await
        };
        let cold = load(&paths[1..paths.len().min(COLD)], true).await?.once().await?;
        let mut cpu_us = [0.0; 2];
        for (cpu_us, paths) in cpu_us.iter_mut().zip([&paths[..1], &paths[..endpoints.min(SPREAD)]]) {
            let load = load(paths, true).await?;
            *cpu_us = load.run_warm(time, server.serving).await?.cpu_each();
        }
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let first = found.sizes.first().cloned().unwrap_or_default();
        let more = (endpoints - first.endpoints).max(1) as f64;
        let us = |quantile| cold.value_at_quantile(quantile) as f64 / 1e3;
        let size = Size {
            endpoints,
            teams: endpoints.div_ceil(PER_SCRIPT * PER_TEAM),
            start_ms,
            resident_mib: mib(resident),
            store_mib: mib(bytes_below(&directory.path().join("data"))?),
            bytes_an_endpoint: if nth == 0 {
                0.0
            } else {
                (mib(resident) - first.resident_mib) * f64::from(1 << 20) / more
            },
            cpu_us_one: cpu_us[0],
            cpu_us_spread: cpu_us[1],
            cold_p50_us: us(0.5),
            cold_p99_us: us(0.99),
        };
        eprintln!("{size:?}");
        found.sizes.push(size);
        if nth + 1 == options.endpoints.len() {
            set_rules(&client).await?;
            let load = load(&paths[..1], true).await?;
            found.cpu_us_rules = load.run_warm(time, server.serving).await?.cpu_each();
        }
        cpus.release();
    }
    for threads in [1, 2] {
        let server = start(threads)?;
        ready(&deploy::client(&server)?).await?;
        let path = path(0);
        let is_right = |body: &str| body == EXPECTED;
        // It sleeps while it waits: the processors are the server's, too.
        let load = Load::new(&server.device, &[&path], CONNECTIONS, false, (true, is_right)).await?;
        let run = load.run_warm(time, server.serving).await?;
        found.threads.push(Threads { threads, requests_per_second: run.rate(), cpu_us: run.cpu_each() });
    }
    println!("{}", if options.json { serde_json::to_string_pretty(&found)? } else { found.table() });
    Ok(())
}

/// The path of an endpoint by its number.
fn path(endpoint: usize) -> String {
    let script = endpoint / PER_SCRIPT;
    format!("/t{}/s{script}/e{}?name=TV", script / PER_TEAM, endpoint % PER_SCRIPT)
}

async fn deploy_all(client: &Client, scripts: std::ops::Range<usize>) -> anyhow::Result<()> {
    let deploys = scripts.map(async |script| {
        let (team, name) = (format!("t{}", script / PER_TEAM), format!("s{script}"));
        let (mut manifest, mut source) = (format!("team = \"{team}\"\nscript = \"{name}\"\n"), String::new());
        for endpoint in 0..PER_SCRIPT {
            writeln!(
                manifest,
                "[[endpoint]]\npath = \"/{team}/{name}/e{endpoint}\"\nhandler = \"main::e{endpoint}\""
            )?;
            writeln!(source, "pub fn e{endpoint}(request) {{\n    `Hello ${{request.query(\"name\")}}`\n}}")?;
        }
        let archive = deploy::archive(&[("callboard.toml", &manifest), ("main.rn", &source)])?;
        client.upload(&team, &name, archive.into(), &Upload::default()).await?;
        anyhow::Ok(())
    });
    stream::iter(deploys).buffer_unordered(DEPLOYS).try_collect().await
}

/// Waits until a server says that it is ready.
async fn ready(client: &Client) -> anyhow::Result<()> {
    let until = Instant::now() + READY;
    while client.ready().await.is_err() {
        ensure!(Instant::now() < until, "it was not ready in {READY:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}

async fn set_rules(client: &Client) -> anyhow::Result<()> {
    for rule in 0..RULES {
        let scope = format!("endpoint:elsewhere/s{rule}/main");
        let request = SwitchRequest::of(SwitchKind::Kill, "a rule more");
        client.switch_off(&scope, &request, false).await?;
    }
    Ok(())
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

impl Found {
    fn table(&self) -> String {
        let mut out = format!(
            "{:>9} {:>6} {:>9} {:>11} {:>10} {:>12} {:>12} {:>14} {:>12} {:>12}\n",
            "endpoints",
            "teams",
            "start ms",
            "memory MiB",
            "store MiB",
            "bytes each",
            "CPU µs, one",
            "CPU µs, spread",
            "cold p50 µs",
            "cold p99 µs"
        );
        for size in &self.sizes {
            let _ = writeln!(
                out,
                "{:>9} {:>6} {:>9.0} {:>11.1} {:>10.1} {:>12.0} {:>12.2} {:>14.2} {:>12.0} {:>12.0}",
                size.endpoints,
                size.teams,
                size.start_ms,
                size.resident_mib,
                size.store_mib,
                size.bytes_an_endpoint,
                size.cpu_us_one,
                size.cpu_us_spread,
                size.cold_p50_us,
                size.cold_p99_us
            );
        }
        let _ = writeln!(out, "\nwith {} switches set: {:.2} µs", self.rules, self.cpu_us_rules);
        for Threads { threads, requests_per_second, cpu_us } in &self.threads {
            let _ = writeln!(out, "{threads} threads: {requests_per_second:.0}/s, {cpu_us:.2} µs");
        }
        out
    }
}
