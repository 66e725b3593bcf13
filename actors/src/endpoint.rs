//! Endpoint: the actor that runs one endpoint's calls on one thread, and owns the unit that they run.
//!
//! Invariant: calls run side by side; one that has begun ends on the unit that it began with, whatever is
//! deployed meanwhile, and is dropped when nobody waits for its answer any more.
//! Not here: whether a call may start (`lane`), finding units (`units`).
//!
//! A request belongs to its thread, and messages have to be free to cross threads. So the message carries a
//! number, under which the lane keeps the call until it begins.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use quotas::refusal::Refusal;
use quotas::scope::ClassName;
use runtime::fuel::now_nanos;
use runtime::host::call::CallContext;
use runtime::host::request::Request;
use runtime::run::{self, Outcome};
use runtime::unit::Unit;
use tokio::sync::oneshot;

use crate::flight::Marked;
use crate::lane::{Begun, InTurn, Lane};
use crate::routes::EndpointEntry;

/// An actor without calls for so long stops.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// How often it looks.
const IDLE_LOOK: Duration = Duration::from_secs(30);
/// Calls that may wait to begin; more are refused.
const MAILBOX: usize = 1_024;

/// A call that waits to begin.
pub(crate) struct Waiting {
    pub(crate) entry: Arc<EndpointEntry>,
    /// The unit, unless the actor has it.
    pub(crate) unit: Option<Arc<Unit>>,
    pub(crate) request: Request,
    pub(crate) class: Option<ClassName>,
    pub(crate) request_id: Arc<str>,
    pub(crate) hops: u32,
    pub(crate) begun: Begun,
    pub(crate) answer: oneshot::Sender<Result<Outcome, Box<Refusal>>>,
    pub(crate) busy: Option<Busy>,
}

/// Counts a call of an actor for as long as it is under way.
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
    used: Instant,
}

impl Endpoint {
    pub(crate) fn new(lane: Lane, entry: Arc<EndpointEntry>, unit: Arc<Unit>, calls: Rc<Cell<u32>>) -> Self {
        Self { lane, entry, unit, calls, used: Instant::now() }
    }

    /// Starts it with room for its calls from the first one on: a mailbox that is widened when the actor
    /// starts is too narrow for a crowd that meets a cold endpoint.
    pub(crate) fn run(self) -> Addr<Self> {
        let (_, receiver) = actix::dev::channel::channel(MAILBOX);
        Context::with_receiver(receiver).run(self)
    }

    /// The unit that a call runs on; a newer one stays.
    fn unit(&mut self, call: &mut Waiting) -> Arc<Unit> {
        match call.unit.take() {
            Some(unit) if call.entry.seq > self.entry.seq => {
                self.entry = Arc::clone(&call.entry);
                self.unit = Arc::clone(&unit);
                unit
            }
            // It was let in before a deploy that another call brought here first.
            Some(unit) if call.entry.seq < self.entry.seq => unit,
            _ => Arc::clone(&self.unit),
        }
    }
}

impl Actor for Endpoint {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(IDLE_LOOK, |this, ctx| {
            if this.calls.get() == 0 && this.used.elapsed() >= IDLE {
                // Forgotten first: nobody sends to an actor that stops.
                this.lane.forget(&this.entry.id);
                ctx.stop();
            }
        });
    }
}

/// The lane: begin the call that you keep under this number. There is no answer: it goes to the call.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Begin(pub(crate) u64);

impl Handler<Begin> for Endpoint {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Begin(ticket): Begin, _: &mut Self::Context) -> Self::Result {
        self.used = Instant::now();
        match self.lane.begin(ticket) {
            Some(mut call) => {
                let unit = self.unit(&mut call);
                Box::pin(run(self.lane.clone(), call, unit))
            }
            // Whoever asked has gone.
            None => Box::pin(async {}),
        }
    }
}

async fn run(lane: Lane, call: Waiting, unit: Arc<Unit>) {
    let Waiting { entry, request, class, request_id, hops, mut begun, mut answer, busy, .. } = call;
    let mut allowance = entry.limits.allowance;
    let turn = match lane.queue() {
        Some(queue) => tokio::select! {
            // When its time is over before it begins, it is told so below.
            turn = tokio::time::timeout(allowance.deadline, queue.turn()) => turn.ok(),
            () = answer.closed() => return,
        },
        None => None,
    };
    begun.coming = None;
    // Its time began when it was let in, and not when a thread had time for it.
    let waited = Duration::from_nanos(now_nanos().saturating_sub(begun.since));
    allowance.deadline = allowance.deadline.saturating_sub(waited);
    let context = CallContext {
        shapes: Arc::clone(unit.shapes()),
        team: entry.id.team().clone(),
        services: Arc::clone(&entry.services),
        settings: Arc::clone(&entry.settings),
        request_id,
        hops,
        response_max: usize::try_from(allowance.response.get()).unwrap_or(usize::MAX),
        host_calls_max: allowance.host_calls,
        host_bytes_max: allowance.host_bytes.get(),
        memory: Arc::clone(&begun.memory),
        log: Default::default(),
        log_dropped: Default::default(),
        host_calls: Default::default(),
        host_bytes: Default::default(),
    };
    let killed = {
        let (lane, entry, class) = (lane.clone(), Arc::clone(&entry), class.clone());
        Rc::new(move || lane.switched_off(&entry, class.as_ref()).is_some())
    };
    let call = run::call(unit, entry.entry, request, allowance, context, Some(killed));
    let mut call = Marked::new(InTurn::new(turn, call), Arc::clone(&entry), lane.slot());
    // The call asks again after every change of the switches from now on. What was changed since it was let
    // in, it would not hear of.
    let outcome = match lane.switched_off(&entry, class.as_ref()) {
        Some(refusal) => Err(refusal),
        None => tokio::select! {
            biased;
            outcome = &mut call => Ok(outcome),
            // Whoever goes before the answer has used what was used.
            () = answer.closed() => {
                let cost = call.get().map(InTurn::cost).unwrap_or_default();
                lane.settle(&entry, class.as_ref(), &cost, 0, begun.was_observed);
                return;
            }
        },
    };
    if let Ok(Outcome { result, cost, .. }) = &outcome {
        lane.took(cost.running);
        let answered = result.as_ref().map_or(0, |response| response.body.len() as u64);
        lane.settle(&entry, class.as_ref(), cost, answered, begun.was_observed);
    }
    drop(busy);
    // Nobody waits any more: there is nobody to tell.
    let _ = answer.send(outcome);
}

/// A test: fail.
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
