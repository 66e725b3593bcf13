//! A lane's own pressure: how late its thread is, and which calls it gives up for that.
//!
//! Invariant: a lane sheds for itself: a thread that has time refuses nothing because another has none. What is
//! the node's (memory) presses all of them alike.
//! Not here: the formulas (`quotas::pressure`), refusing (`quotas::admission`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use quotas::guards::NodeGuard;
use quotas::pressure::cutoff::{CutOff, UserFloor};
use quotas::pressure::lag::Lag;
use quotas::pressure::level::{ShedLevel, Shedding};
use quotas::pressure::surge::Waits;
use quotas::pressure::{INTERVAL, Signals};
use quotas::units::Moment;
use runtime::fuel::now_nanos;

use super::busy::Busy;
use crate::who::unix_ms;

/// How often a thread looks how late it is.
const TICK: Duration = Duration::from_millis(10);

/// What a lane says of its pressure, to all threads.
#[derive(Debug, Default)]
pub struct LanePressure {
    /// Which scores are let in.
    pub shed: ShedLevel,
    lag: AtomicU64,
    /// Calls that are on their way to the thread's queue or wait in it.
    waiting: AtomicU32,
    /// How long a call holds the thread, in the mean of about the last sixteen, in nanoseconds.
    mean: AtomicU64,
}

/// A call that is on its way to a thread's queue, or waits in it.
#[derive(Debug)]
pub(crate) struct Coming(Arc<LanePressure>);

impl Coming {
    pub(super) fn new(to: &Arc<LanePressure>) -> Self {
        to.waiting.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(to))
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl LanePressure {
    /// How long what was ready waited for the thread, of late, when it waited the least.
    pub fn lag(&self) -> Duration {
        Duration::from_nanos(self.lag.load(Ordering::Relaxed))
    }

    /// How long a call that came now would wait to begin.
    fn ahead(&self) -> Duration {
        let mean = Duration::from_nanos(self.mean.load(Ordering::Relaxed));
        mean.saturating_mul(self.waiting.load(Ordering::Relaxed))
    }

    /// What the thread refuses of calls with this deadline.
    pub(super) fn shedding(&self, kind: Kind, deadline: Duration) -> Option<Shedding> {
        match kind {
            Kind::Turns => self.shed.get(),
            Kind::Queue => self.shed.behind(self.ahead(), deadline, UserFloor::default(), unix_ms()),
        }
    }

    /// Learns how long a call held the thread.
    pub(super) fn took(&self, running: Duration) {
        let took = u64::try_from(running.as_nanos()).unwrap_or(u64::MAX);
        let before = self.mean.load(Ordering::Relaxed);
        let mean = if before == 0 { took } else { before - before / 16 + took / 16 };
        self.mean.store(mean, Ordering::Relaxed);
    }
}

/// What kind of thread a lane has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One whose calls take turns.
    Turns,
    /// One whose calls begin one after the other.
    Queue,
}

/// Measures this thread for as long as it lives. `stepped` is called at every step of the cut-off.
pub(super) async fn watch(
    pressure: Arc<LanePressure>,
    node: NodeGuard,
    kind: Kind,
    mut stepped: impl FnMut(Moment) -> bool,
) {
    let floor = UserFloor::default();
    let (mut lag, mut cutoff) = (Lag::new(now()), CutOff::new(floor));
    let mut busy = Busy::here();
    let (mut waits, mut next) = (Waits::default(), tokio::time::Instant::now() + INTERVAL);
    loop {
        let due = tokio::time::Instant::now() + TICK;
        tokio::time::sleep_until(due).await;
        match kind {
            Kind::Turns => {
                // A thread that is late and not busy has nothing that it could give up.
                let late = if busy.look() { due.elapsed() } else { Duration::ZERO };
                lag.note(late, now());
                pressure.shed.late(waits.note(late, now()), floor, unix_ms());
            }
            Kind::Queue => lag.note(pressure.ahead(), now()),
        }
        if due < next {
            continue;
        }
        next = due + INTERVAL;
        let level = lag.level(now());
        pressure.lag.store(u64::try_from(level.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        // What is too long a queue depends on the deadline of who asks, and is seen when they do.
        let lag = if kind == Kind::Turns { level } else { Duration::ZERO };
        let signals = Signals { lag, memory: node.memory.share(), ..Signals::default() };
        let pressed = signals.pressure();
        cutoff.step(pressed, now());
        pressure.shed.publish(&cutoff, pressed, unix_ms());
        if !stepped(now()) {
            return;
        }
    }
}

fn now() -> Moment {
    Moment::from_nanos(now_nanos())
}
