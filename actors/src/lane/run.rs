//! Running a call that has its unit.
//!
//! Invariant: what a call used is charged when it ends, and also when whoever waits for it goes before: a call that
//! is dropped in the middle has used what it used.
//! Not here: whether it may start, which unit it runs.

use std::rc::Rc;
use std::sync::Arc;

use quotas::concurrency::Permit;
use quotas::refusal::Refusal;
use quotas::scope::ClassName;
use quotas::units::Moment;
use runtime::host::call::CallContext;
use runtime::run::{self, Cost, Outcome};
use runtime::unit::Unit;

use super::{Begun, InTurn, Incoming, Lane};
use crate::flight::Marked;
use crate::routes::EndpointEntry;

/// A call under way, which is charged whether it ends or is dropped.
struct UnderWay<'a> {
    lane: &'a Lane,
    entry: &'a EndpointEntry,
    class: Option<ClassName>,
    since: u64,
    was_observed: bool,
    call: Marked<InTurn>,
    /// What it gives back when all of it is over.
    _place: Option<Arc<Permit>>,
}

impl UnderWay<'_> {
    /// Runs it to its end.
    async fn end(mut self) -> Outcome {
        let outcome = (&mut self.call).await;
        let Outcome { result, cost, .. } = &outcome;
        self.lane.took(cost.running);
        let answered = result.as_ref().map_or(0, |response| response.body.len() as u64);
        self.lane.settle(
            self.entry,
            self.class.as_ref(),
            cost,
            answered,
            self.was_observed,
            self.ended(cost),
        );
        outcome
    }

    /// When it ended, by what it says of itself.
    fn ended(&self, cost: &Cost) -> Moment {
        let took = cost.running.saturating_add(cost.waiting);
        Moment::from_nanos(self.since.saturating_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(cost) = self.call.get().map(InTurn::cost) {
            let ended = self.ended(&cost);
            self.lane.took(cost.running);
            self.lane.settle(self.entry, self.class.as_ref(), &cost, 0, self.was_observed, ended);
            self.lane.given_up(self.entry, &cost, ended.since(Moment::from_nanos(self.since)), ended);
        }
    }
}

/// Runs a call on a unit.
///
/// # Errors
/// It was switched off since it was let in.
pub(super) async fn run(
    lane: &Lane,
    entry: &Arc<EndpointEntry>,
    incoming: Incoming,
    mut begun: Begun,
    unit: Arc<Unit>,
) -> Result<Outcome, Box<Refusal>> {
    let Incoming { request, class, request_id, hops } = incoming;
    let allowance = entry.limits.allowance;
    let turn = match lane.queue() {
        // When its time is over before it begins, it is told so when it does. Apart, as most lanes have no queue.
        Some(queue) => Box::pin(tokio::time::timeout(allowance.deadline, queue.turn())).await.ok(),
        None => None,
    };
    begun.coming = None;
    let memory = Arc::clone(&begun.memory);
    let context = CallContext::new(&entry.context, &unit, &allowance, (request_id, hops), memory);
    let killed = {
        let (lane, entry, class) = (lane.clone(), Arc::clone(entry), class.clone());
        Rc::new(move || lane.switched_off(&entry, class.as_ref()).is_some())
    };
    // Its time began when it was let in, and not when a thread had time for it.
    let call = run::call(unit, entry.entry, request, allowance, begun.since, context, Some(killed));
    // The call asks again after every change of the switches from now on. What was changed since it was let
    // in, it would not hear of.
    if let Some(refusal) = lane.switched_off(entry, class.as_ref()) {
        return Err(refusal);
    }
    let call = Marked::new(InTurn::new(turn, call), Arc::clone(entry), lane.slot());
    let Begun { since, was_observed, place, .. } = begun;
    Ok(UnderWay { lane, entry, class, since, was_observed, call, _place: place }.end().await)
}
