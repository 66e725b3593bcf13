//! One HTTP client per thread: connections are kept and never cross threads.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::Method;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use quotas::breaker::Refused;
use quotas::memory::{Hold, Spent};
use quotas::units::Moment;

use super::super::call::{CallContext, time_left};
use super::turns::{InTurns, PIECE};
use super::{Answer, Outgoing, Service, ServiceError, ServiceGuard};
use crate::fuel::now_nanos;

/// How often a request may come through a callboard before it is taken for a loop.
const HOPS_MAX: u32 = 8;
/// The header that counts them.
const HOPS: HeaderName = HeaderName::from_static("callboard-hops");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// An answer of at most so many bytes is copied: it would hold the whole of the buffer that it was read into, and the
/// next one needed another.
const SMALL: usize = PIECE / 4;
/// A connection that was idle for longer is not used again.
const IDLE: Duration = Duration::from_secs(20);

thread_local! {
    static CLIENT: Client<InTurns, Full<Bytes>> = {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(Duration::from_secs(2)));
        Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(256)
            .http1_read_buf_exact_size(PIECE)
            .build(InTurns(connector))
    };
}

pub(super) async fn send(
    service: &Service,
    call: &CallContext,
    outgoing: Outgoing,
) -> Result<Answer, ServiceError> {
    let name = service.name.as_str();
    let failed = |kind, detail: String| ServiceError::new(kind, name, detail);
    service.asked.count(Moment::from_nanos(now_nanos()));
    if let Some(switch) = &*service.switch.load() {
        switch.count();
        if !switch.switch().observe {
            return Err(failed(
                "off",
                format!("switched off by an operator, see `callboard switch list` for service:{name}"),
            ));
        }
    }
    if call.hops >= HOPS_MAX {
        return Err(failed("protocol", format!("this request came through {HOPS_MAX} callboards: a loop")));
    }
    let request = || request(service, call, &outgoing).map_err(|why| failed("protocol", why));
    let side = service.side(&call.endpoint.team);
    match attempt(service, &side, call, request()?).await {
        Err((_, Reached::No)) if outgoing.method == Method::GET && side.retries.take() => {
            attempt(service, &side, call, request()?).await.map_err(|(error, _)| error)
        }
        result => result.map_err(|(error, _)| error),
    }
}

/// Whether a request that failed may have reached the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reached {
    Perhaps,
    No,
}

/// Makes a request once, if its breaker lets it and there is a place for it.
async fn attempt(
    service: &Service,
    side: &ServiceGuard,
    call: &CallContext,
    request: http::Request<Full<Bytes>>,
) -> Result<Answer, (ServiceError, Reached)> {
    let name = service.name.as_str();
    let refused = |kind, detail: String| (ServiceError::new(kind, name, detail), Reached::Perhaps);
    let under_way = side.begin().map_err(|why| {
        let kind = if why == Refused::Throttled { "limited" } else { "open" };
        refused(kind, why.to_string())
    })?;
    let _place = service.place(&call.endpoint.team, side).map_err(|why| {
        let kind = if side.is_lowered() { "limited" } else { "full" };
        refused(kind, why)
    })?;
    side.retries.note();
    let limit = time_left(service.timeout);
    let answer = match tokio::time::timeout(limit, exchange(service, request, &call.memory)).await {
        Ok(answer) => answer,
        Err(_) => {
            let detail = format!("no answer within {} ms", limit.as_millis());
            Err((ServiceError::new("timeout", name, detail), Reached::Perhaps))
        }
    };
    let error = answer.as_ref().err().map(|(error, _)| error);
    side.ended(under_way, error);
    answer
}

fn request(
    service: &Service,
    call: &CallContext,
    outgoing: &Outgoing,
) -> Result<http::Request<Full<Bytes>>, String> {
    let mut request = http::Request::new(Full::new(outgoing.body.clone()));
    *request.uri_mut() = service.url.join(&outgoing.path)?;
    *request.method_mut() = outgoing.method.clone();
    let headers = request.headers_mut();
    if let Some(content_type) = outgoing.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, value) in &outgoing.headers {
        let name = HeaderName::try_from(name.as_str()).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::from_str(&call.request_id) {
        headers.insert(REQUEST_ID, id);
    }
    headers.insert(HOPS, HeaderValue::from(call.hops + 1));
    Ok(request)
}

async fn exchange(
    service: &Service,
    request: http::Request<Full<Bytes>>,
    memory: &Hold,
) -> Result<Answer, (ServiceError, Reached)> {
    let name = service.name.as_str();
    let client = CLIENT.with(Clone::clone);
    let answer = client.request(request).await.map_err(|error| {
        let reached = if error.is_connect() { Reached::No } else { Reached::Perhaps };
        (ServiceError::new("unreachable", name, unreachable(service, &error)), reached)
    })?;
    let (head, body) = answer.into_parts();
    if head.headers.contains_key(CONTENT_ENCODING) {
        let detail = "it answered with a content encoding that was not asked for";
        return Err((ServiceError::new("protocol", name, detail), Reached::Perhaps));
    }
    let body = read(service, body, memory).await.map_err(|error| (error, Reached::Perhaps))?;
    let answer = Answer { status: head.status.as_u16(), headers: head.headers, body };
    if head.status.as_u16() >= 400 {
        let mut error = ServiceError::new("status", name, format!("answered {}", head.status.as_u16()));
        error.answer = Some(Box::new(answer));
        return Err((error, Reached::Perhaps));
    }
    // A redirect is an answer like any other: following it could leave the service.
    Ok(answer)
}

/// Reads an answer's body, piece by piece, as far as the service's limit and the memory of all calls allow.
async fn read(service: &Service, mut body: Incoming, memory: &Hold) -> Result<Bytes, ServiceError> {
    let failed = |kind, detail: String| ServiceError::new(kind, service.name.as_str(), detail);
    let max = usize::try_from(service.response_max.get()).unwrap_or(usize::MAX);
    let mut whole = BytesMut::new();
    while let Some(piece) = body.frame().await {
        let piece = piece.map_err(|_| failed("protocol", "its answer ended early".to_owned()))?;
        let Ok(piece) = piece.into_data() else { continue };
        if whole.len() + piece.len() > max {
            let detail = format!("its answer is larger than {}", service.response_max);
            return Err(failed("too_large", detail));
        }
        memory.grow(piece.len() as u64).map_err(|Spent { limit, .. }| {
            failed("full", format!("all calls together hold as much memory as they may, {limit}"))
        })?;
        if whole.is_empty() && body.is_end_stream() && piece.len() > SMALL {
            return Ok(piece);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// Says what failed without the address, which is the operator's own.
fn unreachable(service: &Service, error: &hyper_util::client::legacy::Error) -> String {
    tracing::debug!(service = %service.name, authority = service.url.authority(), %error, "a service was not reached");
    if error.is_connect() { "it cannot be reached".to_owned() } else { "the connection broke".to_owned() }
}
