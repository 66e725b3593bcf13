//! A wire in a test: it stands before a Cassandra node, passes on what is said in CQL, and does what wires do: it
//! is slow, is cut, breaks, or loses one answer.
//!
//! Invariant: requests and answers pass whole and in their order. Whoever asks where the node is hears of the
//! proxy's address, since drivers connect to what they are told; [`Proxy::connections_of`] shows that they do.
//! Not here: what the statements mean; only version 4 of the protocol is spoken.

mod frame;

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

pub use self::frame::{Asked, Kind};
use self::frame::{Frame, Statements};
use crate::cassandra::{CQL, Cassandra, free_address};

/// How long a closed proxy waits before it tries again to have its port back.
const REOPEN: Duration = Duration::from_millis(10);

/// What the wire does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It passes everything on.
    Pass,
    /// Every answer takes so much longer.
    Slow(Duration),
    /// Nothing passes and connections stay: what was sent arrives when the wire is mended.
    Cut,
    /// Connections are closed and new ones refused.
    Closed,
}

/// What becomes of one request.
pub enum Fate {
    /// It is passed on, and its answer too.
    Pass,
    /// It is passed on, and its answer is lost.
    LoseAnswer,
    /// It is passed on; then this is done.
    Then(Box<dyn FnOnce() + Send>),
}

type Rule = Box<dyn FnMut(&Asked) -> Fate + Send>;

/// The proxy. It ends with its handle, and its connections with it.
pub struct Proxy {
    host: Ipv4Addr,
    node: SocketAddrV4,
    state: Arc<State>,
    /// Keeps the address from other programs.
    _held: TcpListener,
    /// Ends the thread that serves.
    _serving: tokio::sync::oneshot::Sender<()>,
}

struct State {
    mode: watch::Sender<Mode>,
    rule: Mutex<Rule>,
    statements: Mutex<Statements>,
    connections: AtomicUsize,
    asked: AtomicUsize,
    lost: AtomicUsize,
}

impl Proxy {
    /// A proxy at an address of its own before this node.
    ///
    /// # Panics
    /// There is no address to be had.
    pub fn before(cassandra: &Cassandra) -> Self {
        let node = cassandra.address().parse().expect("a node of a test has an address of numbers");
        let (host, held) = free_address();
        let state = Arc::new(State {
            mode: watch::Sender::new(Mode::Pass),
            rule: Mutex::new(Box::new(|_| Fate::Pass)),
            statements: Mutex::default(),
            connections: AtomicUsize::new(0),
            asked: AtomicUsize::new(0),
            lost: AtomicUsize::new(0),
        });
        let (serving, ended) = tokio::sync::oneshot::channel();
        let there = Arc::clone(&state);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                tokio::select! {
                    () = listen(host, node, &there) => {}
                    _ = ended => {}
                }
            });
        });
        Self { host, node, state, _held: held, _serving: serving }
    }

    /// Where it speaks CQL, as `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{CQL}", self.host)
    }

    /// From now on the wire does this.
    pub fn set(&self, mode: Mode) {
        self.state.mode.send_replace(mode);
    }

    /// From now on this decides what becomes of each `EXECUTE` and `BATCH`, asked just before it is passed on.
    pub fn rule(&self, rule: impl FnMut(&Asked) -> Fate + Send + 'static) {
        *held(&self.state.rule) = Box::new(rule);
    }

    /// From now on every request is passed on, and every answer.
    pub fn no_rule(&self) {
        self.rule(|_| Fate::Pass);
    }

    /// How many connections pass through it now.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// How many `EXECUTE` and `BATCH` requests were passed on.
    pub fn asked(&self) -> usize {
        self.state.asked.load(Ordering::Relaxed)
    }

    /// How many answers came and were lost by the rule.
    pub fn lost(&self) -> usize {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// How many connections a process has to the proxy, and how many that go round it to the node.
    pub fn connections_of(&self, pid: u32) -> (usize, usize) {
        let sockets: HashSet<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .into_iter()
            .flatten()
            .filter_map(|open| Some(std::fs::read_link(open.ok()?.path()).ok()?.to_str()?.to_owned()))
            .collect();
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap_or_default();
        let peers: Vec<SocketAddr> = table.lines().filter_map(|line| peer(line, &sockets)).collect();
        let to = |address: SocketAddrV4| peers.iter().filter(|peer| **peer == address.into()).count();
        (to(SocketAddrV4::new(self.host, CQL)), to(self.node))
    }
}

/// The other end of a connection in the kernel's table, if it is one of these sockets.
fn peer(line: &str, sockets: &HashSet<String>) -> Option<SocketAddr> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let inode = words.get(9)?;
    sockets.contains(&format!("socket:[{inode}]")).then(|| socket(words[2])).flatten()
}

/// An address as the kernel prints it: `0100007F:1F90`.
fn socket(text: &str) -> Option<SocketAddr> {
    let (host, port) = text.split_once(':')?;
    let host = u32::from_str_radix(host, 16).ok()?.to_ne_bytes();
    Some((Ipv4Addr::from(host), u16::from_str_radix(port, 16).ok()?).into())
}

fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes connections while it is not closed.
async fn listen(host: Ipv4Addr, node: SocketAddrV4, state: &Arc<State>) {
    let mut mode = state.mode.subscribe();
    loop {
        // The sender lives as long as the state.
        let _ = mode.wait_for(|mode| *mode != Mode::Closed).await;
        let Ok(listener) = tokio::net::TcpListener::bind((host, CQL)).await else {
            tokio::time::sleep(REOPEN).await;
            continue;
        };
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((client, _)) = accepted {
                    let state = Arc::clone(state);
                    tokio::spawn(async move {
                        state.connections.fetch_add(1, Ordering::Relaxed);
                        // Whoever is at the other end sees that it ended.
                        let _ = pass(client, host, node, &state).await;
                        state.connections.fetch_sub(1, Ordering::Relaxed);
                    });
                },
                _ = mode.wait_for(|mode| *mode == Mode::Closed) => break,
            }
        }
    }
}

/// One connection, until either end closes it or the proxy does.
async fn pass(client: TcpStream, host: Ipv4Addr, node: SocketAddrV4, state: &State) -> io::Result<()> {
    let server = TcpStream::connect(node).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let streams = Streams::default();
    let mut mode = state.mode.subscribe();
    tokio::select! {
        done = requests(from_client, to_server, state, &streams) => done,
        done = answers(from_server, to_client, state, &streams, (*node.ip(), host)) => done,
        _ = mode.wait_for(|mode| *mode == Mode::Closed) => Ok(()),
    }
}

/// What is known of a connection's requests that are not answered yet, by their stream.
#[derive(Default)]
struct Streams {
    prepared: Mutex<HashMap<[u8; 2], String>>,
    to_lose: Mutex<HashSet<[u8; 2]>>,
}

async fn requests(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: &State,
    streams: &Streams,
) -> io::Result<()> {
    let mut mode = state.mode.subscribe();
    loop {
        let frame = Frame::read(&mut from).await?;
        let _ = mode.wait_for(|mode| *mode != Mode::Cut).await;
        if let Some(text) = frame.prepares() {
            held(&streams.prepared).insert(frame.stream(), text);
        }
        let fate = match frame.asks(&held(&state.statements)) {
            Some(asked) => {
                state.asked.fetch_add(1, Ordering::Relaxed);
                (held(&state.rule))(&asked)
            }
            None => Fate::Pass,
        };
        if let Fate::LoseAnswer = fate {
            held(&streams.to_lose).insert(frame.stream());
        }
        to.write_all(frame.bytes()).await?;
        if let Fate::Then(then) = fate {
            then();
        }
    }
}

async fn answers(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    state: &State,
    streams: &Streams,
    (node, proxy): (Ipv4Addr, Ipv4Addr),
) -> io::Result<()> {
    let (queue, mut due) = mpsc::unbounded_channel::<(Instant, Frame)>();
    let read = async {
        loop {
            let mut frame = Frame::read(&mut from).await?;
            frame.readdress(node, proxy);
            if held(&streams.to_lose).remove(&frame.stream()) {
                state.lost.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            if let Some(text) = held(&streams.prepared).remove(&frame.stream()) {
                frame.learn(&mut held(&state.statements), text);
            }
            let late = match *state.mode.borrow() {
                Mode::Slow(late) => late,
                _ => Duration::ZERO,
            };
            // Whoever takes them out lives as long as this does.
            let _ = queue.send((Instant::now() + late, frame));
        }
    };
    let write = async {
        let mut mode = state.mode.subscribe();
        while let Some((at, frame)) = due.recv().await {
            tokio::time::sleep_until(at).await;
            let _ = mode.wait_for(|mode| *mode != Mode::Cut).await;
            to.write_all(frame.bytes()).await?;
        }
        Ok(())
    };
    tokio::select! {
        done = read => done,
        done = write => done,
    }
}
