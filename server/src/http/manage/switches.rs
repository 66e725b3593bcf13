//! Switches: what is off, turning off and turning on.
//!
//! Invariant: turning off needs the supervisor alone, so that it works while the store is down.

use actix_web::{HttpRequest, web};
use actors::supervisor::{Flip, Release, Switches};
use api::{Page, SwitchAnswer, SwitchRequest, SwitchState};
use quotas::scope::Scope;
use quotas::switches::Switch;

use super::query::{Query, REASON_MAX};
use super::{AdminDoor, Answered, Door, body, ok, shapes};
use crate::http::auth::Caller;
use crate::http::problem::ProblemError;

/// The most endpoints that an answer lists.
const LISTED_MAX: usize = 100;

pub(super) async fn list(door: Door, caller: Caller, request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    let switches = door.node.supervisor().send(Switches).await?;
    let seen = switches.iter().filter(|switch| caller.sees_scope(&switch.scope));
    ok(&Page::whole(seen.map(shapes::switch).collect()))
}

pub(super) async fn off(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
    payload: web::Payload,
) -> Answered {
    let query = Query::read(&request, &["dry_run"])?;
    let scope: Scope = path.parse()?;
    caller.switches(&scope)?;
    let dry_run = query.flag("dry_run", false)?;
    let asked: SwitchRequest = body::json(&request, payload).await?;
    let observe = asked.state == SwitchState::Observe;
    let reason = asked.reason.trim().to_owned();
    if reason.is_empty() || reason.chars().count() > REASON_MAX {
        return Err(body::fault("/reason", format!("it has to be 1 to {REASON_MAX} characters")));
    }
    let before = present(&door, &scope);
    let until_ms = asked.until.map(api::time_to_ms);
    let (who, bound) = (caller.who(), caller.bearer.team.clone());
    let flip = Flip { who, bound, scope: scope.clone(), reason, until_ms, observe, dry_run };
    let switch = door.node.supervisor().send(flip).await??;
    ok(&answer(&door, &scope, Some(&switch), before.as_ref(), dry_run))
}

pub(super) async fn on(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answered {
    let query = Query::read(&request, &["reason", "dry_run"])?;
    let scope: Scope = path.parse()?;
    caller.switches(&scope)?;
    let (reason, dry_run) = (query.reason()?, query.flag("dry_run", false)?);
    let release = Release { who: caller.who(), scope: scope.clone(), reason, dry_run };
    let Some(before) = door.node.supervisor().send(release).await?? else {
        return Err(ProblemError::of("switch.unknown", format!("{scope} is not switched off")));
    };
    ok(&answer(&door, &scope, None, Some(&before), dry_run))
}

fn present(door: &AdminDoor, scope: &Scope) -> Option<Switch> {
    door.node.shared().board.load().get(scope).cloned()
}

fn answer(
    door: &AdminDoor,
    scope: &Scope,
    switch: Option<&Switch>,
    before: Option<&Switch>,
    dry_run: bool,
) -> SwitchAnswer {
    SwitchAnswer {
        scope: scope.to_string(),
        switch: switch.map(shapes::switch),
        before: before.map(shapes::switch),
        endpoints: touched(door, scope),
        dry_run,
    }
}

/// The endpoints that a scope is about, as far as they are listed.
fn touched(door: &AdminDoor, scope: &Scope) -> Vec<String> {
    let routes = door.node.shared().routes.load();
    let within = routes.iter().filter(|entry| match scope {
        Scope::All => true,
        Scope::Team(team) => entry.id.team() == team,
        Scope::Script(script) => entry.id.script == *script,
        Scope::Endpoint(endpoint) => entry.id == *endpoint,
        Scope::Revision(revision) => entry.id.script == revision.script && entry.revision == revision.number,
        Scope::Service(service) => entry.services.contains_key(service),
        // Any endpoint may be called by any device.
        Scope::Class(_) => false,
    });
    within.take(LISTED_MAX).map(|entry| entry.id.to_string()).collect()
}
