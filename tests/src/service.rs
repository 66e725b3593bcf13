//! A service behind the scripts: it takes requests and answers when the test wants it to.
//!
//! It runs on a thread of its own, so that a busy test does not make it slow.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    /// How long a request waits; nothing while no request is answered at all.
    pace: watch::Sender<Option<Duration>>,
    /// Requests that wait for their answer.
    waiting: watch::Sender<usize>,
}

impl Service {
    /// A service that takes requests and answers none, until [`Service::answer`].
    pub fn silent() -> Self {
        Self::with_pace(None)
    }

    /// A service that answers after a while.
    pub fn slow(pace: Duration) -> Self {
        Self::with_pace(Some(pace))
    }

    fn with_pace(pace: Option<Duration>) -> Self {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        socket.set_nonblocking(true).expect("a socket can be made not to wait");
        let address = socket.local_addr().expect("it is bound");
        let state = Arc::new(State { pace: watch::Sender::new(pace), waiting: watch::Sender::new(0) });
        let service = Self { address, state };
        let there = service.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let socket = tokio::net::TcpListener::from_std(socket).expect("a socket");
                while let Ok((connection, _)) = socket.accept().await {
                    tokio::spawn(serve(connection, Arc::clone(&there.state)));
                }
            });
        });
        service
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The arguments that make it known to a server under a name.
    pub fn arguments(&self, name: &str) -> Vec<String> {
        let settings = [format!("service.{name}.url={}", self.url()), format!("service.{name}.timeout=60s")];
        settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect()
    }

    /// How many requests wait for their answer.
    pub fn waiting(&self) -> usize {
        *self.state.waiting.borrow()
    }

    /// From now on nobody is answered.
    pub fn hold(&self) {
        self.state.pace.send_replace(None);
    }

    /// From now on everyone is answered at once, who waits too.
    pub fn answer(&self) {
        self.state.pace.send_replace(Some(Duration::ZERO));
    }
}

/// Counts a request for as long as it waits.
struct Waits<'a>(&'a State);

impl<'a> Waits<'a> {
    fn begin(state: &'a State) -> Self {
        state.waiting.send_modify(|count| *count += 1);
        Self(state)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.send_modify(|count| *count -= 1);
    }
}

async fn serve(mut connection: TcpStream, state: Arc<State>) {
    let mut head = Vec::new();
    loop {
        while !head.ends_with(b"\r\n\r\n") {
            if connection.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        head.clear();
        let waits = Waits::begin(&state);
        let mut pace = state.pace.subscribe();
        let is_time = async {
            let set = pace.wait_for(Option::is_some).await.map(|pace| *pace);
            // The state lives as long as this does.
            if let Ok(Some(pace)) = set {
                tokio::time::sleep(pace).await;
            }
        };
        tokio::select! {
            () = is_time => {}
            // Whoever asked has gone.
            read = connection.read_buf(&mut head) => if read.unwrap_or(0) == 0 { return },
        }
        drop(waits);
        if connection.write_all(ANSWER).await.is_err() {
            return;
        }
    }
}
