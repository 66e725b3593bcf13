//! Body: the guard is told how much somebody waits for of a request's body.
//!
//! Invariant: no byte behind the body is asked for where its length is known.
//! Not here: how large it may be and how long it may take (`device::body`, `manage::body`).

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_http::error::PayloadError;
use actix_http::header::CONTENT_LENGTH;
use actix_http::{BoxedPayloadStream, Payload, Request, h1};
use bytes::Bytes;
use futures_util::Stream;

use super::pieces::Wanted;
use super::watch::Watch;

/// A body whose connection is read while somebody waits for it.
struct Awaited {
    body: h1::Payload,
    /// What is still to come, where that is known.
    left: Option<u64>,
    watch: Rc<Watch>,
}

impl Stream for Awaited {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = Pin::new(&mut self.body).poll_next(cx);
        if let (Poll::Ready(Some(Ok(piece))), Some(left)) = (&piece, &mut self.left) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        self.watch.await_body(match (&piece, self.left) {
            (Poll::Ready(_), _) => Wanted::Nothing,
            // All that was read before is in the pieces by now: what is left was not read.
            (Poll::Pending, Some(left @ 1..)) => Wanted::Body(left),
            (Poll::Pending, _) => Wanted::Piece,
        });
        piece
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.watch.await_body(Wanted::Nothing);
    }
}

/// The request, whose body is read when somebody waits for it. One without a body is left as it is.
pub fn awaited(mut request: Request) -> Request {
    if let Payload::H1 { .. } = request.payload()
        && let Some(watch) = request.conn_data::<Rc<Watch>>().cloned()
        && let Payload::H1 { payload: body } = request.take_payload()
    {
        let length = request.head().headers().get(CONTENT_LENGTH);
        let left = length.and_then(|length| length.to_str().ok()?.parse().ok());
        let body: BoxedPayloadStream = Box::pin(Awaited { body, left, watch });
        *request.payload() = body.into();
    }
    request
}
