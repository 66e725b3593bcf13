//! Actions of a plan while it is played: each has a thread that runs its program at its times.
//!
//! Invariant: no action keeps a request from its time, and none outlives the run: who has not ended some time after it
//! is ended.
//! Not here: when (`plan::action`).

use std::ffi::OsString;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process_group};

use crate::plan::action::Action;
use crate::results::Acted;

/// How long a program may go on after the run.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same where the run was interrupted.
const HURRY: Duration = Duration::from_secs(2);
/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(10);
/// How much of what it said is kept.
const SAID_MAX: usize = 300;

/// The actions of a run.
pub struct Actions {
    threads: Vec<JoinHandle<()>>,
    over: Arc<Over>,
    acted: Arc<Mutex<Vec<Acted>>>,
}

/// Once the run is over no program is started, and once it was interrupted none has long to end.
#[derive(Debug, Default)]
struct Over {
    run: AtomicBool,
    hurry: AtomicBool,
}

impl Actions {
    /// Starts their threads. The run is over at `end`.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(actions: &[Action], target: &str, began: Instant, end: Instant) -> anyhow::Result<Self> {
        let ourselves = std::env::current_exe().context("finding this program")?;
        let (over, acted): (Arc<Over>, _) = Default::default();
        let mut threads = Vec::new();
        for action in actions {
            let (action, over, acted) = (action.clone(), Arc::clone(&over), Arc::clone(&acted));
            let told = [("LOADTEST", ourselves.clone().into()), ("LOADTEST_TARGET", OsString::from(target))];
            let thread = std::thread::Builder::new().name("action".to_owned());
            let spawned = thread.spawn(move || play(&action, &told, (began, end), &over, &acted));
            threads.push(spawned.context("starting a thread")?);
        }
        Ok(Self { threads, over, acted })
    }

    /// Waits for those that are under way, and answers what became of all. Those of a run that was interrupted have
    /// little time.
    pub fn end(self, was_interrupted: bool) -> Vec<Acted> {
        self.over.hurry.store(was_interrupted, Ordering::Relaxed);
        self.over.run.store(true, Ordering::Relaxed);
        if self.threads.iter().any(|thread| !thread.is_finished()) {
            let patience = if was_interrupted { HURRY } else { PATIENCE };
            eprintln!("the run is over; programs of actions have {} s to end", patience.as_secs());
        }
        for thread in self.threads {
            // What it noted before it failed is there all the same.
            let _ = thread.join();
        }
        let mut acted = std::mem::take(&mut *self.acted.lock().unwrap_or_else(PoisonError::into_inner));
        acted.sort_by(|one: &Acted, other| one.at.total_cmp(&other.at));
        acted
    }
}

/// What a program is told in its environment.
type Told = [(&'static str, OsString); 2];

fn play(
    action: &Action,
    told: &Told,
    (began, end): (Instant, Instant),
    over: &Over,
    acted: &Mutex<Vec<Acted>>,
) {
    for (nth, at) in action.times.iter().enumerate() {
        while !over.run.load(Ordering::Relaxed) && began.elapsed() < *at {
            std::thread::park_timeout(LOOK);
        }
        if over.run.load(Ordering::Relaxed) {
            return;
        }
        let at = began.elapsed().as_secs_f64();
        let failed = run(action, told, nth, end + PATIENCE, over).err().map(|error| format!("{error:#}"));
        let took = began.elapsed().as_secs_f64() - at;
        let one = Acted { name: action.name.clone(), at, took, failed };
        acted.lock().unwrap_or_else(PoisonError::into_inner).push(one);
    }
}

/// Runs its program once; as an error, why that did not do what it should.
fn run(action: &Action, told: &Told, nth: usize, until: Instant, over: &Over) -> anyhow::Result<()> {
    let mut said = tempfile::tempfile().context("a file for what it says")?;
    let (program, arguments) = action.run.split_first().context("there is nothing to run")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("LOADTEST_ACTION", (nth + 1).to_string())
        .envs(told.iter().cloned())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said.try_clone()?)
        .spawn()
        .with_context(|| format!("`{program}` cannot be run"))?;
    let mut until = until;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if over.run.load(Ordering::Relaxed) {
            let patience = if over.hurry.load(Ordering::Relaxed) { HURRY } else { PATIENCE };
            until = until.min(Instant::now() + patience);
        }
        if Instant::now() > until {
            // With all that it started.
            let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            group.map(|group| kill_process_group(group, Signal::KILL)).transpose()?;
            child.wait()?;
            anyhow::bail!("it did not end");
        }
        std::thread::park_timeout(LOOK);
    };
    if status.success() {
        return Ok(());
    }
    let mut text = Vec::new();
    said.rewind()?;
    said.take(1 << 16).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let first: String = text.lines().next().unwrap_or_default().chars().take(SAID_MAX).collect();
    anyhow::bail!("{status}: {first}")
}
