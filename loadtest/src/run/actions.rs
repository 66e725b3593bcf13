//! Actions of a plan while it is played: each has a thread that runs its program at its times.
//!
//! Invariant: no action keeps a request from its time, and none outlives the run: who has not ended some time after it
//! is ended.
//! Not here: when (`plan::action`).

use std::ffi::OsString;
use std::io::{Read, Seek};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::plan::action::Action;
use crate::results::Acted;

/// How long a program may go on after the run.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked after.
const LOOK: Duration = Duration::from_millis(10);
/// How much of what it said is kept.
const SAID_MAX: usize = 300;

/// The actions of a run.
pub struct Actions {
    threads: Vec<JoinHandle<()>>,
    /// Once the run is over no program is started.
    over: Arc<AtomicBool>,
    acted: Arc<Mutex<Vec<Acted>>>,
}

impl Actions {
    /// Starts their threads. The run is over at `end`.
    ///
    /// # Errors
    /// A thread could not be started.
    pub fn start(actions: &[Action], target: &str, began: Instant, end: Instant) -> anyhow::Result<Self> {
        let ourselves = std::env::current_exe().context("finding this program")?;
        let (over, acted) = (Arc::new(AtomicBool::new(false)), Arc::default());
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

    /// Waits for those that are under way, and answers what became of all.
    pub fn end(self) -> Vec<Acted> {
        self.over.store(true, Ordering::Relaxed);
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
    over: &AtomicBool,
    acted: &Mutex<Vec<Acted>>,
) {
    for (nth, at) in action.times.iter().enumerate() {
        while !over.load(Ordering::Relaxed) && began.elapsed() < *at {
            std::thread::park_timeout(LOOK);
        }
        if over.load(Ordering::Relaxed) {
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
fn run(action: &Action, told: &Told, nth: usize, until: Instant, over: &AtomicBool) -> anyhow::Result<()> {
    let mut said = tempfile::tempfile().context("a file for what it says")?;
    let (program, arguments) = action.run.split_first().context("there is nothing to run")?;
    let mut child = Command::new(program)
        .args(arguments)
        .env("LOADTEST_ACTION", (nth + 1).to_string())
        .envs(told.iter().cloned())
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
        if over.load(Ordering::Relaxed) {
            until = until.min(Instant::now() + PATIENCE);
        }
        if Instant::now() > until {
            child.kill()?;
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
