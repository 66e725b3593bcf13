//! Supervisor: one a node; owns the board of switches and decides about quarantines.
//!
//! Invariant: a switch that is turned off is in force before it is recorded, and acknowledged after it is in
//! the journal; one that is turned on is recorded, in the store and in the journal, before it takes effect. A
//! store that is down can delay opening a gate, never closing one.
//! Not here: asking the store what others switched (`watch`), asking the board (`quotas::admission`).

mod aftermath;
pub(crate) mod desk;
mod follow;
mod quarantine;
mod record;
mod release;
mod rows;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, MessageResult, ResponseFuture};
use quotas::concurrency::Shares;
use quotas::scope::{EndpointId, RevisionNumber, Scope, TeamName};
use quotas::switches::{Effect, Switch, SwitchId};
use quotas::units::{Bytes, InFlight, Moment};
use runtime::fuel::now_nanos;
use tokio::sync::mpsc::UnboundedSender;

use crate::error::{ControlError, StoreError};
use crate::events::Event;
use crate::journal::Journal;
use crate::node::Shared;
use crate::storage::{Store, SwitchRow};
use crate::verdicts::{self, Failures, SlowClock};
use crate::vital::Vital;
use crate::who::{Who, unix_ms};

pub(crate) use self::aftermath::TakeOver;
use self::desk::Desk;
pub(crate) use self::follow::follow;
pub use self::quarantine::{EndpointFailed, Lift, MemoryLeft};
pub(crate) use self::record::Merge;
pub use self::release::Release;
pub(crate) use self::rows::RELEASED_MAX;

/// How often it looks for switches that have come to their end.
const TICK: Duration = Duration::from_millis(200);
/// Flips of those who are bound to one team that the store may not have yet: as many scopes as they may turn off.
/// Who flips faster than the store takes it would make all others wait for it.
const UNSTORED_OF_TEAM: InFlight = InFlight::new(100).expect("not zero");
/// How long the answer to a flip waits for all threads.
const THREADS_WAIT: Duration = Duration::from_millis(50);
/// How long it waits for the store, to say whether the switch is there: long enough for one that is well, and no
/// time at all for an operator.
const SPREAD_WAIT: Duration = Duration::from_millis(250);

/// The actor.
pub struct Supervisor {
    _vital: Vital,
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    journal: Journal,
    desk: Desk,
    /// Those that the store may not have, from before the start.
    unsent: Vec<SwitchRow>,
    /// The flips on their way to the store of those who are bound to a team.
    sending: Arc<Shares<TeamName>>,
    /// Switches that came to their end, and when to try again to release them.
    ending: HashMap<SwitchId, Instant>,
    clock: SlowClock,
    failures: HashMap<EndpointId, Failures>,
    restarts: (u32, Duration),
    /// What calls of an endpoint's revision left behind.
    left: HashMap<EndpointId, (RevisionNumber, Bytes)>,
    /// Who wants to know which quarantines were lifted.
    lifted: Option<UnboundedSender<EndpointId>>,
}

impl Supervisor {
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        journal: Journal,
        desk: Desk,
        unsent: Vec<SwitchRow>,
        restarts: (u32, Duration),
    ) -> Self {
        Self {
            _vital: Vital("supervisor"),
            shared,
            store,
            journal,
            desk,
            unsent,
            sending: Shares::new(UNSTORED_OF_TEAM),
            ending: HashMap::new(),
            clock: SlowClock::new(unix_ms(), monotonic()),
            failures: HashMap::new(),
            restarts,
            left: HashMap::new(),
            lifted: None,
        }
    }

    /// Puts what the desk says in force: for calls that come, and for those that run at their next checkpoint.
    pub(crate) fn publish(&self) {
        let board = self.desk.board();
        for (name, service) in &self.shared.services {
            service.switch.store(board.of_service(name).cloned());
        }
        self.shared.board.store(Arc::clone(board));
        // In this order: who hears of the change has to find the new board.
        runtime::fuel::switches_changed();
    }

    fn switch(&self, flip: &Flip) -> Result<Switch, ControlError> {
        let now = unix_ms();
        let id = flip.id();
        id.kind.fits(&id.scope).map_err(ControlError::SwitchMisfit)?;
        if flip.until_ms.is_some_and(|until| until <= now) {
            return Err(ControlError::SwitchPast);
        }
        self.may_change(&id, flip.bound.as_ref(), &flip.who)?;
        self.desk.rows().room_for(&id, flip.bound.as_ref())?;
        Ok(Switch {
            scope: flip.scope.clone(),
            effect: flip.effect,
            by: flip.who.name.as_str().into(),
            reason: flip.reason.as_str().into(),
            since: now,
            until: flip.until_ms,
            generation: self.desk.board().next_generation(&id),
            observe: flip.observe,
        })
    }
}

impl Supervisor {
    /// Who is bound to a team changes what they set themselves, and nothing that an operator set of their scopes: it
    /// would protect the others from nobody.
    fn may_change(&self, id: &SwitchId, bound: Option<&TeamName>, who: &Who) -> Result<(), ControlError> {
        match self.desk.rows().get(id).filter(|row| row.off && row.by != who.name) {
            Some(row) if bound.is_some() => {
                Err(ControlError::SwitchHeld { switch: id.clone(), by: row.by.clone() })
            }
            _ => Ok(()),
        }
    }
}

fn monotonic() -> Moment {
    Moment::from_nanos(now_nanos())
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        for row in std::mem::take(&mut self.unsent) {
            let audit = record::entry(&row);
            drop(record::send(self, ctx.address(), row, audit, None));
        }
        ctx.run_interval(TICK, |this, ctx| {
            this.end_switches(&ctx.address());
            this.end_quarantines();
        });
    }
}

/// An operator: set this switch. The answer comes when it is in force on all threads and in the journal.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Flipped, ControlError>")]
pub struct Flip {
    /// Who asks.
    pub who: Who,
    /// The team that they are bound to, of whose switches only so many may be set for them to set another.
    pub bound: Option<TeamName>,
    /// What it is about.
    pub scope: Scope,
    /// What it is to do.
    pub effect: Effect,
    /// Why.
    pub reason: String,
    /// Until when, in Unix milliseconds; without it, until somebody releases it.
    pub until_ms: Option<u64>,
    /// Only count what would be refused.
    pub observe: bool,
    /// Only say what would be done.
    pub dry_run: bool,
}

impl Flip {
    fn id(&self) -> SwitchId {
        SwitchId { scope: self.scope.clone(), kind: self.effect.kind() }
    }
}

/// A switch that was set, or would be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flipped {
    /// The switch.
    pub switch: Switch,
    /// How far it is.
    pub spread: Spread,
}

/// How far a switch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spread {
    /// It holds on this node alone; the store has not taken it yet.
    Node,
    /// It is in the store, from which all nodes take it.
    Fleet,
}

impl Handler<Flip> for Supervisor {
    type Result = ResponseFuture<Result<Flipped, ControlError>>;

    fn handle(&mut self, flip: Flip, ctx: &mut Self::Context) -> Self::Result {
        let switch = match self.switch(&flip) {
            Ok(switch) => switch,
            Err(error) => return Box::pin(async { Err(error) }),
        };
        if flip.dry_run {
            return Box::pin(async { Ok(Flipped { switch, spread: Spread::Node }) });
        }
        let share = match flip.bound.as_ref().map(|team| self.sending.take(team)).transpose() {
            Ok(share) => share,
            Err(full) => {
                let why = format!("the last {} flips of the team are not stored yet", full.limit);
                return Box::pin(async { Err(StoreError::unavailable(why).into()) });
            }
        };
        let (id, row) = (flip.id(), self.desk.flip(&switch));
        self.ending.remove(&id);
        self.publish();
        Event::SwitchFlipped { switch: &id, by: &flip.who.name, generation: row.generation }.tell();
        let audit = flip.who.entry("switch.off", &id, Some(flip.reason));
        let stored = record::send(self, ctx.address(), row.clone(), audit, share);
        let (shared, journal) = (Arc::clone(&self.shared), self.journal.clone());
        Box::pin(async move {
            let threads = tokio::time::timeout(THREADS_WAIT, shared.lanes.wake());
            let stored = tokio::time::timeout(SPREAD_WAIT, stored);
            // A thread that does not answer in time stops its calls at their next checkpoint all the same.
            let (_, written, stored) =
                tokio::join!(threads, record::write(&journal, record::unstored(row).to_vec()), stored);
            written?;
            let spread = if matches!(stored, Ok(Ok(true))) { Spread::Fleet } else { Spread::Node };
            Ok(Flipped { switch, spread })
        })
    }
}

/// Anybody: which switches are there?
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<Known>")]
pub struct Switches;

/// A switch as this node knows it.
#[derive(Debug, Clone)]
pub struct Known {
    /// The switch.
    pub switch: Switch,
    /// How far it is.
    pub spread: Spread,
    /// Whether it is in force on this node, and not on others alone.
    pub here: bool,
    /// How often it refused on this node, or would have if it did not merely observe, since it was set or the node
    /// started.
    pub hits: u64,
}

impl Handler<Switches> for Supervisor {
    type Result = MessageResult<Switches>;

    fn handle(&mut self, _: Switches, _: &mut Self::Context) -> Self::Result {
        let board = self.desk.board();
        let known = board.iter().map(|armed| {
            let switch = armed.switch().clone();
            let spread = if self.desk.is_unstored(&switch.id()) { Spread::Node } else { Spread::Fleet };
            Known { here: board.home().has(&switch.scope), spread, hits: armed.hits(), switch }
        });
        MessageResult(known.collect())
    }
}

impl Supervisor {
    /// Releases the switches whose time is over. One that the store does not take is tried again.
    fn end_switches(&mut self, myself: &Addr<Self>) {
        let now = Instant::now();
        for (id, generation) in self.desk.board().expired(self.clock.now(unix_ms(), monotonic())) {
            if self.ending.get(&id).is_none_or(|again| *again <= now) {
                self.ending.insert(id.clone(), now + verdicts::backoff(u32::MAX));
                let who = Who::node("expiry");
                let reason = Some("its time is over".to_owned());
                let end = Release { who, bound: None, id, of: Some(generation), reason, dry_run: false };
                // A full mailbox is emptied before the next attempt.
                let _ = myself.try_send(end);
            }
        }
    }
}
