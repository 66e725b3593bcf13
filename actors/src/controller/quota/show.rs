//! Showing quotas: what holds of a scope, where it comes from, and what is used of it on this node.

use std::time::Duration;

use actix::{Handler, Message, MessageResult};
use quotas::budget::Budgets;
use quotas::concurrency::Gate;
use quotas::limits::Policy;
use quotas::rate::Limiter;
use quotas::rule::{Holder, Rule, Tally};
use quotas::scope::{EndpointId, Scope, TeamName};
use quotas::setting::{Name, Terms};
use quotas::team::TeamQuota;
use quotas::units::Moment;
use runtime::fuel::now_nanos;

use super::super::Controller;
use crate::storage::QuotaRow;
use crate::who::unix_ms;

/// The admin door: what holds of this scope? Nothing when nothing of it is here.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Option<QuotaInfo>")]
pub struct QuotaOf(pub Scope);

/// The admin door: all that is set of any scope, and whether anything of that scope is here.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<(QuotaRow, bool)>")]
pub struct QuotasSet;

/// What holds of a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct QuotaInfo {
    /// How often it was set.
    pub generation: u64,
    /// Its rules; of an endpoint, its team's too.
    pub rules: Vec<RuleInfo>,
}

/// What holds of one rule.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleInfo {
    /// The rule, as it stands in a refusal.
    pub rule: &'static str,
    /// By which name it is set.
    pub name: Name,
    /// The limit, of the whole fleet.
    pub limit: u64,
    /// This node's part of it, where it has one.
    pub here: u64,
    /// Of a rate, the calls at once.
    pub burst: Option<u64>,
    /// From how much used on is warned.
    pub soft: Option<u64>,
    /// What is used on this node.
    pub used: u64,
    /// What is left on this node.
    pub remaining: u64,
    /// When all is left again if nobody calls.
    pub reset: Option<Duration>,
    /// Whether it only counts what it would refuse.
    pub observe: bool,
    /// Calls that it refused since the start of the node, and that it would have.
    pub counts: (u64, u64),
    /// Where the limit comes from.
    pub origin: Origin,
}

/// Where a limit comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The operator's configuration.
    Config,
    /// The team's manifest.
    Manifest,
    /// An operator, while the server ran.
    Operator {
        /// Who.
        by: String,
        /// Why.
        reason: String,
        /// Since when, in Unix milliseconds.
        since_ms: u64,
        /// Until when, in Unix milliseconds.
        until_ms: Option<u64>,
    },
}

impl Handler<QuotaOf> for Controller {
    type Result = MessageResult<QuotaOf>;

    fn handle(&mut self, QuotaOf(scope): QuotaOf, _: &mut Self::Context) -> Self::Result {
        let rules = match &scope {
            Scope::All => Some(self.of_node()),
            Scope::Team(team) => self.of_team(team),
            Scope::Endpoint(id) => self.of_endpoint(id),
            Scope::Class(_) => self.of_class(&scope),
            Scope::Script(script) => {
                (!self.routes.script(script).is_empty()).then(|| self.of_team(&script.team)).flatten()
            }
            Scope::Revision(revision) => {
                let live = self.scripts.get(&revision.script);
                let serves = live.is_some_and(|live| live.head.active == Some(revision.number));
                serves.then(|| self.of_team(&revision.script.team)).flatten()
            }
            // Of this node, whatever is its own.
            Scope::Region(_) | Scope::Node(_) => {
                self.shared.board.load().home().has(&scope).then(|| self.of_node())
            }
            Scope::Service(_) => None,
        };
        let generation = self.quotas.row(&scope).generation;
        MessageResult(rules.map(|rules| QuotaInfo { generation, rules }))
    }
}

impl Handler<QuotasSet> for Controller {
    type Result = MessageResult<QuotasSet>;

    fn handle(&mut self, _: QuotasSet, _: &mut Self::Context) -> Self::Result {
        let all = self.quotas.rows().map(|row| (row.clone(), self.is_here(&row.scope)));
        MessageResult(all.collect())
    }
}

/// What a rule's numbers are made of.
struct Sheet<'a> {
    controller: &'a Controller,
    scope: Scope,
    holder: Holder,
    terms: Terms,
    /// What it has without what was set, and what it would have by default.
    own: Terms,
    default: Terms,
    /// Whether what differs from the default stands in a manifest.
    by_manifest: bool,
    now: Moment,
}

impl Controller {
    /// Whether anything is here that what is set of a scope could hold of.
    pub(super) fn is_here(&self, scope: &Scope) -> bool {
        match scope {
            Scope::All => true,
            Scope::Team(team) => self.teams.contains_key(team),
            Scope::Endpoint(id) => self.shared.routes.load().endpoint(id).is_some(),
            Scope::Class(class) => self.shared.node.class(class).is_some(),
            Scope::Script(_) | Scope::Revision(_) | Scope::Service(_) | Scope::Region(_) | Scope::Node(_) => {
                false
            }
        }
    }

    fn sheet(&self, scope: Scope, holder: Holder, own: Terms, default: Terms) -> Sheet<'_> {
        let terms = self.terms(&scope, own);
        let now = Moment::from_nanos(now_nanos());
        Sheet { controller: self, scope, holder, terms, own, default, by_manifest: false, now }
    }

    fn of_node(&self) -> Vec<RuleInfo> {
        let (policy, node) = (&self.shared.policy, &self.shared.node);
        let sheet =
            self.sheet(Scope::All, Holder::Node, Terms::of_node(policy), Terms::of_node(&Policy::default()));
        let clients = node.clients.quota();
        let rate = RuleInfo {
            rule: Rule::Rate(Holder::Client).as_str(),
            burst: Some(clients.burst.get().into()),
            // Each client has a count of its own; one that is new has all of it.
            remaining: clients.burst.get().into(),
            ..sheet.info(Name::ClientRate, clients.rate.get().into(), (0, None), Some(&node.clients.tally))
        };
        vec![rate, sheet.gate(&node.gate)]
    }

    fn of_class(&self, scope: &Scope) -> Option<Vec<RuleInfo>> {
        let Scope::Class(class) = scope else { return None };
        let guard = self.shared.node.class(class)?;
        let own = Terms::of_class(guard.own, &self.shared.policy);
        let default = Terms::of_class(guard.own, &Policy::default());
        let sheet = self.sheet(scope.clone(), Holder::Class, own, default);
        let mut rules = vec![sheet.rate(&guard.limiter)];
        rules.extend(sheet.budgets(&guard.budgets));
        Some(rules)
    }

    fn of_team(&self, team: &TeamName) -> Option<Vec<RuleInfo>> {
        let guard = self.teams.get(team).filter(|_| self.routes.team(team).next().is_some())?;
        let (own, default) = (Terms::of_team(&self.shared.policy), Terms::of_team(&Policy::default()));
        let sheet = self.sheet(Scope::Team(team.clone()), Holder::Team, own, default);
        let mut rules = vec![sheet.rate(&guard.limiter)];
        rules.extend(sheet.budgets(&guard.budgets));
        rules.push(sheet.gate(&guard.gate));
        let has = self.team_has(team, None);
        rules.extend(TeamQuota::ALL.map(|quota| {
            let (used, reset) = match quota.length() {
                Some(_) => {
                    let (used, reset) = guard.deploys.used(quota, sheet.now);
                    (used, Some(reset))
                }
                None => (has.of(quota), None),
            };
            let name = Name::Team(quota);
            let limit = sheet.terms.get(name).limit;
            RuleInfo { rule: quota.rule(), ..sheet.info(name, limit, (used, reset), None) }
        }));
        Some(rules)
    }

    fn of_endpoint(&self, id: &EndpointId) -> Option<Vec<RuleInfo>> {
        let routes = self.shared.routes.load();
        let entry = routes.endpoint(id)?;
        let (guard, policy) = (&entry.guard, &self.shared.policy);
        let own = Terms::of_endpoint(&entry.limits, policy);
        // What the manifest does not ask for is the operator's default.
        let default = Terms::of_endpoint(&policy.endpoint(&Default::default()), policy);
        let sheet = self.sheet(Scope::Endpoint(id.clone()), Holder::Endpoint, own, default);
        let sheet = Sheet { by_manifest: true, ..sheet };
        let mut rules = vec![sheet.rate(&guard.limiter)];
        rules.extend(sheet.budgets(&guard.budgets));
        rules.push(sheet.gate(&guard.gate));
        rules.extend(self.of_team(id.team())?);
        Some(rules)
    }
}

impl Sheet<'_> {
    fn rate(&self, limiter: &Limiter) -> RuleInfo {
        let quota = limiter.quota();
        let remaining = u64::from(limiter.remaining(self.now));
        let burst = u64::from(quota.burst.get());
        let used = (burst.saturating_sub(remaining), Some(limiter.reset_after(self.now)));
        RuleInfo {
            burst: Some(burst),
            remaining,
            ..self.info(Name::Rate, quota.rate.get().into(), used, Some(&limiter.tally))
        }
    }

    fn gate(&self, gate: &Gate) -> RuleInfo {
        let (limit, in_flight) = (gate.limit().get().into(), gate.in_flight().into());
        self.info(Name::Concurrency, limit, (in_flight, None), Some(&gate.tally))
    }

    fn budgets<'b>(&'b self, budgets: &'b Budgets) -> impl Iterator<Item = RuleInfo> + 'b {
        budgets.iter().map(|(kind, budget)| {
            let used = (budget.used(self.now), Some(budget.reset_after(self.now)));
            RuleInfo {
                soft: Some(budget.soft()),
                ..self.info(Name::Budget(kind), budget.limit(), used, Some(&budget.tally))
            }
        })
    }

    fn info(
        &self,
        name: Name,
        here: u64,
        (used, reset): (u64, Option<Duration>),
        tally: Option<&Tally>,
    ) -> RuleInfo {
        let term = self.terms.get(name);
        let rule = match name {
            Name::Budget(kind) => Rule::Budget(kind, self.holder),
            Name::Concurrency => Rule::Concurrency(self.holder),
            _ => Rule::Rate(self.holder),
        };
        RuleInfo {
            rule: rule.as_str(),
            name,
            limit: term.limit,
            here,
            burst: None,
            soft: None,
            used,
            remaining: here.saturating_sub(used),
            reset,
            observe: term.observe,
            counts: tally.map_or((0, 0), |tally| (tally.refused(), tally.observed())),
            origin: self.origin(name),
        }
    }

    fn origin(&self, name: Name) -> Origin {
        let row = self.controller.quotas.row(&self.scope);
        let now = unix_ms();
        if let Some(rule) = row.in_force(now).find(|rule| rule.name == name) {
            let (by, reason) = (rule.by.clone(), rule.reason.clone());
            return Origin::Operator { by, reason, since_ms: rule.since_ms, until_ms: rule.until_ms };
        }
        match self.own.get(name) == self.default.get(name) {
            false if self.by_manifest => Origin::Manifest,
            false => Origin::Config,
            // A class has no rate but that of the configuration, and an endpoint's default may be.
            true if self.by_manifest => self.configured(name),
            true if self.holder == Holder::Class && name == Name::Rate => Origin::Config,
            true => Origin::Default,
        }
    }

    fn configured(&self, name: Name) -> Origin {
        let policy = Policy::default();
        let default = Terms::of_endpoint(&policy.endpoint(&Default::default()), &policy);
        if self.default.get(name) == default.get(name) { Origin::Default } else { Origin::Config }
    }
}
