//! Fuel: the meter that every checkpoint of a script counts down.
//!
//! Invariant: between two checkpoints a script runs a bounded number of native calls, and once a call
//! was stopped, every later checkpoint of it stops it again: there is no way to go on.
//! Not here: where checkpoints are inserted (`instrument`), who owns a call (`run`).
//!
//! One call at a time is *current* on a thread. A call is made current for the length of one poll and
//! taken off again, so that many calls share a thread without sharing a meter.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quotas::units::Fuel;
use rune::runtime::VmError;

use crate::run::stack;

/// How much fuel a call may burn before it gives its thread to the other calls.
const SLICE: i64 = 5_000;
/// A slice ends no later than this after its first checkpoint, however little fuel it took.
const SLICE_NANOS: u64 = 100_000;
/// A thread's own processor time, which is dear to read, is known to so many nanoseconds.
const PROCESSOR_NANOS: u64 = 10_000_000;
/// The clock is read at every so many units of fuel; a charge of more than that reads it at once.
const CLOCK_EVERY: i64 = 16;

/// Why a running call was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It burnt its fuel.
    Fuel,
    /// It ran past its deadline.
    Deadline,
    /// A switch was turned off while it ran.
    Killed,
    /// It made more host calls than it may.
    HostCalls,
    /// Its host calls moved more bytes than they may.
    HostBytes,
    /// Its answer, or a JSON text that it wrote, is larger than it may be.
    Response,
    /// It nested calls of native functions, or values, deeper than the stack bears.
    Depth,
    /// It allocated more than it may, in a place where Rune itself does not say so.
    Memory,
    /// All calls of the node, or of the team, together held more memory than they may, and this one took more.
    SharedMemory,
}

/// Raised by one with every publication of a switch board: running calls look at it at their checkpoints.
static SWITCH_EPOCH: AtomicU64 = AtomicU64::new(0);

/// Tells every running call of this process to ask again, at its next checkpoint, whether it may go on.
pub fn switches_changed() {
    SWITCH_EPOCH.fetch_add(1, Ordering::Release);
}

/// Answers whether the call that it belongs to was switched off.
pub type IsKilled = Rc<dyn Fn() -> bool>;

/// The meter of one call: what is left, and what was used.
#[derive(Clone)]
pub struct Meter {
    left: i64,
    deadline: u64,
    epoch: u64,
    stopped: Option<Stop>,
    least_memory_left: usize,
    longest_gap: u64,
    last_look: u64,
    killed: Option<IsKilled>,
}

impl Meter {
    /// A full meter. `deadline` is on the clock of [`now_nanos`]; `killed` is asked when switches changed.
    pub fn new(fuel: Fuel, deadline: u64, killed: Option<IsKilled>) -> Self {
        Self {
            left: i64::try_from(fuel.get()).unwrap_or(i64::MAX),
            deadline,
            epoch: SWITCH_EPOCH.load(Ordering::Acquire),
            stopped: None,
            least_memory_left: usize::MAX,
            longest_gap: 0,
            last_look: 0,
            killed,
        }
    }

    /// Fuel left; nothing once it is spent.
    pub fn left(&self) -> Fuel {
        Fuel::new(u64::try_from(self.left).unwrap_or(0))
    }

    /// Why the call was stopped, when it was.
    pub fn stopped(&self) -> Option<Stop> {
        self.stopped
    }

    /// Stops the call from outside of it, unless it was stopped already.
    pub fn stop(&mut self, reason: Stop) {
        self.stopped.get_or_insert(reason);
    }

    /// The least memory that was left of the call's allowance when somebody looked.
    pub fn least_memory_left(&self) -> usize {
        self.least_memory_left
    }

    /// The longest time between two looks at the clock while the call held its thread, without the time that the
    /// thread itself stood still for, to about ten milliseconds.
    pub fn longest_gap(&self) -> Duration {
        Duration::from_nanos(self.longest_gap)
    }

    /// The deadline, on the clock of [`now_nanos`].
    pub fn deadline(&self) -> u64 {
        self.deadline
    }

    /// Counts the time from the last look to the end of a poll, which is now.
    pub(crate) fn poll_ended(&mut self, now: u64) {
        let gap = CURRENT.with(|current| held(current, now.saturating_sub(self.last_look)));
        self.longest_gap = self.longest_gap.max(gap);
    }

    /// Looks at the deadline and the switches between two polls, when no script runs.
    pub fn look(&mut self, now: u64) -> Option<Stop> {
        if self.stopped.is_none() {
            let epoch = SWITCH_EPOCH.load(Ordering::Acquire);
            if now >= self.deadline {
                self.stopped = Some(Stop::Deadline);
            } else if epoch != self.epoch {
                self.epoch = epoch;
                if self.killed.as_ref().is_some_and(|killed| killed()) {
                    self.stopped = Some(Stop::Killed);
                }
            }
        }
        self.stopped
    }

    /// Runs `f` with this meter as the thread's current one.
    pub fn enter<T>(&mut self, f: impl FnOnce() -> T) -> T {
        self.enter_at(now_nanos(), f)
    }

    /// The same for who has just looked at the clock.
    pub(crate) fn enter_at<T>(&mut self, now: u64, f: impl FnOnce() -> T) -> T {
        CURRENT.with(|current| {
            current.left.set(self.left);
            current.slice_floor.set(self.left.saturating_sub(SLICE));
            current.next_look.set(self.left);
            // The slice begins with the first checkpoint: reaching a deep future again is no work of its own.
            current.slice_until.set(0);
            current.deadline.set(self.deadline);
            current.epoch.set(self.epoch);
            current.stopped.set(self.stopped);
            current.least_memory_left.set(self.least_memory_left);
            current.longest_gap.set(self.longest_gap);
            current.last_look.set(now);
            if now.saturating_sub(current.processor.get().0) > PROCESSOR_NANOS {
                current.processor.set((now, processor_nanos()));
            }
            *current.killed.borrow_mut() = self.killed.clone();
        });
        /// Takes the meter off the thread again, also when `f` panics.
        struct Leave<'a>(&'a mut Meter);
        impl Drop for Leave<'_> {
            fn drop(&mut self) {
                CURRENT.with(|current| {
                    let memory = current.least_memory_left.get().min(rune::alloc::limit::get());
                    current.least_memory_left.set(memory);
                    self.0.left = current.left.get();
                    self.0.epoch = current.epoch.get();
                    self.0.stopped = current.stopped.get();
                    self.0.least_memory_left = current.least_memory_left.get();
                    self.0.longest_gap = current.longest_gap.get();
                    self.0.last_look = current.last_look.get();
                    *current.killed.borrow_mut() = None;
                    current.left.set(i64::MAX);
                    current.next_look.set(0);
                    current.slice_floor.set(i64::MIN);
                    current.deadline.set(u64::MAX);
                    current.stopped.set(None);
                });
            }
        }
        let _leave = Leave(self);
        f()
    }
}

struct Current {
    left: Cell<i64>,
    /// The fuel level at which the clock is looked at next.
    next_look: Cell<i64>,
    /// The fuel level at which the time slice ends.
    slice_floor: Cell<i64>,
    slice_until: Cell<u64>,
    deadline: Cell<u64>,
    epoch: Cell<u64>,
    stopped: Cell<Option<Stop>>,
    least_memory_left: Cell<usize>,
    longest_gap: Cell<u64>,
    last_look: Cell<u64>,
    /// When the thread's own processor time was read last, and what it was.
    processor: Cell<(u64, u64)>,
    killed: RefCell<Option<IsKilled>>,
}

thread_local! {
    static CURRENT: Current = const {
        Current {
            left: Cell::new(i64::MAX),
            next_look: Cell::new(0),
            slice_floor: Cell::new(i64::MIN),
            slice_until: Cell::new(u64::MAX),
            deadline: Cell::new(u64::MAX),
            epoch: Cell::new(0),
            stopped: Cell::new(None),
            least_memory_left: Cell::new(usize::MAX),
            longest_gap: Cell::new(0),
            last_look: Cell::new(0),
            processor: Cell::new((0, 0)),
            killed: RefCell::new(None),
        }
    };
}

/// Nanoseconds on the monotonic clock.
pub fn now_nanos() -> u64 {
    nanos(rustix::time::ClockId::Monotonic)
}

fn nanos(clock: rustix::time::ClockId) -> u64 {
    let now = rustix::time::clock_gettime(clock);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Burns `cost` units of the current call's fuel and looks, now and then, at its deadline and switches.
///
/// Every native function that can loop or copy calls this, before or while it works.
///
/// # Errors
/// The call was stopped; the error unwinds through whatever native code called the script.
#[inline]
pub fn charge(cost: u64) -> Result<(), VmError> {
    burn(i64::try_from(cost).unwrap_or(i64::MAX))
}

/// One checkpoint of a script.
///
/// # Errors
/// As [`charge`].
#[inline]
pub fn checkpoint() -> Result<(), VmError> {
    burn(1)
}

#[inline]
fn burn(cost: i64) -> Result<(), VmError> {
    CURRENT.with(|current| {
        let left = current.left.get().saturating_sub(cost);
        current.left.set(left);
        if left > current.next_look.get() { Ok(()) } else { look(current, left) }
    })
}

/// Looks at the clock and the switches, and gives the thread away when the time slice is used up. While it is
/// away the meter of another call stands in `current`; coming back puts this one's there again.
#[cold]
fn look(current: &Current, left: i64) -> Result<(), VmError> {
    while current.stopped.get().is_none() {
        let now = now_nanos();
        let gap = held(current, now.saturating_sub(current.last_look.get()));
        current.longest_gap.set(current.longest_gap.get().max(gap));
        current.last_look.set(now);
        let memory = rune::alloc::limit::get();
        current.least_memory_left.set(current.least_memory_left.get().min(memory));
        let epoch = SWITCH_EPOCH.load(Ordering::Acquire);
        if left < 0 {
            current.stopped.set(Some(Stop::Fuel));
        } else if now >= current.deadline.get() {
            current.stopped.set(Some(Stop::Deadline));
        } else if epoch != current.epoch.get() {
            current.epoch.set(epoch);
            let killed = current.killed.borrow().clone();
            if killed.is_some_and(|killed| killed()) {
                current.stopped.set(Some(Stop::Killed));
            }
        }
        current.next_look.set(left.saturating_sub(CLOCK_EVERY).max(0));
        if current.stopped.get().is_none() {
            if current.slice_until.get() == 0 {
                current.slice_until.set(now + SLICE_NANOS);
            }
            let is_over = left <= current.slice_floor.get() || now >= current.slice_until.get();
            if !is_over || !stack::pause() {
                return Ok(());
            }
        }
    }
    // From here on every checkpoint comes back.
    current.next_look.set(i64::MAX);
    Err(VmError::panic("callboard: the call was stopped"))
}

/// How much of a gap the call itself held the thread for. On a busy machine a thread may stand still in the middle
/// of a gap; where that would matter, the thread's own processor time is the most that the gap can have been.
fn held(current: &Current, gap: u64) -> u64 {
    if gap < PROCESSOR_NANOS {
        return gap;
    }
    let used = processor_nanos();
    let (_, before) = current.processor.replace((now_nanos(), used));
    gap.min(used.saturating_sub(before))
}

/// Nanoseconds that this thread has had a processor.
pub fn processor_nanos() -> u64 {
    nanos(rustix::time::ClockId::ThreadCPUTime)
}

/// Stops the current call for a reason that the caller found; the next checkpoint fails, too.
pub fn stop(reason: Stop) -> VmError {
    CURRENT.with(|current| {
        if current.stopped.get().is_none() {
            current.stopped.set(Some(reason));
        }
        current.next_look.set(i64::MAX);
    });
    VmError::panic("callboard: the call was stopped")
}

/// The least memory that the current call had left when somebody looked, and now, in bytes.
pub(crate) fn least_memory_left() -> usize {
    CURRENT.with(|current| current.least_memory_left.get().min(rune::alloc::limit::get()))
}

/// What is left of the current call's time; nothing once its deadline has passed.
pub fn time_left() -> Duration {
    CURRENT.with(|current| Duration::from_nanos(current.deadline.get().saturating_sub(now_nanos())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(fuel: u64, within: Duration) -> Meter {
        Meter::new(Fuel::new(fuel), now_nanos() + u64::try_from(within.as_nanos()).unwrap(), None)
    }

    #[test]
    fn a_call_stops_when_its_fuel_is_spent_and_never_goes_on() {
        let mut meter = meter(100, Duration::from_secs(10));
        meter.enter(|| {
            for _ in 0..100 {
                assert!(checkpoint().is_ok());
            }
            assert!(checkpoint().is_err());
            assert!(checkpoint().is_err());
        });
        assert_eq!(meter.stopped(), Some(Stop::Fuel));
        meter.enter(|| assert!(charge(0).is_err()));
    }

    #[test]
    fn a_call_stops_at_its_deadline() {
        let mut meter = meter(u64::MAX, Duration::ZERO);
        meter.enter(|| assert!(checkpoint().is_err()));
        assert_eq!(meter.stopped(), Some(Stop::Deadline));
    }

    #[test]
    fn a_switch_stops_a_running_call_at_its_next_look() {
        let mut meter =
            Meter::new(Fuel::new(1_000_000), now_nanos() + 10_000_000_000, Some(Rc::new(|| true)));
        meter.enter(|| {
            assert!(checkpoint().is_ok());
            switches_changed();
            assert!((0..=CLOCK_EVERY).any(|_| checkpoint().is_err()));
        });
        assert_eq!(meter.stopped(), Some(Stop::Killed));
    }

    #[test]
    fn a_meter_does_not_reach_the_call_that_is_current_next() {
        let mut spent = meter(1, Duration::from_secs(10));
        spent.enter(|| while checkpoint().is_ok() {});
        let mut fresh = meter(1_000, Duration::from_secs(10));
        fresh.enter(|| assert!(checkpoint().is_ok()));
        assert_eq!(spent.stopped(), Some(Stop::Fuel));
        assert_eq!(fresh.stopped(), None);
    }
}
