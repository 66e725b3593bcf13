//! Admission: may this call start now, and if not, why.
//!
//! Invariant: rules are asked in a fixed order and the first that refuses is the one named: 1 switches ·
//! 2 quarantine · 3 the node's condition · 4 rates: class, client, endpoint, team · 5 calls alive: endpoint,
//! team, node. All are asked before any is charged, and a refused call spends nothing. A switch that caps calls
//! alive is asked among the switches and entered with the other gates.
//! Not here: reading clocks, counting fuel, HTTP status codes, publishing the board.
//!
//! **Asked, then charged, by many threads.** Two calls may both be told yes where one place is left. So the
//! gates are entered first, because a permit can be given back exactly, and then the rates are charged, each
//! on the condition that it still admits. The call that comes too late is refused by name, gives its places
//! back, and is never admitted beyond a limit. It keeps only what it was charged before in that same race:
//! the rates are charged from the narrowest to the widest (client, endpoint, team, class), so that a crowd
//! at one rule costs the narrower ones of its own callers at most one call for each thread at a time, and the
//! wider ones nothing. For calls that come one after another none of this can be seen.

use std::time::Duration;

use crate::concurrency::{Full, GateKind, Permit, Place};
use crate::guards::{Condition, EndpointGuard, NodeGuard, tightest};
use crate::priority::Priority;
use crate::quarantine::Quarantine;
use crate::rate::{Bucket, Wait};
use crate::refusal::{RatePolicy, Refusal, RefusalCode, left_until};
use crate::scope::{ClassName, RevisionNumber, Scope};
use crate::switches::{Armed, Board, CallFacts};
use crate::units::{Amount, Moment};

/// When to come back to a node that is pressed or draining.
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
    /// How important the call is.
    pub priority: Priority,
    /// What tells this client from others, such as its address.
    pub client: &'a [u8],
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
    match ask.node.condition() {
        Condition::Open => {}
        Condition::Pressed => return Err(node_closed(RefusalCode::PressureShed, "node.pressure")),
        Condition::Draining => return Err(node_closed(RefusalCode::NodeDraining, "node.draining")),
    }
    let rates = ask.rates();
    for rate in rates.asked() {
        rate.bucket.ask(now).map_err(|wait| too_fast(ask, rate, wait, now, unix_ms))?;
    }
    let (endpoint, team) = (&ask.endpoint.gate, &ask.endpoint.team.gate);
    for (kind, gate) in
        [(GateKind::Endpoint, endpoint), (GateKind::Team, team), (GateKind::Node, &ask.node.gate)]
    {
        gate.ask().map_err(|full| too_many(ask, kind, full))?;
    }

    let mut permit =
        Permit::take(endpoint, team, &ask.node.gate).map_err(|(kind, full)| too_many(ask, kind, full))?;
    for (switch, gate) in ask.board.gates(&facts) {
        match Place::take(gate) {
            Ok(place) => permit.keep(place),
            // A call that it would have refused would hold no place in it.
            Err(_) if switch.switch().observe => {}
            Err(full) => return Err(switched(switch, Some(full), unix_ms)),
        }
    }
    for rate in rates.charged() {
        rate.bucket.charge(now).map_err(|wait| too_fast(ask, rate, wait, now, unix_ms))?;
    }
    Ok(permit)
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

    /// Of the rates that bound this call the one of which the least is left, when at least 80 % of it is
    /// used: worth a warning to the client.
    pub fn rate_policy(&self, now: Moment) -> Option<RatePolicy> {
        let rates = self.rates();
        tightest(rates.asked().map(|rate| (rate.bucket.policy(rate.kind.name(), now), rate.bucket.quota())))
    }

    fn rates(&self) -> Rates<'a> {
        let rate = |kind, bucket| Rate { kind, bucket };
        Rates {
            class: self
                .class
                .and_then(|class| self.node.class(class))
                .map(|limiter| rate(RateKind::Class, limiter.bucket())),
            client: rate(RateKind::Client, self.node.clients.bucket(self.client)),
            endpoint: rate(RateKind::Endpoint, self.endpoint.limiter.bucket()),
            team: rate(RateKind::Team, self.endpoint.team.limiter.bucket()),
        }
    }
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
    kind: RateKind,
    bucket: Bucket<'a>,
}

#[derive(Clone, Copy)]
enum RateKind {
    Class,
    Client,
    Endpoint,
    Team,
}

impl RateKind {
    fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Client => "client",
            Self::Endpoint => "endpoint",
            Self::Team => "team",
        }
    }

    fn rule(self) -> &'static str {
        match self {
            Self::Class => "rate.class",
            Self::Client => "rate.client",
            Self::Endpoint => "rate.endpoint",
            Self::Team => "rate.team",
        }
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
fn node_closed(code: RefusalCode, rule: &'static str) -> Box<Refusal> {
    Box::new(Refusal { retry_after: Some(NODE_BACK_AFTER), ..Refusal::new(code, rule, Scope::All) })
}

#[cold]
fn too_fast(ask: &Ask<'_>, rate: &Rate<'_>, wait: Wait, now: Moment, unix_ms: u64) -> Box<Refusal> {
    let scope = match (rate.kind, ask.class) {
        (RateKind::Class, Some(class)) => Scope::Class(class.clone()),
        (RateKind::Endpoint, _) => Scope::Endpoint(ask.endpoint.id.clone()),
        (RateKind::Team, _) => Scope::Team(ask.endpoint.team.name.clone()),
        // A client's rate holds on the whole node, and clients have no scope of their own.
        (RateKind::Client | RateKind::Class, _) => Scope::All,
    };
    let wait_ms = u64::try_from(wait.get().as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Box::new(Refusal {
        limit: Some(Amount::Rate(rate.bucket.quota().rate)),
        until: Some(unix_ms.saturating_add(wait_ms)),
        retry_after: Some(wait.get()),
        policy: Some(rate.bucket.policy(rate.kind.name(), now)),
        ..Refusal::new(RefusalCode::RateExceeded, rate.kind.rule(), scope)
    })
}

#[cold]
fn too_many(ask: &Ask<'_>, kind: GateKind, full: Full) -> Box<Refusal> {
    let (rule, scope) = match kind {
        GateKind::Endpoint => ("concurrency.endpoint", Scope::Endpoint(ask.endpoint.id.clone())),
        GateKind::Team => ("concurrency.team", Scope::Team(ask.endpoint.team.name.clone())),
        GateKind::Node => ("concurrency.node", Scope::All),
    };
    Box::new(Refusal {
        limit: Some(Amount::Calls(u64::from(full.limit.get()))),
        observed: Some(Amount::Calls(u64::from(full.in_flight))),
        retry_after: Some(GATE_BACK_AFTER),
        ..Refusal::new(RefusalCode::ConcurrencyExceeded, rule, scope)
    })
}

#[cfg(test)]
mod tests;
