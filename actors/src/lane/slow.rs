//! Slow lanes: threads of their own for endpoints that would hold up the others.
//!
//! Invariant: what is known to compute much or to hold a thread takes from those who serve everybody nothing but what
//! they leave, and where they leave nothing a tenth: the scheduler of the machine sees to that (`leftovers`). A call that
//! crosses over is given up with whoever waits for it, and its time began before.
//! Not here: which endpoints come here (`quotas::track`).
//!
//! The threads are three groups. Calls that hold a thread in one piece are kept from those that only compute much,
//! which would wait behind them. New revisions have to prove themselves and know no harm yet: theirs run beside neither,
//! with the priority of everybody else's, on few threads.

use std::rc::Rc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

use actix::{Actor, Addr, Context, Handler, Message, ResponseFuture};
use actix_rt::Arbiter;
use quotas::pressure::level::Shedding;
use quotas::scope::ClassName;
use quotas::track::Pace;
use runtime::host::request::Parcel;
use runtime::processor::give_way::Reminder;
use runtime::processor::leftovers::{self, Minded};
use runtime::processor::slice::{self, BACKGROUND};
use runtime::run::Outcome;
use rustix::process::Pid;
use tokio::sync::oneshot;
use tokio::time::MissedTickBehavior;

use super::{Begun, CallFailure, Coming, Incoming, Kind, Lane, LanePressure, refusals};
use crate::node::Node;
use crate::routes::EndpointEntry;

/// Calls that may wait to begin on one thread; more are refused.
const MAILBOX: usize = 1_024;

/// The slow lanes of a node.
#[derive(Debug, Default)]
pub struct SlowLanes {
    groups: OnceLock<Groups>,
}

/// The threads by what comes to them.
#[derive(Debug)]
struct Groups {
    new: Vec<SlowLane>,
    heavy: Vec<SlowLane>,
    held: Vec<SlowLane>,
}

/// One thread, seen from the others.
#[derive(Debug)]
pub(super) struct SlowLane {
    addr: Addr<SlowThread>,
    kind: Kind,
    pressure: Arc<LanePressure>,
    calls: Arc<AtomicU32>,
}

/// The same thread, seen from itself.
struct SlowThread {
    lane: Lane,
    /// Has it give way while it computes, where it takes what others leave.
    reminder: Option<Rc<Reminder>>,
}

/// Another lane: run this.
#[derive(Message)]
#[rtype(result = "()")]
struct Cross {
    entry: Arc<EndpointEntry>,
    parcel: Parcel,
    class: Option<ClassName>,
    request_id: Arc<str>,
    hops: u32,
    begun: Begun,
    answer: oneshot::Sender<Result<Outcome, CallFailure>>,
}

impl SlowLanes {
    /// Starts so many threads for what computes much, half as many for what holds a thread, and a quarter for what is
    /// new; with none, all run beside everybody else.
    pub(crate) fn start(node: &Node, threads: usize) {
        let mut numbers = SLOW_FROM..;
        let mut start = |count: usize, kind| -> Vec<SlowLane> {
            numbers.by_ref().take(count).filter_map(|number| SlowLane::start(node, number, kind)).collect()
        };
        let groups = Groups {
            new: start(threads.div_ceil(4), Kind::Turns),
            heavy: start(threads, Kind::Queue),
            held: start(threads.div_ceil(2), Kind::Queue),
        };
        // A node is started once.
        let _ = node.shared().slow.groups.set(groups);
    }

    /// The thread for a call of this pace: of its group the one with the fewest calls. None for those that run
    /// beside everybody else's.
    pub(super) fn of(&self, pace: Pace) -> Option<&SlowLane> {
        if pace == Pace::Fast {
            return None;
        }
        let groups = self.groups.get()?;
        let group = match pace {
            Pace::Fast | Pace::New => &groups.new,
            Pace::Heavy => &groups.heavy,
            Pace::Held | Pace::Sentenced => &groups.held,
        };
        group.iter().min_by_key(|lane| lane.calls.load(Ordering::Relaxed))
    }
}

impl SlowLane {
    fn start(node: &Node, number: usize, kind: Kind) -> Option<Self> {
        let arbiter = Arbiter::new();
        let (opened, is_open) = std::sync::mpsc::channel();
        let node = node.clone();
        let started = arbiter.spawn_fn(move || {
            match kind {
                Kind::Queue => match leftovers::lower() {
                    Ok(()) => leftovers::take(),
                    Err(error) => {
                        tracing::warn!(%error, "a thread for slow endpoints keeps the priority of the others");
                    }
                },
                Kind::Turns => {
                    if let Err(error) = slice::ask_for(BACKGROUND) {
                        tracing::info!(%error, "a thread for slow endpoints has slices as long as others'");
                    }
                }
            }
            let lane = Lane::of_kind(&node, number, kind);
            let pressure = Arc::clone(&lane.0.pressure);
            let (_, receiver) = actix::dev::channel::channel(MAILBOX);
            let takes_leftovers = kind == Kind::Queue && leftovers::is_open();
            // A system that refuses lets others in by itself, if late.
            let reminder = takes_leftovers.then(|| Reminder::new().ok()).flatten().map(Rc::new);
            let addr = Context::with_receiver(receiver).run(SlowThread { lane, reminder });
            // Nobody waits for a thread of a node that was given up.
            let _ = opened.send((addr, pressure, rustix::thread::gettid()));
        });
        let (addr, pressure, thread) = started.then(|| is_open.recv().ok()).flatten()?;
        let calls = Arc::default();
        if kind == Kind::Queue && leftovers::is_open() {
            actix_rt::spawn(mind(thread, Arc::downgrade(&calls)));
        }
        Some(Self { addr, kind, pressure, calls })
    }

    /// What it refuses of calls with this deadline.
    pub(super) fn shedding(&self, deadline: Duration) -> Option<Shedding> {
        self.pressure.shedding(self.kind, deadline)
    }

    /// Runs a call there.
    ///
    /// # Errors
    /// As a call on this thread.
    pub(super) async fn run(
        &self,
        entry: &Arc<EndpointEntry>,
        incoming: Incoming,
        mut begun: Begun,
    ) -> Result<Outcome, CallFailure> {
        begun.coming = (self.kind == Kind::Queue).then(|| Coming::new(&self.pressure));
        let _counted = Counted::new(&self.calls);
        let (answer, answered) = oneshot::channel();
        let Incoming { request, class, request_id, hops } = incoming;
        let (entry, parcel) = (Arc::clone(entry), request.pack());
        let id = entry.id.clone();
        let cross = Cross { entry, parcel, class, request_id, hops, begun, answer };
        if self.addr.try_send(cross).is_err() {
            return Err(CallFailure::Refused(refusals::no_room(&id)));
        }
        answered.await.unwrap_or(Err(CallFailure::Lost))
    }
}

/// Sees to it that a thread gets its share of a machine that has too much to do, while there are calls on it and for as
/// long as there is the thread.
async fn mind(thread: Pid, calls: Weak<AtomicU32>) {
    let mut minded = Minded::new(rustix::process::getpid(), thread);
    let mut looks = actix_rt::time::interval(leftovers::LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(calls) = calls.upgrade() {
        if calls.load(Ordering::Relaxed) > 0 {
            minded.look(Instant::now());
        }
        drop(calls);
        looks.tick().await;
    }
}

/// Lanes are numbered; those of slow threads begin here.
const SLOW_FROM: usize = 1 << 16;

/// Counts a call for as long as somebody waits for it.
struct Counted(Arc<AtomicU32>);

impl Counted {
    fn new(calls: &Arc<AtomicU32>) -> Self {
        calls.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(calls))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Actor for SlowThread {
    type Context = Context<Self>;
}

impl Handler<Cross> for SlowThread {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, cross: Cross, _: &mut Self::Context) -> Self::Result {
        let lane = self.lane.clone();
        let work = async move {
            let Cross { entry, parcel, class, request_id, hops, begun, mut answer } = cross;
            if answer.is_closed() {
                return;
            }
            let incoming = Incoming { request: parcel.open(), class, request_id, hops };
            let outcome = tokio::select! {
                biased;
                outcome = lane.attempt(&entry, incoming, begun) => outcome,
                () = answer.closed() => return,
            };
            // Nobody waits any more: there is nobody to tell.
            let _ = answer.send(outcome);
        };
        match self.reminder.clone() {
            Some(reminder) => Box::pin(async move { reminder.during(work).await }),
            None => Box::pin(work),
        }
    }
}
