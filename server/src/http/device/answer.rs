//! What a device gets: the script's answer, or a problem that names the rule and nothing of others.

use std::future::Future;
use std::pin::{Pin, pin};
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

/// How much of an answer is written at a time. Writing is copying, in the system, and nothing interrupts it: half a
/// megabyte holds up the other calls of the thread for longer than most of them take.
const PIECE: usize = 64 * 1_024;

/// The body of an answer; the call's place is given back when it was written or dropped.
struct Held {
    rest: Bytes,
    /// A piece was given out, and whoever else has something to do on this thread comes first.
    is_others_turn: bool,
    _kept: Option<(Place, Arc<Hold>)>,
}

impl MessageBody for Held {
    type Error = std::convert::Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if std::mem::take(&mut self.is_others_turn) {
            // Unlike a wake-up it also looks for who came by the network meanwhile.
            let _ = pin!(tokio::task::yield_now()).poll(cx);
            return Poll::Pending;
        }
        let length = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(length);
        self.is_others_turn = !self.rest.is_empty();
        Poll::Ready((!piece.is_empty()).then_some(Ok(piece)))
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
    response.body(Held { rest: answer.body, is_others_turn: false, _kept: kept })
}

/// 405, with what the path does answer.
pub(super) fn method_not_allowed(allowed: &[&str]) -> HttpResponse {
    let mut response = problem::respond(Problem::of("method.not_allowed", ""));
    if let Ok(value) = HeaderValue::from_str(&allowed.join(", ")) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_large_body_is_given_out_in_pieces_and_others_have_their_turn_between() {
        let whole: Bytes = (0..PIECE * 2 + 5).map(|at| (at % 251) as u8).collect();
        let mut held = Held { rest: whole.clone(), is_others_turn: false, _kept: None };
        assert_eq!(held.size(), BodySize::Sized(whole.len() as u64));
        let (mut polls, mut got) = (Vec::new(), Vec::new());
        loop {
            match Pin::new(&mut held).poll_next(&mut Context::from_waker(Waker::noop())) {
                Poll::Pending => polls.push(None),
                Poll::Ready(Some(Ok(piece))) => {
                    polls.push(Some(piece.len()));
                    got.extend_from_slice(&piece);
                }
                Poll::Ready(None) => break,
            }
        }
        assert_eq!(polls, [Some(PIECE), None, Some(PIECE), None, Some(5)]);
        assert_eq!(got, whole);
    }
}
