//! What a device gets: the script's answer, or a problem that names the rule and nothing of others.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_http::body::{BodySize, MessageBody};
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{AGE, ALLOW, CONTENT_TYPE, HeaderName, HeaderValue};
use actors::lane::{Answered, Fallen, Place, Source};
use api::Problem;
use bytes::Bytes;
use quotas::memory::Hold;
use runtime::host::response::Response;

use crate::http::problem;

const FALLBACK: HeaderName = HeaderName::from_static("callboard-fallback");
const REVISION: HeaderName = HeaderName::from_static("callboard-revision");

/// The body of an answer; the call's place is given back when it was written or dropped.
struct Held {
    body: Bytes,
    _kept: Option<(Place, Arc<Hold>)>,
}

impl MessageBody for Held {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.body.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let body = std::mem::take(&mut self.body);
        Poll::Ready((!body.is_empty()).then_some(Ok(body)))
    }
}

/// The answer to a call that was let in.
pub(super) fn of(answered: Answered) -> HttpResponse {
    let Answered { result, revision, kept, warning, .. } = answered;
    let mut response = match result {
        Ok(answer) => script(answer, Some(kept)),
        Err(failure) => {
            let failed = problem::failed(&failure);
            problem::respond(failed.for_device())
        }
    };
    let headers = response.headers_mut();
    headers.insert(REVISION, HeaderValue::from(revision.get()));
    if let Some(policy) = warning {
        problem::rate_headers(headers, &policy);
    }
    response
}

/// The answer that a device gets instead of a problem with this code, marked as what it is.
pub(super) fn instead(fallen: Fallen, because: &str) -> HttpResponse {
    let Fallen { response, source, revision } = fallen;
    let mut response = script(response, None);
    let headers = response.headers_mut();
    headers.insert(REVISION, HeaderValue::from(revision.get()));
    if let Ok(value) = HeaderValue::from_str(&format!("{}; because={because}", source.as_str())) {
        headers.insert(FALLBACK, value);
    }
    if let Source::LastGood(age) = source {
        headers.insert(AGE, HeaderValue::from(age.as_secs()));
    }
    response
}

fn script(answer: Response, kept: Option<(Place, Arc<Hold>)>) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(content_type) = answer.content_type {
        response.insert_header((CONTENT_TYPE, HeaderValue::from_static(content_type)));
    }
    for (name, value) in answer.headers {
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_bytes(value.as_bytes()))
        else {
            continue;
        };
        if name == CONTENT_TYPE {
            response.insert_header((name, value));
        } else {
            response.append_header((name, value));
        }
    }
    if matches!(answer.status, 204 | 304) {
        return response.finish();
    }
    response.body(Held { body: answer.body, _kept: kept })
}

/// 405, with what the path does answer.
pub(super) fn method_not_allowed(allowed: &[&str]) -> HttpResponse {
    let mut response = problem::respond(Problem::of("method.not_allowed", ""));
    if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}
