//! The server itself: who asks, what it is, what is in force, and who did what.

use std::sync::OnceLock;
use std::time::Duration;

use actix_web::web::Bytes;
use actix_web::{HttpRequest, HttpResponse, web};
use actors::lane::CallFailure;
use actors::storage::store::READ_MAX;
use actors::watch::Audit;
use api::openapi::API_VERSION;
use api::{Page, RateLimits, UploadLimits, Whoami};
use quotas::guards::Condition;
use quotas::scope::{EndpointId, RevisionNumber, ScriptId};
use runtime::archive::ArchiveLimits;
use runtime::codec::Fingerprint;

use super::query::{Query, cursor};
use super::{AdminDoor, Answered, Door, ok, shapes};
use crate::http::auth::Caller;
use crate::http::problem::{self, ProblemError};

/// The program's version.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The longest id of a decision or a request.
const ID_MAX: usize = 64;
/// How long the lanes are asked for a decision.
const LANES_WAIT: Duration = Duration::from_secs(1);

pub(super) async fn contract(request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| serde_json::to_vec(&api::openapi()).unwrap_or_default().into());
    Ok(HttpResponse::Ok().content_type("application/json").body(text.clone()))
}

pub(super) async fn version(request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    static FINGERPRINT: OnceLock<String> = OnceLock::new();
    let fingerprint = FINGERPRINT.get_or_init(|| Fingerprint::current().text()).clone();
    ok(&api::Version { version: VERSION.to_owned(), fingerprint, api: API_VERSION.to_owned() })
}

pub(super) async fn whoami(caller: Caller, request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    let Caller { bearer, from, .. } = caller;
    ok(&Whoami {
        name: bearer.name,
        token: bearer.id,
        role: bearer.role,
        team: bearer.team.map(|team| team.to_string()),
        expires: bearer.expires_ms.map(api::time_from_ms),
        from: from.ip().to_string(),
    })
}

pub(super) async fn limits(door: Door, _caller: Caller, request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    let (policy, archive) = (&door.node.shared().policy, ArchiveLimits::default());
    ok(&api::Limits {
        endpoint_default: shapes::limits(&policy.default),
        endpoint_ceiling: shapes::limits(&policy.ceiling),
        team: RateLimits {
            rate: policy.team_rate.to_string(),
            burst: policy.team_burst.get(),
            concurrency: Some(policy.team_concurrency.get()),
        },
        client: RateLimits {
            rate: policy.client_rate.to_string(),
            burst: policy.client_burst.get(),
            concurrency: None,
        },
        node_concurrency: policy.node_concurrency.get(),
        node_memory: policy.node_memory.to_string(),
        upload: UploadLimits {
            files: u32::try_from(archive.files).unwrap_or(u32::MAX),
            file: archive.file.to_string(),
            total: archive.total.to_string(),
            compressed: archive.compressed.to_string(),
        },
    })
}

pub(super) async fn nodes(door: Door, _caller: Caller, request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    let shared = door.node.shared();
    let draining = shared.node.condition() == Condition::Draining;
    let this = api::Node {
        this: true,
        ready: Some(shared.is_loaded() && !draining),
        draining: Some(draining),
        lanes: u32::try_from(shared.lanes.len()).ok(),
        in_flight: Some(shared.node.gate.in_flight().into()),
        endpoints: Some(shared.routes.load().len() as u64),
        unserved: Some(shared.unserved().len() as u64),
        lag_ms: shared.progress.behind_ms(),
        ..shapes::node(&shared.fleet.me())
    };
    let others = shared.fleet.others();
    ok(&Page::whole(std::iter::once(this).chain(others.iter().map(shapes::node)).collect()))
}

pub(super) async fn audit(door: Door, caller: Caller, request: HttpRequest) -> Answered {
    let query = Query::read(&request, &["team", "script", "limit", "cursor"])?;
    let (limit, after) = (query.limit()?, query.cursor::<String>("audit")?);
    let script: Option<ScriptId> = query.parsed("script")?;
    let Ok(team) = caller.narrowed(query.team()?) else {
        return ok(&Page::<api::AuditEntry>::whole(Vec::new()));
    };
    if script.as_ref().is_some_and(|script| !caller.sees(&script.team)) {
        return ok(&Page::<api::AuditEntry>::whole(Vec::new()));
    }
    let mut entries = door.node.storage().send(Audit { script, team, limit: READ_MAX }).await??;
    if let Some(after) = after {
        let place = entries.iter().position(|entry| entry.id == after);
        let place = place.ok_or_else(|| ProblemError::of("cursor.expired", "start again without it"))?;
        entries.drain(..=place);
    }
    let is_more = entries.len() > limit;
    entries.truncate(limit);
    let last = entries.last().map(|entry| cursor("audit", &entry.id)).filter(|_| is_more);
    ok(&Page { items: entries.into_iter().map(shapes::audit).collect(), cursor: last })
}

pub(super) async fn decision(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answered {
    Query::read(&request, &[])?;
    let unknown = || {
        let detail = "there is one for each call that was refused or failed, by the decision's or the request's id, and none of calls that were answered and of unknown paths; only the latest are kept; this node was asked and all that it could reach";
        ProblemError::of("decision.unknown", detail)
    };
    // The ids of decisions and requests, and what may stand in the path of a question to another node.
    let is_id = path.len() <= ID_MAX
        && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !is_id {
        return Err(unknown());
    }
    let found = match decision_of(&door, &path).await {
        Some(found) => Some(found),
        None => {
            let told = door.node.shared().fleet.decision_of_others(&path).await;
            told.and_then(|told| serde_json::from_slice(&told).ok())
        }
    };
    let seen = |found: &api::Decision| {
        let endpoint = found.endpoint.as_deref().and_then(|id| id.parse::<EndpointId>().ok());
        endpoint.is_some_and(|endpoint| caller.sees(endpoint.team()))
    };
    ok(&found.filter(seen).ok_or_else(unknown)?)
}

/// A decision that this node made, as it is told.
pub(in crate::http) async fn decision_of(door: &AdminDoor, id: &str) -> Option<api::Decision> {
    // A thread that a script holds may be late; what the others remember is enough to wait for.
    let found = tokio::time::timeout(LANES_WAIT, door.node.shared().lanes.decision(id)).await;
    let (found, history) = found.ok().flatten()?;
    Some(api::Decision {
        id: found.id.clone(),
        at: api::time_from_ms(found.at_ms),
        endpoint: Some(found.endpoint.to_string()),
        revision: found.revision.map(RevisionNumber::get),
        rule: match &found.failure {
            CallFailure::Refused(refusal) => refusal.rule.to_owned(),
            failure => failure.code().to_owned(),
        },
        history: Some(api::DecisionHistory {
            count: history.count,
            first: api::time_from_ms(history.first_ms),
            last: api::time_from_ms(history.last_ms),
        }),
        request: Some(found.request.to_string()),
        problem: match &found.failure {
            CallFailure::Refused(refusal) => problem::refused(refusal, Some(&found.id)),
            failure => api::Problem {
                scope: Some(format!("endpoint:{}", found.endpoint)),
                ..problem::failed_within(failure, found.allowance.as_ref())
            },
        },
    })
}
