//! Quotas: how much of them a scope has used on this node.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use actors::node::Shared;
use api::{Problem, QuotaRule, QuotaState};
use quotas::concurrency::Gate;
use quotas::guards::{EndpointGuard, TeamGuard};
use quotas::rate::Limiter;
use quotas::scope::{Scope, ScriptId};
use quotas::units::Moment;
use runtime::fuel::now_nanos;

use super::query::Query;
use super::{Answered, Door, ok};
use crate::http::auth::Caller;
use crate::http::problem::ProblemError;

pub(super) async fn one(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answered {
    Query::read(&request, &[])?;
    let scope: Scope = path.parse()?;
    let rules = match caller.sees_scope(&scope) {
        true => rules(door.node.shared(), &scope),
        false => None,
    };
    let rules = rules.ok_or_else(|| unknown(&scope))?;
    ok(&QuotaState { scope: scope.to_string(), rules })
}

/// The rules of a scope; nothing when nothing of it is served here.
fn rules(shared: &Shared, scope: &Scope) -> Option<Vec<QuotaRule>> {
    let routes = shared.routes.load();
    let of_script = |script: &ScriptId| routes.iter().find(|entry| entry.id.script == *script);
    match scope {
        Scope::All => Some(vec![concurrency("concurrency.node", &shared.node.gate)]),
        Scope::Region(_) | Scope::Node(_) => {
            let here = shared.board.load().home().has(scope);
            here.then(|| vec![concurrency("concurrency.node", &shared.node.gate)])
        }
        Scope::Team(team) => {
            routes.iter().find(|entry| entry.id.team() == team).map(|entry| of_team(&entry.guard.team))
        }
        Scope::Script(script) => of_script(script).map(|entry| of_team(&entry.guard.team)),
        Scope::Revision(revision) => of_script(&revision.script)
            .filter(|entry| entry.revision == revision.number)
            .map(|entry| of_team(&entry.guard.team)),
        Scope::Endpoint(endpoint) => routes.endpoint(endpoint).map(|entry| of_endpoint(&entry.guard)),
        Scope::Class(class) => shared.node.class(class).map(|limiter| vec![rate("rate.class", limiter)]),
        Scope::Service(name) => {
            shared.services.get(name).map(|service| vec![concurrency("concurrency.service", &service.gate)])
        }
    }
}

fn of_endpoint(guard: &EndpointGuard) -> Vec<QuotaRule> {
    let mut rules =
        vec![rate("rate.endpoint", &guard.limiter), concurrency("concurrency.endpoint", &guard.gate)];
    rules.extend(of_team(&guard.team));
    rules
}

fn of_team(guard: &TeamGuard) -> Vec<QuotaRule> {
    vec![rate("rate.team", &guard.limiter), concurrency("concurrency.team", &guard.gate)]
}

fn rate(rule: &str, limiter: &Limiter) -> QuotaRule {
    let now = Moment::from_nanos(now_nanos());
    QuotaRule {
        rule: rule.to_owned(),
        limit: limiter.quota().rate.to_string(),
        remaining: limiter.remaining(now).into(),
        reset_ms: Some(milliseconds(limiter.reset_after(now))),
    }
}

fn concurrency(rule: &str, gate: &Gate) -> QuotaRule {
    let limit = gate.limit().get();
    QuotaRule {
        rule: rule.to_owned(),
        limit: limit.to_string(),
        remaining: limit.saturating_sub(gate.in_flight()).into(),
        reset_ms: None,
    }
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
