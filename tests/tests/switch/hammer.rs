//! The hammer: connections that call without a pause and write down every call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One call.
#[derive(Debug, Clone)]
pub struct Call {
    /// What was called.
    pub path: &'static str,
    /// When, before a byte of it was sent.
    pub sent: Instant,
    /// When its answer had come.
    pub answered: Instant,
    /// The answer's status.
    pub status: u16,
    /// The code of a refusal; empty for everything else.
    pub code: String,
}

/// The connections.
pub struct Hammer {
    stop: Arc<AtomicBool>,
    /// How many calls each connection has had answered.
    answered: Vec<Arc<AtomicUsize>>,
    connections: Vec<JoinHandle<Vec<Call>>>,
}

impl Hammer {
    /// Opens so many connections for each path and begins to call on all of them.
    pub fn start(base: &str, paths: &[(&'static str, usize)]) -> Self {
        let address = base.strip_prefix("http://").expect("an address");
        let stop = Arc::<AtomicBool>::default();
        let each = paths.iter().flat_map(|(path, count)| std::iter::repeat_n(*path, *count));
        let (answered, connections) = each
            .map(|path| {
                let (stop, address) = (Arc::clone(&stop), address.to_owned());
                let answered = Arc::<AtomicUsize>::default();
                let count = Arc::clone(&answered);
                let calls = tokio::spawn(async move {
                    let mut connection = connect(&address).await;
                    let mut calls = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        calls.push(call(&mut connection, &address, path).await);
                        count.fetch_add(1, Ordering::Relaxed);
                        // A refusal comes so fast that the other connections would hardly be heard.
                        tokio::task::yield_now().await;
                    }
                    calls
                });
                (answered, calls)
            })
            .unzip();
        Self { stop, answered, connections }
    }

    /// How many calls were answered on the connection that had the fewest.
    pub fn answered(&self) -> usize {
        self.answered.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap_or(0)
    }

    /// Stops, and gives all calls.
    pub async fn stop(self) -> Vec<Call> {
        self.stop.store(true, Ordering::Relaxed);
        let mut calls = Vec::new();
        for connection in self.connections {
            calls.extend(connection.await.expect("a connection lives as long as the hammer"));
        }
        calls
    }
}

async fn connect(address: &str) -> SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.expect("the server takes connections");
    stream.set_nodelay(true).expect("a socket");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    sender
}

async fn call(connection: &mut SendRequest<Empty<Bytes>>, address: &str, path: &'static str) -> Call {
    connection.ready().await.expect("the connection is kept");
    let request = http::Request::get(path).header("host", address).body(Empty::new()).expect("a request");
    let sent = Instant::now();
    let answer = connection.send_request(request).await.expect("an answer");
    let (head, body) = answer.into_parts();
    body.collect().await.expect("a whole answer");
    let code = head.headers.get("callboard-refused").and_then(|code| code.to_str().ok()).unwrap_or_default();
    Call { path, sent, answered: Instant::now(), status: head.status.as_u16(), code: code.to_owned() }
}
