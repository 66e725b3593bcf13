//! Guards: what is counted for an endpoint, a team and a node, shared by all threads of the node.
//!
//! Invariant: a guard lives as long as what it guards, not as long as a revision: new limits change it in
//! place, so that a deploy never hands out a fresh burst.
//! Not here: the order in which they are asked (`admission`), who makes and finds them.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::client_keys::ClientKeys;
use crate::concurrency::Gate;
use crate::limits::{EndpointLimits, Policy};
use crate::memory::Ledger;
use crate::priority::{Cohort, EPOCH};
use crate::quarantine::QuarantineCell;
use crate::rate::{Limiter, Quota};
use crate::refusal::RatePolicy;
use crate::scope::{ClassName, EndpointId, TeamName};
use crate::track::Track;
use crate::units::Moment;

/// What is counted for one endpoint.
#[derive(Debug)]
pub struct EndpointGuard {
    /// Which endpoint.
    pub id: EndpointId,
    /// Its team's guard.
    pub team: Arc<TeamGuard>,
    /// Its rate.
    pub limiter: Limiter,
    /// Its calls alive.
    pub gate: Arc<Gate>,
    /// Whether it is set aside.
    pub quarantine: QuarantineCell,
    /// On which threads it runs.
    pub track: Track,
}

/// What is counted for one team.
#[derive(Debug)]
pub struct TeamGuard {
    /// Which team.
    pub name: TeamName,
    /// The rate of all its endpoints.
    pub limiter: Limiter,
    /// The calls alive of all its endpoints.
    pub gate: Arc<Gate>,
    /// The memory that they hold.
    pub memory: Arc<Ledger>,
}

/// What is counted for a node. A cheap handle: its clones count together.
#[derive(Debug, Clone)]
pub struct NodeGuard {
    /// All calls alive.
    pub gate: Arc<Gate>,
    /// The memory that they hold.
    pub memory: Arc<Ledger>,
    /// The rates of its clients.
    pub clients: Arc<ClientKeys>,
    classes: Arc<HashMap<ClassName, Arc<Limiter>>>,
    condition: Arc<AtomicU8>,
    /// By which clients are put into cohorts.
    secret: RandomState,
}

/// How the node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Condition {
    /// It takes calls.
    Open,
    /// It is about to stop and takes none any more.
    Draining,
}

impl EndpointGuard {
    /// The guard of an endpoint that nobody called yet.
    pub fn new(id: EndpointId, team: Arc<TeamGuard>, limits: &EndpointLimits) -> Self {
        Self {
            id,
            team,
            limiter: Limiter::new(quota(limits)),
            gate: Arc::new(Gate::new(limits.concurrency)),
            quarantine: QuarantineCell::default(),
            track: Track::default(),
        }
    }

    /// Puts new limits in force; what was used stays used.
    pub fn apply(&self, limits: &EndpointLimits, now: Moment) {
        self.limiter.rescale(quota(limits), now);
        self.gate.set_limit(limits.concurrency);
    }

    /// The tighter of the endpoint's and the team's rates, when at least 80 % of it is used.
    pub fn rate_policy(&self, now: Moment) -> Option<RatePolicy> {
        let rates = [("endpoint", self.limiter.bucket()), ("team", self.team.limiter.bucket())];
        tightest(rates.into_iter().map(|(name, bucket)| (bucket.policy(name, now), bucket.quota())))
    }
}

impl TeamGuard {
    /// The guard of a team that nobody called yet.
    pub fn new(name: TeamName, policy: &Policy) -> Self {
        Self {
            name,
            limiter: Limiter::new(team_quota(policy)),
            gate: Arc::new(Gate::new(policy.team_concurrency)),
            memory: Arc::new(Ledger::new(policy.node_memory).half()),
        }
    }

    /// Puts new limits in force; what was used stays used.
    pub fn apply(&self, policy: &Policy, now: Moment) {
        self.limiter.rescale(team_quota(policy), now);
        self.gate.set_limit(policy.team_concurrency);
    }
}

impl NodeGuard {
    /// The guard of a node that nobody called yet. The secret keeps strangers from choosing client keys that
    /// meet. A class without a quota here is bounded by the node's limits.
    pub fn new(policy: &Policy, classes: &HashMap<ClassName, Quota>, secret: RandomState) -> Self {
        let classes =
            classes.iter().map(|(name, quota)| (name.clone(), Arc::new(Limiter::new(*quota)))).collect();
        Self {
            gate: Arc::new(Gate::new(policy.node_concurrency)),
            memory: Arc::new(Ledger::new(policy.node_memory)),
            clients: Arc::new(ClientKeys::new(client_quota(policy), secret.clone())),
            classes: Arc::new(classes),
            condition: Arc::new(AtomicU8::new(Condition::Open as u8)),
            secret,
        }
    }

    /// Puts new limits in force; what was used stays used. Walks the table of clients.
    pub fn apply(&self, policy: &Policy, now: Moment) {
        self.clients.rescale(client_quota(policy), now);
        self.gate.set_limit(policy.node_concurrency);
    }

    /// A handle with other classes, to be published in place of this one. A class that stays keeps its
    /// count, and everything else is shared.
    #[must_use]
    pub fn with_classes(&self, classes: &HashMap<ClassName, Quota>, now: Moment) -> Self {
        let limiter = |name: &ClassName, quota: Quota| match self.classes.get(name) {
            Some(known) => {
                known.rescale(quota, now);
                Arc::clone(known)
            }
            None => Arc::new(Limiter::new(quota)),
        };
        let classes = classes.iter().map(|(name, quota)| (name.clone(), limiter(name, *quota))).collect();
        Self { classes: Arc::new(classes), ..self.clone() }
    }

    /// The limiter of a class, if it has one.
    pub fn class(&self, name: &ClassName) -> Option<&Limiter> {
        self.classes.get(name).map(|limiter| &**limiter)
    }

    /// The cohort of a client at this time: with whom it is given up, and with whom it is kept.
    pub fn cohort(&self, client: &[u8], now: Moment) -> Cohort {
        let epoch = now.nanos() / u64::try_from(EPOCH.as_nanos()).unwrap_or(u64::MAX);
        Cohort::of(client, epoch, &self.secret)
    }

    /// How the node is doing.
    pub fn condition(&self) -> Condition {
        match self.condition.load(Ordering::Relaxed) {
            open if open == Condition::Open as u8 => Condition::Open,
            _ => Condition::Draining,
        }
    }

    /// Says how the node is doing. Draining is for good: nothing is said after it.
    pub fn set_condition(&self, condition: Condition) {
        // An answer of "unchanged" is right too: it means that the node drains.
        let _ = self.condition.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |known| {
            (known != Condition::Draining as u8).then_some(condition as u8)
        });
    }
}

/// Of several rates the one of which the least part is left, when at least 80 % of it is used.
pub(crate) fn tightest(rates: impl Iterator<Item = (RatePolicy, Quota)>) -> Option<RatePolicy> {
    let left =
        |(policy, quota): &(RatePolicy, Quota)| (u64::from(policy.remaining), u64::from(quota.burst.get()));
    rates
        .filter(|rate| {
            let (remaining, burst) = left(rate);
            remaining * 5 <= burst
        })
        .min_by(|a, b| {
            let ((a, of_a), (b, of_b)) = (left(a), left(b));
            (a * of_b).cmp(&(b * of_a))
        })
        .map(|(policy, _)| policy)
}

fn quota(limits: &EndpointLimits) -> Quota {
    Quota { rate: limits.rate, burst: limits.burst }
}

fn team_quota(policy: &Policy) -> Quota {
    Quota { rate: policy.team_rate, burst: policy.team_burst }
}

fn client_quota(policy: &Policy) -> Quota {
    Quota { rate: policy.client_rate, burst: policy.client_burst }
}
