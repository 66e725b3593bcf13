//! Drill: every kind of switch is set on a canary, asked about by a real call, and released.
//!
//! Invariant: a drill leaves no switch behind, however it ends: each is released, and each has an end of its own by
//! which it is released where the node dies first. One drill runs on a node at a time.
//! Not here: who may ask for one (the admin door), what a kind does (`quotas::switches`).
//!
//! Calls go through a lane of their own, on a thread that ends with the drill, so that they meet the same board,
//! gates and actors as those of devices, and hold up none of them.

mod canary;
mod checks;
pub(crate) mod get;

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quotas::priority::Priority;
use quotas::scope::{EndpointId, Scope, TeamName};
use quotas::switches::{Effect, Kind, SwitchId};
use quotas::units::InFlight;

use self::canary::Canary;
use crate::error::ControlError;
use crate::lane::Lane;
use crate::node::Node;
use crate::supervisor::{Flip, Release};
use crate::who::{Who, unix_ms};

/// A switch of a drill ends by itself after so long.
const ENDS_AFTER: Duration = Duration::from_secs(60);
/// What the switches of a drill give as their reason.
const REASON: &str = "a drill";

/// What one kind of switch did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drilled {
    /// The kind.
    pub kind: Kind,
    /// Whether it only observed.
    pub observe: bool,
    /// Nothing when all was as it has to be, or what was not.
    pub fault: Option<String>,
    /// How long it took until it was set.
    pub set: Duration,
    /// How long it took until it was released.
    pub released: Duration,
}

/// Runs a drill: on this endpoint, or on a canary that is deployed for the team and taken away. Answers what each
/// kind did.
///
/// # Errors
/// There is no such endpoint, it cannot be called without parameters, the canary cannot be deployed, or another
/// drill runs.
pub async fn run(
    node: &Node,
    who: &Who,
    endpoint: Option<EndpointId>,
    team: &TeamName,
) -> Result<Vec<Drilled>, ControlError> {
    let Ok(_turn) = Arc::clone(&node.shared().drilling).try_lock_owned() else {
        return Err(ControlError::DrillRunning);
    };
    let canary = match endpoint {
        Some(endpoint) => Canary::of(node, &endpoint)?,
        None => Canary::deploy(node, who, team).await?,
    };
    let drilled = on_lane(node, who, &canary).await;
    canary.take_away(node, who).await;
    drilled
}

/// Runs the drill's calls on a thread of their own.
async fn on_lane(node: &Node, who: &Who, canary: &Canary) -> Result<Vec<Drilled>, ControlError> {
    let thread = actix_rt::Arbiter::new();
    let (done, drilled) = tokio::sync::oneshot::channel();
    let (there, who, canary) = (node.clone(), who.clone(), canary.clone());
    thread.spawn_fn(move || {
        actix_rt::spawn(async move {
            let lane = Lane::open(&there, usize::MAX);
            let drill = Drill { node: there, who, canary, lane, calls: Cell::new(0) };
            // Whoever asked may have gone; the drill goes on to its end all the same.
            let _ = done.send(drill.all().await);
        });
    });
    let drilled = drilled.await.map_err(|_| ControlError::Stopping);
    thread.stop();
    drilled
}

/// A drill under way.
struct Drill {
    node: Node,
    who: Who,
    canary: Canary,
    lane: Lane,
    calls: Cell<u64>,
}

impl Drill {
    async fn all(&self) -> Vec<Drilled> {
        let cap = Effect::Cap(InFlight::new(1).expect("not zero"));
        let shed = Effect::Shed(Priority::Prefetch);
        let mut all = Vec::new();
        for effect in [Effect::Kill, Effect::Freeze, shed, Effect::Fallback, Effect::LastGood, cap] {
            for observe in [false, true] {
                all.push(self.one(effect, observe).await);
            }
        }
        all
    }

    async fn one(&self, effect: Effect, observe: bool) -> Drilled {
        let scope = match effect.kind() {
            Kind::Freeze => Scope::Script(self.canary.endpoint.script.clone()),
            _ => Scope::Endpoint(self.canary.endpoint.clone()),
        };
        let id = SwitchId { scope, kind: effect.kind() };
        let mut drilled =
            Drilled { kind: id.kind, observe, fault: None, set: Duration::ZERO, released: Duration::ZERO };
        if self.node.shared().board.load().get(&id).is_some() {
            // Somebody's own switch is not replaced by one that a drill releases.
            drilled.fault = Some(format!("{id} is set already"));
            return drilled;
        }
        if let Err(fault) = self.is_served().await {
            drilled.fault = Some(format!("before it was set, {fault}"));
            return drilled;
        }
        let began = Instant::now();
        let mut fault = self.set(&id, effect, observe).await.err();
        drilled.set = began.elapsed();
        if fault.is_none() {
            fault = self.check(&id, effect, observe).await.err();
        }
        let began = Instant::now();
        // Also where it could not be set: it may be in force and not written down.
        let released = self.release(&id).await;
        drilled.released = began.elapsed();
        fault = fault.or(released.err());
        if fault.is_none() {
            fault = self.is_served().await.err().map(|fault| format!("after it was released, {fault}"));
        }
        drilled.fault = fault;
        drilled
    }

    async fn set(&self, id: &SwitchId, effect: Effect, observe: bool) -> Result<(), String> {
        let ends = u64::try_from(ENDS_AFTER.as_millis()).unwrap_or(u64::MAX);
        let flip = Flip {
            who: self.who.clone(),
            bound: None,
            scope: id.scope.clone(),
            effect,
            reason: REASON.to_owned(),
            until_ms: Some(unix_ms().saturating_add(ends)),
            observe,
            dry_run: false,
        };
        let set = self.node.supervisor().send(flip).await;
        let set = set.unwrap_or_else(|error| Err(error.into()));
        set.map(drop).map_err(|error| format!("it could not be set: {error}"))
    }

    async fn release(&self, id: &SwitchId) -> Result<(), String> {
        let reason = Some(REASON.to_owned());
        let release =
            Release { who: self.who.clone(), bound: None, id: id.clone(), of: None, reason, dry_run: false };
        let released = self.node.supervisor().send(release).await;
        let released = released.unwrap_or_else(|error| Err(error.into()));
        released
            .map(drop)
            .map_err(|error| format!("it could not be released, and ends by itself within a minute: {error}"))
    }
}
