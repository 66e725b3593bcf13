//! The stub: a server whose delays and stalls are known.
//!
//! Invariant: how long it takes for a request follows from the request's path, the count of requests and the time, so
//! that a test can say what has to be measured. It ends with its handle.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

/// What a stub does.
#[derive(Debug, Clone, Default)]
pub struct Manner {
    /// The delays of requests, in turn.
    pub delays: Vec<Duration>,
    /// From when to when after the first request nothing is answered.
    pub stall: Option<[Duration; 2]>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
}

/// A server under test.
pub struct Stub {
    pub address: SocketAddr,
    pub connections: Arc<AtomicU64>,
    pub requests: Arc<AtomicU64>,
    _ends: oneshot::Sender<()>,
}

impl Stub {
    pub fn start(manner: Manner) -> Self {
        let (connections, requests) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let (ends, ended) = oneshot::channel();
        let (tells, told) = std::sync::mpsc::channel();
        let counts = (Arc::clone(&connections), Arc::clone(&requests));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
                tells.send(socket.local_addr().unwrap()).unwrap();
                tokio::select! {
                    () = serve(socket, manner, counts) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address: told.recv().unwrap(), connections, requests, _ends: ends }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(
    socket: TcpListener,
    manner: Manner,
    (connections, requests): (Arc<AtomicU64>, Arc<AtomicU64>),
) {
    let began: Arc<std::sync::OnceLock<Instant>> = Arc::default();
    let manner = Arc::new(manner);
    loop {
        let (stream, _) = socket.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        stream.set_nodelay(true).unwrap();
        let (io, http2) = (TokioIo::new(stream), manner.http2);
        let (manner, requests, began) = (Arc::clone(&manner), Arc::clone(&requests), Arc::clone(&began));
        let service = service_fn(move |request: Request<Incoming>| {
            let now = Instant::now();
            let (number, since) = (requests.fetch_add(1, Ordering::Relaxed), *began.get_or_init(|| now));
            let mut until = now;
            if !manner.delays.is_empty() {
                until += manner.delays[number as usize % manner.delays.len()];
            }
            if let Some([from, to]) = manner.stall
                && (from..to).contains(&(now - since))
            {
                until = until.max(since + to);
            }
            async move {
                tokio::time::sleep_until(until.into()).await;
                Ok::<_, std::convert::Infallible>(answer(request.uri().path()))
            }
        });
        tokio::spawn(async move {
            // A client that goes away ends its connection, as it may.
            if http2 {
                let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(io, service)
                    .await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).await;
            }
        });
    }
}

fn answer(path: &str) -> Response<Full<Bytes>> {
    let answer = Response::builder();
    let (answer, body) = match path {
        "/refused" => (answer.status(429).header("callboard-refused", "rate.exceeded"), ""),
        "/failed" => (answer.status(500), ""),
        "/metrics" => {
            (answer, "# TYPE a gauge\ncallboard_node_in_flight 3\ncallboard_lag_seconds 0.5\n# EOF\n")
        }
        _ => (answer.header("content-type", "application/json"), r#"{"rows": [{"name": "new"}]}"#),
    };
    answer.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}
