//! A request's body: whole, within its limit, in time and at a least rate.

use std::time::Duration;

use actix_http::{HttpMessage, Payload, Request};
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use api::Problem;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use quotas::limits::Allowance;
use quotas::memory::Hold;

use crate::config::Timeouts;

/// The first piece may take so long whatever the least rate is.
const GRACE: Duration = Duration::from_secs(2);

/// Reads the body.
///
/// # Errors
/// It is too large, comes too slowly, or is encoded, or all calls together hold too much.
pub(super) async fn read(
    req: &Request,
    payload: Payload,
    allowance: &Allowance,
    timeouts: &Timeouts,
    memory: &Hold,
) -> Result<Bytes, Box<Problem>> {
    let headers = req.headers();
    if !headers.contains_key(CONTENT_LENGTH) && !headers.contains_key(TRANSFER_ENCODING) {
        return Ok(Bytes::new());
    }
    // Apart, so that its timers do not make the future of every call larger.
    Box::pin(read_whole(req, payload, allowance, timeouts, memory)).await
}

async fn read_whole(
    req: &Request,
    mut payload: Payload,
    allowance: &Allowance,
    timeouts: &Timeouts,
    memory: &Hold,
) -> Result<Bytes, Box<Problem>> {
    let headers = req.headers();
    if req.upgrade() {
        let detail = "nothing is upgraded here: send the request without `Connection: Upgrade`";
        return Err(Box::new(Problem::of("request.invalid", detail)));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        let detail = "a body with a Content-Encoding is not taken; send it as it is";
        return Err(Box::new(Problem::of("request.media_type", detail)));
    }
    let max = usize::try_from(allowance.body.get()).unwrap_or(usize::MAX);
    let too_large = || Box::new(Problem::of("request.too_large", format!("at most {}", allowance.body)));
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > max as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    let whole = async {
        let began = tokio::time::Instant::now();
        loop {
            let rate = timeouts.min_rate.get().max(1);
            let by_rate = Duration::from_millis((body.len() as u64).saturating_mul(1000) / rate);
            let until = began + GRACE + by_rate;
            match tokio::time::timeout_at(until, payload.next()).await {
                Err(_) => return Err("request.timeout"),
                Ok(None) => return Ok(()),
                Ok(Some(Err(_))) => return Err("request.invalid"),
                Ok(Some(Ok(piece))) if body.len() + piece.len() > max => return Err("request.too_large"),
                Ok(Some(Ok(piece))) => {
                    memory.grow(piece.len() as u64).map_err(|_| "memory.exceeded")?;
                    body.extend_from_slice(&piece);
                }
            }
        }
    };
    match tokio::time::timeout(timeouts.body, whole).await {
        Ok(Ok(())) => Ok(body.freeze()),
        Ok(Err("request.too_large")) => Err(too_large()),
        Ok(Err(code @ "memory.exceeded")) => {
            let detail = "all calls together hold as much as they may; try again in a moment";
            Err(Box::new(Problem::of(code, detail)))
        }
        Ok(Err(code)) => Err(Box::new(Problem::of(code, "the body did not arrive whole"))),
        Err(_) => Err(Box::new(Problem::of("request.timeout", "the body did not arrive in time"))),
    }
}
