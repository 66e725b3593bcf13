//! Pieces: what a connection says, given out request by request.
//!
//! actix decodes all that it is given and keeps it until it is its turn, and what has 20 bytes takes 4 KiB then. And
//! when it answers while a part of the body of a later request is there, that answer ends the connection. So it is
//! given no request before it asks for one.
//!
//! Invariant: bytes are given out as they came, but for empty lines before a head, which are nothing (RFC 9112, 2.2):
//! actix would keep them and look through all of them again for each that comes. A piece of a head ends where the head
//! ends, or with the body behind it as far as the head says its length and it is there.
//! Not here: what is wanted when (`watch`).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use actix_rt::net::TcpStream;
use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf, Take};

/// How much is read at a time where a head is wanted: what is behind it is kept, and is no more than this.
const PIECE: u64 = 8 * 1_024;
/// How many bytes of empty lines may stand before a head. Who sends more sends no requests.
const NOTHING_MAX: usize = 1_024;

/// What is wanted of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Nothing,
    /// A head that has not begun.
    Start,
    /// A head, with what is there of a body whose length it says.
    Head,
    /// A part of a body that says in itself where it ends.
    Piece,
    /// So many bytes of a body.
    Body(u64),
}

type Last = [u8; 4];

/// A connection that is read in pieces.
#[derive(Debug)]
pub(super) struct Pieces {
    io: Take<TcpStream>,
    /// What was read and was not wanted yet.
    rest: Bytes,
    /// The last bytes that were given out.
    last: Last,
    /// Bytes of empty lines since the last head.
    nothing: usize,
    is_sated: bool,
}

impl Pieces {
    pub(super) fn of(io: TcpStream) -> Self {
        Self { io: io.take(PIECE), rest: Bytes::new(), last: Last::default(), nothing: 0, is_sated: false }
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
    ///
    /// # Errors
    /// The connection failed, or says nothing but empty lines.
    pub(super) fn poll_give(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        wanted: Wanted,
    ) -> Poll<io::Result<u64>> {
        let most = match wanted {
            Wanted::Nothing => 0,
            Wanted::Start | Wanted::Head | Wanted::Piece => PIECE,
            Wanted::Body(bytes) => bytes,
        };
        if wanted == Wanted::Start {
            let nothing = nothing_before(&self.rest);
            drop(self.rest.split_to(nothing));
            self.saw_nothing(nothing)?;
        }
        let start = buf.filled().len();
        let room = most.min(buf.remaining() as u64);
        if self.rest.is_empty() {
            self.io.set_limit(most);
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            let is_full = (buf.filled().len() - start) as u64 == room;
            if wanted == Wanted::Start {
                let came = buf.filled().len();
                let nothing = nothing_before(&buf.filled()[start..]);
                self.saw_nothing(nothing)?;
                buf.filled_mut().copy_within(start + nothing.., start);
                buf.set_filled(came - nothing);
                if nothing > 0 && came == start + nothing {
                    // Nothing came, which is not the end.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            let came = &buf.filled()[start..];
            let length = wanted.length(self.last, came);
            // Where all that there was room for came, more may be there: it is not given out before this is decoded.
            self.is_sated = length < came.len() || is_full;
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
        for byte in &given[given.len().saturating_sub(self.last.len())..] {
            self.last.rotate_left(1);
            self.last[3] = *byte;
        }
        if !given.is_empty() {
            self.nothing = 0;
        }
        Poll::Ready(Ok(given.len() as u64))
    }

    fn saw_nothing(&mut self, bytes: usize) -> io::Result<()> {
        self.nothing += bytes;
        if self.nothing > NOTHING_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the other end sends empty lines alone"));
        }
        Ok(())
    }
}

/// How many of these bytes are of empty lines that stand before all else.
fn nothing_before(bytes: &[u8]) -> usize {
    bytes.iter().take_while(|byte| b"\r\n".contains(byte)).count()
}

/// The byte so many places before one; of those that were given out before, the last are known.
fn before(last: Last, bytes: &[u8], at: usize, back: usize) -> u8 {
    if at < back { last[last.len() + at - back] } else { bytes[at - back] }
}

impl Wanted {
    /// How many of these bytes are wanted at once, when those were the last before.
    fn length(self, last: Last, bytes: &[u8]) -> usize {
        let is_within = |end: &usize| *end < bytes.len();
        match self {
            Self::Start | Self::Head => end_of_head(last, bytes)
                .filter(is_within)
                .map_or(bytes.len(), |end| bytes.len().min(end.saturating_add(body_length(&bytes[..end])))),
            // What the bytes of a body look like says nothing of what is behind them.
            Self::Piece => end_of_chunks(last, bytes).filter(is_within).unwrap_or(bytes.len()),
            Self::Body(_) | Self::Nothing => bytes.len(),
        }
    }
}

/// Where the first empty line ends.
fn end_of_head(last: Last, bytes: &[u8]) -> Option<usize> {
    let is_empty = |at: &usize| match before(last, bytes, *at, 1) {
        b'\n' => true,
        b'\r' => before(last, bytes, *at, 2) == b'\n',
        _ => false,
    };
    memchr::memchr_iter(b'\n', bytes).find(is_empty).map(|at| at + 1)
}

/// Where a body of chunks may end: with an empty line behind a line that is not empty, the last size. Lines end with
/// both letters there, and trailers are not taken. A body that is full of that is read in as many pieces, of five bytes
/// at least.
fn end_of_chunks(last: Last, bytes: &[u8]) -> Option<usize> {
    let ends = |at: &usize| {
        let before = |back| before(last, bytes, *at, back);
        [before(3), before(2), before(1)] == *b"\r\n\r" && !b"\r\n".contains(&before(4))
    };
    memchr::memchr_iter(b'\n', bytes).find(ends).map(|at| at + 1)
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
            let last = [0, 0, last.as_bytes()[0], last.as_bytes()[1]];
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
            assert_eq!(Wanted::Head.length([0; 4], came.as_bytes()), piece, "{came}");
        }
        let body = "15\r\n\n\ncontent-length: 500\r\n\r\n\r\n";
        assert_eq!(Wanted::Piece.length([0; 4], body.as_bytes()), body.len() - 2, "a body is no head");
        assert_eq!(Wanted::Body(50).length([0; 4], get.as_bytes()), get.len());
    }

    #[test]
    fn a_body_of_chunks_ends_with_an_empty_line_behind_its_last_size_wherever_it_is_cut() {
        let whole = b"3\r\n\r\n\n\r\n0;a=b\r\n\r\nGET / HTTP/1.1\r\n";
        let end = whole.len() - "GET / HTTP/1.1\r\n".len();
        // The first chunk's own bytes may look like the end.
        let (first, mut at, mut last) = (5, 0, *b"\r\n\r\n");
        let mut ends = Vec::new();
        while let Some(length) = end_of_chunks(last, &whole[at..]) {
            at += length;
            ends.push(at);
            last.copy_from_slice(&whole[at - 4..at]);
        }
        assert_eq!(ends, [first, end]);
        for cut in end - 4..end {
            let last = Last::try_from(&whole[cut - 4..cut]).unwrap();
            assert_eq!(end_of_chunks(last, &whole[cut..]), Some(end - cut), "cut at {cut}");
        }
        assert_eq!(end_of_chunks(*b"\r\n\r\n", &b"\r\n".repeat(1_000)), None);
        assert_eq!(end_of_chunks([0; 4], &b"\n".repeat(1_000)), None);
    }

    #[test]
    fn empty_lines_before_a_head_are_nothing() {
        for (bytes, nothing) in [("\r\nGET", 2), ("\n\r\n\nGET\r\n", 4), ("GET\r\n", 0), ("\r\n", 2), ("", 0)]
        {
            assert_eq!(nothing_before(bytes.as_bytes()), nothing, "{bytes:?}");
        }
    }
}
