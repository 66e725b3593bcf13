//! Hang: whether a lane that gives no sign of life hangs, or only does not get its turn.
//!
//! A lane that spins uses processor time without moving on; one that is stuck does not want any. One that wants it
//! and does not get it is on a machine that has too much to do, and is left alone: another process would get no more.
//!
//! Invariant: pure; time is an argument, and only looks that were made count, so that a warden that was itself
//! stopped or starved concludes nothing from that.
//! Not here: reading the board and the system (`warden`).

use std::collections::HashMap;
use std::time::{Duration, Instant};

use runtime::processor::threads::{State, Thread};

/// How often the warden looks.
pub const LOOK: Duration = Duration::from_millis(50);
/// No sign of life for so long …
const SPINS: Duration = Duration::from_millis(500);
/// … with so much processor time used is a hang: of a starved thread's waiting, little is used.
const SPINS_USED: Duration = Duration::from_millis(400);
/// No sign of life for so long without wanting processor time is a hang.
const STUCK: Duration = Duration::from_secs(2);
/// A look that comes late counts for no more than this.
const LOOK_MOST: Duration = Duration::from_millis(100);

/// How a lane hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hang {
    /// It runs and runs.
    Spins,
    /// It waits for what does not come.
    Stuck,
    /// Somebody stopped its thread.
    Stopped,
}

/// A lane since it last moved on.
#[derive(Debug)]
struct Still {
    progress: u64,
    since: Instant,
    /// Processor time used when it was first seen still.
    used: Option<Duration>,
    /// For how long it was seen not to want any.
    stuck: Duration,
}

/// All lanes of a process since they last moved on.
#[derive(Debug, Default)]
pub struct Watch {
    lanes: HashMap<u32, Still>,
    looked: Option<Instant>,
}

impl Watch {
    /// Looks at all lanes, given as thread and progress; `thread` is asked for those that are still. Answers which
    /// one hangs and since when, if one does.
    pub fn look(
        &mut self,
        lanes: &[(u32, u64)],
        thread: impl Fn(u32) -> Option<Thread>,
        now: Instant,
    ) -> Option<(u32, Hang, Duration)> {
        let passed = self.looked.map_or(Duration::ZERO, |looked| now - looked).min(LOOK_MOST);
        self.looked = Some(now);
        self.lanes.retain(|known, _| lanes.iter().any(|(thread, _)| thread == known));
        lanes.iter().find_map(|(number, progress)| {
            let fresh = Still { progress: *progress, since: now, used: None, stuck: Duration::ZERO };
            let still = self.lanes.entry(*number).or_insert_with(|| Still { ..fresh });
            if still.progress != *progress {
                *still = Still { progress: *progress, since: now, used: None, stuck: Duration::ZERO };
                return None;
            }
            let hang = still.judge(thread(*number)?, passed, now)?;
            Some((*number, hang, now - still.since))
        })
    }
}

impl Still {
    fn judge(&mut self, thread: Thread, passed: Duration, now: Instant) -> Option<Hang> {
        let used = thread.used.saturating_sub(*self.used.get_or_insert(thread.used));
        if now - self.since >= SPINS && used >= SPINS_USED {
            return Some(Hang::Spins);
        }
        let hang = match thread.state {
            State::Runnable | State::Traced => {
                self.stuck = Duration::ZERO;
                return None;
            }
            State::Waits => Hang::Stuck,
            State::Stopped => Hang::Stopped,
        };
        self.stuck += passed;
        (self.stuck >= STUCK).then_some(hang)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks every 50 ms at one lane whose thread is in this state and gets this share of a processor; it gives a
    /// sign of life every so often. Answers what is concluded, and after how many milliseconds.
    fn after(limit: u64, tick: Option<u64>, state: State, share: f64) -> Option<(Hang, u64)> {
        let (mut watch, start) = (Watch::default(), Instant::now());
        (0..=limit).step_by(50).find_map(|at| {
            let progress = tick.map_or(0, |tick| at / tick);
            let used = Duration::from_millis(at).mul_f64(share);
            let now = start + Duration::from_millis(at);
            let found = watch.look(&[(7, progress)], |_| Some(Thread { state, used }), now)?;
            Some((found.1, at))
        })
    }

    #[test]
    fn who_spins_hangs_and_who_is_stuck_or_stopped_does_later() {
        assert_eq!(after(60_000, None, State::Runnable, 1.0), Some((Hang::Spins, 500)));
        assert_eq!(after(60_000, None, State::Runnable, 0.5), Some((Hang::Spins, 800)));
        assert_eq!(after(60_000, None, State::Waits, 0.0), Some((Hang::Stuck, 2_000)));
        assert_eq!(after(60_000, None, State::Stopped, 0.0), Some((Hang::Stopped, 2_000)));
    }

    #[test]
    fn who_moves_on_does_not_hang_and_who_gets_no_processor_is_left_alone() {
        assert_eq!(after(60_000, Some(25), State::Runnable, 1.0), None);
        assert_eq!(after(60_000, Some(450), State::Runnable, 1.0), None, "it moves on in time");
        assert_eq!(after(60_000, Some(1_500), State::Waits, 0.0), None);
        assert_eq!(after(60_000, Some(5_000), State::Runnable, 0.05), None, "it is starved");
        assert_eq!(after(60_000, None, State::Traced, 0.0), None, "a debugger holds it");
    }

    #[test]
    fn a_warden_that_was_stopped_itself_concludes_nothing_from_that() {
        let (mut watch, start) = (Watch::default(), Instant::now());
        let stopped = |_| Some(Thread { state: State::Stopped, used: Duration::ZERO });
        for minutes in 0..10 {
            let now = start + Duration::from_secs(60 * minutes);
            assert_eq!(watch.look(&[(7, 0)], stopped, now), None);
        }
    }
}
