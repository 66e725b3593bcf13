//! A lane's own pressure: how late its thread is, and which calls it gives up for that.
//!
//! Invariant: a lane sheds for itself: a thread that has time refuses nothing because another has none. What is
//! the node's (memory) presses all of them alike.
//! Not here: the formulas (`quotas::pressure`), refusing (`quotas::admission`).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quotas::guards::NodeGuard;
use quotas::pressure::cutoff::{CutOff, UserFloor};
use quotas::pressure::lag::Lag;
use quotas::pressure::level::ShedLevel;
use quotas::pressure::surge::Waits;
use quotas::pressure::{INTERVAL, Signals};
use quotas::units::Moment;
use runtime::fuel::now_nanos;

use super::Queue;
use crate::who::unix_ms;

/// How often a thread looks how late it is.
const TICK: Duration = Duration::from_millis(10);
/// Threads of a lower priority are late by design: their lag counts for so much less.
const SLOW_BEARS: u32 = 10;

/// What a lane says of its pressure, to all threads.
#[derive(Debug, Default)]
pub struct LanePressure {
    /// Which scores are let in.
    pub shed: ShedLevel,
    lag: AtomicU64,
}

impl LanePressure {
    /// How long what was ready waited for the thread, of late, when it waited the least.
    pub fn lag(&self) -> Duration {
        Duration::from_nanos(self.lag.load(Ordering::Relaxed))
    }
}

/// What kind of thread a lane has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that serves a door.
    Door,
    /// One of a lower priority.
    Slow,
}

/// Measures this thread for as long as it lives; a slow one has a queue. `stepped` is called at every step of the cut-off.
pub(super) async fn watch(
    pressure: Arc<LanePressure>,
    node: NodeGuard,
    queue: Option<Queue>,
    mut stepped: impl FnMut(Moment) -> bool,
) {
    let floor = UserFloor::default();
    let (mut lag, mut cutoff) = (Lag::new(now()), CutOff::new(floor));
    let (mut waits, mut next) = (Waits::default(), tokio::time::Instant::now() + INTERVAL);
    loop {
        let due = tokio::time::Instant::now() + TICK;
        tokio::time::sleep_until(due).await;
        // Where calls wait to begin, that is how late the thread is; else how late it came to its own timer.
        let wait = queue.as_ref().and_then(Queue::wait).unwrap_or_else(|| due.elapsed());
        lag.note(wait, now());
        let bears = if queue.is_some() { SLOW_BEARS } else { 1 };
        pressure.shed.late(waits.note(wait / bears), floor, unix_ms());
        if due < next {
            continue;
        }
        next = due + INTERVAL;
        let level = lag.level(now());
        pressure.lag.store(u64::try_from(level.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let signals = Signals { lag: level / bears, memory: node.memory.share(), ..Signals::default() };
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
