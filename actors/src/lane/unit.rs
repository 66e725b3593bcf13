//! The unit that a call runs on, from its endpoint's actor on this thread.
//!
//! Invariant: whoever runs a unit got it from the actor, or brought it there, which has that of the newest step that
//! this thread knows.
//! Not here: loading units (`units`), running them.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::Addr;
use actix::prelude::SendError;
use quotas::scope::EndpointId;
use runtime::unit::Unit;
use tokio::sync::oneshot;

use super::{CallFailure, Lane, refusals};
use crate::endpoint::{Begin, Busy, Endpoint, Hand};
use crate::routes::EndpointEntry;
use crate::supervisor::EndpointFailed;

/// How often a call asks for its unit: of an actor, of one that is new, and anew when those had failed.
const ATTEMPTS: u32 = 6;
/// How long a call waits for a cold unit, at least; the unit is loaded to the end either way.
const COLD_WAIT: Duration = Duration::from_secs(2);

/// An endpoint's actor on this thread.
pub(super) struct Running {
    pub(super) addr: Addr<Endpoint>,
    hand: Rc<Hand>,
}

impl Running {
    /// Calls that run.
    pub(super) fn calls(&self) -> u32 {
        self.hand.calls()
    }
}

/// What became of asking an endpoint's actor for its unit.
enum Asked {
    /// It has the unit.
    Has(Arc<Unit>, Busy),
    /// It takes the unit up, and counts the call until then and after.
    Waits(oneshot::Receiver<Arc<Unit>>, Busy),
    /// There is no actor that has the unit already.
    Cold,
    /// Too many wait.
    Full,
    /// The actor is dead.
    Gone,
}

impl Lane {
    /// The unit that a call runs on, from its endpoint's actor, which is made where there is none.
    pub(super) async fn unit(&self, entry: &Arc<EndpointEntry>) -> Result<(Arc<Unit>, Busy), CallFailure> {
        let mut brought = None;
        for _ in 0..ATTEMPTS {
            match self.post(entry, brought.take()) {
                Asked::Has(unit, busy) => return Ok((unit, busy)),
                Asked::Waits(unit, busy) => {
                    let unit = unit.await.map_err(|_| CallFailure::Lost)?;
                    return Ok((unit, busy));
                }
                Asked::Cold => brought = Some(self.cold(entry).await?),
                Asked::Full => return Err(CallFailure::Refused(refusals::no_room(&entry.id))),
                Asked::Gone => self.failed(entry),
            }
        }
        Err(CallFailure::Lost)
    }

    /// Asks the endpoint's actor for its unit, or brings it one. Where there is no actor, one is made of that.
    fn post(&self, entry: &Arc<EndpointEntry>, brought: Option<Arc<Unit>>) -> Asked {
        let mut actors = self.0.actors.borrow_mut();
        if let Some(running) = actors.get(&entry.id) {
            if !running.addr.connected() {
                return Asked::Gone;
            }
            if let Some((unit, busy)) = running.hand.unit(entry.seq) {
                return Asked::Has(unit, busy);
            }
        }
        let Some(unit) = brought else { return Asked::Cold };
        let running = actors.entry(entry.id.clone()).or_insert_with(|| {
            let (addr, hand) = Endpoint::run(self.clone(), entry, Arc::clone(&unit));
            Running { addr, hand }
        });
        let (answers, waits) = oneshot::channel();
        match running.addr.try_send(Begin { seq: entry.seq, unit, waits: answers }) {
            Ok(()) => Asked::Waits(waits, running.hand.busy()),
            Err(SendError::Full(_)) => Asked::Full,
            Err(SendError::Closed(_)) => Asked::Gone,
        }
    }

    /// The unit of an endpoint whose actor does not have it.
    async fn cold(&self, entry: &Arc<EndpointEntry>) -> Result<Arc<Unit>, CallFailure> {
        let units = &self.0.node.shared().units;
        if let Some(unit) = units.peek(&entry.unit) {
            return Ok(unit);
        }
        let (units, cell) = (Arc::clone(units), Arc::clone(&entry.unit));
        let load = actix_rt::spawn(async move { units.load(&cell).await });
        match tokio::time::timeout(entry.limits.allowance.deadline.max(COLD_WAIT), load).await {
            Ok(Ok(loaded)) => Ok(loaded?),
            Ok(Err(_)) => Err(CallFailure::Lost),
            Err(_) => Err(CallFailure::Unit {
                code: "unit.loading",
                detail: "the unit is still being loaded".to_owned(),
            }),
        }
    }

    /// An actor was found dead: it is forgotten, and the supervisor told.
    fn failed(&self, entry: &EndpointEntry) {
        self.forget(&entry.id);
        let failed = EndpointFailed { endpoint: entry.id.clone(), revision: entry.revision };
        if let Err(error) = self.0.node.supervisor().try_send(failed) {
            tracing::error!(endpoint = %entry.id, %error, "supervisor not told of a failed endpoint");
        }
    }

    /// Forgets the actor of an endpoint.
    pub(crate) fn forget(&self, endpoint: &EndpointId) {
        self.0.actors.borrow_mut().remove(endpoint);
    }
}
