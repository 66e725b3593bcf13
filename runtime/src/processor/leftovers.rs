//! Leftovers: the processor time that nobody who serves wants.
//!
//! A thread that computes in the background has a low priority, and that decides who runs *on one core*. It does not
//! decide where a thread that is woken goes: a core with a thread of low priority counts as taken as much as any, so
//! that one who serves stands in line at another core, behind whoever runs there. To the system's idle policy
//! (`SCHED_IDLE`) it is free: whoever is woken goes there and runs at once. But a machine that is busy all the time
//! leaves such a thread nothing. So somebody minds it: one that wants to run and hardly did between two looks gets its
//! low priority back for a second, about a tenth of a core beside threads that want all of it.
//!
//! That way back is not open to everybody: the system asks for `CAP_SYS_NICE`, or an `RLIMIT_NICE` of 10. Where there
//! is none, threads keep their low priority.
//! Invariant: nothing is left to the idle policy that could not be taken back from it.
//! Not here: which threads, who minds them, and how they give way (`give_way`).

use std::io;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::process::{Pid, getpriority_process, setpriority_process};

use super::attributes;
use super::slice::{self, BACKGROUND};
use super::threads::{self, State, Thread};

/// How often to look at a thread that is minded, at most; one look comes that much after the other.
pub const LOOK: Duration = Duration::from_millis(50);
/// A thread that wants to run all the time and ran for less than this between two looks is starved. It is what the
/// system counts processor time in.
const STARVED: Duration = Duration::from_millis(10);
/// How long one that was starved has its share.
const STAY: Duration = Duration::from_secs(1);
/// How much lower the priority is, in the steps of `nice`: about a tenth of a core beside threads that want all of it.
const NICE: i32 = 10;
/// The shortest slice that there is.
const SHORTEST: Duration = Duration::from_micros(100);
/// The lowest priority that there is.
const LEAST: i32 = 19;

/// A thread that does background work, seen by who minds it.
#[derive(Debug)]
pub struct Minded {
    process: Pid,
    thread: Pid,
    takes: Takes,
}

/// What it takes of the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Takes {
    /// What is left over; and what was seen of it last.
    Leftovers { seen: Option<(Instant, Thread)> },
    /// The share of its low priority, until then.
    Share { until: Instant },
}

/// Gives this thread, and those that it starts, a priority lower than it has, and long slices.
///
/// # Errors
/// The system refused one of them.
pub fn lower() -> io::Result<()> {
    let this = Some(rustix::thread::gettid());
    let lower = getpriority_process(this)?.saturating_add(NICE).min(LEAST);
    setpriority_process(this, lower)?;
    slice::ask_for(BACKGROUND)
}

/// Leaves this thread, which has the low priority, and those that it starts what is left over, where there is a way
/// back. Somebody has to mind them.
pub fn take() {
    if is_open() {
        // It has its low priority in any case.
        let _ = set(None, libc::SCHED_IDLE);
    }
}

/// Whether there is a way back. That is found out once, with a thread that ends before this returns. A process that is
/// left with what others leave itself has nothing lower to go to.
pub fn is_open() -> bool {
    static IS_OPEN: OnceLock<bool> = OnceLock::new();
    *IS_OPEN.get_or_init(|| {
        let try_it = || {
            let policy = attributes::policy(None)?;
            lower()?;
            set(None, libc::SCHED_IDLE)?;
            set(None, libc::SCHED_OTHER)?;
            io::Result::Ok(policy == libc::SCHED_OTHER)
        };
        std::thread::spawn(try_it).join().is_ok_and(|is_open| is_open.unwrap_or(false))
    })
}

/// With the policy go the slices: who takes what is left over gives way often (`give_way`), and owes a slice each time,
/// which must not be held against it when it has its share again.
fn set(thread: Option<Pid>, policy: libc::c_int) -> io::Result<()> {
    let slice = if policy == libc::SCHED_IDLE { SHORTEST } else { BACKGROUND };
    attributes::change(thread, |now| {
        now.sched_policy = policy.unsigned_abs();
        now.sched_runtime = slice.subsec_nanos().into();
    })
}

impl Minded {
    /// One that takes what is left over.
    pub fn new(process: Pid, thread: Pid) -> Self {
        Self { process, thread, takes: Takes::Leftovers { seen: None } }
    }

    /// Looks how it is doing, and gives it what it should have. A thread that is gone has nothing to be given.
    pub fn look(&mut self, now: Instant) {
        let Some(thread) = threads::look(self.process, self.thread) else { return };
        let next = self.takes.next(thread, now);
        let policy = match (self.takes, next) {
            (Takes::Leftovers { .. }, Takes::Share { .. }) => Some(libc::SCHED_OTHER),
            (Takes::Share { .. }, Takes::Leftovers { .. }) => Some(libc::SCHED_IDLE),
            _ => None,
        };
        // What the system refuses is tried again at the next look.
        if policy.is_none_or(|policy| set(Some(self.thread), policy).is_ok()) {
            self.takes = next;
        }
    }
}

impl Takes {
    fn next(self, thread: Thread, now: Instant) -> Self {
        match self {
            Self::Share { until } if now < until => self,
            Self::Share { .. } | Self::Leftovers { seen: None } => {
                Self::Leftovers { seen: Some((now, thread)) }
            }
            Self::Leftovers { seen: Some((at, _)) } if now.saturating_duration_since(at) < LOOK => self,
            Self::Leftovers { seen: Some((_, before)) } => {
                let wants = [before.state, thread.state] == [State::Runnable; 2];
                if wants && thread.used.saturating_sub(before.used) < STARVED {
                    Self::Share { until: now + STAY }
                } else {
                    Self::Leftovers { seen: Some((now, thread)) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::super::testing::on_one_core;
    use super::*;

    fn thread(state: State, used_ms: u64) -> Thread {
        Thread { state, used: Duration::from_millis(used_ms) }
    }

    #[test]
    fn one_that_wants_to_run_and_is_not_let_gets_its_share_for_a_second() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let share = |used| {
            let first = Takes::Leftovers { seen: None }.next(thread(State::Runnable, 100), start);
            let between = first.next(thread(State::Runnable, 100), at(20));
            assert_eq!(between, first, "too early to tell");
            first.next(thread(State::Runnable, used), at(60))
        };
        assert_eq!(share(100), Takes::Share { until: at(1_060) });
        assert_eq!(share(110), Takes::Leftovers { seen: Some((at(60), thread(State::Runnable, 110))) });
        assert_eq!(share(100).next(thread(State::Runnable, 120), at(1_050)), share(100));
        let again = Takes::Leftovers { seen: Some((at(1_070), thread(State::Runnable, 120))) };
        assert_eq!(share(100).next(thread(State::Runnable, 120), at(1_070)), again);
    }

    #[test]
    fn one_that_waits_for_something_is_not_starved() {
        let start = Instant::now();
        for states in [[State::Waits, State::Runnable], [State::Runnable, State::Waits], [State::Waits; 2]] {
            let first = Takes::Leftovers { seen: None }.next(thread(states[0], 100), start);
            let next = first.next(thread(states[1], 100), start + LOOK);
            assert!(matches!(next, Takes::Leftovers { .. }), "{states:?}");
        }
    }

    /// A thread that wants all of one core until it is told to stop; and its number.
    fn hog(stop: &Arc<AtomicBool>, is_in_background: bool) -> Pid {
        let (stop, (tell, told)) = (Arc::clone(stop), mpsc::channel());
        std::thread::spawn(move || {
            on_one_core();
            if is_in_background {
                lower().unwrap();
                take();
            }
            tell.send(rustix::thread::gettid()).unwrap();
            while !stop.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        told.recv().unwrap()
    }

    #[test]
    fn a_core_that_is_taken_leaves_nothing_and_who_minds_the_thread_sees_that() {
        if !is_open() {
            // A system that does not allow it is one where nothing of this is done.
            return;
        }
        let stop = Arc::default();
        let background = hog(&stop, true);
        let policy = || attributes::policy(Some(background)).unwrap();
        assert_eq!(policy(), libc::SCHED_IDLE);
        hog(&stop, false);
        let (began, mut minded) = (Instant::now(), Minded::new(rustix::process::getpid(), background));
        while policy() == libc::SCHED_IDLE {
            assert!(began.elapsed() < Duration::from_secs(20), "it is starved and nobody sees it");
            std::thread::sleep(LOOK);
            minded.look(Instant::now());
        }
        let priority = |thread| getpriority_process(thread).unwrap();
        let lower = (priority(None) + NICE).min(LEAST);
        assert_eq!((policy(), priority(Some(background))), (libc::SCHED_OTHER, lower));
        minded.look(Instant::now() + STAY);
        assert_eq!(policy(), libc::SCHED_IDLE, "and then it takes what is left over again");
        stop.store(true, Ordering::Relaxed);
    }
}
