//! Switches: which are set, setting and releasing them, and what that would touch.
//!
//! Invariant: setting one needs the supervisor alone, so that it works while the store is down.

use std::time::Duration;

use actix_web::{HttpRequest, web};
use actors::supervisor::{Flip, Flipped, Known, Release, Spread, Switches};
use actors::traffic::Radius;
use api::{Page, SwitchAnswer, SwitchRequest, SwitchState};
use quotas::scope::Scope;
use quotas::switches::{Effect, Kind, Switch, SwitchId};
use quotas::units::Moment;
use runtime::fuel::now_nanos;

use super::query::{Query, REASON_MAX};
use super::{AdminDoor, Answered, Door, body, ok, shapes};
use crate::http::auth::Caller;
use crate::http::problem::ProblemError;

/// The most endpoints that an answer lists.
const LISTED_MAX: usize = 100;
/// The most endpoints whose calls a preview lists.
const TOP: usize = 10;
/// How long the lanes are asked what they counted; a thread that is busy for longer is left out of no preview: there
/// is none then.
const LANES_WAIT: Duration = Duration::from_secs(1);

pub(super) async fn list(door: Door, caller: Caller, request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    let known = door.node.supervisor().send(Switches).await?;
    let seen = known.iter().filter(|known| caller.sees_scope(&known.switch.scope));
    ok(&Page::whole(seen.map(shapes::known).collect()))
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
    let effect = effect(&asked)?;
    let id = SwitchId { scope: scope.clone(), kind: effect.kind() };
    let before = present(&door, &id);
    let until_ms = asked.until.map(api::time_to_ms);
    let (who, bound) = (caller.who(), caller.bearer.team.clone());
    let flip = Flip { who, bound, scope, effect, reason, until_ms, observe, dry_run };
    let Flipped { switch, spread } = door.node.supervisor().send(flip).await??;
    ok(&answer(&door, &id, Some((&switch, spread)), before.as_ref(), dry_run).await)
}

pub(super) async fn on(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answered {
    let query = Query::read(&request, &["kind", "reason", "dry_run"])?;
    let scope: Scope = path.parse()?;
    caller.switches(&scope)?;
    let id = SwitchId { scope, kind: query.parsed("kind")?.unwrap_or_default() };
    let (reason, dry_run) = (query.reason()?, query.flag("dry_run", false)?);
    let release = Release {
        who: caller.who(),
        bound: caller.bearer.team.clone(),
        id: id.clone(),
        of: None,
        reason,
        dry_run,
    };
    let Some(before) = door.node.supervisor().send(release).await?? else {
        let mut detail = match id.kind {
            Kind::Kill => format!("{} is not switched off", id.scope),
            kind => format!("{} has no `{kind}` switch", id.scope),
        };
        let all = door.node.supervisor().send(Switches).await?;
        let others = all.iter().map(|known| &known.switch).filter(|switch| switch.scope == id.scope);
        if let Some(other) = others.map(|switch| switch.effect.kind()).next() {
            detail.push_str(&format!("; it has a `{other}` switch, which `--kind {other}` names"));
        }
        return Err(ProblemError::of("switch.unknown", detail));
    };
    ok(&answer(&door, &id, None, Some(&before), dry_run).await)
}

/// What is asked for, as one value.
fn effect(asked: &SwitchRequest) -> Result<Effect, ProblemError> {
    let kind = match asked.kind.unwrap_or(api::SwitchKind::Kill) {
        api::SwitchKind::Kill => Kind::Kill,
        api::SwitchKind::Freeze => Kind::Freeze,
        api::SwitchKind::Shed => Kind::Shed,
        api::SwitchKind::Fallback => Kind::Fallback,
        api::SwitchKind::LastGood => Kind::LastGood,
        api::SwitchKind::Cap => Kind::Cap,
    };
    let level = asked.level.map(|level| level.as_str());
    Effect::of(kind, level, asked.limit.map(u64::from))
        .map_err(|error| body::fault(&format!("/{}", error.field), error.problem))
}

fn present(door: &AdminDoor, id: &SwitchId) -> Option<Switch> {
    door.node.shared().board.load().get(id).cloned()
}

async fn answer(
    door: &AdminDoor,
    id: &SwitchId,
    now: Option<(&Switch, Spread)>,
    before: Option<&Switch>,
    dry_run: bool,
) -> SwitchAnswer {
    let shared = door.node.shared();
    // What is set has been asked about; the lanes are not made to count while it has to be in force at once.
    let counted = match dry_run {
        true => tokio::time::timeout(LANES_WAIT, shared.lanes.snapshot()).await.ok(),
        false => None,
    };
    let effect = now.map(|(switch, _)| switch).or(before).map_or(Effect::Kill, |switch| switch.effect);
    let at = Moment::from_nanos(now_nanos());
    let radius = Radius::of(&id.scope, effect, shared, counted.as_deref().unwrap_or_default(), at);
    // A class says nothing of endpoints but which of them it called.
    let listed = if matches!(id.scope, Scope::Class(_)) { 0 } else { LISTED_MAX };
    let mut endpoints: Vec<String> =
        radius.endpoints.iter().map(|(endpoint, _)| endpoint.to_string()).collect();
    endpoints.sort_unstable();
    endpoints.truncate(listed);
    let switch = now.map(|(switch, spread)| {
        let here = shared.board.load().home().has(&switch.scope);
        let known = Known { switch: switch.clone(), spread, here, hits: 0 };
        // What is only tried is nowhere and counts nothing.
        if dry_run {
            api::Switch { here: Some(here), ..shapes::switch(switch) }
        } else {
            shapes::known(&known)
        }
    });
    SwitchAnswer {
        scope: id.scope.to_string(),
        kind: shapes::kind(id.kind),
        switch,
        before: before.map(shapes::switch),
        endpoints,
        radius: counted.map(|_| shapes::radius(&shared.name, &radius, TOP)),
        dry_run,
    }
}
