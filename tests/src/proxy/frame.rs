//! Frames of CQL, version 4, as far as they have to be told apart.
//!
//! Invariant: a frame's bytes are passed on as they came, but for one address.
//! Not here: values.

use std::collections::HashMap;
use std::io;
use std::net::Ipv4Addr;

use tokio::io::{AsyncRead, AsyncReadExt};

/// The version, without the bit that says whose frame it is.
const VERSION: u8 = 4;
const HEADER: usize = 9;
/// The largest frame that is passed on.
const BODY_MAX: usize = 256 * 1024 * 1024;

const RESULT: u8 = 0x08;
const PREPARE: u8 = 0x09;
const EXECUTE: u8 = 0x0A;
const EVENT: u8 = 0x0C;
const BATCH: u8 = 0x0D;
/// The kind of result that answers a `PREPARE`.
const PREPARED: i32 = 4;

/// The text of prepared statements by the id that the server gave them.
pub(super) type Statements = HashMap<Vec<u8>, String>;

/// A request that is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Which it is.
    pub kind: Kind,
    /// The statement, of a batch the first; empty when it was prepared elsewhere.
    pub statement: String,
}

/// The kind of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One prepared statement.
    Execute,
    /// Several statements as one.
    Batch,
}

pub(super) struct Frame {
    bytes: Vec<u8>,
}

impl Frame {
    pub(super) async fn read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Self> {
        let mut bytes = vec![0; HEADER];
        from.read_exact(&mut bytes).await?;
        let size = u32::from_be_bytes([bytes[5], bytes[6], bytes[7], bytes[8]]) as usize;
        if bytes[0] & 0x7F != VERSION || size > BODY_MAX {
            let wrong = format!("no frame of version {VERSION}: {bytes:?}");
            // A test that fails has to say why.
            eprintln!("the proxy: {wrong}");
            return Err(io::Error::other(wrong));
        }
        bytes.resize(HEADER + size, 0);
        from.read_exact(&mut bytes[HEADER..]).await?;
        Ok(Self { bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the server says that a node has this address, it has that one.
    pub(super) fn readdress(&mut self, from: Ipv4Addr, to: Ipv4Addr) {
        if !matches!(self.bytes[4], RESULT | EVENT) {
            return;
        }
        // In a row as in an event the size of an address stands before it.
        let [a, b, c, d] = from.octets();
        let mut at = HEADER;
        while let Some(found) = self.bytes[at..].windows(5).position(|bytes| bytes == [4, a, b, c, d]) {
            at += found + 5;
            self.bytes[at - 4..at].copy_from_slice(&to.octets());
        }
    }

    /// What a request and its answer have in common.
    pub(super) fn stream(&self) -> [u8; 2] {
        [self.bytes[2], self.bytes[3]]
    }

    /// The body of a frame with this code, if nothing is told beside it.
    fn body_of(&self, code: u8) -> Option<Reader<'_>> {
        (self.bytes[4] == code && self.bytes[1] == 0).then(|| Reader(&self.bytes[HEADER..]))
    }

    /// The statement that a request has prepared.
    pub(super) fn prepares(&self) -> Option<String> {
        let mut body = self.body_of(PREPARE)?;
        let size = body.int()?.try_into().ok()?;
        Some(String::from_utf8_lossy(body.take(size)?).into_owned())
    }

    /// Learns from an answer under which id this statement was prepared.
    pub(super) fn learn(&self, statements: &mut Statements, text: String) {
        let id = self.body_of(RESULT).and_then(|mut body| match body.int()? {
            PREPARED => body.short_bytes(),
            _ => None,
        });
        if let Some(id) = id {
            statements.insert(id.to_vec(), text);
        }
    }

    /// What a request asks.
    pub(super) fn asks(&self, statements: &Statements) -> Option<Asked> {
        let (kind, id) = match self.bytes[4] {
            EXECUTE => (Kind::Execute, self.body_of(EXECUTE).and_then(|mut body| body.short_bytes())),
            BATCH => (Kind::Batch, self.body_of(BATCH).and_then(first_of_batch)),
            _ => return None,
        };
        let statement = id.and_then(|id| statements.get(id)).cloned().unwrap_or_default();
        Some(Asked { kind, statement })
    }
}

/// The id of a batch's first statement: after its type, the number of statements, and the kind of the first.
fn first_of_batch(mut body: Reader<'_>) -> Option<&[u8]> {
    let head = body.take(4)?;
    (head[3] == 1).then(|| body.short_bytes()).flatten()
}

/// What is left of a body.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, size: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(size)?;
        self.0 = rest;
        Some(taken)
    }

    fn int(&mut self) -> Option<i32> {
        self.take(4)?.try_into().ok().map(i32::from_be_bytes)
    }

    fn short_bytes(&mut self) -> Option<&'a [u8]> {
        let size = self.take(2)?.try_into().ok().map(u16::from_be_bytes)?;
        self.take(size.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(code: u8, body: &[u8]) -> Frame {
        let mut bytes = vec![VERSION, 0, 0, 7, code];
        bytes.extend((body.len() as u32).to_be_bytes());
        bytes.extend(body);
        Frame { bytes }
    }

    #[test]
    fn a_statement_is_known_by_its_id_once_it_was_prepared() {
        let mut statements = Statements::new();
        let prepares = frame(PREPARE, b"\0\0\0\x08SELECT 1").prepares();
        assert_eq!(prepares.as_deref(), Some("SELECT 1"));
        let execute = frame(EXECUTE, b"\0\x02id rest");
        let asked = |kind, statement: &str| Some(Asked { kind, statement: statement.to_owned() });
        assert_eq!(execute.asks(&statements), asked(Kind::Execute, ""));
        frame(RESULT, b"\0\0\0\x04\0\x02id rest").learn(&mut statements, "SELECT 1".to_owned());
        assert_eq!(execute.asks(&statements), asked(Kind::Execute, "SELECT 1"));
        let batch = frame(BATCH, b"\x01\0\x02\x01\0\x02id rest");
        assert_eq!(batch.asks(&statements), asked(Kind::Batch, "SELECT 1"));
        assert_eq!(frame(RESULT, b"\0\0\0\x01").asks(&statements), None);
    }

    #[test]
    fn a_node_is_told_to_be_where_the_proxy_is() {
        let (node, proxy) = (Ipv4Addr::new(127, 1, 2, 3), Ipv4Addr::new(127, 9, 8, 7));
        let told = |code, body: &[u8]| {
            let mut frame = frame(code, body);
            frame.readdress(node, proxy);
            frame.bytes[HEADER..].to_vec()
        };
        let row = b"\0\0\0\x04\x7F\x01\x02\x03, \x04\x7F\x01\x02\x03";
        assert_eq!(told(RESULT, row), b"\0\0\0\x04\x7F\x09\x08\x07, \x04\x7F\x09\x08\x07");
        assert_eq!(told(EXECUTE, row), row);
        assert_eq!(told(EVENT, b"\x04\x7F\x01\x02"), b"\x04\x7F\x01\x02");
    }

    #[test]
    fn a_frame_that_ends_too_soon_asks_for_nothing_known() {
        for code in [EXECUTE, BATCH] {
            for body in [&b""[..], b"\0", b"\0\x09id", b"\x01\0\x01\x01\0\x09id"] {
                assert_eq!(
                    frame(code, body).asks(&Statements::new()).map(|asked| asked.statement),
                    Some(String::new())
                );
            }
        }
        assert_eq!(frame(PREPARE, b"\0\0\0\x09short").prepares(), None);
    }
}
