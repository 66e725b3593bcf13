//! Endpoint: the actor that owns one endpoint's unit on one thread, and gives it to the calls that begin there.
//!
//! Invariant: a call that has its unit ends on it, whatever is deployed meanwhile; one that was let in before a
//! deploy runs on the unit that was served then.
//! Not here: whether a call may start (`lane`), what a call does with its unit (`lane::run`), finding units
//! (`units`).
//!
//! The call itself is polled by whoever waits for its answer, and not by the actor: it ends with them, and an answer
//! goes no way round. Nor does it ask by a message for a unit that the actor has at hand: both are on one thread, and a
//! message and its answer would cost as much as the rest of letting a call in. It sends one where the actor has to act:
//! to take up what was deployed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message};
use quotas::scope::EndpointId;
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

/// What an actor has at hand for the calls of its thread. Nobody else changes the unit.
pub(crate) struct Hand {
    /// The step of the script that the unit belongs to.
    seq: Cell<u64>,
    unit: RefCell<Arc<Unit>>,
    /// Calls that run.
    calls: Rc<Cell<u32>>,
    /// How often the actor looked since the last call.
    idle: Cell<u32>,
}

impl Hand {
    fn of(seq: u64, unit: Arc<Unit>) -> Self {
        Self { seq: Cell::new(seq), unit: RefCell::new(unit), calls: Rc::default(), idle: Cell::new(0) }
    }

    /// The unit of this step, if it is the one at hand, for a call that begins now.
    pub(crate) fn unit(&self, seq: u64) -> Option<(Arc<Unit>, Busy)> {
        (self.seq.get() == seq).then(|| {
            self.idle.set(0);
            (Arc::clone(&self.unit.borrow()), Busy::new(&self.calls))
        })
    }

    /// Counts a call that waits for its unit.
    pub(crate) fn busy(&self) -> Busy {
        Busy::new(&self.calls)
    }

    /// Calls that run.
    pub(crate) fn calls(&self) -> u32 {
        self.calls.get()
    }

    /// Takes a unit up, if it is newer.
    fn take_up(&self, seq: u64, unit: &Arc<Unit>) {
        if seq > self.seq.get() {
            self.seq.set(seq);
            *self.unit.borrow_mut() = Arc::clone(unit);
        }
    }
}

/// The actor.
pub(crate) struct Endpoint {
    lane: Lane,
    id: EndpointId,
    hand: Rc<Hand>,
}

impl Endpoint {
    /// Starts an actor that has this unit, on this thread, and gives what it has at hand.
    pub(crate) fn run(lane: Lane, entry: &EndpointEntry, unit: Arc<Unit>) -> (Addr<Self>, Rc<Hand>) {
        let hand = Rc::new(Hand::of(entry.seq, unit));
        let actor = Self { lane, id: entry.id.clone(), hand: Rc::clone(&hand) };
        let (_, receiver) = actix::dev::channel::channel(MAILBOX);
        (Context::with_receiver(receiver).run(actor), hand)
    }
}

impl Actor for Endpoint {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(IDLE_LOOK, |this, ctx| {
            let idle = this.hand.idle.get() + 1;
            this.hand.idle.set(idle);
            if this.hand.calls() == 0 && idle > IDLE_LOOKS {
                // Forgotten first: nobody sends to an actor that stops.
                this.lane.forget(&this.id);
                ctx.stop();
            }
        });
    }
}

/// A call is about to begin and brings the unit that it was let in with: the actor takes it up, unless it has a newer
/// one. That is the call's own in any case.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Begin {
    /// The step of the script that the unit belongs to.
    pub(crate) seq: u64,
    /// The unit.
    pub(crate) unit: Arc<Unit>,
    /// Where the call waits for it.
    pub(crate) waits: oneshot::Sender<Arc<Unit>>,
}

impl Handler<Begin> for Endpoint {
    type Result = ();

    fn handle(&mut self, Begin { seq, unit, waits }: Begin, _: &mut Self::Context) {
        self.hand.idle.set(0);
        self.hand.take_up(seq, &unit);
        // Nobody waits any more: there is nobody to give it to.
        let _ = waits.send(unit);
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
