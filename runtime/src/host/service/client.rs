//! One HTTP client per thread: connections are kept and never cross threads.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use quotas::memory::{Hold, Spent};

use super::super::call::{CallContext, time_left};
use super::turns::{InTurns, PIECE};
use super::{Answer, Outgoing, Service, ServiceError};

/// How often a request may come through a callboard before it is taken for a loop.
const HOPS_MAX: u32 = 8;
/// The header that counts them.
const HOPS: &str = "callboard-hops";
/// What is kept of an answer's headers: at most so many.
const HEADERS_MAX: usize = 100;
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
    if service.off.load(Ordering::Relaxed) {
        return Err(failed("off", "switched off by an operator".to_owned()));
    }
    if call.hops >= HOPS_MAX {
        return Err(failed("protocol", format!("this request came through {HOPS_MAX} callboards: a loop")));
    }
    let request = request(service, call, outgoing).map_err(|why| failed("protocol", why))?;
    let _place = service.place(&call.team).map_err(|why| failed("full", why))?;
    let limit = time_left(service.timeout);
    let answer = tokio::time::timeout(limit, exchange(service, request, &call.memory));
    match answer.await {
        Ok(answer) => answer,
        Err(_) => Err(failed("timeout", format!("no answer within {} ms", limit.as_millis()))),
    }
}

fn request(
    service: &Service,
    call: &CallContext,
    outgoing: Outgoing,
) -> Result<http::Request<Full<Bytes>>, String> {
    let mut request = http::Request::new(Full::new(outgoing.body));
    *request.uri_mut() = service.url.join(&outgoing.path)?;
    *request.method_mut() = outgoing.method;
    let headers = request.headers_mut();
    if let Some(content_type) = outgoing.content_type {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, value) in outgoing.headers {
        let name = http::HeaderName::try_from(name).map_err(|error| error.to_string())?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
        headers.insert(name, value);
    }
    if let Ok(id) = HeaderValue::from_str(&call.request_id) {
        headers.insert("x-request-id", id);
    }
    headers.insert(HOPS, HeaderValue::from(call.hops + 1));
    Ok(request)
}

async fn exchange(
    service: &Service,
    request: http::Request<Full<Bytes>>,
    memory: &Hold,
) -> Result<Answer, ServiceError> {
    let name = service.name.as_str();
    let client = CLIENT.with(Clone::clone);
    let answer = client
        .request(request)
        .await
        .map_err(|error| ServiceError::new("unreachable", name, unreachable(service, &error)))?;
    let (head, body) = answer.into_parts();
    if head.headers.contains_key(CONTENT_ENCODING) {
        return Err(ServiceError::new(
            "protocol",
            name,
            "it answered with a content encoding that was not asked for",
        ));
    }
    let body = read(service, body, memory).await?;
    let headers = head
        .headers
        .iter()
        .take(HEADERS_MAX)
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    let answer = Answer { status: head.status.as_u16(), headers, body };
    if head.status.as_u16() >= 400 {
        let mut error = ServiceError::new("status", name, format!("answered {}", head.status.as_u16()));
        error.answer = Some(answer);
        return Err(error);
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
        if whole.is_empty() && body.is_end_stream() {
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
