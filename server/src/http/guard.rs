//! Guard: what a connection may take its time for, and how many an address may have.
//!
//! actix times the first head of a connection and no body. Here every connection is watched, by one task a
//! thread and without a timer of its own: a head has a deadline from its first byte, also the second one of
//! a connection; a connection that says nothing is closed; an answer must be taken at a least rate. Bodies
//! are timed where they are read (`device::body`), by the same numbers. A device that closed its connection while its
//! call runs is not waited for: actix would run the call to its end for nobody.
//!
//! Invariant: a connection that is not served within these bounds costs its place in the count and its
//! buffers, never a permit, and it is closed. Nothing more is read from who does not take the answers that are there,
//! for a while from who was refused again and again, and while a request is handled nothing but its body: what is asked behind it stays with the system until then.

mod body;
mod closing;
mod pace;
mod pieces;
mod places;
mod queue;
mod watch;

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_rt::net::TcpStream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use body::awaited;
pub use closing::Closing;
pub use pace::{PAUSE, pauses};
use pieces::{Pieces, Wanted};
pub use places::{Place, Places};
use queue::queued;
pub use watch::{Bounds, Handling, Watch};

/// A connection under watch.
#[derive(Debug)]
pub struct Guarded {
    pieces: Pieces,
    watch: Rc<Watch>,
    /// Whether the end was held back until what came before it was decoded.
    was_end_held: bool,
    _place: Place,
}

impl Guarded {
    /// Takes a connection under watch.
    pub fn new(io: TcpStream, bounds: Bounds, closing: Closing, place: Place) -> Self {
        Self {
            pieces: Pieces::of(io),
            watch: Watch::begin(bounds, closing),
            was_end_held: false,
            _place: place,
        }
    }

    /// Its watch, for whoever handles its requests.
    pub fn watch(&self) -> &Rc<Watch> {
        &self.watch
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Option<SocketAddr> {
        self.pieces.io().peer_addr().ok()
    }

    /// Looks whether the other end is still there, while a request of it is handled.
    fn poll_end(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.pieces.poll_more(cx) {
            Poll::Pending => self.watch.reader_waits(cx.waker()),
            Poll::Ready(Ok(true)) => self.watch.hold_reader(cx.waker()),
            Poll::Ready(Ok(false)) if self.watch.is_called_for() => self.watch.other_end_closed(cx.waker()),
            Poll::Ready(ended) => return Poll::Ready(ended.map(drop)),
        }
        Poll::Pending
    }

    /// Tells the watch what became of an answer's bytes.
    fn wrote(&self, written: Poll<io::Result<usize>>, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.watch.writer_waits(cx.waker(), queued(self.pieces.io())),
            Poll::Ready(Ok(count)) => {
                self.watch.bytes_went(*count);
                if self.watch.is_stalled() {
                    self.watch.is_queued(queued(self.pieces.io()));
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        written
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
        if this.watch.is_unheard() {
            // actix reads on and on, and keeps what it answers until that is taken: whoever asks without listening
            // would fill the memory. They are heard again when they have taken what is theirs; and those who were refused
            // again and again, after a pause.
            this.watch.reader_waits(cx.waker());
            return Poll::Pending;
        }
        if this.pieces.is_sated() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let wanted = this.watch.wanted();
        if wanted == Wanted::Nothing {
            return this.poll_end(cx);
        }
        match this.pieces.poll_give(cx, buf, wanted) {
            Poll::Pending => {
                this.watch.reader_waits(cx.waker());
                Poll::Pending
            }
            Poll::Ready(given) => {
                let given = given?;
                if given > 0 {
                    this.watch.bytes_came(given);
                } else if this.watch.is_in_head() && !std::mem::replace(&mut this.was_end_held, true) {
                    // What was said before the end may be a whole request, which is decoded first: then its call is
                    // watched for who is gone, or for who has closed its half alone and listens.
                    cx.waker().wake_by_ref();
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
        let written = this.pieces.io_mut().poll_write(cx, bytes);
        this.wrote(written, cx)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.pieces.io_mut().poll_flush(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().pieces.io_mut().poll_shutdown(cx)
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
        let written = this.pieces.io_mut().poll_write_vectored(cx, bytes);
        this.wrote(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.pieces.io().is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use actix_rt::net::TcpListener;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// A device's end and ours.
    async fn connection() -> (TcpStream, Guarded) {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let device = TcpStream::connect(door.local_addr().unwrap()).await.unwrap();
        let (io, from) = door.accept().await.unwrap();
        let second = Duration::from_secs(1);
        let bounds = Bounds { head: second, idle: second, min_rate: 1_000 };
        let place = Places::new(1, 1).take(from.ip()).unwrap();
        (device, Guarded::new(io, bounds, Closing::default(), place))
    }

    /// Sends something, and waits until it is there.
    async fn send(device: &mut TcpStream, ours: &Guarded, said: &str) {
        device.write_all(said.as_bytes()).await.unwrap();
        let mut there = vec![0; said.len()];
        while ours.pieces.io().peek(&mut there).await.unwrap() < said.len() {}
    }

    /// What is read at once; nothing where what came has to wait.
    async fn read(ours: &mut Guarded) -> Option<String> {
        let mut piece = vec![0; 64 * 1_024];
        let read = std::pin::pin!(ours.read(&mut piece));
        match futures_util::poll!(read) {
            Poll::Ready(read) => Some(String::from_utf8(piece[..read.unwrap()].to_vec()).unwrap()),
            Poll::Pending => None,
        }
    }

    /// What is read until it has so many bytes at least.
    async fn until(ours: &mut Guarded, length: usize) -> String {
        let mut heard = String::new();
        while heard.len() < length {
            heard.extend(read(ours).await);
        }
        heard
    }

    fn alone(test: impl Future<Output = ()>) {
        actix_rt::System::new().block_on(test);
    }

    const HEAD: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    #[test]
    fn requests_are_read_one_by_one_however_they_come() {
        alone(async {
            let (mut device, mut ours) = connection().await;
            send(&mut device, &ours, &HEAD.repeat(1_000)).await;
            for _ in 0..1_000 {
                // One that is torn by what is read at a time comes in two pieces.
                assert_eq!(until(&mut ours, HEAD.len()).await, HEAD);
                assert_eq!(read(&mut ours).await, None, "it is decoded first");
                let handling = ours.watch().handle_call();
                assert_eq!(read(&mut ours).await, None, "and handled");
                drop(handling);
            }
            assert_eq!(read(&mut ours).await, None);
        });
    }

    #[test]
    fn a_head_comes_in_pieces_if_it_is_long() {
        alone(async {
            let (mut device, mut ours) = connection().await;
            let long = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000));
            send(&mut device, &ours, &format!("{long}{HEAD}")).await;
            assert_eq!(until(&mut ours, long.len()).await, long);
        });
    }

    #[test]
    fn of_a_request_that_is_handled_the_body_is_read_and_no_byte_more() {
        alone(async {
            let (mut device, mut ours) = connection().await;
            let watch = Rc::clone(ours.watch());
            let _handling = watch.handle_call();
            send(&mut device, &ours, "0123456789").await;
            assert_eq!(read(&mut ours).await, None, "nobody waits for it");
            watch.await_body(Wanted::Body(7));
            assert_eq!(read(&mut ours).await.as_deref(), Some("0123456"));
            assert_eq!(read(&mut ours).await, None);
        });
    }

    #[test]
    fn who_reads_is_woken_when_a_body_is_awaited_and_when_the_request_was_handled() {
        alone(async {
            for is_for_body in [true, false] {
                let (mut device, mut ours) = connection().await;
                let watch = Rc::clone(ours.watch());
                let handling = watch.handle_call();
                send(&mut device, &ours, "more").await;
                let mut piece = [0; 16];
                let (came, ()) = tokio::join!(ours.read(&mut piece), async {
                    if is_for_body {
                        watch.await_body(Wanted::Piece);
                    } else {
                        drop(handling);
                    }
                });
                assert_eq!(came.unwrap(), 4);
            }
        });
    }

    #[test]
    fn where_there_was_no_room_for_more_the_next_request_waits_too() {
        alone(async {
            let (mut device, mut ours) = connection().await;
            let head = "POST / HTTP/1.1\r\ncontent-length: 9000\r\n\r\n";
            send(&mut device, &ours, &format!("{head}{}{HEAD}", "x".repeat(9_000))).await;
            let mut small = vec![0; 8_188];
            assert_eq!(ours.read(&mut small).await.unwrap(), small.len());
            assert_eq!(read(&mut ours).await, None, "the head is decoded first");
            let _handling = ours.watch().handle_call();
            assert_eq!(read(&mut ours).await, None, "and nobody waits for its body so far");
        });
    }

    #[test]
    fn an_end_that_comes_with_a_request_waits_until_that_is_decoded() {
        alone(async {
            for is_whole in [true, false] {
                let (mut device, mut ours) = connection().await;
                send(&mut device, &ours, HEAD).await;
                device.shutdown().await.unwrap();
                assert_eq!(read(&mut ours).await.as_deref(), Some(HEAD));
                assert_eq!(read(&mut ours).await, None, "it is decoded first");
                let handling = is_whole.then(|| ours.watch().handle_call());
                let mut said = None;
                for _ in 0..50 {
                    said = said.or(read(&mut ours).await);
                    actix_rt::time::sleep(Duration::from_millis(1)).await;
                }
                // Of a call that runs, the end is kept back; of what is no request it is told.
                assert_eq!(said.as_deref(), if is_whole { None } else { Some("") });
                drop(handling);
            }
        });
    }

    #[test]
    fn a_device_that_goes_while_its_call_runs_is_noticed() {
        alone(async {
            let (device, mut ours) = connection().await;
            let _handling = ours.watch().handle_call();
            drop(device);
            let told = ours.read(&mut [0; 16]).await.map_err(|error| error.kind());
            assert_eq!(told, Err(io::ErrorKind::TimedOut));
        });
    }
}
