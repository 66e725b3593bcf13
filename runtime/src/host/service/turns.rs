//! Turns: a connection to a service that gives its thread away now and then, however much the service says.
//!
//! Invariant: between two turns of the thread at most [`READS`] pieces are read. hyper reads as long as there is
//! something, and takes answers of `100 Continue` one after the other without an end: a service that says nothing else
//! would hold the thread, and every call on it, until the process is taken for one that hangs.
//! Not here: how long an answer may be and take (`client`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

/// How large a piece is, in bytes; so large may the head of an answer be, too.
pub(super) const PIECE: usize = 16 << 10;
/// How many pieces are read in one turn.
const READS: u32 = 2;

/// Connects as the connector within does.
#[derive(Debug, Clone)]
pub(super) struct InTurns(pub(super) HttpConnector);

/// A connection.
#[derive(Debug)]
pub(super) struct Turned {
    io: TokioIo<TcpStream>,
    reads: u32,
}

impl Service<Uri> for InTurns {
    type Response = Turned;
    type Error = <HttpConnector as Service<Uri>>::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Turned, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connects = self.0.call(to);
        Box::pin(async { Ok(Turned { io: connects.await?, reads: 0 }) })
    }
}

impl Connection for Turned {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}

impl Read for Turned {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.reads >= READS {
            self.reads = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        self.reads = if read.is_ready() { self.reads + 1 } else { 0 };
        read
    }
}

impl Write for Turned {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }
}
