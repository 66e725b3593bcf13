//! The lane's ear: what other threads ask of it.

use std::time::Duration;

use actix::{Actor, ActorContext, Context, Handler, Message, MessageResult};

use super::{Decision, History, WeakLane};
use crate::metrics::EndpointStats;
use quotas::scope::EndpointId;

/// Answers for a lane, on its thread.
pub struct LaneActor {
    lane: WeakLane,
}

impl LaneActor {
    pub(super) fn new(lane: WeakLane) -> Self {
        Self { lane }
    }
}

impl Actor for LaneActor {
    type Context = Context<Self>;
}

/// The supervisor, after the switches changed: wake the calls that wait, so that they ask again. The answer
/// means that this thread has passed a point between two calls since.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Wake;

impl Handler<Wake> for LaneActor {
    type Result = ();

    fn handle(&mut self, _: Wake, ctx: &mut Self::Context) {
        runtime::run::wake_waiting();
        if self.lane.strong_count() == 0 {
            ctx.stop();
        }
    }
}

/// Anybody: what did you count so far?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<EndpointStats>")]
pub struct Counted;

impl Handler<Counted> for LaneActor {
    type Result = MessageResult<Counted>;

    fn handle(&mut self, _: Counted, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.lane.upgrade().map(|lane| lane.counted().into_all()).unwrap_or_default())
    }
}

/// The keeper: how long did the calls of each endpoint hold their threads so far?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<(EndpointId, Duration)>")]
pub struct Ran;

impl Handler<Ran> for LaneActor {
    type Result = MessageResult<Ran>;

    fn handle(&mut self, _: Ran, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.lane.upgrade().map(|lane| lane.running()).unwrap_or_default())
    }
}

/// The admin door: how often did this rule decide about this endpoint?
#[derive(Debug, Clone, Message)]
#[rtype(result = "Option<History>")]
pub struct FindHistory(pub EndpointId, pub &'static str);

impl Handler<FindHistory> for LaneActor {
    type Result = MessageResult<FindHistory>;

    fn handle(&mut self, FindHistory(endpoint, rule): FindHistory, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.lane.upgrade().and_then(|lane| lane.history(&endpoint, rule)))
    }
}

/// The admin door: which refusal has this id?
#[derive(Debug, Clone, Message)]
#[rtype(result = "Option<Decision>")]
pub struct FindDecision(pub String);

impl Handler<FindDecision> for LaneActor {
    type Result = Option<Decision>;

    fn handle(&mut self, FindDecision(id): FindDecision, _: &mut Self::Context) -> Self::Result {
        self.lane.upgrade()?.decision(&id)
    }
}
