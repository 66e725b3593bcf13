//! Guard: what a connection may take its time for, and how many an address may have.
//!
//! actix times the first head of a connection and no body. Here every connection is watched, by one task a
//! thread and without a timer of its own: a head has a deadline from its first byte, also the second one of
//! a connection; a connection that says nothing is closed; an answer must be taken at a least rate. Bodies
//! are timed where they are read (`device::body`), by the same numbers. A device that closed its connection while its
//! call runs is not waited for: actix would run the call to its end for nobody.
//!
//! Invariant: a connection that is not served within these bounds costs its place in the count and its
//! buffers, never a permit, and it is closed. Nothing more is read from who does not take the answers that are there.

mod closing;
mod places;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use closing::Closing;
pub use places::{Place, Places};
pub use watch::{Bounds, Watch};

/// A connection under watch.
#[derive(Debug)]
pub struct Guarded {
    io: TcpStream,
    watch: Rc<Watch>,
    _place: Place,
}

impl Guarded {
    /// Takes a connection under watch.
    pub fn new(io: TcpStream, bounds: Bounds, closing: Closing, place: Place) -> Self {
        Self { io, watch: Watch::begin(bounds, closing), _place: place }
    }

    /// Its watch, for whoever handles its requests.
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.io.peer_addr().ok()
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other end took too long, or is gone")
}

impl AsyncRead for Guarded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.watch.is_over() {
            return Poll::Ready(Err(too_slow()));
        }
        if this.watch.is_blocked() {
            // actix reads on and on, and keeps what it answers until that is taken: whoever asks without listening
            // would fill the memory. They are heard again when they have taken what is theirs.
            this.watch.reader_waits(cx.waker());
            return Poll::Pending;
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Pending => {
                this.watch.reader_waits(cx.waker());
                Poll::Pending
            }
            Poll::Ready(read) => {
                read?;
                if buf.filled().len() > before {
                    this.watch.bytes_came();
                } else if this.watch.is_called_for() {
                    // It may have closed its half alone and listen. It is told of the end when its answer went.
                    this.watch.other_end_closed(cx.waker());
                    return Poll::Pending;
                }
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.watch.is_over() {
            return Poll::Ready(Err(too_slow()));
        }
        match Pin::new(&mut this.io).poll_write(cx, bytes) {
            Poll::Pending => {
                this.watch.writer_waits(cx.waker());
                Poll::Pending
            }
            Poll::Ready(written) => {
                let written = written?;
                this.watch.bytes_went(written);
                Poll::Ready(Ok(written))
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(Pin::new(&mut this.io).poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.watch.is_over() {
            return Poll::Ready(Err(too_slow()));
        }
        match Pin::new(&mut this.io).poll_write_vectored(cx, bytes) {
            Poll::Pending => {
                this.watch.writer_waits(cx.waker());
                Poll::Pending
            }
            Poll::Ready(written) => {
                let written = written?;
                this.watch.bytes_went(written);
                Poll::Ready(Ok(written))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
