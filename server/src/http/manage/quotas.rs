//! Quotas: what a scope may use and has used on this node, and changing it.
//!
//! Invariant: only an operator whom no team binds changes quotas; to a team's own token its own can be seen and
//! another's are not there.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use actors::controller::{Origin, QuotaOf, QuotaPut, RuleInfo, SetQuota};
use actors::storage::{QuotaRow, QuotaRule};
use api::{
    Page, Problem, QuotaAnswer, QuotaChange, QuotaMode, QuotaOrigin, QuotaRequest, QuotaSource, QuotaState,
    QuotasSet,
};
use quotas::concurrency::Gate;
use quotas::limits::Policy;
use quotas::memory::Ledger;
use quotas::scope::{Scope, TeamName};
use quotas::setting::{Name, Setting};
use runtime::host::service::ServiceGuard;

use super::query::{self, Query, REASON_MAX};
use super::{AdminDoor, Answered, Door, body, json, ok, tagged};
use crate::http::auth::Caller;
use crate::http::problem::ProblemError;

pub(super) async fn list(door: Door, caller: Caller, request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    let all = door.node.controller().send(actors::controller::QuotasSet).await?;
    let seen = all.into_iter().filter(|(row, _)| caller.sees_scope(&row.scope));
    let shown = seen.map(|(QuotaRow { scope, generation, rules }, present)| QuotasSet {
        scope: scope.to_string(),
        set: rules.iter().map(of_set).collect(),
        etag: etag(generation),
        present,
    });
    ok(&Page::whole(shown.collect()))
}

pub(super) async fn one(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answered {
    Query::read(&request, &[])?;
    let scope: Scope = path.parse()?;
    if !caller.sees_scope(&scope) {
        return Err(unknown(&scope));
    }
    if let Scope::Service(name) = &scope {
        let service = door.node.shared().services.get(name).ok_or_else(|| unknown(&scope))?;
        let mut rules = vec![of_gate("concurrency.service", &service.gate)];
        // Of the others' requests a team learns nothing.
        let seen = service.sides().into_iter().filter(|(team, _)| caller.sees(team));
        rules.extend(seen.flat_map(|(team, side)| of_side(&team, &side)));
        return ok(&QuotaState { scope: scope.to_string(), rules, etag: etag(0) });
    }
    let found = door.node.controller().send(QuotaOf(scope.clone())).await?;
    let found = found.ok_or_else(|| unknown(&scope))?;
    let etag = etag(found.generation);
    let rules = found.rules.iter().map(|rule| of_rule(rule, &scope)).chain(memory(&door, &scope)).collect();
    Ok(tagged(
        json(
            actix_web::http::StatusCode::OK,
            &QuotaState { scope: scope.to_string(), rules, etag: etag.clone() },
        ),
        &etag,
    ))
}

pub(super) async fn set(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Answered {
    let query = Query::read(&request, &["dry_run"])?;
    let scope = allowed(&caller, &path)?;
    let (dry_run, expected) = (query.flag("dry_run", false)?, query::if_match(&request)?);
    let asked: QuotaRequest = body::json(&request, payload).await?;
    let reason = asked.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_MAX {
        return Err(body::fault("/reason", format!("it has to be 1 to {REASON_MAX} characters")));
    }
    if asked.rules.is_empty() {
        return Err(body::fault("/rules", "name at least one; DELETE takes all back"));
    }
    let mut changes: Vec<(Name, Setting)> = Vec::new();
    for (place, change) in asked.rules.iter().enumerate() {
        let (name, setting) = setting(change, &scope, &door.node.shared().policy)
            .map_err(|problem| at(&format!("/rules/{place}"), problem))?;
        if changes.iter().any(|(known, _)| *known == name) {
            return Err(at(&format!("/rules/{place}"), format!("`{name}` is there twice")));
        }
        changes.push((name, setting));
    }
    let until_ms = asked.until.map(api::time_to_ms);
    let set = SetQuota { who: caller.who(), scope, expected, changes, reason, until_ms, dry_run };
    change(&door, set).await
}

pub(super) async fn reset(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answered {
    let query = Query::read(&request, &["dry_run", "reason"])?;
    let scope = allowed(&caller, &path)?;
    let (dry_run, expected) = (query.flag("dry_run", false)?, query::if_match(&request)?);
    let reason = query.reason()?.unwrap_or_default();
    let (changes, until_ms) = (Vec::new(), None);
    change(&door, SetQuota { who: caller.who(), scope, expected, changes, reason, until_ms, dry_run }).await
}

async fn change(door: &AdminDoor, set: SetQuota) -> Answered {
    let dry_run = set.dry_run;
    let QuotaPut { row, is_here } = door.node.controller().send(set).await??;
    let etag = etag(row.generation);
    let QuotaRow { scope, rules, .. } = row;
    let answer = QuotaAnswer {
        scope: scope.to_string(),
        set: rules.iter().map(of_set).collect(),
        etag: etag.clone(),
        present: is_here,
        dry_run,
    };
    Ok(tagged(json(actix_web::http::StatusCode::OK, &answer), &etag))
}

/// The scope, if the caller may change its quotas and it has any.
fn allowed(caller: &Caller, path: &str) -> Result<Scope, ProblemError> {
    let scope: Scope = path.parse()?;
    if !caller.sees_scope(&scope) {
        return Err(unknown(&scope));
    }
    caller.sets_quotas()?;
    if Name::of(&scope).next().is_none() {
        let detail =
            format!("{scope} has no quotas of its own; set those of `all`, a team, an endpoint or a class");
        return Err(ProblemError::of("quota.invalid", detail));
    }
    Ok(scope)
}

fn setting(change: &QuotaChange, scope: &Scope, policy: &Policy) -> Result<(Name, Setting), String> {
    let name: Name = change.name.parse().map_err(|error: quotas::setting::SettingError| error.to_string())?;
    if !Name::of(scope).any(|has| has == name) {
        let has: Vec<&str> = Name::of(scope).map(Name::as_str).collect();
        return Err(format!("{scope} has no quota `{name}`; it has {}", has.join(", ")));
    }
    let observe = change.mode == Some(QuotaMode::Observe);
    if observe && !name.can_observe(scope) {
        return Err(format!("`{name}` of {scope} cannot only observe"));
    }
    let limit = change.limit.as_deref().map(|text| name.read(text, scope, policy));
    let limit = limit.transpose().map_err(|error| error.to_string())?;
    let soft_percent = match change.soft_percent {
        None => None,
        Some(_) if !name.has_soft() => return Err(format!("`{name}` has no soft limit; budgets do")),
        Some(percent) => match u8::try_from(percent) {
            Ok(percent @ 1..=100) => Some(percent),
            _ => return Err(format!("a soft limit is 1 to 100 percent, not {percent}")),
        },
    };
    if limit.is_none() && soft_percent.is_none() && change.mode.is_none() {
        return Err(format!("nothing is said of `{name}`"));
    }
    Ok((name, Setting { limit, soft_percent, observe }))
}

fn at(pointer: &str, detail: String) -> ProblemError {
    let errors = vec![api::problem::Fault { pointer: pointer.to_owned(), detail: detail.clone() }];
    Problem { errors, ..Problem::of("quota.invalid", detail) }.into()
}

fn of_rule(info: &RuleInfo, scope: &Scope) -> api::QuotaRule {
    let name = info.name;
    let is_own = match scope {
        Scope::All | Scope::Team(_) | Scope::Class(_) => true,
        Scope::Endpoint(_) => info.rule.ends_with(".endpoint"),
        Scope::Script(_) | Scope::Revision(_) | Scope::Service(_) => false,
        Scope::Region(_) | Scope::Node(_) => false,
    };
    api::QuotaRule {
        rule: info.rule.to_owned(),
        name: is_own.then(|| name.to_string()),
        limit: name.show(info.limit),
        here: (info.here != info.limit).then(|| name.show(info.here)),
        burst: info.burst,
        soft: info.soft.map(|soft| name.show(soft)),
        used: info.used,
        remaining: info.remaining,
        reset_ms: info.reset.map(milliseconds),
        mode: if info.observe { QuotaMode::Observe } else { QuotaMode::Enforce },
        refused: info.counts.0,
        observed: info.counts.1,
        source: source(&info.origin),
    }
}

/// What one team has of a service: its places, as many as were found to be good, and its breaker.
fn of_side(team: &TeamName, side: &ServiceGuard) -> [api::QuotaRule; 2] {
    let report = side.breaker();
    let breaker = api::QuotaRule {
        limit: report.phase.as_str().to_owned(),
        used: report.failed.into(),
        remaining: report.calls.saturating_sub(report.failed).into(),
        ..of_gate(&format!("breaker.service of {team}"), &side.gate)
    };
    [of_gate(&format!("concurrency.service of {team}"), &side.gate), breaker]
}

fn of_gate(rule: &str, gate: &Gate) -> api::QuotaRule {
    let (limit, in_flight) = (gate.limit().get(), gate.in_flight());
    api::QuotaRule {
        rule: rule.to_owned(),
        name: None,
        limit: limit.to_string(),
        here: None,
        burst: None,
        soft: None,
        used: in_flight.into(),
        remaining: limit.saturating_sub(in_flight).into(),
        reset_ms: None,
        mode: QuotaMode::Enforce,
        refused: 0,
        observed: 0,
        source: source(&Origin::Config),
    }
}

/// What all calls of a node or of a team hold; it cannot be changed while the server runs.
fn memory(door: &AdminDoor, scope: &Scope) -> Option<api::QuotaRule> {
    let shared = door.node.shared();
    let (rule, ledger): (_, &Ledger) = match scope {
        Scope::All => ("memory.node", &shared.node.memory),
        Scope::Team(team) => {
            let routes = shared.routes.load();
            let entry = routes.team(team).next()?;
            // Half of the node's, whatever that is.
            let ledger = of_ledger("memory.team", &entry.guard.team.memory);
            return Some(api::QuotaRule { source: source(&Origin::Default), ..ledger });
        }
        _ => return None,
    };
    Some(of_ledger(rule, ledger))
}

fn of_ledger(rule: &str, ledger: &Ledger) -> api::QuotaRule {
    let (limit, held) = (ledger.limit(), ledger.held().get());
    api::QuotaRule {
        rule: rule.to_owned(),
        name: None,
        limit: limit.to_string(),
        here: None,
        burst: None,
        soft: None,
        used: held,
        remaining: limit.get().saturating_sub(held),
        reset_ms: None,
        mode: QuotaMode::Enforce,
        refused: 0,
        observed: 0,
        source: source(&Origin::Config),
    }
}

fn of_set(rule: &QuotaRule) -> api::QuotaSet {
    let QuotaRule { name, setting, by, reason, since_ms, until_ms } = rule.clone();
    api::QuotaSet {
        name: name.to_string(),
        limit: setting.limit.map(|limit| name.show(limit)),
        soft_percent: setting.soft_percent.map(u32::from),
        mode: if setting.observe { QuotaMode::Observe } else { QuotaMode::Enforce },
        source: source(&Origin::Operator { by, reason, since_ms, until_ms }),
    }
}

fn source(origin: &Origin) -> QuotaSource {
    let plain = |from| QuotaSource { from, by: None, reason: None, since: None, until: None };
    match origin {
        Origin::Default => plain(QuotaOrigin::Default),
        Origin::Config => plain(QuotaOrigin::Config),
        Origin::Manifest => plain(QuotaOrigin::Manifest),
        Origin::Operator { by, reason, since_ms, until_ms } => QuotaSource {
            from: QuotaOrigin::Operator,
            by: Some(by.clone()),
            reason: Some(reason.clone()),
            since: Some(api::time_from_ms(*since_ms)),
            until: until_ms.map(api::time_from_ms),
        },
    }
}

fn etag(generation: u64) -> String {
    format!("\"{generation}\"")
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn unknown(scope: &Scope) -> ProblemError {
    let code = match scope {
        Scope::Service(_) => "service.unknown",
        Scope::Team(_) | Scope::Class(_) | Scope::All | Scope::Region(_) | Scope::Node(_) => {
            "resource.unknown"
        }
        Scope::Script(_) | Scope::Endpoint(_) | Scope::Revision(_) => "endpoint.unknown",
    };
    Problem::of(code, format!("nothing of {scope} is served here")).into()
}
