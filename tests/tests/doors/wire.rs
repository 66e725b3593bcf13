//! A connection, byte by byte, and the answers that came over one.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How long an answer may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection.
pub struct Wire {
    stream: TcpStream,
    heard: Vec<u8>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body as text.
    pub body: String,
}

/// The address within `http://127.0.0.1:1234`.
pub fn address_of(url: &str) -> SocketAddr {
    url.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address")
}

impl Wire {
    /// Connects.
    pub async fn connect(to: SocketAddr) -> Self {
        let stream = TcpStream::connect(to).await.expect("the door takes connections");
        Self { stream, heard: Vec::new() }
    }

    /// Connects from an address of ours.
    pub async fn connect_from(from: SocketAddr, to: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(from).expect("an address of ours");
        let stream = socket.connect(to).await.expect("the door takes connections");
        Self { stream, heard: Vec::new() }
    }

    /// Says something.
    pub async fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Says all of this and listens meanwhile, until the connection ends; nothing when it does not in time.
    pub async fn say_and_hear(self, bytes: &[u8], limit: Duration) -> Option<Vec<u8>> {
        let (mut from, mut to) = self.stream.into_split();
        let mut heard = self.heard;
        let both = async { tokio::join!(to.write_all(bytes), from.read_to_end(&mut heard)) };
        let (said, ended) = tokio::time::timeout(limit, both).await.ok()?;
        (said.is_ok() && ended.is_ok()).then_some(heard)
    }

    /// The next answer; nothing when the connection ends before it is whole.
    pub async fn one_answer(&mut self) -> Option<Answer> {
        let read = async {
            let mut piece = [0; 4096];
            loop {
                if let Ok(Some((answer, length))) = first(&self.heard) {
                    self.heard.drain(..length);
                    return Some(answer);
                }
                match self.stream.read(&mut piece).await {
                    Ok(0) | Err(_) => return None,
                    Ok(read) => self.heard.extend_from_slice(&piece[..read]),
                }
            }
        };
        tokio::time::timeout(PATIENCE, read).await.expect("an answer or the end in time")
    }

    /// Everything that comes until the other end closes; nothing when it does not in time.
    pub async fn until_closed(&mut self, limit: Duration) -> Option<Vec<u8>> {
        let read = async {
            let mut piece = [0; 4_096];
            while let Ok(read @ 1..) = self.stream.read(&mut piece).await {
                self.heard.extend_from_slice(&piece[..read]);
            }
        };
        tokio::time::timeout(limit, read).await.ok()?;
        Some(std::mem::take(&mut self.heard))
    }
}

/// All answers of a connection that has ended.
///
/// # Errors
/// Something on it is not an answer.
pub fn answers(mut heard: &[u8]) -> Result<Vec<Answer>, String> {
    let mut all = Vec::new();
    while !heard.is_empty() {
        let (answer, length) = first(heard)?.ok_or("an answer broke off")?;
        all.push(answer);
        heard = &heard[length..];
    }
    Ok(all)
}

/// The first answer and its length; nothing while it is not whole.
fn first(heard: &[u8]) -> Result<Option<(Answer, usize)>, String> {
    let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let head = str::from_utf8(&heard[..end]).map_err(|_| "a head is no text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| format!("no answer: {head}"))?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    let (from, length) = (end + 4, length.unwrap_or(0));
    let Some(body) = heard.get(from..from + length) else { return Ok(None) };
    Ok(Some((Answer { status, body: String::from_utf8_lossy(body).into_owned() }, from + length)))
}
