//! Controller: one a node; owns the routes, and with them which revision of which script is served.
//!
//! Invariant: routes change by [`Apply`] alone, whoever changed a script, here or elsewhere; a step of a script
//! is applied once, and an older one never after a newer one. What cannot be served is refused alone, with its
//! reason, and what ran before goes on. The mailbox is never held up: work that waits is done in futures.
//! Not here: compiling (`units`), watching the store (`watch`), who may ask (the doors).

mod activate;
mod apply;
mod claims;
mod deploy;
mod freeze;
mod prepare;
mod quota;
mod read;
mod team;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use quotas::guards::{EndpointGuard, TeamGuard};
use quotas::scope::{EndpointId, ScriptId, TeamName};

use crate::error::ControlError;
use crate::events::Event;
use crate::node::Shared;
use crate::routes::Routes;
use crate::storage::{Head, QuotaRow, Store};
use crate::turns::Turns;
use crate::units::UnitFailure;
use crate::vital::Vital;

pub use self::activate::{Activate, Activated, Delete};
pub(crate) use self::apply::{Applied, Apply, ApplyAll, Live};
use self::claims::Reserved;
pub use self::deploy::{Deploy, Deployed};
pub(crate) use self::prepare::{Depth, Prepared, prepare};
pub(crate) use self::quota::MergeQuotas;
use self::quota::{Book, Demand};
pub use self::quota::{Origin, QuotaInfo, QuotaOf, QuotaPut, QuotasSet, RuleInfo, SetQuota};
pub use self::read::{EndpointInfo, Endpoints, FileInfo, FileOf, Heads, History, OneRevision, StandingOf};

/// The actor.
pub struct Controller {
    _vital: Vital,
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    scripts: BTreeMap<ScriptId, Live>,
    /// What they serve; what was published last, or is about to be.
    routes: Routes,
    /// What is counted for endpoints; a guard outlives revisions.
    guards: HashMap<EndpointId, Arc<EndpointGuard>>,
    teams: HashMap<TeamName, Arc<TeamGuard>>,
    turns: Arc<Turns<ScriptId>>,
    team_turns: Arc<Turns<TeamName>>,
    reserved: Arc<Reserved>,
    /// What operators set of quotas.
    quotas: Book,
    demand: Demand,
}

/// What a change of a script works with while the controller goes on.
#[derive(Clone)]
struct Work {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    controller: Addr<Controller>,
    turns: Arc<Turns<ScriptId>>,
    /// Taken after a script's turn, by those who make more of what a team may have only so much of.
    team_turns: Arc<Turns<TeamName>>,
    reserved: Arc<Reserved>,
}

impl Controller {
    /// A controller that serves nothing yet, and puts these quotas in force in whatever it comes to serve.
    pub(crate) fn new(shared: Arc<Shared>, store: Arc<dyn Store>, quotas: Vec<QuotaRow>) -> Self {
        let scopes: Vec<_> = quotas.iter().map(|row| row.scope.clone()).collect();
        let controller = Self {
            _vital: Vital("controller"),
            shared,
            store,
            scripts: BTreeMap::new(),
            routes: Routes::default(),
            guards: HashMap::new(),
            teams: HashMap::new(),
            turns: Arc::default(),
            team_turns: Arc::default(),
            reserved: Arc::default(),
            quotas: Book::new(quotas),
            demand: Demand::default(),
        };
        scopes.iter().for_each(|scope| controller.put_in_force(scope));
        controller
    }

    fn work(&self, ctx: &Context<Self>) -> Work {
        Work {
            shared: Arc::clone(&self.shared),
            store: Arc::clone(&self.store),
            controller: ctx.address(),
            turns: Arc::clone(&self.turns),
            team_turns: Arc::clone(&self.team_turns),
            reserved: Arc::clone(&self.reserved),
        }
    }
}

impl Actor for Controller {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.keep_quotas(ctx);
    }
}

impl Work {
    /// Brings the routes to a head that the store has.
    async fn apply(&self, prepared: Prepared) -> Result<Applied, ControlError> {
        Ok(self.controller.send(Apply(prepared)).await?)
    }

    /// Tells why a change was not made, once, and hands the reason on.
    fn told<T>(script: &ScriptId, done: Result<T, ControlError>) -> Result<T, ControlError> {
        if let Err(error) = &done {
            Event::DeployRefused { script, code: error.code() }.tell();
        }
        done
    }
}

/// The watch: the store has this head. Answered when it is served, with true, or is not for a reason that was
/// told.
#[derive(Debug, Message)]
#[rtype(result = "bool")]
pub(crate) struct Seen {
    pub(crate) script: ScriptId,
    pub(crate) head: Head,
}

impl Handler<Seen> for Controller {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, Seen { script, head }: Seen, ctx: &mut Self::Context) -> Self::Result {
        if self.scripts.get(&script).is_some_and(|live| live.head.seq >= head.seq) {
            return Box::pin(async { true });
        }
        let work = self.work(ctx);
        Box::pin(async move {
            let _turn = work.turns.take(&script).await;
            let seq = head.seq;
            let done = match prepare(&work.shared, &*work.store, &script, head, Depth::Unit).await {
                Ok(prepared) => work.controller.send(Apply(prepared)).await.map(|_| true),
                Err(failure) => work.controller.send(Rejected { script, seq, failure }).await.map(|()| false),
            };
            done.unwrap_or_else(|error| {
                tracing::debug!(%error, "change not applied by a node that stops");
                false
            })
        })
    }
}

/// From this module: what the store says of a script cannot be served.
#[derive(Debug, Message)]
#[rtype(result = "()")]
struct Rejected {
    script: ScriptId,
    seq: u64,
    failure: UnitFailure,
}

impl Handler<Rejected> for Controller {
    type Result = ();

    fn handle(&mut self, Rejected { script, seq, failure }: Rejected, _: &mut Self::Context) {
        let problem = Some((seq, failure.clone()));
        let news = match self.scripts.get_mut(&script) {
            Some(live) if live.head.seq >= seq || live.problem == problem => false,
            Some(live) => {
                live.problem = problem;
                true
            }
            None => true,
        };
        self.shared.not_served(&script, &failure);
        if news {
            Event::ScriptRejected { script: &script, code: failure.code, detail: &failure.detail }.tell();
        }
    }
}
