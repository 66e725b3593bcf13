//! An odd service: it answers in the way that the test has chosen, right or wrong.
//!
//! It runs on a thread of its own. Beside it are an address where nobody listens, and one where connections are never
//! taken: both are real sockets of the kernel's.

use std::net::{SocketAddr, TcpListener, TcpStream as Blocking};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

/// Between two bytes of who dribbles.
const DRIBBLES: Duration = Duration::from_millis(40);

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// `ok`.
    Fine,
    /// `ok`, after a while.
    Slow(Duration),
    /// It takes the request and says nothing.
    Silent,
    /// It closes the connection and says nothing.
    Closes,
    /// It begins an answer and resets the connection.
    Resets,
    /// What it says is these bytes, and the connection ends or stays.
    Says(&'static [u8], Then),
    /// It says these bytes, one at a time.
    Dribbles(&'static [u8]),
    /// It says the first bytes and then the second ones for ever.
    Repeats(&'static [u8], &'static [u8]),
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Closes,
    Stays,
}

const FINE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok";

/// The service.
pub struct Odd {
    address: SocketAddr,
    state: Arc<State>,
    gone: SocketAddr,
    full: SocketAddr,
    /// Holds the address where connections are never taken, and those that wait there.
    _held: (tokio::net::TcpListener, Vec<Blocking>),
}

struct State {
    way: watch::Sender<Way>,
    /// Counts how often all connections were ended.
    ended: watch::Sender<u64>,
    waiting: AtomicUsize,
    most: AtomicUsize,
}

/// Counts a request while it is answered.
struct Waits<'a>(&'a State);

impl<'a> Waits<'a> {
    fn begin(state: &'a State) -> Self {
        let now = state.waiting.fetch_add(1, Ordering::Relaxed) + 1;
        state.most.fetch_max(now, Ordering::Relaxed);
        Self(state)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Odd {
    /// Opens it, and it is fine.
    pub fn open() -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a free port");
        socket.set_nonblocking(true).expect("a socket can be made not to wait");
        let address = socket.local_addr().expect("it is bound");
        let state = Arc::new(State {
            way: watch::Sender::new(Way::Fine),
            ended: watch::Sender::new(0),
            waiting: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        });
        let there = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let socket = tokio::net::TcpListener::from_std(socket).expect("a socket");
                while let Ok((connection, _)) = socket.accept().await {
                    let (mut ended, there) = (there.ended.subscribe(), Arc::clone(&there));
                    tokio::spawn(async move {
                        tokio::select! {
                            () = serve(connection, there) => {}
                            _ = ended.changed() => {}
                        }
                    });
                }
            });
        });
        let gone = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr());
        let held = full();
        let full = held.0.local_addr().expect("it is bound");
        Self { address, state, gone: gone.expect("a free port"), full, _held: held }
    }

    /// What makes it known to a server.
    pub fn settings(&self) -> Vec<String> {
        let services =
            [("odd", self.address), ("patient", self.address), ("gone", self.gone), ("full", self.full)];
        let mut settings = vec!["service.patient.timeout=60s".to_owned()];
        for (name, address) in services {
            settings.push(format!("service.{name}.url=http://{address}"));
            settings.push(format!("service.{name}.response_max=64KiB"));
            if name != "patient" {
                settings.push(format!("service.{name}.timeout=300ms"));
            }
        }
        settings
    }

    /// From now on it answers in this way.
    pub fn set(&self, way: Way) {
        self.state.most.store(0, Ordering::Relaxed);
        self.state.way.send_replace(way);
    }

    /// Ends all connections. It is fine from now on.
    pub fn hang_up(&self) {
        self.set(Way::Fine);
        self.state.ended.send_modify(|count| *count += 1);
    }

    /// Requests that are not answered yet.
    pub fn waiting(&self) -> usize {
        self.state.waiting.load(Ordering::Relaxed)
    }

    /// The most that there were at one time since it was last told how to answer.
    pub fn most(&self) -> usize {
        self.state.most.load(Ordering::Relaxed)
    }
}

/// A listener whose queue is full, so that the kernel lets nobody in and says nothing.
fn full() -> (tokio::net::TcpListener, Vec<Blocking>) {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let listener = socket.listen(1).expect("it listens");
    let address = listener.local_addr().expect("it is bound");
    let wait = Duration::from_millis(200);
    let waiting = std::iter::from_fn(|| Blocking::connect_timeout(&address, wait).ok());
    let waiting = waiting.take(64).collect();
    (listener, waiting)
}

async fn serve(mut connection: TcpStream, state: Arc<State>) {
    let mut head = Vec::new();
    loop {
        let way = *state.way.borrow();
        match way {
            Way::Closes => return,
            // What was not read when a connection is dropped makes it a reset.
            Way::Resets => {
                let _ = connection.readable().await;
                let _ =
                    connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n0123456789").await;
                return;
            }
            _ => {}
        }
        while !head.ends_with(b"\r\n\r\n") {
            if connection.read_buf(&mut head).await.unwrap_or(0) == 0 {
                return;
            }
        }
        head.clear();
        let _waits = Waits::begin(&state);
        let way = *state.way.borrow();
        if way == Way::Closes {
            return;
        }
        let (mut from, mut to) = connection.split();
        tokio::select! {
            stays = answer(way, &mut to) => if !stays { return },
            // Whoever asked has gone.
            read = from.read_buf(&mut head) => if read.unwrap_or(0) == 0 { return },
        }
    }
}

/// Answers; whether the connection stays.
async fn answer(way: Way, to: &mut (impl AsyncWriteExt + Unpin)) -> bool {
    match way {
        Way::Fine | Way::Closes | Way::Resets => to.write_all(FINE).await.is_ok(),
        Way::Slow(pace) => {
            tokio::time::sleep(pace).await;
            to.write_all(FINE).await.is_ok()
        }
        Way::Silent => std::future::pending().await,
        Way::Says(bytes, then) => {
            let said = to.write_all(bytes).await;
            said.is_ok() && then == Then::Stays
        }
        Way::Dribbles(bytes) => {
            for byte in bytes {
                if to.write_all(&[*byte]).await.is_err() {
                    return false;
                }
                tokio::time::sleep(DRIBBLES).await;
            }
            true
        }
        Way::Repeats(first, again) => {
            if to.write_all(first).await.is_err() {
                return false;
            }
            let many = again.repeat(200);
            while to.write_all(&many).await.is_ok() {
                tokio::task::yield_now().await;
            }
            false
        }
    }
}
