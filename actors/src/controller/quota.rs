//! Quotas: what operators set of them while the node runs, put in force in the guards.
//!
//! Invariant: a change is in the store before it is in force, based on the one before it, and on every other node
//! as soon as that looks at the store. The guards are changed in place, by the controller alone: what was used
//! stays used. A brake that works while the store is down is the switch (`supervisor`).
//! Not here: who may ask (the doors), what can be set to what (`quotas::setting`).

mod book;
mod parts;
mod show;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use quotas::limits::EndpointLimits;
use quotas::scope::{EndpointId, Scope};
use quotas::setting::{Name, Setting, Terms};
use quotas::units::Moment;
use runtime::fuel::now_nanos;

pub(super) use self::book::Book;
pub(super) use self::parts::Demand;
pub use self::show::{Origin, QuotaInfo, QuotaOf, QuotasSet, RuleInfo};
use super::Controller;
use crate::error::ControlError;
use crate::events::Event;
use crate::storage::{Change, QuotaRow, QuotaRule, Store};
use crate::who::{Who, unix_ms};

/// How often it looks for settings whose time is over.
const TICK: Duration = Duration::from_millis(500);
/// How often a change is tried anew when another one of the same scope was faster, and the longest pause before the
/// second try.
const RACES: u32 = 12;
const AGAIN: Duration = Duration::from_millis(20);
/// How long the store may take for one change.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// An operator: set these of a scope's quotas; or, when none are given, take all settings of it back. What was set
/// until then for good is in force again when what is set for a time is over.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<QuotaPut, ControlError>")]
pub struct SetQuota {
    /// Who asks.
    pub who: Who,
    /// Whose quotas.
    pub scope: Scope,
    /// How often the scope has to have been changed; without it, however often.
    pub expected: Option<u64>,
    /// What to set.
    pub changes: Vec<(Name, Setting)>,
    /// Why.
    pub reason: String,
    /// Until when, in Unix milliseconds; without it, until somebody sets it anew.
    pub until_ms: Option<u64>,
    /// Only say what would be done.
    pub dry_run: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaPut {
    /// What is set of the scope, stored and in force on this node.
    pub row: QuotaRow,
    /// Whether anything of the scope is here. What is not, it waits for.
    pub is_here: bool,
}

impl Handler<SetQuota> for Controller {
    type Result = ResponseFuture<Result<QuotaPut, ControlError>>;

    fn handle(&mut self, set: SetQuota, ctx: &mut Self::Context) -> Self::Result {
        if let Err(error) = self.quotas.room_for(&set.scope, set.until_ms, unix_ms()) {
            return Box::pin(async { Err(error) });
        }
        let (work, known, is_here) = (self.work(ctx), self.quotas.row(&set.scope), self.is_here(&set.scope));
        Box::pin(async move {
            let (mut known, mut is_fresh) = (known, false);
            for attempt in 0..=RACES {
                if attempt > 0 {
                    // Who was slower once is not to be slower again because all try again at once.
                    tokio::time::sleep(AGAIN.mul_f64(f64::from(attempt) * chance())).await;
                }
                let is_stale = set.expected.is_some_and(|expected| expected != known.generation);
                if !is_stale {
                    let row = changed(&known, &set, unix_ms());
                    if row.rules.is_empty() && known.rules.is_empty() {
                        return Ok(QuotaPut { row: known, is_here });
                    }
                    if set.dry_run {
                        return Ok(QuotaPut { row, is_here });
                    }
                    let what = if set.changes.is_empty() { "quota.reset" } else { "quota.set" };
                    let audit = set.who.entry(what, &set.scope, Some(set.reason.clone()));
                    let audit = audit.with("rules", told(&row));
                    if put(&*work.store, &row, &audit).await? {
                        work.controller.send(MergeQuotas(vec![row.clone()])).await?;
                        work.shared.fleet.hint(Change::Quota(row.scope.clone()));
                        return Ok(QuotaPut { row, is_here });
                    }
                } else if is_fresh {
                    break;
                }
                // Somebody else was faster, here or on another node.
                let stored = work.store.quotas().await?;
                known = stored.iter().find(|row| row.scope == set.scope).cloned().unwrap_or(known);
                work.controller.send(MergeQuotas(stored)).await?;
                is_fresh = true;
            }
            Err(ControlError::QuotaConflict { present: known.generation })
        })
    }
}

/// Even between 0 and 1, to come apart from others.
fn chance() -> f64 {
    f64::from(RandomState::new().hash_one(()) as u32) / f64::from(u32::MAX)
}

/// All that is set of the scope from now on, for the audit.
fn told(row: &QuotaRow) -> serde_json::Value {
    let rules = row.rules.iter().map(|QuotaRule { name, setting, until_ms, .. }| {
        serde_json::json!({
            "name": name.to_string(),
            "limit": setting.limit.map(|limit| name.show(limit)),
            "soft_percent": setting.soft_percent,
            "observe": setting.observe,
            "until_ms": until_ms,
        })
    });
    rules.collect()
}

async fn put(
    store: &dyn Store,
    row: &QuotaRow,
    audit: &crate::storage::AuditEntry,
) -> Result<bool, crate::error::StoreError> {
    let late = |_| Err(crate::error::StoreError::unavailable("it did not answer in time"));
    tokio::time::timeout(STORE_WAIT, store.put_quota(row, audit)).await.unwrap_or_else(late)
}

/// What is set after a change, of what was set before and is not over. What is set for a time covers what was set for
/// good, and what is set for good replaces both.
fn changed(known: &QuotaRow, set: &SetQuota, now_ms: u64) -> QuotaRow {
    let is_covered = |rule: &QuotaRule| set.until_ms.is_some() && rule.until_ms.is_none();
    let stays = |rule: &&QuotaRule| {
        let is_named = set.changes.iter().any(|(name, _)| *name == rule.name);
        rule.holds(now_ms) && (!is_named || is_covered(rule))
    };
    let kept = known.rules.iter().filter(stays).filter(|_| !set.changes.is_empty()).cloned();
    let new = set.changes.iter().map(|(name, setting)| QuotaRule {
        name: *name,
        setting: *setting,
        by: set.who.name.clone(),
        reason: set.reason.clone(),
        since_ms: now_ms,
        until_ms: set.until_ms,
    });
    let mut rules: Vec<QuotaRule> = kept.chain(new).collect();
    rules.sort_by_key(|rule| (rule.name, rule.until_ms.is_some()));
    QuotaRow { scope: set.scope.clone(), generation: known.generation + 1, rules }
}

/// The watch, and this module: this is what the store says of quotas. Answered when what is new is in force.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct MergeQuotas(pub(crate) Vec<QuotaRow>);

impl Handler<MergeQuotas> for Controller {
    type Result = ();

    fn handle(&mut self, MergeQuotas(rows): MergeQuotas, _: &mut Self::Context) {
        for scope in self.quotas.take(rows) {
            Event::QuotaChanged { scope: &scope, generation: self.quotas.row(&scope).generation }.tell();
            self.put_in_force(&scope);
        }
    }
}

impl Controller {
    /// Begins to look for settings whose time is over, and after the traffic of other nodes.
    pub(super) fn keep_quotas(&self, ctx: &mut Context<Self>) {
        ctx.run_interval(TICK, |this, ctx| this.end_quotas(&ctx.address()));
        ctx.run_interval(quotas::portion::STEP, |this, ctx| this.ask_demand(ctx.address()));
    }

    /// What an endpoint has here.
    pub(super) fn endpoint_terms(&self, id: &EndpointId, limits: &EndpointLimits) -> Terms {
        let scope = Scope::Endpoint(id.clone());
        self.terms(&scope, Terms::of_endpoint(limits, &self.shared.policy)).part(self.quotas.part(&scope))
    }

    /// What holds of a scope in the whole fleet, which by itself has this.
    pub(super) fn terms(&self, scope: &Scope, own: Terms) -> Terms {
        let policy = &self.shared.policy;
        let row = self.quotas.row(scope);
        let set: Vec<(Name, Setting)> = row
            .in_force(unix_ms())
            .map(|rule| {
                // Another node's ceilings may be higher.
                let limit = rule.setting.limit.map(|limit| limit.min(rule.name.most(scope, policy)).max(1));
                (rule.name, Setting { limit, ..rule.setting })
            })
            .collect();
        own.with(set.iter().map(|(name, setting)| (*name, setting)))
    }

    /// Puts what holds of a scope in force in its guard, if there is one.
    pub(super) fn put_in_force(&self, scope: &Scope) {
        let (policy, now) = (&self.shared.policy, Moment::from_nanos(now_nanos()));
        let part = self.quotas.part(scope);
        match scope {
            Scope::All => self.shared.node.set(&self.terms(scope, Terms::of_node(policy)), now),
            Scope::Class(class) => {
                if let Some(guard) = self.shared.node.class(class) {
                    guard.set(&self.terms(scope, Terms::of_class(guard.own, policy)).part(part), now);
                }
            }
            Scope::Team(team) => {
                if let Some(guard) = self.teams.get(team) {
                    guard.set(&self.terms(scope, Terms::of_team(policy)).part(part), now);
                }
            }
            Scope::Endpoint(id) => {
                let routes = self.shared.routes.load();
                if let Some(entry) = routes.endpoint(id) {
                    entry.guard.set(&self.endpoint_terms(id, &entry.limits), now);
                }
            }
            Scope::Script(_) | Scope::Revision(_) | Scope::Service(_) | Scope::Region(_) | Scope::Node(_) => {
            }
        }
    }

    /// Takes back what is over: in force at once, in the store as soon as it takes it.
    fn end_quotas(&mut self, myself: &Addr<Self>) {
        for row in self.quotas.over(unix_ms()) {
            self.put_in_force(&row.scope);
            let (store, myself, shared) = (Arc::clone(&self.store), myself.clone(), Arc::clone(&self.shared));
            actix_rt::spawn(async move {
                let audit =
                    Who::node("expiry").entry("quota.reset", &row.scope, Some("its time is over".to_owned()));
                // Tried again as long as it is there; another node may be faster.
                if matches!(put(&*store, &row, &audit).await, Ok(true)) {
                    shared.fleet.hint(Change::Quota(row.scope.clone()));
                    let _ = myself.send(MergeQuotas(vec![row])).await;
                }
            });
        }
    }
}
