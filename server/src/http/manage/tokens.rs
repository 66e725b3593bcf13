//! Tokens: which there are, making one, revoking one. For admins alone.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use api::{Page, Problem, Role, TokenMade, TokenRequest};

use super::query::Query;
use super::{Answered, Door, body, json, ok, shapes};
use crate::http::auth::{AuthError, Caller, Wanted};
use crate::http::problem::{self, ProblemError};

/// The longest note.
const NOTE_MAX: usize = 200;

pub(super) async fn list(door: Door, caller: Caller, request: HttpRequest) -> Answered {
    Query::read(&request, &[])?;
    caller.administers()?;
    let rows = door.tokens.list().await?;
    ok(&Page::whole(rows.iter().filter_map(shapes::token).collect()))
}

pub(super) async fn create(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Answered {
    Query::read(&request, &[])?;
    caller.administers()?;
    let asked: TokenRequest = body::json(&request, payload).await?;
    let team = asked.team.map(|team| team.parse()).transpose();
    let team =
        team.map_err(|error: quotas::scope::ParseScopeError| body::fault("/team", error.to_string()))?;
    if asked.role == Role::Admin && team.is_some() {
        return Err(body::fault("/team", "an admin is for all teams"));
    }
    let is_plain = asked.note.chars().count() <= NOTE_MAX && !asked.note.chars().any(char::is_control);
    if !is_plain {
        return Err(body::fault("/note", format!("it has to be one line of at most {NOTE_MAX} characters")));
    }
    if asked.expires.is_some_and(|expires| expires <= api::time_now()) {
        return Err(body::fault("/expires", "it would have ended already"));
    }
    let expires_ms = asked.expires.map(api::time_to_ms);
    let wanted = Wanted { role: asked.role, team, note: asked.note, expires_ms };
    let (row, secret) = door.tokens.create(wanted, &caller.who()).await.map_err(told)?;
    let token =
        shapes::token(&row).ok_or_else(|| ProblemError::of("server.internal", "the role was not kept"))?;
    Ok(json(StatusCode::CREATED, &TokenMade { token, secret: secret.reveal().to_owned() }))
}

pub(super) async fn revoke(
    door: Door,
    caller: Caller,
    request: HttpRequest,
    path: web::Path<String>,
) -> Answered {
    Query::read(&request, &[])?;
    caller.administers()?;
    let row = door.tokens.revoke(&path, &caller.who()).await?;
    match row.as_ref().and_then(shapes::token) {
        Some(token) => ok(&token),
        None => Err(ProblemError::of("token.unknown", "")),
    }
}

fn told(error: AuthError) -> ProblemError {
    match error {
        AuthError::Store(error) => problem::store(&error).into(),
        error => Problem::of("server.internal", error.to_string()).into(),
    }
}
