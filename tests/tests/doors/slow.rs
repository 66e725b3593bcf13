//! Clients that take their time, and how each of them ended.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::wire::answers;

/// The bounds that the server is started with.
const HEAD: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(4);
const BODY: Duration = Duration::from_secs(3);
/// How late a bound may be seen to, on a loaded machine.
const LATE: Duration = Duration::from_secs(4);
/// Between two of them that come.
const COMING: Duration = Duration::from_millis(1);
/// Between two bytes.
const PACE: Duration = Duration::from_millis(500);
/// How long anybody holds out: far beyond all bounds.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the deaf do not listen: the server's own patience with them is five seconds.
const DEAF: Duration = Duration::from_secs(9);
/// How much of its answer a device on a slow net takes at a time.
const SIP: usize = 32 << 10;
/// How long it is at it then: 128 sips, ten a second.
const SIPPING: Duration = Duration::from_secs(13);

/// The endpoint that takes bodies.
pub const TAKER: &str = "pub fn main(request) { `${request.text()?.len()}` }";
/// The endpoint whose answer fills all buffers between it and a client that does not read.
pub const LARGE: &str = r#"
pub fn main(request) {
    let text = "0123456789abcdef";
    for _ in 0..18 {
        text = `${text}${text}`;
    }
    text
}
"#;
/// What it needs.
pub const LARGE_LIMITS: &str =
    "[endpoint.limits]\nresponse = \"8MiB\"\nmemory = \"16MiB\"\nfuel = 50_000_000\ndeadline = \"10s\"\n";
/// The size of its answer.
pub const LARGE_BYTES: usize = 16 << 18;

/// In which way a client is slow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its first head trickles.
    Head,
    /// It asks well once, and then its second head trickles.
    SecondHead,
    /// Its body trickles.
    Body,
    /// Its body trickles in chunks.
    Chunks,
    /// It says nothing.
    Silent,
    /// It asks for much and does not read.
    Deaf,
    /// It asks for much and reads all of it, at 320 KiB/s: it is on a slow net, and is served.
    Sipping,
}

/// How many of each there are.
pub const CROWD: [(Kind, usize); 7] = [
    (Kind::Head, 500),
    (Kind::SecondHead, 500),
    (Kind::Body, 500),
    (Kind::Chunks, 100),
    (Kind::Silent, 50),
    (Kind::Deaf, 20),
    (Kind::Sipping, 2),
];

/// How a client ended.
pub struct Ending {
    /// Its kind.
    pub kind: Kind,
    /// From where it began to be slow until the server was through with it.
    pub lived: Duration,
    /// What it heard while it was slow.
    heard: Vec<u8>,
    /// Whether the server closed the connection.
    closed: bool,
}

impl Kind {
    fn bound(self) -> Duration {
        match self {
            Self::Head | Self::SecondHead => HEAD,
            Self::Body | Self::Chunks => BODY,
            Self::Silent => IDLE,
            Self::Deaf => DEAF,
            Self::Sipping => SIPPING,
        }
    }
}

impl Ending {
    /// What is wrong with it.
    pub fn fault(&self) -> Option<String> {
        let statuses =
            answers(&self.heard).map(|all| all.iter().map(|answer| answer.status).collect::<Vec<_>>());
        let fits = match (self.kind, statuses.as_deref()) {
            // A server may say 408 or nothing to who never asked a whole question.
            (Kind::Head | Kind::SecondHead | Kind::Silent, Ok([] | [408])) => true,
            // Who was let in is told.
            (Kind::Body | Kind::Chunks, Ok([408])) => true,
            (Kind::Deaf, _) => self.heard.len() < LARGE_BYTES,
            (Kind::Sipping, Ok([200])) => self.heard.len() > LARGE_BYTES,
            _ => false,
        };
        let in_time = self.lived >= Duration::from_secs(1) && self.lived <= self.kind.bound() + LATE;
        (!self.closed || !fits || !in_time).then(|| {
            let heard = String::from_utf8_lossy(&self.heard[..self.heard.len().min(300)]).into_owned();
            let (kind, lived, closed) = (self.kind, self.lived, self.closed);
            format!("{kind:?}: lived {lived:?}, closed: {closed}, {} bytes: {heard}", self.heard.len())
        })
    }
}

/// All of them at one time; they come within two seconds, as it is slowness that is tried and not a rush.
pub async fn crowd(door: SocketAddr) -> Vec<Ending> {
    let clients = CROWD.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count));
    // Tasks of their own: one future of all would look at each whenever one byte comes.
    let tasks = (0..).zip(clients).map(|(nth, kind)| {
        tokio::spawn(async move {
            tokio::time::sleep(COMING * nth).await;
            live(kind, door).await
        })
    });
    join_all(tasks).await.into_iter().map(|ending| ending.expect("a client never fails")).collect()
}

async fn live(kind: Kind, door: SocketAddr) -> Ending {
    match kind {
        Kind::Head => {
            let stream = connect(door).await;
            trickle(kind, stream, "GET /slow/taker HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a").await
        }
        Kind::SecondHead => {
            let mut stream = connect(door).await;
            let asked = stream.write_all(b"GET /slow/taker HTTP/1.1\r\nHost: x\r\n\r\n").await;
            asked.expect("the first head is taken");
            let answer = first_answer(&mut stream).await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
            trickle(kind, stream, "GET /slow/taker HTTP/1.1\r\nHost: x\r\nX-Slow: ", "a").await
        }
        Kind::Body => {
            let mut stream = connect(door).await;
            let head = b"POST /slow/taker HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n";
            stream.write_all(head).await.expect("the head is taken");
            trickle(kind, stream, "", "a").await
        }
        Kind::Chunks => {
            let mut stream = connect(door).await;
            let head = b"POST /slow/taker HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
            stream.write_all(head).await.expect("the head is taken");
            trickle(kind, stream, "", "1\r\na\r\n").await
        }
        Kind::Silent => trickle(kind, connect(door).await, "", "").await,
        Kind::Deaf => deaf(door).await,
        Kind::Sipping => sipping(door).await,
    }
}

async fn connect(door: SocketAddr) -> TcpStream {
    TcpStream::connect(door).await.expect("the door takes connections")
}

async fn first_answer(stream: &mut TcpStream) -> String {
    let mut heard = Vec::new();
    let mut piece = [0; 1024];
    while answers(&heard).map_or(true, |all| all.is_empty()) {
        match stream.read(&mut piece).await {
            Ok(read @ 1..) => heard.extend_from_slice(&piece[..read]),
            end => panic!("the first answer broke off: {end:?}"),
        }
    }
    String::from_utf8_lossy(&heard).into_owned()
}

/// Says the text and then the rest again and again, a byte at a time, until the server is through: it is not
/// while it takes what is said, even if it will not answer any more.
async fn trickle(kind: Kind, mut stream: TcpStream, text: &str, rest: &str) -> Ending {
    let mut bytes = text.bytes().chain(rest.bytes().cycle());
    let (mut heard, mut is_over, mut piece) = (Vec::new(), false, [0; 1024]);
    let began = Instant::now();
    let mut pace = tokio::time::interval(PACE);
    let end = tokio::time::sleep(PATIENCE);
    tokio::pin!(end);
    let closed = loop {
        tokio::select! {
            () = &mut end => break false,
            read = stream.read(&mut piece), if !is_over => match read {
                Ok(0) => is_over = true,
                Ok(read) => heard.extend_from_slice(&piece[..read]),
                Err(_) => break true,
            },
            _ = pace.tick() => match bytes.next() {
                Some(byte) if stream.write_all(&[byte]).await.is_err() => break true,
                Some(_) => {}
                None if is_over => break true,
                None => {}
            },
        }
    };
    Ending { kind, lived: began.elapsed(), heard, closed }
}

/// Asks for much, does not read it for a while, and then looks what is left of it.
async fn deaf(door: SocketAddr) -> Ending {
    let mut stream = asking_for_much(door).await;
    let began = Instant::now();
    tokio::time::sleep(DEAF).await;
    let lived = began.elapsed();
    let mut heard = Vec::new();
    // An end by reset is an end, too.
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    Ending { kind: Kind::Deaf, lived, heard, closed: read.is_ok() }
}

/// Asks for much, and takes it as slowly as a slow net brings it.
async fn sipping(door: SocketAddr) -> Ending {
    let mut stream = asking_for_much(door).await;
    let (mut heard, mut sip, began) = (Vec::new(), vec![0; SIP], Instant::now());
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let closed = loop {
        pace.tick().await;
        match tokio::time::timeout(PATIENCE, stream.read_exact(&mut sip)).await {
            Ok(Ok(_)) => heard.extend_from_slice(&sip),
            Ok(Err(_)) => break true,
            Err(_) => break false,
        }
        if heard.len() >= LARGE_BYTES {
            // What is left is less than a sip.
            break tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await.is_ok();
        }
    };
    Ending { kind: Kind::Sipping, lived: began.elapsed(), heard, closed }
}

/// A connection with little room for what it asks for.
async fn asking_for_much(door: SocketAddr) -> TcpStream {
    const ASK: &[u8] = b"GET /big/answer HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    let mut stream = socket.connect(door).await.expect("the door takes connections");
    stream.write_all(ASK).await.expect("the head is taken");
    stream
}
