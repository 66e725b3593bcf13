//! Control of a run: starts the threads that send, looks at what they count, and ends them.
//!
//! Invariant: it never stands between a request and its time: it only reads what was counted, twice a second.
//! Not here: sending (`generator`).

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use super::actions::Actions;
use super::generator::{self, Work};
use super::metrics;
use super::progress::Progress;
use super::record::Record;
use super::schedule::Share;
use super::wire::Target;
use crate::plan::Plan;
use crate::plan::threshold::Subject;
use crate::results::{self, Results, verdict};

/// Why a run ended that somebody stopped.
pub const INTERRUPTED: &str = "it was interrupted";

/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);
/// The run begins so long after its threads, so that all are there.
const RUN_UP: Duration = Duration::from_millis(20);

/// How a plan is played.
#[derive(Debug)]
pub struct About {
    /// Against whom, as it was given.
    pub url: String,
    /// And where that is.
    pub target: Target,
    /// Where the metrics are.
    pub metrics: Option<Target>,
    /// Whether there is to be no progress.
    pub quiet: bool,
    /// Threads that send.
    pub threads: u64,
    /// Which part of the plan.
    pub share: Share,
    /// Whether the plan's actions are run by this process.
    pub acts: bool,
}

/// Plays a plan to its end.
///
/// # Errors
/// A thread did not start, or failed.
pub async fn play(plan: Arc<Plan>, about: About) -> anyhow::Result<Results> {
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now() + RUN_UP;
    let started = jiff::Timestamp::now();
    let mut records = Vec::new();
    let mut threads = Vec::new();
    for thread in 0..about.threads {
        let record = Arc::new(Mutex::new(Record::new(&plan)));
        records.push(Arc::clone(&record));
        let work = Work {
            plan: Arc::clone(&plan),
            target: about.target.clone(),
            share: about.share.part(thread, about.threads),
            limit: (plan.connections / about.threads as usize).max(1),
            began,
            stop: Arc::clone(&stop),
            record,
        };
        let name = format!("send-{thread}");
        let spawned = std::thread::Builder::new().name(name).spawn(move || generator::generate(work));
        threads.push(spawned.context("starting a thread")?);
    }
    let actions = if about.acts { plan.actions.as_slice() } else { &[] };
    let actions = Actions::start(actions, &about.url, began, began + plan.length())?;
    let progress = Progress::new(about.quiet, plan.length(), plan.interval);
    let samples = RefCell::new(Vec::new());
    let done = || threads.iter().all(JoinHandle::is_finished);
    let watched = watch(&plan, &records, &stop, began, &progress, done);
    let ended_early = match about.metrics {
        None => watched.await,
        Some(target) => tokio::select! {
            ended = watched => ended,
            () = metrics::sample(target, began, &samples) => None,
        },
    };
    progress.end();
    let actions = actions.end(ended_early.as_ref().is_some_and(|(why, _)| why == INTERRUPTED));
    for thread in threads {
        thread.join().map_err(|_| anyhow!("a thread that sends failed"))??;
    }
    let seconds = match &ended_early {
        Some((_, at)) => at.as_secs_f64().min(plan.length().as_secs_f64()),
        None => plan.length().as_secs_f64(),
    };
    let about = results::About {
        target: about.url,
        http2: about.target.http2,
        share: about.share.to_string(),
        started,
        ended_early: ended_early.map(|(why, _)| why),
        seconds,
        metrics: samples.into_inner(),
        actions,
    };
    Ok(Results::new(&plan, &together(&plan, &records), about))
}

/// Looks until all is done, or ends the run and says why and when.
async fn watch(
    plan: &Plan,
    records: &[Arc<Mutex<Record>>],
    stop: &AtomicBool,
    began: Instant,
    progress: &Progress,
    done: impl Fn() -> bool,
) -> Option<(String, Duration)> {
    let mut why = None;
    let mut next = tokio::time::interval(LOOK);
    let mut interrupted = Box::pin(interruption());
    let mut listens = true;
    while !done() {
        tokio::select! {
            _ = next.tick() => {}
            _ = &mut interrupted, if listens => {
                listens = false;
                why.get_or_insert((INTERRUPTED.to_owned(), began.elapsed()));
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => continue,
        }
        let at = began.elapsed();
        if progress.is_shown() {
            progress.show(&together(plan, records), at);
        }
        if why.is_none()
            && let Some(missed) = missed(plan, records, at)
        {
            why = Some((format!("{missed} after {:.0} s", at.as_secs_f64()), at));
        }
        if why.is_some() {
            stop.store(true, Ordering::Relaxed);
        }
    }
    why
}

/// Waits until somebody wants the run to end: at the keyboard, or whoever started it. One that the system does not tell
/// of never comes.
async fn interruption() {
    let told = async |kind| match signal(kind) {
        Ok(mut signal) => drop(signal.recv().await),
        Err(_) => std::future::pending().await,
    };
    tokio::select! {
        () = told(SignalKind::interrupt()) => {}
        () = told(SignalKind::terminate()) => {}
    }
}

/// The threshold that ends the run.
fn missed(plan: &Plan, records: &[Arc<Mutex<Record>>], at: Duration) -> Option<String> {
    let mut asked = plan.thresholds.iter().filter(|one| one.abort && one.after <= at).peekable();
    asked.peek()?;
    let record = together(plan, records);
    asked.find_map(|threshold| {
        let tally = match threshold.of {
            None => record.sum(0, |_| true),
            Some(Subject::Request(wanted)) => record.sum(0, |request| request == wanted),
            Some(Subject::Class(class)) => record.classes[class].clone(),
        };
        // Before the first answer there is nothing to judge.
        if tally.answered() + tally.unanswered() == 0 {
            return None;
        }
        let of = threshold.of.as_ref().map(|of| verdict::name(of, plan).to_owned());
        let verdict = verdict::judge(threshold, of, &tally, (at.as_secs_f64(), None));
        (!verdict.held).then(|| format!("`{}` was missed: {}", verdict.that, verdict.found))
    })
}

/// What all threads counted until now.
pub(super) fn together(plan: &Plan, records: &[Arc<Mutex<Record>>]) -> Record {
    let mut all = Record::new(plan);
    for record in records {
        let one = record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.add(&one);
    }
    all
}
