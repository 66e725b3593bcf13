//! Admission: may this call start now, and if not, why.
//!
//! Invariant: rules are asked in a fixed order and the first that refuses is the one named: 1 switches ·
//! 2 quarantine · 3 the node's condition and pressure · 4 rates: class, client, endpoint, team · 5 budgets: class,
//! endpoint, team, of each first fuel, then host calls, bytes, requests · 6 memory: team, node · 7 calls alive:
//! endpoint, team, node. All are asked before any is charged, and a refused call spends nothing. A switch that caps
//! calls alive is asked among the switches and entered with the other gates.
//! Not here: reading clocks, counting fuel, HTTP status codes, publishing the board.
//!
//! **Asked, then charged, by many threads.** Two calls may both be told yes where one place is left. So the
//! gates are entered first, because a permit can be given back exactly, and then the rates are charged, each
//! on the condition that it still admits. The call that comes too late is refused by name, gives its places
//! back, and is never admitted beyond a limit. It keeps only what it was charged before in that same race:
//! the rates are charged from the narrowest to the widest (client, endpoint, team, class), so that a crowd
//! at one rule costs the narrower ones of its own callers at most one call for each thread at a time, and the
//! wider ones nothing. The budgets of requests come last, in the same order; a crowd at the end of a day's requests
//! costs the rates as much. For calls that come one after another none of this can be seen.
//!
//! What a call uses is charged to its budgets when it has ended ([`settle`]). Rules that only observe are asked by
//! the same code; what that means for charging says `rule`.

mod books;

use std::time::Duration;

use self::books::Books;
use crate::budget::{Budget, BudgetKind, Budgets, Exhausted, Spent};
use crate::concurrency::{Full, Gate, GateKind, Permit, Place};
use crate::guards::{ClassGuard, Condition, EndpointGuard, NodeGuard, tightest};
use crate::pressure::level::Shedding;
use crate::priority::{Priority, Score};
use crate::quarantine::Quarantine;
use crate::rate::{Bucket, Wait};
use crate::refusal::{RatePolicy, Refusal, RefusalCode, left_until};
use crate::rule::{Holder, Rule, Tally};
use crate::scope::{ClassName, RevisionNumber, Scope, TeamName};
use crate::switches::{Armed, Board, CallFacts};
use crate::units::{Amount, Bytes, Moment};

/// When to come back to a node that is draining.
const NODE_BACK_AFTER: Duration = Duration::from_secs(1);
/// When to come back to a gate that is full: about as long as a call takes.
const GATE_BACK_AFTER: Duration = Duration::from_millis(100);

/// A call that asks to start.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// What is switched off.
    pub board: &'a Board,
    /// The node's counts.
    pub node: &'a NodeGuard,
    /// The endpoint's and its team's counts.
    pub endpoint: &'a EndpointGuard,
    /// The revision that would run.
    pub revision: RevisionNumber,
    /// The device's class, if it has one.
    pub class: Option<&'a ClassName>,
    /// What tells this client from others, such as its address.
    pub client: &'a [u8],
    /// How important it is.
    pub priority: Priority,
    /// What is given up where it would run.
    pub shed: Option<Shedding>,
    /// Whether its team uses more there than its part, while others want it, too. Only asked where something is
    /// given up.
    pub over_share: bool,
}

/// What became of the ask.
#[derive(Debug)]
#[must_use = "an admitted call that is dropped gives its place back at once"]
pub enum Verdict {
    /// It may run as long as the permit is kept.
    Admitted(Permit),
    /// It may not, for this reason.
    Refused(Box<Refusal>),
}

/// Decides whether a call may start. `unix_ms` is the wall clock's time, for the explanation alone: it never
/// changes the verdict.
pub fn admit(ask: &Ask<'_>, now: Moment, unix_ms: u64) -> Verdict {
    match decide(ask, now, unix_ms) {
        Ok(permit) => Verdict::Admitted(permit),
        Err(refusal) => Verdict::Refused(refusal),
    }
}

fn decide(ask: &Ask<'_>, now: Moment, unix_ms: u64) -> Result<Permit, Box<Refusal>> {
    let facts = ask.facts();
    if let Some(switch) = ask.board.verdict(&facts) {
        return Err(switched(switch, switch.full(), unix_ms));
    }
    if let Some(quarantine) = ask.endpoint.quarantine.against(ask.revision) {
        return Err(set_aside(ask, &quarantine, unix_ms));
    }
    if ask.node.condition() == Condition::Draining {
        return Err(draining());
    }
    if let Some(shedding) = ask.shed {
        ask.kept(&shedding, now)?;
    }
    let class = ask.class_guard();
    let (rates, mut books) = (ask.rates(class), Books::open(&ask.node.counts));
    for rate in rates.asked() {
        if rate.holder != Holder::Client {
            rate.tally.ask();
        }
        if let Err(wait) = rate.bucket.ask(now)
            && books.refuse(rate.rule(), rate.tally)
        {
            return Err(too_fast(ask, rate, wait, now, unix_ms));
        }
    }
    for purse in ask.purses(class) {
        for (kind, budget) in purse.budgets.iter() {
            match budget.ask(now) {
                Ok(is_soft) => books.nearly |= is_soft,
                Err(exhausted) if books.refuse(Rule::Budget(kind, purse.holder), &budget.tally) => {
                    return Err(used_up(ask, (kind, purse.holder), (budget, exhausted), now, unix_ms));
                }
                Err(_) => books.nearly = true,
            }
        }
    }
    for (rule, scope, ledger) in [
        ("memory.team", Some(&ask.endpoint.team.name), &ask.endpoint.team.memory),
        ("memory.node", None, &ask.node.memory),
    ] {
        ledger.ask().map_err(|full| too_much(rule, scope, full))?;
    }
    for (kind, gate) in ask.gates() {
        if let Err(full) = gate.ask()
            && books.refuse(Rule::Concurrency(kind.holder()), &gate.tally)
        {
            return Err(too_many(ask, kind, full));
        }
    }

    let mut permit = enter(ask, &mut books)?;
    for (switch, gate) in ask.board.gates(&facts) {
        match Place::take(gate) {
            Ok(place) => permit.keep(place),
            // A call that it would have refused would hold no place in it.
            Err(_) if switch.switch().observe => {}
            Err(full) => return Err(switched(switch, Some(full), unix_ms)),
        }
    }
    for rate in rates.charged() {
        if books.charges(rate.tally)
            && let Err(wait) = rate.bucket.charge(now)
            && books.refuse(rate.rule(), rate.tally)
        {
            return Err(too_fast(ask, rate, wait, now, unix_ms));
        }
    }
    for purse in ask.purses(class).rev() {
        let (kind, budget) = (BudgetKind::RequestsDay, purse.budgets.get(BudgetKind::RequestsDay));
        if !books.charges(&budget.tally) {
            continue;
        }
        match budget.charge_if_left(1, now) {
            Ok(true) => permit.reach(purse.holder),
            Ok(false) => {}
            Err(exhausted) if books.refuse(Rule::Budget(kind, purse.holder), &budget.tally) => {
                return Err(used_up(ask, (kind, purse.holder), (budget, exhausted), now, unix_ms));
            }
            Err(_) => {}
        }
    }
    let nearly = books.nearly;
    Ok(permit.with_remarks(books.close(), nearly))
}

/// Goes through the gates, but for those that observe and would have refused.
fn enter<'a>(ask: &Ask<'a>, books: &mut Books<'a>) -> Result<Permit, Box<Refusal>> {
    loop {
        let [endpoint, team] = [&ask.endpoint.gate, &ask.endpoint.team.gate]
            .map(|gate| Some(gate).filter(|gate| books.charges(&gate.tally)));
        match Permit::take_open(endpoint, team, &ask.node.gate) {
            Ok(permit) => return Ok(permit),
            Err((kind, full)) => {
                let rule = Rule::Concurrency(kind.holder());
                let [(_, endpoint), (_, team), (_, node)] = ask.gates();
                let gate = match kind {
                    GateKind::Endpoint => endpoint,
                    GateKind::Team => team,
                    GateKind::Node => node,
                };
                if books.refuse(rule, &gate.tally) {
                    return Err(too_many(ask, kind, full));
                }
            }
        }
    }
}

/// Charges what a call used, when it has ended, to the budgets of its class, endpoint and team. `nearly` is told of
/// each whose soft limit was reached by it.
pub fn settle(
    (node, endpoint, class): (&NodeGuard, &EndpointGuard, Option<&ClassName>),
    spent: &Spent,
    was_observed: bool,
    now: Moment,
    mut nearly: impl FnMut(Rule, &Scope),
) {
    let guard = class.and_then(|class| node.class(class));
    for Purse { holder, budgets } in purses(endpoint, guard) {
        let nearly = |kind| nearly(Rule::Budget(kind, holder), &scope(endpoint, class, holder));
        budgets.charge(spent, was_observed, now, nearly);
    }
}

impl<'a> Ask<'a> {
    /// What the switch board has to know of this call.
    pub fn facts(&self) -> CallFacts<'a> {
        CallFacts {
            endpoint: &self.endpoint.id,
            revision: self.revision,
            class: self.class,
            priority: self.priority,
        }
    }

    /// Of the rates and budgets that bound this call the one of which the least part is left, when at least 80 %
    /// of a rate, or the soft limit of a budget, is used: worth a warning to the client. The call has this permit.
    pub fn rate_policy(&self, permit: &Permit, now: Moment) -> Option<RatePolicy> {
        let class = self.class_guard();
        let rates = self.rates(class);
        let rates = rates.asked().filter_map(|rate| rate.bucket.warning(rate.holder.as_str(), now));
        let purses = permit.is_nearly_used().then(|| self.purses(class));
        let budgets = purses.into_iter().flatten().flat_map(|purse| {
            purse.budgets.iter().filter_map(move |(kind, budget)| {
                Some((budget.warning(Rule::Budget(kind, purse.holder), now)?, budget.limit()))
            })
        });
        tightest(rates.chain(budgets))
    }

    /// The budgets of requests that the call took to their soft limits.
    pub fn reached(&self, permit: &Permit) -> impl Iterator<Item = (Rule, Scope)> {
        let holders = [Holder::Class, Holder::Endpoint, Holder::Team].into_iter();
        let reached = holders.filter(|holder| permit.has_reached(*holder));
        reached.map(|holder| (Rule::Budget(BudgetKind::RequestsDay, holder), self.scope(holder)))
    }

    fn class_guard(&self) -> Option<&'a ClassGuard> {
        self.class.and_then(|class| self.node.class(class))
    }

    /// Whether it is not important enough where something is given up.
    pub fn is_given_up(&self, now: Moment) -> bool {
        self.shed.is_some_and(|shedding| self.kept(&shedding, now).is_err())
    }

    /// Whether it is important enough where something is given up.
    fn kept(&self, shedding: &Shedding, now: Moment) -> Result<(), Box<Refusal>> {
        let priority = if self.over_share { self.priority.less() } else { self.priority };
        let score = Score::of(priority, self.node.cohort(self.client, now));
        if score.get() <= shedding.cutoff {
            return Ok(());
        }
        Err(Box::new(shedding.refusal(self.priority, score, self.over_share)))
    }

    fn rates(&self, class: Option<&'a ClassGuard>) -> Rates<'a> {
        let rate = |holder, bucket, tally| Rate { holder, bucket, tally };
        let (endpoint, team) = (&self.endpoint.limiter, &self.endpoint.team.limiter);
        let clients = &self.node.clients;
        Rates {
            class: class.map(|guard| rate(Holder::Class, guard.limiter.bucket(), &guard.limiter.tally)),
            client: rate(Holder::Client, clients.bucket(self.client), &clients.tally),
            endpoint: rate(Holder::Endpoint, endpoint.bucket(), &endpoint.tally),
            team: rate(Holder::Team, team.bucket(), &team.tally),
        }
    }

    fn purses(&self, class: Option<&'a ClassGuard>) -> impl DoubleEndedIterator<Item = Purse<'a>> + use<'a> {
        purses(self.endpoint, class)
    }

    fn gates(&self) -> [(GateKind, &'a Gate); 3] {
        [
            (GateKind::Endpoint, &self.endpoint.gate),
            (GateKind::Team, &self.endpoint.team.gate),
            (GateKind::Node, &self.node.gate),
        ]
    }

    fn scope(&self, holder: Holder) -> Scope {
        scope(self.endpoint, self.class, holder)
    }
}

/// What a holder's rules are about. A client's rate holds on the whole node, and clients have no scope of their own.
fn scope(endpoint: &EndpointGuard, class: Option<&ClassName>, holder: Holder) -> Scope {
    match (holder, class) {
        (Holder::Class, Some(class)) => Scope::Class(class.clone()),
        (Holder::Endpoint, _) => Scope::Endpoint(endpoint.id.clone()),
        (Holder::Team, _) => Scope::Team(endpoint.team.name.clone()),
        (Holder::Client | Holder::Class | Holder::Node, _) => Scope::All,
    }
}

/// Whose budgets bound the calls of an endpoint, in the order in which they are asked.
fn purses<'a>(
    endpoint: &'a EndpointGuard,
    class: Option<&'a ClassGuard>,
) -> impl DoubleEndedIterator<Item = Purse<'a>> + use<'a> {
    let purse = |holder, budgets| Purse { holder, budgets };
    let class = class.map(|guard| purse(Holder::Class, &guard.budgets));
    let rest = [purse(Holder::Endpoint, &endpoint.budgets), purse(Holder::Team, &endpoint.team.budgets)];
    class.into_iter().chain(rest)
}

/// The budgets of one holder.
#[derive(Clone, Copy)]
struct Purse<'a> {
    holder: Holder,
    budgets: &'a Budgets,
}

/// The rates that bound one call.
struct Rates<'a> {
    class: Option<Rate<'a>>,
    client: Rate<'a>,
    endpoint: Rate<'a>,
    team: Rate<'a>,
}

impl<'a> Rates<'a> {
    /// In the order in which they are asked.
    fn asked(&self) -> impl Iterator<Item = &Rate<'a>> {
        self.class.iter().chain([&self.client, &self.endpoint, &self.team])
    }

    /// In the order in which they are charged: the narrowest first.
    fn charged(&self) -> impl Iterator<Item = &Rate<'a>> {
        [&self.client, &self.endpoint, &self.team].into_iter().chain(&self.class)
    }
}

struct Rate<'a> {
    holder: Holder,
    bucket: Bucket<'a>,
    tally: &'a Tally,
}

impl Rate<'_> {
    fn rule(&self) -> Rule {
        Rule::Rate(self.holder)
    }
}

// Explanations are made in functions of their own, which are called when the verdict is already certain.

/// The refusal of a switch, which counts it.
#[cold]
fn switched(armed: &Armed, full: Option<Full>, unix_ms: u64) -> Box<Refusal> {
    armed.count();
    let refusal = armed.refusal(unix_ms);
    Box::new(match full {
        Some(full) => Refusal {
            limit: Some(Amount::Calls(u64::from(full.limit.get()))),
            observed: Some(Amount::Calls(u64::from(full.in_flight))),
            retry_after: Some(GATE_BACK_AFTER),
            ..refusal
        },
        None => refusal,
    })
}

#[cold]
fn set_aside(ask: &Ask<'_>, quarantine: &Quarantine, unix_ms: u64) -> Box<Refusal> {
    let scope = Scope::Endpoint(ask.endpoint.id.clone());
    Box::new(Refusal {
        since: Some(quarantine.since),
        until: quarantine.until,
        by: Some(quarantine.by.clone()),
        reason: Some(quarantine.reason.clone()),
        retry_after: left_until(quarantine.until, unix_ms),
        ..Refusal::new(RefusalCode::QuarantineActive, "quarantine", scope)
    })
}

#[cold]
fn draining() -> Box<Refusal> {
    let refusal = Refusal::new(RefusalCode::NodeDraining, "node.draining", Scope::All);
    Box::new(Refusal { retry_after: Some(NODE_BACK_AFTER), ..refusal })
}

#[cold]
fn too_fast(ask: &Ask<'_>, rate: &Rate<'_>, wait: Wait, now: Moment, unix_ms: u64) -> Box<Refusal> {
    Box::new(Refusal {
        limit: Some(Amount::Rate(rate.bucket.quota().rate)),
        until: Some(unix_ms.saturating_add(milliseconds(wait.get()))),
        retry_after: Some(wait.get()),
        policy: Some(rate.bucket.policy(rate.holder.as_str(), now)),
        ..Refusal::new(RefusalCode::RateExceeded, rate.rule().as_str(), ask.scope(rate.holder))
    })
}

#[cold]
fn used_up(
    ask: &Ask<'_>,
    (kind, holder): (BudgetKind, Holder),
    (budget, Exhausted { limit, used }): (&Budget, Exhausted),
    now: Moment,
    unix_ms: u64,
) -> Box<Refusal> {
    let (rule, wait) = (Rule::Budget(kind, holder), budget.left_after(now));
    Box::new(Refusal {
        limit: Some(kind.amount(limit)),
        observed: Some(kind.amount(used)),
        since: Some(budget.refuses_since(unix_ms)),
        until: Some(unix_ms.saturating_add(milliseconds(wait))),
        retry_after: Some(wait),
        policy: Some(budget.policy(rule, now)),
        ..Refusal::new(RefusalCode::BudgetExceeded, rule.as_str(), ask.scope(holder))
    })
}

#[cold]
fn too_many(ask: &Ask<'_>, kind: GateKind, full: Full) -> Box<Refusal> {
    let rule = Rule::Concurrency(kind.holder());
    Box::new(Refusal {
        limit: Some(Amount::Calls(u64::from(full.limit.get()))),
        observed: Some(Amount::Calls(u64::from(full.in_flight))),
        retry_after: Some(GATE_BACK_AFTER),
        ..Refusal::new(RefusalCode::ConcurrencyExceeded, rule.as_str(), ask.scope(kind.holder()))
    })
}

#[cold]
fn too_much(rule: &'static str, team: Option<&TeamName>, (limit, held): (Bytes, Bytes)) -> Box<Refusal> {
    let scope = team.map_or(Scope::All, |team| Scope::Team(team.clone()));
    Box::new(Refusal {
        limit: Some(Amount::Bytes(limit)),
        observed: Some(Amount::Bytes(held)),
        retry_after: Some(GATE_BACK_AFTER),
        ..Refusal::new(RefusalCode::MemoryExceeded, rule, scope)
    })
}

/// A time in milliseconds, rounded up.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod observing;
#[cfg(test)]
mod tests;
