//! The frame of every request: its id, where it is meant to go, who asks, and the headers of every answer.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    AUTHORIZATION, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest};
use api::Problem;

use super::{Door, hosts};
use crate::http::auth::{Caller, Denied};
use crate::http::guard::Watch;
use crate::http::problem::{self, ProblemError, respond};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// What anybody may read below `/v1`.
const OPEN: [&str; 2] = ["/v1/openapi.json", "/v1/version"];

/// The id of a request.
#[derive(Debug, Clone)]
struct RequestId(String);

/// All requests: an id, the host check, and the headers of every answer.
pub(super) async fn frame(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    // While a request is handled, its connection is not idle.
    let _handling = request.conn_data::<Rc<Watch>>().map(Watch::handle);
    let id = request_id(request.headers());
    request.extensions_mut().insert(RequestId(id.clone()));
    let refused = match request.app_data::<Door>() {
        Some(door) => {
            let authority = request.uri().authority().map(|authority| authority.as_str());
            let admin = &door.config.admin;
            hosts::check(request.headers(), authority, admin.address, &admin.allowed_hosts)
        }
        None => Err(Box::new(Problem::of("server.internal", "the door is not set up"))),
    };
    let mut response = match refused {
        Ok(()) => next.call(request).await?.map_into_boxed_body(),
        Err(problem) => request.into_response(respond(*problem)),
    };
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, id);
    }
    Ok(response)
}

/// Everything below `/v1`: a token, but for what is open; and no change while the node is handed over.
pub(super) async fn authenticate(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if !OPEN.contains(&request.path()) {
        match caller(&request).await {
            Ok(caller) => drop(request.extensions_mut().insert(caller)),
            Err(problem) => {
                let is_challenge = problem.status == 401;
                let mut response = respond(*problem);
                if is_challenge {
                    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                }
                return Ok(request.into_response(response));
            }
        }
    }
    let changes = request.app_data::<Door>().map(|door| door.changes.clone());
    let change = match changes {
        Some(changes) if !request.method().is_safe() => match changes.begin() {
            Ok(change) => Some(change),
            Err(problem) => return Ok(request.into_response(respond(*problem))),
        },
        _ => None,
    };
    let answer = next.call(request).await?.map_into_boxed_body();
    drop(change);
    Ok(answer)
}

async fn caller(request: &ServiceRequest) -> Result<Caller, Box<Problem>> {
    let denied = |code, detail: &str| Box::new(Problem::of(code, detail));
    let door = request
        .app_data::<Door>()
        .ok_or_else(|| denied("server.internal", "the door is not set up"))?
        .clone();
    let from = request.peer_addr().unwrap_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    let id = request.extensions().get::<RequestId>().map(|id| id.0.clone()).unwrap_or_default();
    let presented = bearer_text(request.headers())
        .ok_or_else(|| denied("auth.missing", "send `Authorization: Bearer` and a token"))?;
    match door.tokens.bearer(presented, from.ip()).await {
        Ok(bearer) => Ok(Caller { bearer, from, request: id }),
        Err(Denied::Invalid) => {
            Err(denied("auth.invalid", "the token is mistyped, revoked or of another server"))
        }
        Err(Denied::Expired) => Err(denied("auth.expired", "ask an admin for a new one")),
        Err(Denied::Unread(error)) => Err(Box::new(problem::store(&error))),
        Err(Denied::Locked(wait)) => {
            let ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            let problem = Problem::of("rate.exceeded", "too many tokens failed from this address");
            Err(Box::new(Problem { retry_after_ms: Some(ms), ..problem }))
        }
    }
}

fn bearer_text(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION);
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    (scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then_some(token.trim())
}

/// The id that came along, or a new one.
fn request_id(headers: &HeaderMap) -> String {
    let plain = |text: &&str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        (1..=64).contains(&text.len()) && text.bytes().all(allowed)
    };
    let came = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).filter(plain);
    came.map_or_else(|| ulid::Ulid::generate().to_string(), str::to_owned)
}

impl FromRequest for Caller {
    type Error = ProblemError;
    type Future = std::future::Ready<Result<Self, ProblemError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        // A handler that asks for its caller where nobody was let in answers nobody.
        let caller = request.extensions().get::<Self>().cloned();
        std::future::ready(caller.ok_or_else(|| ProblemError::of("auth.missing", "")))
    }
}
