//! Endpoints: what devices can call, and lifting a quarantine.

use actix_web::{HttpRequest, web};
use actors::controller::{EndpointInfo, Endpoints};
use actors::error::ControlError;
use actors::supervisor::Lift;
use api::Page;
use quotas::scope::{EndpointId, ScriptId};
use quotas::switches::CallFacts;

use super::query::{Query, cursor};
use super::{AdminDoor, Answered, Door, ok, shapes};
use crate::http::auth::Caller;
use crate::http::problem::ProblemError;

type Named = web::Path<(String, String, String)>;

pub(super) async fn list(door: Door, caller: Caller, request: HttpRequest) -> Answered {
    let query = Query::read(&request, &["team", "limit", "cursor"])?;
    let (limit, after) = (query.limit()?, query.cursor::<EndpointId>("endpoint")?);
    let Ok(team) = caller.narrowed(query.team()?) else {
        return ok(&Page::<api::Endpoint>::whole(Vec::new()));
    };
    let mut found = door.node.controller().send(Endpoints { team, after, limit: limit + 1 }).await?;
    let is_more = found.len() > limit;
    found.truncate(limit);
    let last = found.last().map(|info| cursor("endpoint", &info.id));
    ok(&Page {
        items: found.iter().map(|info| shown(&door, info)).collect(),
        cursor: last.filter(|_| is_more),
    })
}

pub(super) async fn one(door: Door, caller: Caller, request: HttpRequest, path: Named) -> Answered {
    Query::read(&request, &[])?;
    let id = named(&path)?;
    caller.reads_endpoint(&id)?;
    ok(&shown(&door, &find(&door, &id).await?))
}

/// An endpoint, with the switch that keeps it from answering.
fn shown(door: &AdminDoor, info: &EndpointInfo) -> api::Endpoint {
    let board = door.node.shared().board.load();
    let off = info.revision.and_then(|revision| {
        board
            .killed(&CallFacts { endpoint: &info.id, revision, class: None, priority: info.priority })
            .map(|armed| armed.switch())
            .map(|switch| format!("{} was switched off by {}: {}", switch.scope, switch.by, switch.reason))
    });
    let shape = shapes::endpoint(info);
    api::Endpoint { problem: off.or(shape.problem), ..shape }
}

pub(super) async fn convergence(door: Door, caller: Caller, request: HttpRequest, path: Named) -> Answered {
    Query::read(&request, &[])?;
    let id = named(&path)?;
    caller.reads_endpoint(&id)?;
    let (fleet, controller) = (&door.node.shared().fleet, door.node.controller());
    let found = fleet.convergence(&**door.node.store(), controller, &id.script).await?;
    let found = found.ok_or_else(|| ControlError::EndpointUnknown(id.clone()))?;
    ok(&shapes::convergence(&id.script, &found))
}

pub(super) async fn lift(door: Door, caller: Caller, request: HttpRequest, path: Named) -> Answered {
    let query = Query::read(&request, &["reason", "dry_run"])?;
    let id = named(&path)?;
    caller.lifts(&id)?;
    let reason = query.reason()?;
    let info = find(&door, &id).await?;
    if !query.flag("dry_run", false)? {
        door.node.supervisor().send(Lift { who: caller.who(), endpoint: id, reason }).await??;
    }
    ok(&shapes::endpoint(&EndpointInfo { quarantine: None, ..info }))
}

fn named(path: &Named) -> Result<EndpointId, ProblemError> {
    let script = ScriptId { team: path.0.parse()?, script: path.1.parse()? };
    Ok(EndpointId { script, name: path.2.parse()? })
}

async fn find(door: &AdminDoor, id: &EndpointId) -> Result<EndpointInfo, ProblemError> {
    let asked = Endpoints { team: Some(id.team().clone()), after: None, limit: usize::MAX };
    let found = door.node.controller().send(asked).await?;
    let found = found.into_iter().find(|info| info.id == *id);
    found.ok_or_else(|| ControlError::EndpointUnknown(id.clone()).into())
}
