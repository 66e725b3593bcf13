//! Pieces: what a connection says, given out request by request.
//!
//! actix decodes all that it is given and keeps it until it is its turn, and what has 20 bytes takes 4 KiB then. And
//! when it answers while a part of the body of a later request is there, that answer ends the connection. So it is
//! given no request before it asks for one.
//!
//! Invariant: bytes are given out as they came. A piece of a head ends where the head ends, or with the body behind it
//! as far as the head says its length and it is there.
//! Not here: what is wanted when (`watch`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_rt::net::TcpStream;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf, Take};

/// How much is read at a time where a head is wanted: what is behind it is kept, and is no more than this.
const PIECE: u64 = 8 * 1_024;

/// What is wanted of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    /// A head, with what is there of a body whose length it says.
    Head,
    /// A part of a body that says in itself where it ends.
    Piece,
    /// So many bytes of a body.
    Body(u64),
}

/// A connection that is read in pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    io: Take<TcpStream>,
    /// What was read and was not wanted yet.
    rest: Bytes,
    /// The last two bytes that were given out.
    last: [u8; 2],
    is_sated: bool,
}

impl Pieces {
    pub(super) fn of(io: TcpStream) -> Self {
        Self { io: io.take(PIECE), rest: Bytes::new(), last: [0; 2], is_sated: false }
    }

    pub(super) fn io(&self) -> &TcpStream {
        self.io.get_ref()
    }

    pub(super) fn io_mut(&mut self) -> Pin<&mut TcpStream> {
        Pin::new(self.io.get_mut())
    }

    /// Whether the piece before has to be decoded first. Says so once.
    pub(super) fn is_sated(&mut self) -> bool {
        std::mem::take(&mut self.is_sated)
    }

    /// Whether something is there that was not given out; nothing when the other end has closed.
    pub(super) fn poll_more(&self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let mut first = [0];
        self.io().poll_peek(cx, &mut ReadBuf::new(&mut first)).map_ok(|count| count > 0)
    }

    /// Gives out a piece, and says how long it is.
    pub(super) fn poll_give(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        wanted: Wanted,
    ) -> Poll<io::Result<u64>> {
        let most = match wanted {
            Wanted::Nothing => 0,
            Wanted::Head | Wanted::Piece => PIECE,
            Wanted::Body(bytes) => bytes,
        };
        let start = buf.filled().len();
        let room = most.min(buf.remaining() as u64);
        if self.rest.is_empty() {
            self.io.set_limit(most);
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            let came = &buf.filled()[start..];
            let length = wanted.length(self.last, came);
            // Where all that there was room for came, more may be there: it is not given out before this is decoded.
            self.is_sated = length < came.len() || came.len() as u64 == room;
            if length < came.len() {
                self.rest = Bytes::copy_from_slice(&came[length..]);
                buf.set_filled(start + length);
            }
        } else {
            let most = usize::try_from(room).unwrap_or(usize::MAX).min(self.rest.len());
            let length = wanted.length(self.last, &self.rest[..most]);
            buf.put_slice(&self.rest.split_to(length));
            self.is_sated = true;
        }
        let given = &buf.filled()[start..];
        self.last = match *given {
            [] => self.last,
            [one] => [self.last[1], one],
            [.., one, two] => [one, two],
        };
        Poll::Ready(Ok(given.len() as u64))
    }
}

impl Wanted {
    /// How many of these bytes are wanted at once, when those were the last before.
    fn length(self, last: [u8; 2], bytes: &[u8]) -> usize {
        let end = match self {
            Self::Head | Self::Piece => end_of_head(last, bytes).filter(|end| *end < bytes.len()),
            Self::Body(_) | Self::Nothing => None,
        };
        match end {
            Some(end) if self == Self::Head => {
                bytes.len().min(end.saturating_add(body_length(&bytes[..end])))
            }
            // What the bytes of a body look like says nothing of what is behind them.
            Some(end) => end,
            None => bytes.len(),
        }
    }
}

/// Where the first empty line ends.
fn end_of_head(last: [u8; 2], bytes: &[u8]) -> Option<usize> {
    let before = |at: usize, back: usize| if at < back { last[2 + at - back] } else { bytes[at - back] };
    let is_empty = |at: &usize| match before(*at, 1) {
        b'\n' => true,
        b'\r' => before(*at, 2) == b'\n',
        _ => false,
    };
    memchr::memchr_iter(b'\n', bytes).find(is_empty).map(|at| at + 1)
}

/// How long the body is, as far as a head says that.
fn body_length(head: &[u8]) -> usize {
    const NAME: &[u8] = b"content-length:";
    let value = head.split(|byte| *byte == b'\n').find_map(|line| {
        let (name, value) = line.split_at_checked(NAME.len())?;
        name.eq_ignore_ascii_case(NAME).then_some(value.trim_ascii())
    });
    value.and_then(|value| str::from_utf8(value).ok()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_its_first_empty_line() {
        for (last, bytes, end) in [
            ("..", "GET / HTTP/1.1\r\nhost: x\r\n\r\nGET", Some(27)),
            ("..", "GET / HTTP/1.1\nhost: x\n\nGET", Some(24)),
            ("..", "GET / HTTP/1.1\r\nhost: x\n\r\nGET", Some(26)),
            ("..", "GET / HTTP/1.1\r\nhost: x\r\n", None),
            ("..", "\r\n\r\n", Some(4)),
            ("x\r", "\n\r\nGET", Some(3)),
            ("\r\n", "\r\nGET", Some(2)),
            ("\n\r", "\nGET", Some(1)),
            ("x\n", "\nGET", Some(1)),
            ("x\r", "\nGET", None),
            ("\n\r", "\r\n", None),
        ] {
            let last = [last.as_bytes()[0], last.as_bytes()[1]];
            assert_eq!(end_of_head(last, bytes.as_bytes()), end, "{last:?} {bytes:?}");
        }
    }

    #[test]
    fn a_piece_is_one_request_with_what_is_there_of_its_body() {
        let get = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
        let post = "POST / HTTP/1.1\r\nhost: x\r\nCONTENT-length:  5 \r\n\r\n";
        let chunked = "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
        for (came, piece) in [
            (get.to_owned(), get.len()),
            (get.repeat(3), get.len()),
            (get[..20].to_owned(), 20),
            (format!("{post}12345"), post.len() + 5),
            (format!("{post}12345{get}"), post.len() + 5),
            (format!("{post}123"), post.len() + 3),
            (format!("{get}{post}12345"), get.len()),
            (format!("{chunked}5\r\n12345\r\n0\r\n\r\n"), chunked.len()),
            (format!("5\r\n12345\r\n0\r\n\r\n{get}"), 15),
            (post.replace('5', "18446744073709551616") + get, post.len() + 19),
        ] {
            assert_eq!(Wanted::Head.length([0; 2], came.as_bytes()), piece, "{came}");
        }
        let body = "15\r\n\n\ncontent-length: 500\r\n\r\n\r\n";
        assert_eq!(Wanted::Piece.length([0; 2], body.as_bytes()), 5, "a body is no head");
        assert_eq!(Wanted::Body(50).length([0; 2], get.as_bytes()), get.len());
    }
}
