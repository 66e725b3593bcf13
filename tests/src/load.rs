//! Load in a test: a device that calls steadily, and crowds that call as much as they can or more than can be done.
//!
//! Each runs on a thread of its own, so that a busy test slows none of them. How long a call took is counted from
//! when it was *meant* to begin: a call that could not be sent in time has waited, too.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use runtime::processor::{give_way, leftovers, slice};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::device::{Device, Reply};

/// Calls that go on until they are ended.
#[derive(Debug)]
pub struct Load {
    ends: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Call>>,
}

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// Which of the load's kinds it was.
    pub kind: usize,
    /// When it was meant to begin.
    pub due: Instant,
    /// How long it took since then.
    pub took: Duration,
    /// The status of its answer, or nothing when there was none.
    pub status: u16,
    /// The code of a problem, or what the connection said.
    pub code: String,
}

/// A kind of calls.
#[derive(Debug, Clone)]
pub struct Kind {
    /// What is called.
    pub path: String,
    /// Headers of the call.
    pub headers: Vec<(&'static str, String)>,
    /// Calls in a second.
    pub rate: f64,
    /// How many devices call in turn, each with a name of its own in [`DEVICE`]; with none, nobody says who calls.
    pub devices: u32,
}

/// The header by which a server can tell devices apart that share an address.
pub const DEVICE: &str = "x-device-id";

impl Kind {
    /// Calls of a path.
    pub fn of(path: &str, rate: f64) -> Self {
        Self { path: path.to_owned(), headers: Vec::new(), rate, devices: 0 }
    }
}

impl Load {
    /// Calls at a rate, whatever becomes of the calls before.
    pub fn at_rates(base: &str, kinds: Vec<Kind>) -> Self {
        let base = base.to_owned();
        Self::start(move |ends| async move {
            promptly();
            let began = Instant::now();
            let tasks = kinds.into_iter().enumerate().map(|(number, kind)| {
                let (mut due, device) = (clock(began, kind.rate, Arc::clone(&ends)), Device::of(&base));
                tokio::spawn(async move {
                    let (mut calls, mut count) = (tokio::task::JoinSet::new(), 0_u32);
                    while let Some(due) = due.recv().await {
                        count += 1;
                        let (device, mut kind) = (device.clone(), kind.clone());
                        if let Some(who) = count.checked_rem(kind.devices) {
                            kind.headers.push((DEVICE, who.to_string()));
                        }
                        calls.spawn(async move { call(&device, number, &kind, due).await });
                    }
                    calls.join_all().await
                })
            });
            let mut all = Vec::new();
            for task in tasks.collect::<Vec<_>>() {
                all.extend(task.await.expect("a load calls"));
            }
            all
        })
    }

    /// So many connections, each of which calls again as soon as it was answered. Elsewhere they would take nothing
    /// from the server's processors; here they have what it leaves.
    pub fn crowd(base: &str, path: &str, connections: usize) -> Self {
        let (base, kind) = (base.to_owned(), Kind::of(path, 0.0));
        Self::start(move |ends| async move {
            take_leftovers();
            let tasks = (0..connections).map(|_| {
                let (ends, device, kind) = (Arc::clone(&ends), Device::of(&base), kind.clone());
                tokio::spawn(async move {
                    let mut calls = Vec::new();
                    while !ends.load(Ordering::Relaxed) {
                        calls.push(call(&device, 0, &kind, Instant::now()).await);
                        give_way::now();
                    }
                    calls
                })
            });
            let mut all = Vec::new();
            for task in tasks.collect::<Vec<_>>() {
                all.extend(task.await.expect("a load calls"));
            }
            all
        })
    }

    fn start<F: Future<Output = Vec<Call>>>(
        work: impl FnOnce(Arc<AtomicBool>) -> F + Send + 'static,
    ) -> Self {
        let ends = Arc::new(AtomicBool::new(false));
        let there = Arc::clone(&ends);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(work(there))
        });
        Self { ends, thread }
    }

    /// Ends it, and waits for the answers to what was sent.
    ///
    /// # Panics
    /// The load did.
    #[allow(clippy::disallowed_methods, reason = "a thread of the test, which ends with it")]
    pub async fn end(self) -> Calls {
        self.ends.store(true, Ordering::Relaxed);
        let joined =
            tokio::task::spawn_blocking(move || self.thread.join()).await.expect("a thread to wait on");
        Calls(joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }

    /// Lets it go on for so long, and ends it.
    pub async fn run_for(self, time: Duration) -> Calls {
        tokio::time::sleep(time).await;
        self.end().await
    }
}

/// Tells when a call is due until the end, on a thread of its own: the runtime's timers go by milliseconds.
fn clock(began: Instant, rate: f64, ends: Arc<AtomicBool>) -> UnboundedReceiver<Instant> {
    let (tell, told) = unbounded_channel();
    std::thread::spawn(move || {
        promptly();
        for count in 0_u32.. {
            let due = began + Duration::from_secs_f64(f64::from(count) / rate);
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if ends.load(Ordering::Relaxed) || tell.send(due).is_err() {
                break;
            }
        }
    });
    told
}

/// A load is to measure how long the server took, and not how long its own thread waited for the processor.
fn promptly() {
    // Where the system refuses, calls only seem to take longer.
    let _ = slice::ask_for(slice::SERVING);
}

/// This thread has what others leave of the processors.
///
/// # Panics
/// The system does not allow that.
pub fn take_leftovers() {
    rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19).expect("a lower priority");
    leftovers::take();
}

async fn call(device: &Device, number: usize, kind: &Kind, due: Instant) -> Call {
    let headers: Vec<(&str, &str)> =
        kind.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let reply = device.try_send("GET", &kind.path, &headers, Bytes::new()).await;
    let took = due.elapsed();
    let (status, code) = match &reply {
        Ok(reply @ Reply { status, .. }) if *status >= 400 => (*status, reply.code()),
        Ok(reply) => (reply.status, String::new()),
        Err(error) => (0, format!("{error:#}")),
    };
    Call { kind: number, due, took, status, code }
}

/// What became of a load's calls.
#[derive(Debug, Default)]
pub struct Calls(pub Vec<Call>);

impl Calls {
    /// Those of one kind.
    pub fn of_kind(&self, kind: usize) -> Self {
        Self(self.0.iter().filter(|call| call.kind == kind).cloned().collect())
    }

    /// Those that were meant to begin within a time.
    pub fn within(&self, from: Instant, to: Instant) -> Self {
        Self(self.0.iter().filter(|call| (from..to).contains(&call.due)).cloned().collect())
    }

    /// How many were answered as they should.
    pub fn answered(&self) -> usize {
        self.0.iter().filter(|call| call.status == 200).count()
    }

    /// The share that was answered as it should.
    pub fn success(&self) -> f64 {
        self.answered() as f64 / self.0.len().max(1) as f64
    }

    /// How many ended how: `200`, or the status and the code.
    pub fn outcomes(&self) -> BTreeMap<String, usize> {
        let mut outcomes = BTreeMap::new();
        for call in &self.0 {
            *outcomes.entry(format!("{} {}", call.status, call.code).trim_end().to_owned()).or_default() += 1;
        }
        outcomes
    }

    /// The time within which so many of a thousand were answered, of those that were.
    pub fn quantile(&self, permille: usize) -> Duration {
        let mut took: Vec<_> =
            self.0.iter().filter(|call| call.status == 200).map(|call| call.took).collect();
        took.sort();
        let place = took.len() * permille / 1_000;
        took.get(place.min(took.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}
