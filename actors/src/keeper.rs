//! Keeper: one a node; looks who presses it when it is pressed, and acts on that one alone.
//!
//! Invariant: whatever it does is in the audit with its evidence, is told as an event, and is undone by it when the
//! cause is gone. What an operator or a new revision changed meanwhile stays as they left it.
//! Not here: who is to blame, and what for (`quotas::remedy`).

mod acts;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ActorFutureExt, Addr, AsyncContext, Context, WrapFuture};
use quotas::remedy::{Order, Remedy, Rules, Step, Usage};
use quotas::scope::{EndpointId, RevisionNumber};
use quotas::units::{InFlight, Moment};
use runtime::fuel::now_nanos;

use crate::controller::Controller;
use crate::node::Shared;
use crate::storage::Store;
use crate::supervisor::Supervisor;
use crate::vital::Vital;

/// How often it looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long the lanes may take to say what was used.
const LANES_WAIT: Duration = Duration::from_millis(500);

/// Who can be blamed: an endpoint's revision.
pub(crate) type Culprit = (EndpointId, RevisionNumber);

/// The actor.
pub struct Keeper {
    _vital: Vital,
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    controller: Addr<Controller>,
    supervisor: Addr<Supervisor>,
    remedy: Remedy<Culprit>,
    /// How long the calls of each endpoint had held their threads when it looked last.
    before: HashMap<EndpointId, Duration>,
    /// How many calls of those that are throttled might be alive.
    throttled: HashMap<Culprit, InFlight>,
}

impl Keeper {
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        controller: Addr<Controller>,
        supervisor: Addr<Supervisor>,
        rules: Rules,
    ) -> Self {
        Self {
            _vital: Vital("keeper"),
            shared,
            store,
            controller,
            supervisor,
            remedy: Remedy::new(rules),
            before: HashMap::new(),
            throttled: HashMap::new(),
        }
    }

    fn is_pressed(&self) -> bool {
        self.shared.lanes.pressures().iter().any(|lane| lane.shed.get().is_some())
    }

    /// What each endpoint used since the last look.
    fn usage(&mut self, running: Vec<(EndpointId, Duration)>) -> Vec<Usage<Culprit>> {
        let routes = self.shared.routes.load();
        let is_first = self.before.is_empty();
        let before = std::mem::replace(&mut self.before, running.iter().cloned().collect());
        if is_first {
            // All that was ever used is nothing that can be compared.
            return Vec::new();
        }
        let used = running.into_iter().filter_map(|(endpoint, total)| {
            let used = total.saturating_sub(before.get(&endpoint).copied().unwrap_or_default());
            let revision = routes.endpoint(&endpoint)?.revision;
            Some(Usage { who: (endpoint, revision), used: used.as_secs_f64() })
        });
        used.filter(|usage| usage.used > 0.0).collect()
    }

    fn step(&mut self, is_pressed: bool, usage: &[Usage<Culprit>], ctx: &Context<Self>) {
        let now = Moment::from_nanos(now_nanos());
        match self.remedy.step(is_pressed, usage, now) {
            Some(Order::Do(step)) => self.act(&step, ctx),
            Some(Order::Undo(step)) => self.undo(&step),
            Some(Order::Enough(step)) => self.enough(&step),
            None => {}
        }
    }
}

impl Actor for Keeper {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.run_interval(LOOK, |this, ctx| {
            let is_pressed = this.is_pressed();
            if !this.remedy.asks(is_pressed) {
                this.before.clear();
                this.step(is_pressed, &[], ctx);
                return;
            }
            let shared = Arc::clone(&this.shared);
            let asked = async move { tokio::time::timeout(LANES_WAIT, shared.lanes.running()).await };
            ctx.spawn(asked.into_actor(this).map(move |running, this, ctx| {
                let usage = this.usage(running.unwrap_or_default());
                this.step(is_pressed, &usage, ctx);
            }));
        });
    }
}

/// A culprit as an audit entry and a log line name it, with the evidence.
fn evidence(step: &Step<Culprit>) -> String {
    let Step { who: (_, revision), act, share, others } = step;
    format!(
        "{}: the node was pressed, and of the time that scripts held its threads {:.0} % went to revision {revision} \
         of this endpoint, the rest to {others} others",
        act.as_str(),
        share * 100.0,
    )
}
