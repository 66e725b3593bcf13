//! Guards: what is counted for an endpoint, a team and a node, shared by all threads of the node.
//!
//! Invariant: a guard lives as long as what it guards, not as long as a revision: new limits change it in
//! place, so that neither a deploy nor an operator hands out a fresh burst or a fresh budget.
//! Not here: the order in which they are asked (`admission`), who makes and finds them.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::budget::Budgets;
use crate::client_keys::ClientKeys;
use crate::concurrency::Gate;
use crate::limits::{EndpointLimits, Policy};
use crate::memory::Ledger;
use crate::priority::{Cohort, EPOCH};
use crate::quarantine::QuarantineCell;
use crate::rate::{Limiter, Quota};
use crate::refusal::RatePolicy;
use crate::rule::RuleCounts;
use crate::scope::{ClassName, EndpointId, TeamName};
use crate::setting::{Name, Terms};
use crate::team::{Deploys, TeamQuota};
use crate::track::Track;
use crate::units::{InFlight, Moment, PerSecond};

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
    /// What its calls use in a minute and a day.
    pub budgets: Budgets,
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
    /// What their calls use in a minute and a day.
    pub budgets: Budgets,
    /// Its deploys.
    pub deploys: Deploys,
}

/// What is counted for one class of devices.
#[derive(Debug)]
pub struct ClassGuard {
    /// What the configuration gives it.
    pub own: Quota,
    /// The rate of all its calls.
    pub limiter: Limiter,
    /// What they use in a minute and a day.
    pub budgets: Budgets,
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
    /// What came of asking each rule, of whatever scope.
    pub counts: Arc<RuleCounts>,
    classes: Arc<HashMap<ClassName, Arc<ClassGuard>>>,
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
    /// The guard of an endpoint that nobody called yet. Its budgets come with [`EndpointGuard::set`].
    pub fn new(id: EndpointId, team: Arc<TeamGuard>, limits: &EndpointLimits) -> Self {
        let policy = Policy::default();
        Self {
            id,
            team,
            limiter: Limiter::new(Quota { rate: limits.rate, burst: limits.burst }),
            gate: Arc::new(Gate::new(limits.concurrency)),
            budgets: Budgets::new(&policy.endpoint_budgets, policy.soft_percent),
            quarantine: QuarantineCell::default(),
            track: Track::default(),
        }
    }

    /// Puts other terms in force; what was used stays used.
    pub fn set(&self, terms: &Terms, now: Moment) {
        set_limiter(&self.limiter, terms, now);
        set_gate(&self.gate, terms);
        set_budgets(&self.budgets, terms);
    }

    /// The tighter of the endpoint's and the team's rates, when at least 80 % of it is used.
    pub fn rate_policy(&self, now: Moment) -> Option<RatePolicy> {
        let rates = [("endpoint", self.limiter.bucket()), ("team", self.team.limiter.bucket())];
        tightest(rates.into_iter().filter_map(|(name, bucket)| bucket.warning(name, now)))
    }
}

impl TeamGuard {
    /// The guard of a team that nobody called yet.
    pub fn new(name: TeamName, policy: &Policy) -> Self {
        Self {
            name,
            limiter: Limiter::new(Quota { rate: policy.team_rate, burst: policy.team_burst }),
            gate: Arc::new(Gate::new(policy.team_concurrency)),
            memory: Arc::new(Ledger::new(policy.node_memory).half()),
            budgets: Budgets::new(&policy.team_budgets, policy.soft_percent),
            deploys: Deploys::new(&policy.team_quotas),
        }
    }

    /// Puts other terms in force; what was used stays used.
    pub fn set(&self, terms: &Terms, now: Moment) {
        set_limiter(&self.limiter, terms, now);
        set_gate(&self.gate, terms);
        set_budgets(&self.budgets, terms);
        let limit = |quota| terms.get(Name::Team(quota)).limit;
        self.deploys.set(limit(TeamQuota::DeploysHour), limit(TeamQuota::CompileHour));
    }
}

impl ClassGuard {
    /// The guard of a class that nobody called yet.
    pub fn new(quota: Quota, policy: &Policy) -> Self {
        let budgets = Budgets::new(&policy.class_budgets, policy.soft_percent);
        Self { own: quota, limiter: Limiter::new(quota), budgets }
    }

    /// Puts other terms in force; what was used stays used.
    pub fn set(&self, terms: &Terms, now: Moment) {
        set_limiter(&self.limiter, terms, now);
        set_budgets(&self.budgets, terms);
    }
}

impl NodeGuard {
    /// The guard of a node that nobody called yet. The secret keeps strangers from choosing client keys that
    /// meet. A class without a quota here is bounded by the node's limits.
    pub fn new(policy: &Policy, classes: &HashMap<ClassName, Quota>, secret: RandomState) -> Self {
        let class =
            |(name, quota): (&ClassName, &Quota)| (name.clone(), Arc::new(ClassGuard::new(*quota, policy)));
        let clients = Quota { rate: policy.client_rate, burst: policy.client_burst };
        Self {
            gate: Arc::new(Gate::new(policy.node_concurrency)),
            memory: Arc::new(Ledger::new(policy.node_memory)),
            clients: Arc::new(ClientKeys::new(clients, secret.clone())),
            counts: Arc::default(),
            classes: Arc::new(classes.iter().map(class).collect()),
            condition: Arc::new(AtomicU8::new(Condition::Open as u8)),
            secret,
        }
    }

    /// Puts other terms in force; what was used stays used. Walks the table of clients where their rate changed.
    pub fn set(&self, terms: &Terms, now: Moment) {
        // It protects the node's memory, and so it never only observes.
        self.gate.set_limit(in_flight(terms));
        let quota = quota(terms.get(Name::ClientRate).limit, terms.get(Name::ClientBurst).limit);
        if quota != self.clients.quota() {
            self.clients.rescale(quota, now);
        }
        self.clients.tally.set_observes(terms.get(Name::ClientRate).observe);
    }

    /// The guard of a class, if it has one.
    pub fn class(&self, name: &ClassName) -> Option<&ClassGuard> {
        self.classes.get(name).map(|guard| &**guard)
    }

    /// The classes that have a guard.
    pub fn classes(&self) -> impl Iterator<Item = (&ClassName, &ClassGuard)> {
        self.classes.iter().map(|(name, guard)| (name, &**guard))
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

/// Of several states, each with its whole, the one of which the least part is left.
pub(crate) fn tightest(states: impl Iterator<Item = (RatePolicy, u64)>) -> Option<RatePolicy> {
    let part = |(policy, whole): &(RatePolicy, u64)| (u128::from(policy.remaining), u128::from(*whole));
    states
        .min_by(|one, other| {
            let ((one, of_one), (other, of_other)) = (part(one), part(other));
            (one * of_other).cmp(&(other * of_one))
        })
        .map(|(policy, _)| policy)
}

/// A quota of these numbers, each at least one.
fn quota(rate: u64, burst: u64) -> Quota {
    let rate = u32::try_from(rate).unwrap_or(PerSecond::MAX).clamp(1, PerSecond::MAX);
    let burst = u32::try_from(burst).unwrap_or(u32::MAX).max(1);
    Quota {
        rate: PerSecond::new(rate).expect("at least one, at most the highest"),
        burst: burst.try_into().expect("at least one"),
    }
}

fn set_limiter(limiter: &Limiter, terms: &Terms, now: Moment) {
    let quota = quota(terms.get(Name::Rate).limit, terms.get(Name::Burst).limit);
    if quota != limiter.quota() {
        limiter.rescale(quota, now);
    }
    limiter.tally.set_observes(terms.get(Name::Rate).observe);
}

fn set_gate(gate: &Gate, terms: &Terms) {
    gate.set_limit(in_flight(terms));
    gate.tally.set_observes(terms.get(Name::Concurrency).observe);
}

fn in_flight(terms: &Terms) -> InFlight {
    let limit = u32::try_from(terms.get(Name::Concurrency).limit).unwrap_or(u32::MAX).max(1);
    InFlight::new(limit).expect("at least one")
}

fn set_budgets(budgets: &Budgets, terms: &Terms) {
    for (kind, budget) in budgets.iter() {
        let term = terms.get(Name::Budget(kind));
        budget.set(term.limit, term.soft_percent);
        budget.tally.set_observes(term.observe);
    }
}
