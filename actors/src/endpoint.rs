//! Endpoint: the actor that owns one endpoint's unit on one thread, and gives it to the calls that begin there.
//!
//! Invariant: a call that has its unit ends on it, whatever is deployed meanwhile; one that was let in before a
//! deploy runs on the unit that was served then.
//! Not here: whether a call may start (`lane`), what a call does with its unit (`lane::run`), finding units
//! (`units`).
//!
//! The call itself is polled by whoever waits for its answer, and not by the actor: it ends with them, and an answer
//! goes no way round.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use runtime::unit::Unit;
use tokio::sync::oneshot;

use crate::lane::Lane;
use crate::routes::EndpointEntry;

/// An actor looks so often whether it had calls; one that had none [`IDLE_LOOKS`] times in a row stops.
const IDLE_LOOK: Duration = Duration::from_secs(30);
const IDLE_LOOKS: u32 = 10;
/// Calls that may wait to begin at one time; more are refused.
const MAILBOX: usize = 1_024;

/// Counts a call of an endpoint's actor for as long as it runs.
pub(crate) struct Busy(Rc<Cell<u32>>);

impl Busy {
    pub(crate) fn new(calls: &Rc<Cell<u32>>) -> Self {
        calls.set(calls.get() + 1);
        Self(Rc::clone(calls))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

/// The actor.
pub(crate) struct Endpoint {
    lane: Lane,
    entry: Arc<EndpointEntry>,
    unit: Arc<Unit>,
    calls: Rc<Cell<u32>>,
    /// How often it looked since its last call.
    idle: u32,
}

impl Endpoint {
    /// An actor that runs this unit and counts its calls in `calls`.
    pub(crate) fn new(lane: Lane, entry: Arc<EndpointEntry>, unit: Arc<Unit>, calls: Rc<Cell<u32>>) -> Self {
        Self { lane, entry, unit, calls, idle: 0 }
    }

    /// Starts it on this thread.
    pub(crate) fn run(self) -> Addr<Self> {
        let (_, receiver) = actix::dev::channel::channel(MAILBOX);
        Context::with_receiver(receiver).run(self)
    }

    /// The unit that a call runs: the newest, unless the call was let in before that was deployed.
    fn unit(&mut self, begin: &mut Begin) -> Arc<Unit> {
        match begin.brought.take() {
            Some((entry, unit)) if entry.seq > self.entry.seq => {
                self.entry = entry;
                self.unit = Arc::clone(&unit);
                unit
            }
            // It was let in before a deploy that another call brought here first.
            Some((entry, unit)) if entry.seq < self.entry.seq => unit,
            _ => Arc::clone(&self.unit),
        }
    }
}

impl Actor for Endpoint {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(IDLE_LOOK, |this, ctx| {
            this.idle += 1;
            if this.calls.get() == 0 && this.idle > IDLE_LOOKS {
                // Forgotten first: nobody sends to an actor that stops.
                this.lane.forget(&this.entry.id);
                ctx.stop();
            }
        });
    }
}

/// A call is about to begin and asks for its unit.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Begin {
    /// What it was let in with, where the actor may not have that unit yet.
    pub(crate) brought: Option<(Arc<EndpointEntry>, Arc<Unit>)>,
    /// Where it waits.
    pub(crate) unit: oneshot::Sender<Arc<Unit>>,
}

impl Handler<Begin> for Endpoint {
    type Result = ();

    fn handle(&mut self, mut begin: Begin, _: &mut Self::Context) {
        self.idle = 0;
        let unit = self.unit(&mut begin);
        // Nobody waits any more: there is nobody to give it to.
        let _ = begin.unit.send(unit);
    }
}

/// Makes the actor fail.
#[cfg(test)]
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Fail;

#[cfg(test)]
impl Handler<Fail> for Endpoint {
    type Result = ();

    fn handle(&mut self, _: Fail, _: &mut Self::Context) {
        panic!("a test made this actor fail");
    }
}
