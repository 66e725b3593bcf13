//! From a problem to an answer with its headers.

use std::fmt;

use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use actix_web::{HttpResponse, ResponseError};
use actors::error::{ControlError, StoreError};
use api::Problem;
use api::problem::MEDIA_TYPE;
use quotas::refusal::{RatePolicy, Refusal, RefusalCode};
use quotas::scope::ParseScopeError;

use super::{control, refused, scope, store};

/// The header that holds the code of a refusal.
pub const REFUSED: HeaderName = HeaderName::from_static("callboard-refused");
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The answer that a problem makes, with the headers that belong to it.
pub fn respond(problem: Problem) -> HttpResponse {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = serde_json::to_vec(&problem).unwrap_or_default();
    let mut response = HttpResponse::build(status).body(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if is_refusal(&problem.code) {
        put(headers, REFUSED, &problem.code);
    }
    if let Some(ms) = problem.retry_after_ms {
        // Whole seconds, rounded up: who comes back too early is refused again.
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
    }
    if let Some(present) = &problem.present {
        put(headers, ETAG, &present.etag);
    }
    response
}

/// The answer to a refused call of a device: what it is told, with the state of its rate.
pub fn respond_refusal(refusal: &Refusal, decision: &str) -> HttpResponse {
    let mut response = respond(refused(refusal, Some(decision)).for_device());
    if let Some(policy) = &refusal.policy {
        rate_headers(response.headers_mut(), policy);
    }
    response
}

/// Tells a rate as the draft `ratelimit-headers-10` has it: `RateLimit-Policy` and `RateLimit`.
pub fn rate_headers(headers: &mut HeaderMap, policy: &RatePolicy) {
    let RatePolicy { name, quota, window_s, remaining, reset_s } = policy;
    put(headers, RATE_LIMIT_POLICY, &format!("\"{name}\";q={quota};w={window_s}"));
    put(headers, RATE_LIMIT, &format!("\"{name}\";r={remaining};t={reset_s}"));
}

fn is_refusal(code: &str) -> bool {
    let by_node = ["switch.killed", "node.starting"];
    by_node.contains(&code) || RefusalCode::ALL.iter().any(|known| known.as_str() == code)
}

fn put(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // Codes, tags and names of policies are plain text by themselves.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A problem on its way out of a handler.
#[derive(Debug, Clone)]
pub struct ProblemError(Box<Problem>);

impl ProblemError {
    /// The problem.
    pub fn problem(&self) -> &Problem {
        &self.0
    }

    /// A problem of this code.
    pub fn of(code: &str, detail: impl Into<String>) -> Self {
        Problem::of(code, detail).into()
    }
}

impl fmt::Display for ProblemError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for ProblemError {
    fn status_code(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn error_response(&self) -> HttpResponse {
        respond((*self.0).clone())
    }
}

impl From<Problem> for ProblemError {
    fn from(problem: Problem) -> Self {
        Self(Box::new(problem))
    }
}

impl From<ControlError> for ProblemError {
    fn from(error: ControlError) -> Self {
        control(&error).into()
    }
}

impl From<StoreError> for ProblemError {
    fn from(error: StoreError) -> Self {
        store(&error).into()
    }
}

impl From<ParseScopeError> for ProblemError {
    fn from(error: ParseScopeError) -> Self {
        scope(&error).into()
    }
}

impl From<actix::MailboxError> for ProblemError {
    fn from(error: actix::MailboxError) -> Self {
        ControlError::from(error).into()
    }
}
