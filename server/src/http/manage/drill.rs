//! Drills: every kind of switch is tried on a canary.

use actix_web::{HttpRequest, web};
use actors::drill::{self, Drilled};
use api::{DrillAnswer, DrillRequest, DrillRow, SwitchState};
use quotas::scope::{EndpointId, Scope};

use super::query::Query;
use super::{Answered, Door, body, ok, shapes};
use crate::http::auth::Caller;
use crate::http::problem::ProblemError;

pub(super) async fn run(door: Door, caller: Caller, request: HttpRequest, payload: web::Payload) -> Answered {
    Query::read(&request, &[])?;
    caller.switches(&Scope::All)?;
    let asked: DrillRequest = body::json(&request, payload).await?;
    let endpoint = asked.endpoint.as_deref().map(EndpointId::parse).transpose()?;
    let (node, who, team) = (door.node.clone(), caller.who(), door.config.node.drill_team.clone());
    // On its own, so that it cleans up after itself even when whoever asked has gone.
    let drilled = actix_rt::spawn(async move { drill::run(&node, &who, endpoint, &team).await });
    let drilled = drilled
        .await
        .map_err(|error| ProblemError::of("server.internal", format!("the drill failed: {error}")))??;
    let rows: Vec<DrillRow> = drilled.iter().map(row).collect();
    let node = door.node.shared().name.to_string();
    ok(&DrillAnswer { node, ok: rows.iter().all(|row| row.ok), rows })
}

fn row(drilled: &Drilled) -> DrillRow {
    let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    DrillRow {
        kind: shapes::kind(drilled.kind),
        state: if drilled.observe { SwitchState::Observe } else { SwitchState::Off },
        ok: drilled.fault.is_none(),
        fault: drilled.fault.clone(),
        set_ms: ms(drilled.set),
        released_ms: ms(drilled.released),
    }
}
