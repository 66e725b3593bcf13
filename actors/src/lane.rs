//! Lane: a worker thread's own side of the node. It lets calls in and hands them to the actors of their
//! endpoints on the same thread.
//!
//! Invariant: between admission and answer there is no lock and no other thread, unless the unit is cold.
//! What a lane keeps is bounded.
//! Not here: HTTP, bodies, what the answer looks like.

mod actor;
mod busy;
mod call;
mod fallback;
mod good;
mod pressure;
mod queue;
mod refusals;
mod registry;
mod run;
mod slow;
mod unit;

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;

use actix::Actor;
use arc_swap::Guard;
use foldhash::HashMap;
use quotas::admission::{self, Ask, Verdict};
use quotas::budget::Spent;
use quotas::memory::Hold;
use quotas::pressure::Mode;
use quotas::pressure::shares::Shares;
use quotas::priority::Priority;
use quotas::refusal::Refusal;
use quotas::scope::{ClassName, EndpointId, RevisionNumber, TeamName};
use quotas::switches::Board;
use quotas::track::{Ending, Held};
use quotas::units::{Bytes, Moment};
use runtime::error::Failure;
use runtime::fuel::now_nanos;
use runtime::processor::slice;
use runtime::run::{Cost, Outcome};
use tokio::time::MissedTickBehavior;

pub use self::actor::LaneActor;
pub(crate) use self::call::Begun;
pub use self::call::{Admitted, Answered, CallFailure, Incoming, Place};
pub use self::fallback::{Fallen, Source};
pub use self::good::{Key, LastGood};
pub(crate) use self::pressure::Coming;
use self::pressure::Kind;
pub use self::pressure::LanePressure;
pub(crate) use self::queue::{InTurn, Queue};
use self::refusals::Decisions;
pub use self::refusals::{Decision, History};
pub use self::registry::LaneRegistry;
pub use self::slow::SlowLanes;
use self::unit::Running;
use crate::events::{self, Event};
use crate::flight::{FlightBoard, Slot};
use crate::metrics::LaneStats;
use crate::node::Node;
use crate::routes::{EndpointEntry, Routes};
use crate::supervisor::MemoryLeft;
use crate::who::{about_unix_ms, unix_ms};

/// An answer of so many bytes is not counted in the ledgers of memory: a connection alone holds more.
const SMALL: u64 = 4 * 1024;
/// What a call takes of the thread that it comes and goes by, beside its script: measured with a script that does
/// nothing.
const PASSAGE: Duration = Duration::from_micros(6);
/// The supervisor is told of so many bytes that calls left behind at a time, and of so many endpoints it is remembered.
const LEFT_STEP: u64 = 1024 * 1024;
const LEFT_ENDPOINTS: usize = 4_096;
/// The outcome of a call that was dropped since nobody waited for its answer any more.
const GIVEN_UP: &str = "client.gone";
/// How often a lane gives a sign of life, where somebody looks for it.
const TICK: Duration = Duration::from_millis(25);

/// A thread's lane. Its clones are the same lane.
#[derive(Clone)]
pub struct Lane(Rc<Inner>);

struct Inner {
    index: usize,
    node: Node,
    actors: RefCell<HashMap<EndpointId, Running>>,
    stats: RefCell<LaneStats>,
    pressure: Arc<LanePressure>,
    /// Who waits to begin, on a slow thread.
    queue: Option<Queue>,
    /// What teams used of late: of this thread, and of the slow ones.
    shares: [RefCell<Shares<TeamName>>; 2],
    decisions: RefCell<Decisions>,
    /// What calls left behind and the supervisor was not told of, by the revision that did it last.
    left: RefCell<HashMap<EndpointId, (RevisionNumber, u64)>>,
    /// Fallbacks that run.
    fallbacks: Cell<u32>,
    /// Its place on the flight board, where there is one.
    slot: Option<Rc<Slot>>,
}

impl Lane {
    /// Opens the lane of this thread, which has to be one of actix and serves a door.
    pub fn open(node: &Node, index: usize) -> Self {
        if let Err(error) = slice::ask_for(slice::SERVING) {
            tracing::info!(%error, "a thread that serves has slices as long as others'");
        }
        Self::of_kind(node, index, Kind::Turns)
    }

    fn of_kind(node: &Node, index: usize, kind: Kind) -> Self {
        let lane = Self(Rc::new(Inner {
            index,
            node: node.clone(),
            actors: RefCell::default(),
            stats: RefCell::default(),
            pressure: Arc::default(),
            queue: (kind == Kind::Queue).then(Queue::default),
            shares: Default::default(),
            decisions: RefCell::default(),
            left: RefCell::default(),
            fallbacks: Cell::default(),
            slot: node.shared().flight.as_ref().and_then(FlightBoard::claim).map(Rc::new),
        }));
        let pressure = Arc::clone(&lane.0.pressure);
        node.shared().lanes.add(LaneActor::new(Rc::downgrade(&lane.0)).start(), Arc::clone(&pressure));
        let weak = Rc::downgrade(&lane.0);
        actix_rt::spawn(pressure::watch(pressure, node.shared().node.clone(), kind, move |now| {
            let lane = weak.upgrade();
            if let Some(lane) = &lane {
                lane.shares.iter().for_each(|shares| shares.borrow_mut().fade(now));
            }
            lane.is_some()
        }));
        if let Some(slot) = &lane.0.slot {
            actix_rt::spawn(tick(Rc::downgrade(slot)));
        }
        lane
    }

    /// Its number.
    pub fn index(&self) -> usize {
        self.0.index
    }

    /// The routes as they are now.
    pub fn routes(&self) -> Guard<Arc<Routes>> {
        self.0.node.shared().routes.load()
    }

    /// Lets a call in, or says why not. Its priority is the endpoint's, unless the device asks for a lower one.
    ///
    /// # Errors
    /// The rule that refused.
    pub fn admit(
        &self,
        entry: &EndpointEntry,
        class: Option<&ClassName>,
        asked: Option<Priority>,
        client: &[u8],
    ) -> Result<Admitted, Box<Refusal>> {
        let board = self.0.node.shared().board.load();
        let own = entry.spec.priority;
        let priority = asked.map_or(own, |asked| own.lowered(asked));
        let mut ask = self.ask(&board, entry, class, client, priority);
        let now = Moment::from_nanos(now_nanos());
        let mode = self.0.node.shared().shedding;
        let is_observed = mode == Mode::Observe && ask.is_given_up(now);
        if mode != Mode::Enforce {
            ask.shed = None;
        }
        let counted = self.0.stats.borrow_mut().came(&entry.id, class, priority, now);
        if board.observe(&ask.facts()) {
            self.0.stats.borrow_mut().refused(&entry.id, "switch.observed");
        }
        let verdict = admission::admit(&ask, now, about_unix_ms());
        let comes_first = |refusal: &Refusal| refusal.is_by_decision();
        if is_observed && !matches!(&verdict, Verdict::Refused(refusal) if comes_first(refusal)) {
            self.0.stats.borrow_mut().refused(&entry.id, "pressure.observed");
        }
        match verdict {
            Verdict::Admitted(permit) => {
                if permit.observed().is_some() {
                    self.0.stats.borrow_mut().refused(&entry.id, "quota.observed");
                }
                let memory = Hold::new(&entry.guard.team.memory, &self.0.node.shared().node.memory);
                for (rule, scope) in ask.reached(&permit) {
                    Event::BudgetNearlyUsed { scope: &scope, rule }.tell();
                }
                let warning = ask.rate_policy(&permit, now);
                Ok(Admitted { permit, at: now, memory: Arc::new(memory), warning, counted })
            }
            Verdict::Refused(refusal) => {
                self.0.stats.borrow_mut().refused(&entry.id, refusal.code.as_str());
                Err(refusal)
            }
        }
    }

    fn ask<'a>(
        &'a self,
        board: &'a Board,
        entry: &'a EndpointEntry,
        class: Option<&'a ClassName>,
        client: &'a [u8],
        priority: Priority,
    ) -> Ask<'a> {
        let shared = self.0.node.shared();
        let slow = shared.slow.of(entry.guard.track.pace());
        let shed = match slow {
            Some(slow) => slow.shedding(entry.limits.allowance.deadline),
            None => self.0.pressure.shed.get(),
        };
        let shares = &self.0.shares[usize::from(slow.is_some())];
        Ask {
            board,
            node: &shared.node,
            endpoint: &entry.guard,
            revision: entry.revision,
            class,
            client,
            priority,
            shed,
            over_share: shed.is_some() && shares.borrow().is_over(entry.id.team()),
        }
    }

    /// Charges what a call used, with an answer of so many bytes, to the budgets that it counts for.
    pub(crate) fn settle(
        &self,
        entry: &EndpointEntry,
        class: Option<&ClassName>,
        cost: &Cost,
        answered: u64,
        was_observed: bool,
        now: Moment,
    ) {
        if cost.left_behind.get() > 0 {
            self.left_behind(entry, cost.left_behind);
        }
        let bytes = Bytes::new(cost.host_bytes.get().saturating_add(answered));
        let spent = Spent { fuel: cost.fuel, host_calls: cost.host_calls, bytes };
        let whose = (&self.0.node.shared().node, &*entry.guard, class);
        admission::settle(whose, &spent, was_observed, now, |rule, scope| {
            Event::BudgetNearlyUsed { scope, rule }.tell();
        });
    }

    /// Runs a call that was let in.
    ///
    /// With `good` its answer is kept under that key, if it is a good one.
    pub async fn run(
        &self,
        entry: &Arc<EndpointEntry>,
        admitted: Admitted,
        incoming: Incoming,
        good: Option<Key>,
    ) -> Answered {
        let Admitted { permit, at, memory, warning, counted } = admitted;
        let request_id = Arc::clone(&incoming.request_id);
        let pace = entry.guard.track.pace();
        let slow = self.0.node.shared().slow.of(pace);
        let was_observed = permit.observed().is_some();
        // Another thread may be at the call for a moment longer than somebody waits for it: until then it has its place.
        let place = if slow.is_some() { Place::Shared(Arc::new(permit)) } else { Place::Own(permit) };
        let begun = Begun {
            since: at.nanos(),
            memory: Arc::clone(&memory),
            was_observed,
            coming: None,
            place: place.share(),
        };
        let outcome = match slow {
            // Apart, so that it does not make the future of every call larger.
            Some(slow) => Box::pin(slow.run(entry, incoming, begun)).await,
            None => self.attempt(entry, incoming, begun).await,
        };
        let now = match &outcome {
            // It has just looked at the clock itself.
            Ok(Outcome { cost, .. }) => at.saturating_add(cost.running.saturating_add(cost.waiting)),
            Err(_) => Moment::from_nanos(now_nanos()),
        };
        let (result, cost) = match outcome {
            Ok(outcome) => {
                self.charge(entry, usize::from(slow.is_some()), outcome.cost.running);
                let ending = match &outcome.result {
                    Ok(_) | Err(Failure::Returned { .. }) => Ending::Well,
                    Err(Failure::Stopped { .. }) => stopped(&outcome.cost),
                    Err(_) => Ending::Badly,
                };
                self.keep_pace(entry, &outcome.cost, ending, now);
                if !outcome.log.is_empty()
                    && self.0.stats.borrow_mut().may_log(&entry.id, outcome.log.len(), unix_ms())
                {
                    events::script_said(
                        &entry.id,
                        entry.revision,
                        &request_id,
                        &outcome.log,
                        outcome.log_dropped,
                    );
                }
                (outcome.result.map_err(CallFailure::Script), outcome.cost)
            }
            Err(failure) => (Err(failure), Cost::default()),
        };
        let code = result.as_ref().map_or_else(CallFailure::code, |_| "ok");
        self.0.stats.borrow_mut().ran(counted, code, now.since(at), &cost);
        if let Err(failure) = &result {
            self.0.decisions.borrow_mut().keep(Decision {
                id: request_id.to_string(),
                request: Arc::clone(&request_id),
                endpoint: entry.id.clone(),
                at_ms: unix_ms(),
                revision: Some(entry.revision),
                allowance: Some(entry.limits.allowance),
                failure: failure.clone(),
            });
        }
        if let Err(failure) = &result
            && self.0.stats.borrow_mut().may_log(&entry.id, 1, unix_ms())
        {
            events::call_failed(&entry.id, entry.revision, &request_id, failure);
        }
        if let Ok(answer) = &result {
            if let Some(key) = good {
                self.0.node.shared().good.keep(key, answer, entry.revision);
            }
            let length = answer.body.len() as u64;
            if length > SMALL {
                // It is there already, and is given away as soon as the device takes it.
                let _ = memory.took(length);
            }
        }
        Answered { result, revision: entry.revision, cost, kept: (place, memory), warning }
    }

    /// Lets a call in and runs it.
    ///
    /// # Errors
    /// The rule that refused.
    pub async fn call(
        &self,
        entry: &Arc<EndpointEntry>,
        client: &[u8],
        incoming: Incoming,
    ) -> Result<Answered, Box<Refusal>> {
        let admitted = self.admit(entry, incoming.class.as_ref(), None, client)?;
        Ok(self.run(entry, admitted, incoming, None).await)
    }

    /// Charges a team for a call that ran for so long on this thread (0) or on one of the slow ones (1), and that came
    /// and went by this one in any case.
    fn charge(&self, entry: &EndpointEntry, ran_on: usize, running: Duration) {
        let (team, here) = (entry.id.team(), &self.0.shares[0]);
        if ran_on == 0 {
            here.borrow_mut().used(team, running + PASSAGE);
        } else {
            here.borrow_mut().used(team, PASSAGE);
            self.0.shares[ran_on].borrow_mut().used(team, running);
        }
    }

    /// A call was dropped in the middle, after so long, since nobody waits for its answer any more. It used the thread
    /// as any other does: whoever leaves before the end is not spared what moves an endpoint to other threads.
    fn given_up(&self, entry: &EndpointEntry, cost: &Cost, took: Duration, now: Moment) {
        self.charge(entry, 0, cost.running);
        self.keep_pace(entry, cost, stopped(cost), now);
        let mut stats = self.0.stats.borrow_mut();
        let counted = stats.place(&entry.id);
        stats.ran(counted, GIVEN_UP, took, cost);
    }

    /// Keeps a refusal under its decision's id for whoever asks for it later; the oldest is forgotten.
    pub fn remember(&self, id: String, request: &Arc<str>, endpoint: &EndpointId, refusal: Refusal) {
        self.0.decisions.borrow_mut().keep(Decision {
            id,
            request: Arc::clone(request),
            endpoint: endpoint.clone(),
            at_ms: unix_ms(),
            revision: None,
            allowance: None,
            failure: CallFailure::Refused(Box::new(refusal)),
        });
    }

    /// The supervisor adds up what calls leave behind. It is told of the first, and then now and then: it has other
    /// things to do.
    #[cold]
    fn left_behind(&self, entry: &EndpointEntry, bytes: Bytes) {
        let mut all = self.0.left.borrow_mut();
        if all.len() >= LEFT_ENDPOINTS {
            all.clear();
        }
        let is_first = !all.contains_key(&entry.id);
        let (revision, untold) = all.entry(entry.id.clone()).or_insert((entry.revision, 0));
        let is_first = is_first || std::mem::replace(revision, entry.revision) != entry.revision;
        *untold += bytes.get();
        if is_first || *untold >= LEFT_STEP {
            let bytes = Bytes::new(*untold);
            let left = MemoryLeft { endpoint: entry.id.clone(), revision: entry.revision, bytes };
            // What cannot be told now is told with the next.
            if self.0.node.supervisor().try_send(left).is_ok() {
                *untold = 0;
            }
        }
    }

    /// Moves the endpoint to other threads where what the call did asks for it.
    fn keep_pace(&self, entry: &EndpointEntry, cost: &Cost, ending: Ending, now: Moment) {
        let Cost { longest_gap: piece, fuel, .. } = *cost;
        let held = Held { piece, fuel, ending };
        if let Some(pace) = entry.guard.track.ran(entry.revision, held, &self.0.node.shared().paces, now) {
            Event::EndpointMoved { endpoint: &entry.id, revision: entry.revision, pace: pace.as_str() }
                .tell();
        }
    }

    async fn attempt(
        &self,
        entry: &Arc<EndpointEntry>,
        incoming: Incoming,
        begun: Begun,
    ) -> Result<Outcome, CallFailure> {
        let (unit, _busy) = self.unit(entry).await?;
        run::run(self, entry, incoming, begun, unit).await.map_err(CallFailure::Refused)
    }

    /// The queue that calls begin by on this thread, if they do.
    pub(crate) fn queue(&self) -> Option<&Queue> {
        self.0.queue.as_ref()
    }

    /// Learns how long a call held this thread, where others waited to begin.
    pub(crate) fn took(&self, running: Duration) {
        if self.0.queue.is_some() {
            self.0.pressure.took(running);
        }
    }

    /// Its place on the flight board, where there is one.
    pub(crate) fn slot(&self) -> Option<Rc<Slot>> {
        self.0.slot.clone()
    }

    /// Why this call may not go on, if a switch says so.
    pub(crate) fn switched_off(
        &self,
        entry: &EndpointEntry,
        class: Option<&ClassName>,
    ) -> Option<Box<Refusal>> {
        refusals::killed(&self.0.node.shared().board.load(), entry, class)
    }
}

/// How a call ended that was stopped or given up.
fn stopped(cost: &Cost) -> Ending {
    if cost.waits { Ending::Badly } else { Ending::Stopped }
}

/// Gives signs of life for as long as there is the lane.
async fn tick(slot: Weak<Slot>) {
    let mut ticks = actix_rt::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while let Some(slot) = slot.upgrade() {
        slot.tick();
        drop(slot);
        ticks.tick().await;
    }
}

impl Inner {
    /// What was counted here so far.
    fn counted(&self) -> LaneStats {
        let mut stats = self.stats.borrow().clone();
        for (endpoint, running) in &*self.actors.borrow() {
            stats.under_way(endpoint, running.calls());
        }
        stats
    }

    fn running(&self) -> Vec<(EndpointId, Duration)> {
        self.stats.borrow().running()
    }

    fn history(&self, endpoint: &EndpointId, rule: &str) -> Option<History> {
        self.decisions.borrow().history(endpoint, rule)
    }

    fn decision(&self, id: &str) -> Option<Decision> {
        self.decisions.borrow().find(id)
    }
}

type WeakLane = Weak<Inner>;

#[cfg(test)]
impl Lane {
    /// Makes the actor of an endpoint fail, and waits until it has.
    pub(crate) async fn fail(&self, endpoint: &EndpointId) {
        let addr = self.0.actors.borrow().get(endpoint).map(|running| running.addr.clone());
        if let Some(addr) = addr {
            let _ = addr.send(crate::endpoint::Fail).await;
        }
    }
}
