//! The wire: one request over one connection, with HTTP/1.1 or HTTP/2, and what came back.
//!
//! Invariant: an answer has ended when its last byte was read. What is not looked at is read and dropped.
//! Not here: which connection and when (`generator`).

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request as Message, Uri, Version};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use super::record::Outcome;
use super::schedule::{Arrival, chance};
use crate::plan::Plan;

/// The header that tells a refusal.
const REFUSED: &str = "callboard-refused";
/// Of an answer that a check looks at, so much is read at most.
const BODY_MAX: usize = 16 * 1024 * 1024;
/// Connecting that takes longer than this has failed.
const CONNECT: Duration = Duration::from_secs(5);

/// Where requests go.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name, as it was given.
    pub authority: Authority,
    /// Its address.
    pub address: SocketAddr,
    /// A path that stands before each path of the plan.
    pub prefix: String,
    /// Whether it is spoken to with HTTP/2.
    pub http2: bool,
}

/// A connection.
#[derive(Debug)]
pub enum Sender {
    /// One request after the other.
    One(http1::SendRequest<Full<Bytes>>),
    /// Many at one time.
    Two(http2::SendRequest<Full<Bytes>>),
}

impl Sender {
    /// Opens a connection. What moves its bytes is a task of this thread.
    ///
    /// # Errors
    /// Why it could not be opened.
    pub async fn open(target: &Target) -> anyhow::Result<Self> {
        tokio::time::timeout(CONNECT, async {
            let stream = TcpStream::connect(target.address).await?;
            stream.set_nodelay(true)?;
            let io = TokioIo::new(stream);
            Ok(if target.http2 {
                let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
                tokio::spawn(connection);
                Self::Two(sender)
            } else {
                let (sender, connection) = http1::handshake(io).await?;
                tokio::spawn(connection);
                Self::One(sender)
            })
        })
        .await?
    }

    /// Whether a request can be sent on it now.
    pub fn is_ready(&self) -> bool {
        match self {
            Self::One(sender) => sender.is_ready(),
            Self::Two(sender) => !sender.is_closed(),
        }
    }

    /// Waits until the next request can be sent; whether it will be.
    pub async fn ready(&mut self) -> bool {
        match self {
            Self::One(sender) => sender.ready().await.is_ok(),
            Self::Two(sender) => sender.ready().await.is_ok(),
        }
    }

    /// Asks once.
    pub async fn ask(&mut self, message: Message<Full<Bytes>>, plan: &Plan, arrival: &Arrival) -> Outcome {
        let sent = match self {
            Self::One(sender) => sender.send_request(message).await,
            Self::Two(sender) => sender.send_request(message).await,
        };
        match sent {
            Ok(answer) => self::answer(answer, plan, arrival).await,
            Err(error) => Outcome::Transport(kind(&error)),
        }
    }
}

async fn answer(answer: http::Response<Incoming>, plan: &Plan, arrival: &Arrival) -> Outcome {
    let (head, mut body) = answer.into_parts();
    let status = head.status.as_u16();
    let refused = head.headers.get(REFUSED).map(|code| String::from_utf8_lossy(code.as_bytes()).into_owned());
    let checks = &plan.requests[arrival.request].checks;
    let mut read = Bytes::new();
    if refused.is_none() && checks.iter().any(|check| check.reads_body()) {
        match Limited::new(body, BODY_MAX).collect().await {
            Ok(whole) => read = whole.to_bytes(),
            Err(error) => {
                return Outcome::Transport(error.downcast_ref::<hyper::Error>().map_or("too_large", kind));
            }
        }
    } else {
        while let Some(frame) = body.frame().await {
            if let Err(error) = frame {
                return Outcome::Transport(kind(&error));
            }
        }
    }
    let failed = match refused {
        Some(_) => Vec::new(),
        None => checks
            .iter()
            .enumerate()
            .filter(|(_, check)| !check.holds(head.status, &head.headers, &read))
            .map(|(number, _)| number)
            .collect(),
    };
    Outcome::Answered { status, refused, failed }
}

fn kind(error: &hyper::Error) -> &'static str {
    if error.is_parse() || error.is_user() { "protocol" } else { "closed" }
}

/// What is sent for an arrival.
///
/// # Errors
/// Its places made something of it that is no path or no header.
pub fn message(target: &Target, plan: &Plan, arrival: &Arrival) -> Result<Message<Full<Bytes>>, http::Error> {
    let request = &plan.requests[arrival.request];
    let mut chance = chance(!plan.seed ^ (arrival.request as u64) << 40, arrival.number);
    let mut path = target.prefix.clone();
    match &arrival.path {
        Some(traced) => path.push_str(traced),
        None => path.push_str(&request.path.fill(arrival.number, &mut chance)),
    }
    let body = Bytes::from(request.body.fill(arrival.number, &mut chance));
    let mut message = Message::builder().method(request.method.clone());
    if target.http2 {
        let uri =
            Uri::builder().scheme(Scheme::HTTP).authority(target.authority.clone()).path_and_query(path);
        message = message.version(Version::HTTP_2).uri(uri.build()?);
    } else {
        message = message.uri(path).header(HOST, HeaderValue::from_str(target.authority.as_str())?);
    }
    if let Some(class) = arrival.class {
        let (name, value) = &plan.classes[class].header;
        message = message.header(name.clone(), value.clone());
    }
    for (name, value) in &request.headers {
        message = message.header(name.clone(), value.fill(arrival.number, &mut chance));
    }
    message.body(Full::new(body))
}
