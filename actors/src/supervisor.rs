//! Supervisor: one a node; owns the board of switches and decides about quarantines.
//!
//! Invariant: a switch that is turned off is in force before it is recorded, and acknowledged after it is in
//! the journal; one that is turned on is recorded, in the store and in the journal, before it takes effect. A
//! store that is down can delay opening a gate, never closing one.
//! Not here: asking the store what others switched (`watch`), asking the board (`quotas::admission`).

mod aftermath;
mod follow;
mod quarantine;
mod record;
mod release;
mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture};
use quotas::concurrency::Shares;
use quotas::scope::{EndpointId, Scope, TeamName};
use quotas::switches::{Board, Switch};
use quotas::units::InFlight;
use tokio::sync::mpsc::UnboundedSender;

use crate::error::{ControlError, StoreError};
use crate::events::Event;
use crate::journal::Journal;
use crate::node::Shared;
use crate::storage::{Store, SwitchRow};
use crate::verdicts::{self, Failures};
use crate::who::{Who, unix_ms};

pub(crate) use self::aftermath::TakeOver;
pub(crate) use self::follow::follow;
pub use self::quarantine::{EndpointFailed, Lift};
pub(crate) use self::record::Merge;
pub use self::release::Release;
pub(crate) use self::rows::RELEASED_MAX;
use self::rows::Rows;

/// How often it looks for switches that have come to their end.
const TICK: Duration = Duration::from_millis(200);
/// Flips of those who are bound to one team that the store may not have yet: as many scopes as they may turn off.
/// Who flips faster than the store takes it would make all others wait for it.
const UNSTORED_OF_TEAM: InFlight = InFlight::new(100).expect("not zero");
/// How long the answer to a flip waits for all threads.
const THREADS_WAIT: Duration = Duration::from_millis(50);

/// The actor.
pub struct Supervisor {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    journal: Journal,
    rows: Rows,
    /// What the rows make of it; nobody else publishes one.
    board: Arc<Board>,
    /// Those that the store may not have yet, from before the start.
    unsent: Vec<SwitchRow>,
    /// Scopes that were turned off here and of which the store knows nothing yet.
    unstored: HashSet<Scope>,
    /// The flips on their way to the store of those who are bound to a team.
    sending: Arc<Shares<TeamName>>,
    /// Scopes that came to their end, and when to try again to release them.
    ending: HashMap<Scope, Instant>,
    failures: HashMap<EndpointId, Failures>,
    restarts: (u32, Duration),
    /// Who wants to know which quarantines were lifted.
    lifted: Option<UnboundedSender<EndpointId>>,
}

impl Supervisor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        journal: Journal,
        rows: BTreeMap<Scope, SwitchRow>,
        unsent: Vec<SwitchRow>,
        restarts: (u32, Duration),
    ) -> Self {
        let mut known = Rows::default();
        let (_, changes) = known.take(rows.into_values());
        Self {
            shared,
            store,
            journal,
            rows: known,
            board: Arc::new(Board::default().changed(changes)),
            unsent,
            unstored: HashSet::new(),
            sending: Shares::new(UNSTORED_OF_TEAM),
            ending: HashMap::new(),
            failures: HashMap::new(),
            restarts,
            lifted: None,
        }
    }

    /// Puts the rows in force: for calls that come, and for those that run at their next checkpoint.
    pub(crate) fn publish(&self) {
        for (name, service) in &self.shared.services {
            service.off.store(self.board.service_off(name).is_some(), Ordering::Release);
        }
        self.shared.board.store(Arc::clone(&self.board));
        // In this order: who hears of the change has to find the new board.
        runtime::fuel::switches_changed();
    }

    /// Takes rows that win over what is known, and puts them in force; answers which did.
    fn take(&mut self, rows: Vec<SwitchRow>) -> Vec<SwitchRow> {
        let (taken, changes) = self.rows.take(rows);
        for row in &taken {
            self.ending.remove(&row.scope);
        }
        if !changes.is_empty() {
            self.board = Arc::new(self.board.changed(changes));
            self.publish();
        }
        taken
    }

    fn flip(&mut self, flip: &Flip) -> Result<Switch, ControlError> {
        let now = unix_ms();
        if flip.until_ms.is_some_and(|until| until <= now) {
            return Err(ControlError::SwitchPast);
        }
        self.rows.room_for(&flip.scope, flip.bound.as_ref())?;
        Ok(Switch {
            scope: flip.scope.clone(),
            by: flip.who.name.as_str().into(),
            reason: flip.reason.as_str().into(),
            since: now,
            until: flip.until_ms,
            generation: self.board.next_generation(&flip.scope),
            observe: flip.observe,
        })
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for row in std::mem::take(&mut self.unsent) {
            let what = if row.off { "switch.off" } else { "switch.on" };
            let audit = Who::node(&row.by).entry(what, &row.scope, Some(row.reason.clone()));
            record::send(self, ctx.address(), row, audit, None);
        }
        ctx.run_interval(TICK, |this, ctx| {
            this.end_switches(&ctx.address());
            this.end_quarantines();
        });
    }
}

/// An operator: turn this off. The answer comes when it is in force on all threads and in the journal.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Switch, ControlError>")]
pub struct Flip {
    /// Who asks.
    pub who: Who,
    /// The team that they are bound to, of whose scopes only so many may be off for them to turn off another.
    pub bound: Option<TeamName>,
    /// What is to be off.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Until when, in Unix milliseconds; without it, until somebody turns it on.
    pub until_ms: Option<u64>,
    /// Only count what would be refused.
    pub observe: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

impl Handler<Flip> for Supervisor {
    type Result = ResponseFuture<Result<Switch, ControlError>>;

    fn handle(&mut self, flip: Flip, ctx: &mut Self::Context) -> Self::Result {
        let switch = match self.flip(&flip) {
            Ok(switch) => switch,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        if flip.dry_run {
            return Box::pin(async { Ok(switch) });
        }
        let share = match flip.bound.as_ref().map(|team| self.sending.take(team)).transpose() {
            Ok(share) => share,
            Err(full) => {
                let why = format!("the last {} flips of the team are not stored yet", full.limit);
                return Box::pin(async { Err(StoreError::unavailable(why).into()) });
            }
        };
        if !self.rows.is_off(&flip.scope) {
            self.unstored.insert(flip.scope.clone());
        }
        let row = verdicts::row_of(&switch);
        self.take(vec![row.clone()]);
        Event::SwitchFlipped { scope: &flip.scope, by: &flip.who.name, generation: row.generation }.tell();
        let audit = flip.who.entry("switch.off", &flip.scope, Some(flip.reason));
        record::send(self, ctx.address(), row.clone(), audit, share);
        let (shared, journal) = (Arc::clone(&self.shared), self.journal.clone());
        Box::pin(async move {
            let threads = tokio::time::timeout(THREADS_WAIT, shared.lanes.wake());
            // A thread that does not answer in time stops its calls at their next checkpoint all the same.
            let (_, written) = tokio::join!(threads, record::write(&journal, vec![row]));
            written.map(|()| switch)
        })
    }
}

/// Anybody: what is off?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<Switch>")]
pub struct Switches;

impl Handler<Switches> for Supervisor {
    type Result = MessageResult<Switches>;

    fn handle(&mut self, _: Switches, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.board.iter().cloned().collect())
    }
}

impl Supervisor {
    /// Releases the switches whose time is over. One that the store does not take is tried again.
    fn end_switches(&mut self, myself: &Addr<Self>) {
        let now = Instant::now();
        for scope in self.board.expired(unix_ms()) {
            if self.ending.get(&scope).is_none_or(|again| *again <= now) {
                self.ending.insert(scope.clone(), now + verdicts::backoff(u32::MAX));
                let who = Who::node("expiry");
                let reason = Some("its time is over".to_owned());
                let end = Release { who, scope, reason, dry_run: false };
                // A full mailbox is emptied before the next attempt.
                let _ = myself.try_send(end);
            }
        }
    }
}
