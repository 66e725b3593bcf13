//! Load: devices that call a victim all the time, and what became of their calls.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tests::device::Device;
use tests::wait::until;
use tokio::task::{JoinHandle, JoinSet};

/// What became of the calls.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// Answered as they should be.
    pub fine: u64,
    /// The connection was refused.
    pub refused: u64,
    /// The connection broke, or there was another answer; the first few of them.
    pub failed: u64,
    /// What the first few of those were.
    pub failures: Vec<String>,
    /// The longest time between two answers.
    pub gap: Duration,
}

/// A load that goes on until it is ended.
pub struct Load {
    tally: Arc<Mutex<(Tally, Instant)>>,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
    work: JoinHandle<()>,
}

/// How long anything may take that a loaded machine does.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many devices keep their connections.
const KEPT: usize = 32;
/// How many of them are told.
const TOLD: usize = 5;

impl Load {
    /// Calls so often in a second, whether earlier calls are answered or not; every other call on a connection of
    /// its own, the rest by devices that keep theirs.
    pub fn start(base: &str, path: &'static str, body: &'static str, per_second: u32) -> Self {
        let tally = Arc::new(Mutex::new((Tally::default(), Instant::now())));
        let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let devices: Vec<Device> = (0..KEPT).map(|_| Device::of(base)).collect();
        let base = base.to_owned();
        let work = tokio::spawn({
            let (tally, over, sent) = (Arc::clone(&tally), Arc::clone(&over), Arc::clone(&sent));
            async move {
                let (mut calls, began) = (JoinSet::new(), Instant::now());
                let mut ticks = tokio::time::interval(Duration::from_millis(2));
                while !over.load(Ordering::Relaxed) {
                    ticks.tick().await;
                    let due = (began.elapsed().as_secs_f64() * f64::from(per_second)) as u64;
                    while sent.load(Ordering::Relaxed) < due {
                        let number = sent.fetch_add(1, Ordering::Relaxed);
                        let kept = usize::try_from(number / 2).unwrap() % KEPT;
                        let device = if number % 2 == 0 { Device::of(&base) } else { devices[kept].clone() };
                        let tally = Arc::clone(&tally);
                        calls.spawn(async move { call(&device, path, body, &tally).await });
                    }
                    while calls.try_join_next().is_some() {}
                }
                while calls.join_next().await.is_some() {}
            }
        });
        Self { tally, over, sent, work }
    }

    /// What became of the calls so far.
    pub fn tally(&self) -> Tally {
        self.tally.lock().unwrap().0.clone()
    }

    /// Waits until so many more were answered.
    pub async fn goes_on(&self, calls: u64) {
        let fine = self.tally().fine;
        until("the victim is served", PATIENCE, async || (self.tally().fine >= fine + calls).then_some(()))
            .await;
    }

    /// Ends it when all calls have their answers.
    pub async fn end(mut self) -> Tally {
        self.over.store(true, Ordering::Relaxed);
        (&mut self.work).await.unwrap();
        let tally = self.tally();
        assert_eq!(tally.fine + tally.refused + tally.failed, self.sent.load(Ordering::Relaxed));
        tally
    }
}

async fn call(device: &Device, path: &str, body: &str, tally: &Mutex<(Tally, Instant)>) {
    let reply = device.try_send("GET", path, &[], Default::default()).await;
    let mut tally = tally.lock().unwrap();
    let (tally, last) = &mut *tally;
    match reply {
        Ok(reply) if reply.status == 200 && reply.body == body => {
            tally.fine += 1;
            tally.gap = tally.gap.max(last.elapsed());
            *last = Instant::now();
        }
        Err(error) if is_refused(&error) => tally.refused += 1,
        other => {
            tally.failed += 1;
            if tally.failures.len() < TOLD {
                tally
                    .failures
                    .push(other.map_or_else(|error| format!("{error:?}"), |reply| format!("{reply:?}")));
            }
        }
    }
}

fn is_refused(error: &anyhow::Error) -> bool {
    let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
}
