//! Devices that call all the while, on threads of their own, so that a test that waits holds up none of them.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tests::device::Device;
use tests::server::Server;

/// The pause between two calls of a device: on a small machine the calls are not to fill it.
const PAUSE: Duration = Duration::from_millis(4);
/// How many devices call each server.
const DEVICES: usize = 2;

/// The devices.
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    phase: AtomicUsize,
    calls: Mutex<Vec<Call>>,
    /// The first answers that were not what they should be.
    wrong: Mutex<Vec<String>>,
}

struct Call {
    phase: usize,
    took: Duration,
    fine: bool,
}

/// What came of the calls of one phase.
pub struct Figures {
    pub calls: usize,
    pub failed: usize,
    pub p50: Duration,
    pub p99: Duration,
}

impl std::fmt::Display for Figures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { calls, failed, p50, p99 } = self;
        write!(f, "{calls} calls, {failed} failed, p50 {p50:?}, p99 {p99:?}")
    }
}

impl Load {
    /// Devices that call this path of every server, and expect this.
    pub fn on(servers: &[&Server], path: &str, wanted: &str) -> Self {
        let shared = Arc::new(Shared::default());
        let devices: Vec<Device> =
            servers.iter().flat_map(|server| (0..DEVICES).map(|_| Device::of(&server.device))).collect();
        let (there, path, wanted) = (Arc::clone(&shared), path.to_owned(), wanted.to_owned());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let calls = devices.iter().map(|device| call(device, &path, &wanted, &there));
                futures_util::future::join_all(calls).await;
            });
        });
        Self { shared, thread: Some(thread) }
    }

    /// Waits until so many more calls came back, and for so long at least; then the next phase begins. What came of
    /// the one that ended.
    pub async fn next_phase(&self, calls: usize) -> Figures {
        let phase = self.shared.phase.load(Ordering::Relaxed);
        let of_phase = || self.shared.calls.lock().unwrap().iter().filter(|call| call.phase == phase).count();
        tests::wait::until("devices call", super::stage::PATIENCE, async || {
            (of_phase() >= calls).then_some(())
        })
        .await;
        self.shared.phase.fetch_add(1, Ordering::Relaxed);
        let all = self.shared.calls.lock().unwrap();
        let mut times: Vec<Duration> = Vec::new();
        let mut failed = 0;
        for call in all.iter().filter(|call| call.phase == phase) {
            times.push(call.took);
            failed += usize::from(!call.fine);
        }
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Figures { calls: times.len(), failed, p50: at(50), p99: at(99) }
    }

    /// The first answers that were not what they should be.
    pub fn wrong(&self) -> Vec<String> {
        self.shared.wrong.lock().unwrap().clone()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn call(device: &Device, path: &str, wanted: &str, shared: &Shared) {
    while !shared.ended.load(Ordering::Relaxed) {
        let phase = shared.phase.load(Ordering::Relaxed);
        let began = Instant::now();
        let reply = device.try_send("GET", path, &[], bytes::Bytes::new()).await;
        let took = began.elapsed();
        let fine = reply.as_ref().is_ok_and(|reply| reply.status == 200 && reply.body == wanted);
        if !fine {
            let mut wrong = shared.wrong.lock().unwrap();
            if wrong.len() < 5 {
                wrong.push(format!("{reply:?}"));
            }
        }
        shared.calls.lock().unwrap().push(Call { phase, took, fine });
        tokio::time::sleep(PAUSE).await;
    }
}
