//! Scripts: which there are, where they stand, moving that, and taking one away.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use actors::controller::{Activate, Activated, Delete, Heads};
use actors::error::ControlError;
use api::client::Wait;
use api::{ActivateRequest, Page, Problem};
use quotas::scope::{RevisionNumber, ScriptId};

use super::query::{Query, REASON_MAX, cursor, if_match};
use super::{AdminDoor, Answered, Door, body, json, ok, shapes, tagged};
use crate::http::auth::Caller;
use crate::http::problem::{self, ProblemError};

/// How often the other nodes are asked whether they serve a change.
const CONVERGENCE_LOOK: Duration = Duration::from_millis(50);

/// The script that a path names, if the caller may know of it.
pub(super) fn named(caller: &Caller, team: &str, script: &str) -> Result<ScriptId, ProblemError> {
    let script = ScriptId { team: team.parse()?, script: script.parse()? };
    caller.reads_script(&script)?;
    Ok(script)
}

/// Why a change was not made, without the names of other teams.
pub(super) fn told(caller: &Caller, error: ControlError) -> ProblemError {
    match error {
        ControlError::RouteConflict { pattern, owner } => {
            let owner = owner.filter(|owner| caller.sees(&owner.team));
            ControlError::RouteConflict { pattern, owner }.into()
        }
        error => error.into(),
    }
}

/// Whether what was to be waited for is so within this time.
pub(super) async fn converged(door: &AdminDoor, script: &ScriptId, wait: Wait, until: Instant) -> bool {
    if wait != Wait::All {
        return true;
    }
    let (fleet, controller) = (&door.node.shared().fleet, door.node.controller());
    loop {
        let found = fleet.convergence(&**door.node.store(), controller, script);
        // The change is made whatever becomes of the question.
        let found = tokio::time::timeout_at(until.into(), found).await;
        if matches!(&found, Ok(Ok(Some(found))) if found.is_whole()) {
            return true;
        }
        if Instant::now() + CONVERGENCE_LOOK >= until {
            return false;
        }
        tokio::time::sleep(CONVERGENCE_LOOK).await;
    }
}

pub(super) async fn list(door: Door, caller: Caller, request: HttpRequest) -> Answered {
    let query = Query::read(&request, &["team", "limit", "cursor"])?;
    let (limit, after) = (query.limit()?, query.cursor::<ScriptId>("script")?);
    let Ok(team) = caller.narrowed(query.team()?) else {
        return ok(&Page::<api::Script>::whole(Vec::new()));
    };
    let heads = door.node.controller().send(Heads).await?;
    let mut heads = heads.into_iter().filter(|(script, _)| {
        team.as_ref().is_none_or(|team| *team == script.team)
            && after.as_ref().is_none_or(|after| script > after)
    });
    let page: Vec<_> = heads.by_ref().take(limit).collect();
    let last = page.last().map(|(script, _)| cursor("script", script));
    let items = page.iter().map(|(script, head)| api::Script {
        team: script.team.to_string(),
        script: script.script.to_string(),
        head: problem::head(head),
    });
    ok(&Page { items: items.collect(), cursor: last.filter(|_| heads.next().is_some()) })
}

pub(super) async fn active(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answered {
    Query::read(&request, &[])?;
    let script = named(&caller, &path.0, &path.1)?;
    let head = door.node.store().head(&script).await?;
    let head = problem::head(&head.ok_or(ControlError::ScriptUnknown(script))?);
    Ok(tagged(json(StatusCode::OK, &head), &head.etag))
}

pub(super) async fn activate(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
    payload: web::Payload,
) -> Answered {
    let query = Query::read(&request, &["dry_run", "wait", "timeout"])?;
    let script = named(&caller, &path.0, &path.1)?;
    caller.deploys(&script)?;
    let (dry_run, wait, timeout) = (query.flag("dry_run", false)?, query.wait()?, query.timeout()?);
    let expected = if_match(&request)?;
    let asked: ActivateRequest = body::json(&request, payload).await?;
    let revision = RevisionNumber::new(asked.revision)
        .ok_or_else(|| body::fault("/revision", "revisions are counted from one"))?;
    if asked.reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_MAX) {
        return Err(body::fault("/reason", format!("it is longer than {REASON_MAX} characters")));
    }
    let before = door.node.store().head(&script).await?.and_then(|head| head.active);
    let (who, reason) = (caller.who(), asked.reason);
    let until = Instant::now() + timeout;
    let change = Activate { who, script: script.clone(), revision, expected, dry_run, reason };
    let done = tokio::time::timeout(timeout, door.node.controller().send(change)).await;
    let done = done.map_err(|_| too_slow())??.map_err(|error| told(&caller, error))?;
    let Activated { head, endpoints, removed } = done;
    let converged = dry_run || converged(&door, &script, wait, until).await;
    let answer = api::Activated {
        head: problem::head(&head),
        before: before.map(RevisionNumber::get),
        endpoints: shapes::ids(&endpoints),
        removed: shapes::ids(&removed),
        dry_run,
        converged,
    };
    let status = if converged { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok(tagged(json(status, &answer), &answer.head.etag))
}

pub(super) async fn delete(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Answered {
    let query = Query::read(&request, &["dry_run", "reason"])?;
    let script = named(&caller, &path.0, &path.1)?;
    caller.deploys(&script)?;
    let dry_run = query.flag("dry_run", false)?;
    let reason = query.reason()?;
    let expected = if_match(&request)?;
    let change = Delete { who: caller.who(), script, expected, dry_run, reason };
    let Activated { head, removed, .. } = door.node.controller().send(change).await??;
    let answer = api::Deleted { head: problem::head(&head), removed: shapes::ids(&removed), dry_run };
    Ok(tagged(json(StatusCode::OK, &answer), &answer.head.etag))
}

/// The change goes on, and nobody waits any more.
pub(super) fn too_slow() -> ProblemError {
    let advice = "Look where the script stands, or ask again with the same idempotency key.".to_owned();
    let problem = Problem::of("store.unknown", "it was not done in the time given, and goes on");
    Problem { advice: Some(advice), ..problem }.into()
}
