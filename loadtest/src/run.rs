//! `run` and `get`: a plan is played against a server.
//!
//! Invariant: whatever can be known to be wrong is told before the first request; the exit code says what came of it.
//! Not here: the plan (`plan`), what came of it as files (`results`).

pub mod record;

pub mod schedule;

mod alarm;

mod slice;

pub mod wire;

mod generator;

mod metrics;

mod progress;

pub mod control;

mod actions;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use http::Uri;

use crate::plan::Plan;
use crate::plan::fault::Fault;
use crate::plan::unit::{self, Rate};
use crate::results::Results;
use schedule::Share;
use wire::{Sender, Target};

/// A threshold was missed.
pub const MISSED: u8 = 1;
/// What was handed in is wrong.
pub const BAD_INPUT: u8 = 2;
/// Something else went wrong, as a full disk or an action of the plan.
pub const FAILED: u8 = 3;
/// The target was not reached.
pub const UNREACHED: u8 = 4;
/// The generator did not keep up, so that the run says nothing.
pub const INVALID: u8 = 5;
/// Somebody stopped it.
pub const INTERRUPTED: u8 = 130;

/// What is played against whom.
#[derive(Debug, Args)]
pub struct Options {
    /// The plan
    plan: PathBuf,
    /// The server, like http://127.0.0.1:8080
    #[arg(long, value_name = "URL")]
    target: String,
    #[command(flatten)]
    how: How,
}

/// One path at one rate.
#[derive(Debug, Args)]
pub struct GetOptions {
    /// What is asked, like http://127.0.0.1:8080/hello
    url: String,
    /// Requests in a second, like 500/s
    #[arg(long, value_parser = |text: &str| text.parse::<Rate>())]
    rate: Rate,
    /// How long, like 30s
    #[arg(long = "for", value_name = "TIME", value_parser = unit::time)]
    length: Duration,
    #[command(flatten)]
    how: How,
}

/// How it is played and where results go.
#[derive(Debug, Args)]
struct How {
    /// Speak HTTP/2 without asking before
    #[arg(long)]
    http2: bool,
    /// Threads that send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=64))]
    threads: u64,
    /// The part of the load that this process makes, like 1/3; `loadtest merge` puts the results together
    #[arg(long, value_name = "PART/OF", default_value = "1/1", value_parser = share)]
    share: Share,
    /// Where the server tells its metrics, to be shown beside the results. A token is read from CALLBOARD_TOKEN
    #[arg(long, value_name = "URL")]
    metrics: Option<String>,
    /// Run the programs that the plan's actions name; with shares, the first one does
    #[arg(long)]
    actions: bool,
    /// Print no progress
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    out: Out,
}

/// Files of results.
#[derive(Debug, Args)]
pub struct Out {
    /// Write all that was counted, for `compare` and `merge`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the percentiles as text that HdrHistogram's plotters read
    #[arg(long, value_name = "FILE")]
    hgrm: Option<PathBuf>,
    /// Write the thresholds as JUnit tests
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write one page with charts
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

/// What ended a run before its results.
#[derive(Debug, thiserror::Error)]
pub enum Stop {
    /// What was handed in.
    #[error(transparent)]
    Input(#[from] Fault),
    /// Nobody is there.
    #[error("{target} was not reached: {error:#}")]
    Unreached { target: String, error: anyhow::Error },
    /// Something else.
    #[error("{0:#}")]
    Failed(#[from] anyhow::Error),
}

/// Plays a plan.
pub fn run(options: &Options) -> ExitCode {
    exit(
        Plan::load(&options.plan)
            .map_err(Stop::from)
            .and_then(|plan| play(plan, &options.target, &options.how)),
    )
}

/// Plays one path at one rate.
pub fn get(options: &GetOptions) -> ExitCode {
    let path = path(&options.url);
    let url = options.url.strip_suffix(path).unwrap_or(&options.url).to_owned();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    let plan = Plan::get(&path, options.rate, options.length);
    if plan.shape.requests() < 1.0 {
        eprintln!("error: that is not one request; give `--rate` and `--for` more");
        return ExitCode::from(BAD_INPUT);
    }
    let done = play(plan, &url, &options.how).and_then(|results| match results.summary.answered {
        0 => Err(Stop::Unreached { target: url.clone(), error: anyhow::anyhow!("nothing was answered") }),
        _ => Ok(results),
    });
    exit(done)
}

/// What follows the server's name in a URL.
fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?']).map_or("", |at| &rest[at..])
}

fn exit(done: Result<Results, Stop>) -> ExitCode {
    match done {
        Ok(results) => ExitCode::from(code(&results)),
        Err(stop) => {
            eprintln!("error: {stop}");
            ExitCode::from(match stop {
                Stop::Input(_) => BAD_INPUT,
                Stop::Unreached { .. } => UNREACHED,
                Stop::Failed(_) => FAILED,
            })
        }
    }
}

/// The exit code of results.
pub fn code(results: &Results) -> u8 {
    if results.ended_early.as_deref() == Some(control::INTERRUPTED) {
        return INTERRUPTED;
    }
    if !results.summary.valid {
        return INVALID;
    }
    if results.actions.iter().any(|acted| acted.failed.is_some()) {
        return FAILED;
    }
    if results.thresholds.iter().all(|verdict| verdict.held) { 0 } else { MISSED }
}

fn play(plan: Plan, target: &str, how: &How) -> Result<Results, Stop> {
    if let Some(action) = plan.actions.first()
        && !how.actions
    {
        let fault = Fault {
            place: plan.name.clone(),
            problem: format!("the plan runs programs, `{}` first", action.run.join(" ")),
            advice: "look at its actions, and add `--actions` if they may be run here".to_owned(),
        };
        return Err(fault.into());
    }
    let files = how.out.open()?;
    let url = target.to_owned();
    let (target, metrics) = (address(target, how.http2, "--target")?, how.metrics.as_deref());
    let metrics = metrics.map(|url| address(url, false, "--metrics")).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("a runtime")?;
    // Once before all, as a plan against nobody says nothing.
    runtime
        .block_on(Sender::open(&target))
        .map_err(|error| Stop::Unreached { target: url.clone(), error })?;
    let about = control::About {
        url,
        target,
        metrics,
        quiet: how.quiet,
        threads: how.threads,
        share: how.share,
        acts: how.share.index == 0,
    };
    let results = runtime.block_on(control::play(Arc::new(plan), about))?;
    print!("{}", results.table());
    files.write(&results)?;
    Ok(results)
}

/// Where a URL leads.
///
/// # Errors
/// It is none, or leads nowhere.
pub fn address(url: &str, http2: bool, option: &str) -> Result<Target, Stop> {
    let fault = |problem: String| Fault {
        place: option.to_owned(),
        problem,
        advice: "write it like `http://127.0.0.1:8080`".to_owned(),
    };
    let parsed: Uri = url.parse().map_err(|error| fault(format!("`{url}` is no address: {error}")))?;
    let authority = match (parsed.scheme_str(), parsed.authority()) {
        (Some("http"), Some(authority)) => authority.clone(),
        (Some("https"), _) => return Err(fault("TLS is not spoken".to_owned()).into()),
        _ => return Err(fault(format!("`{url}` is no address")).into()),
    };
    let port = authority.port_u16().unwrap_or(80);
    let address = (authority.host().trim_matches(['[', ']']), port)
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
        .ok_or_else(|| Stop::Unreached {
            target: url.to_owned(),
            error: anyhow::anyhow!("its name has no address"),
        })?;
    Ok(Target { authority, address, prefix: parsed.path().trim_end_matches('/').to_owned(), http2 })
}

fn share(text: &str) -> Result<Share, String> {
    let parts = text
        .split_once('/')
        .and_then(|(part, of)| Some((part.parse::<u64>().ok()?, of.parse::<u64>().ok()?)));
    match parts {
        Some((part, of)) if 1 <= part && part <= of && of <= 1_000 => {
            Ok(Share { index: part - 1, count: of })
        }
        _ => Err("a share is the part and of how many, like `1/3`".to_owned()),
    }
}

/// Files that are open before the first request, so that none is found missing after the last.
#[derive(Debug)]
pub struct Files {
    json: Option<File>,
    hgrm: Option<File>,
    junit: Option<File>,
    html: Option<File>,
}

impl Out {
    /// Opens them.
    ///
    /// # Errors
    /// One cannot be created.
    pub fn open(&self) -> Result<Files, Fault> {
        Ok(Files {
            json: create(self.json.as_deref(), "--json")?,
            hgrm: create(self.hgrm.as_deref(), "--hgrm")?,
            junit: create(self.junit.as_deref(), "--junit")?,
            html: create(self.html.as_deref(), "--html")?,
        })
    }
}

fn create(path: Option<&Path>, option: &str) -> Result<Option<File>, Fault> {
    path.map(|path| {
        File::create(path).map_err(|error| Fault {
            place: option.to_owned(),
            problem: format!("{} cannot be written: {error}", path.display()),
            advice: match error.kind() {
                ErrorKind::NotFound => "create its directory before".to_owned(),
                _ => "name a file that you may write".to_owned(),
            },
        })
    })
    .transpose()
}

impl Files {
    /// Writes all.
    ///
    /// # Errors
    /// The disk is full.
    pub fn write(self, results: &Results) -> anyhow::Result<()> {
        let write = |file: Option<File>, text: &dyn Fn() -> anyhow::Result<String>| match file {
            None => Ok(()),
            Some(mut file) => file.write_all(text()?.as_bytes()).context("writing the results"),
        };
        write(self.json, &|| results.json())?;
        write(self.hgrm, &|| Ok(results.hgrm()))?;
        write(self.junit, &|| results.junit())?;
        write(self.html, &|| Ok(results.page()))?;
        Ok(())
    }
}
