//! The child: it serves on the sockets of its warden, until that tells it to stop or is gone.
//!
//! Threads: this one holds the actors that own the node's state; one runs the admin door; one a core runs
//! the device door. Nothing that a device sends reaches the first two.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::error::StoreError;
use actors::fleet::Alone;
use actors::flight::FlightBoard;
use actors::node::{Aftermath, InMemory, Node, NodeConfig};
use actors::storage::{CqlConfig, Embedded, Mirror, Scylla, Store};
use runtime::codec::SigningKeys;
use runtime::compile_child::{Compiler, CompilerConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::doors::Doors;
use super::last_words;
use super::panics;
use super::talk::{Brief, Order, Told, orders};
use crate::config::{Config, Origin, StoreConfig};
use crate::http::auth::Tokens;
use crate::http::device::DeviceDoor;
use crate::http::fleet::{FleetTokens, HttpPeers};
use crate::http::guard::Closing;
use crate::http::manage::{AdminDoor, Changes, VERSION};
use crate::http::{admin, device};

/// The argument that makes this program fork compilers.
const COMPILE: &str = "fork-server";
/// How long a node that has something to serve waits for a connection to a shared store.
const CONNECT_WAIT: Duration = Duration::from_millis(400);
/// How long connections without a call have to be let go.
const LET_GO: Duration = Duration::from_secs(2);
/// How long the process before this one may take to let go of the store.
const HANDED_WAIT: Duration = Duration::from_secs(40);
/// How long the store of a server that was killed may still be held: until the last of its threads is gone.
const KILLED_WAIT: Duration = Duration::from_secs(1);
/// How long changes that are under way may take when the store is handed over.
const CHANGES_WAIT: Duration = Duration::from_secs(15);
/// How long connections that were just taken may be on their way to a thread.
const ON_THE_WAY: Duration = Duration::from_millis(500);
/// How often is looked whether calls are alive.
const LOOK: Duration = Duration::from_millis(20);

/// Serves until it is told to stop.
///
/// # Errors
/// What kept it from starting.
pub fn run(config: Config, doors: Doors, board: OwnedFd) -> anyhow::Result<()> {
    panics::bound();
    let flight = Arc::new(FlightBoard::of(board)?);
    last_words::note_on(Arc::clone(&flight))?;
    let (brief, orders) = orders()?;
    if let Some(bytes) = std::env::var("RUST_MIN_STACK").ok().and_then(|bytes| bytes.parse().ok()) {
        // Scripts have stacks of their own, as large as those of the threads.
        runtime::run::set_stack_size(bytes);
    }
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    let told = Warden { flight, brief, orders };
    actix_rt::System::new().block_on(serve(config, doors, told))
}

/// What the warden gave to its child.
struct Warden {
    flight: Arc<FlightBoard>,
    brief: Brief,
    orders: UnboundedReceiver<Order>,
}

async fn serve(config: Config, doors: Doors, warden: Warden) -> anyhow::Result<()> {
    Tokens::check(config.admin_token.as_ref())?;
    let Warden { flight, brief, mut orders } = warden;
    let config = Arc::new(config);
    let store = match brief.takes_over {
        true => {
            Told::Waits.tell()?;
            open_within(&config, HANDED_WAIT).await?
        }
        false => open_within(&config, KILLED_WAIT).await?,
    };
    let older = config.older_keys.keys()?;
    let fleet = Arc::new(FleetTokens::of(&config.signing.key()?, &older));
    let bound = doors.admin.local_addr()?;
    let (admin, name) = (admin_url(&config, bound), name(&config, bound));
    let peers = Arc::new(HttpPeers::new(&fleet));
    let (lifted, mut are_lifted) = unbounded_channel();
    let (flight, aftermath) = (Some(flight), brief.aftermath(lifted));
    let node_config = NodeConfig { name, admin, peers, flight, aftermath, ..node_config(&config)? };
    let node = Node::start(node_config, store).await?;
    actix_rt::spawn(async move {
        while let Some(endpoint) = are_lifted.recv().await {
            // A warden that does not listen is gone, and so are we soon.
            let _ = Told::Lifted(endpoint).tell();
        }
    });
    let (tokens, made) = Tokens::bootstrap(&node, config.admin_token.as_ref()).await?;
    if let Some(token) = made {
        Told::Token(token.reveal().to_owned()).tell()?;
    }
    let tokens = Arc::new(tokens);
    actix_rt::spawn({
        let tokens = Arc::clone(&tokens);
        async move { tokens.follow().await }
    });
    let admin_door = AdminDoor::new(node.clone(), config.clone(), tokens, fleet);
    let mut hand_over = HandOver { node: node.clone(), changes: admin_door.changes.clone(), kept: None };
    let (device_closing, admin_closing) = (Closing::default(), Closing::default());
    let admin = admin::serve(doors.admin, admin_door, &config, admin_closing.clone())?;
    let device_door = DeviceDoor::new(node.clone(), config.clone(), device_closing.clone());
    let device = device::serve(doors.device, &device_door)?;
    let device_handle = device.handle();
    let admin_handle = admin.handle();
    actix_rt::spawn(admin);
    actix_rt::spawn(device);
    Told::Ready.tell()?;

    let mut stop = signal(SignalKind::terminate())?;
    let leave = tokio::select! {
        _ = stop.recv() => Leave::Stop,
        leave = hand_over.until_the_end(&mut orders) => leave?,
    };
    let left = match leave {
        Leave::Stop => {
            node.drain().await;
            device_closing.begin();
            calls_ended(&node, config.timeouts.drain).await
        }
        Leave::Retire => {
            node.follow_next();
            device_closing.begin();
            admin_closing.begin();
            tokio::join!(device_handle.pause(), admin_handle.pause());
            connections_ended(&device_door, config.timeouts.drain).await
        }
    };
    // Dropping the wait takes nothing back: the doors shut all the same.
    let _ = tokio::time::timeout(left.max(LET_GO), device_handle.stop(true)).await;
    // Until here it answered that the node is about to stop.
    admin_closing.begin();
    let _ = tokio::time::timeout(LET_GO, admin_handle.stop(true)).await;
    Ok(())
}

/// Why a child ends.
enum Leave {
    /// It was told to stop, or the warden is gone.
    Stop,
    /// The next one serves.
    Retire,
}

/// What changes hands between this process and the next one.
struct HandOver {
    node: Node,
    changes: Changes,
    /// There while the store is not ours.
    kept: Option<InMemory>,
}

impl HandOver {
    /// Follows orders until one of them ends this process.
    async fn until_the_end(&mut self, orders: &mut UnboundedReceiver<Order>) -> anyhow::Result<Leave> {
        // The warden keeps our standard input open as long as it lives.
        while let Some(order) = orders.recv().await {
            match order {
                Order::Begin(_) => {}
                Order::Retire => return Ok(Leave::Retire),
                Order::LetGo => match self.let_go().await {
                    Ok(()) => Told::LetGo.tell()?,
                    Err(why) => Told::Failed(format!("{why:#}")).tell()?,
                },
                Order::TakeBack => {
                    self.node.take_back().await?;
                    self.kept = None;
                    self.changes.open();
                    Told::TookBack.tell()?;
                }
            }
        }
        Ok(Leave::Stop)
    }

    async fn let_go(&mut self) -> anyhow::Result<()> {
        if !self.changes.close(CHANGES_WAIT).await {
            anyhow::bail!("changes are under way and do not come to an end");
        }
        let kept = self.node.let_go().await?;
        tracing::info!(units = kept.len(), "the store is handed over");
        self.kept = Some(kept);
        Ok(())
    }
}

/// Waits until no connection of a device is left, or all of this time is over; answers how much of it is left.
async fn connections_ended(door: &DeviceDoor, drain: Duration) -> Duration {
    let until = Instant::now() + drain;
    tokio::time::sleep(ON_THE_WAY.min(drain)).await;
    while door.connections() > 0 && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    until.saturating_duration_since(Instant::now())
}

/// Waits until no call is alive, or all of this time is over; answers how much of it is left. The door stays open
/// meanwhile: who comes is told that the node is about to stop, and not left waiting at the socket.
async fn calls_ended(node: &Node, drain: Duration) -> Duration {
    let until = Instant::now() + drain;
    while node.shared().node.gate.in_flight() > 0 && Instant::now() < until {
        tokio::time::sleep(LOOK).await;
    }
    until.saturating_duration_since(Instant::now())
}

/// The node's name: in a fleet one that no other has on the same machine, unless somebody chose it.
fn name(config: &Config, bound: SocketAddr) -> String {
    let name = &config.node.name;
    let is_chosen = config.settings.origin("node.name") != Origin::Default;
    match config.store {
        StoreConfig::Cql(_) if !is_chosen => format!("{name}:{}", bound.port()),
        _ => name.clone(),
    }
}

/// Where the other nodes find this one's admin door.
fn admin_url(config: &Config, bound: SocketAddr) -> String {
    match &config.node.admin_url {
        Some(url) => url.to_string(),
        None if bound.ip().is_unspecified() => {
            if matches!(config.store, StoreConfig::Cql(_)) {
                tracing::warn!("the other nodes are not told where this one is: say `node.admin_url`");
            }
            String::new()
        }
        None => format!("http://{bound}"),
    }
}

async fn open(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    match &config.store {
        StoreConfig::Embedded => Embedded::open(&config.data).await.map(|store| Arc::new(store) as _),
        StoreConfig::Cql(cql) => mirrored(cql, &config.data).await,
    }
}

/// Opens the store when the process before this one has let go of it, which may take so long.
async fn open_within(config: &Config, wait: Duration) -> anyhow::Result<Arc<dyn Store>> {
    let until = Instant::now() + wait;
    loop {
        match open(config).await {
            Err(StoreError::Locked { .. }) if Instant::now() < until => tokio::time::sleep(LOOK).await,
            opened => return opened.map_err(coded),
        }
    }
}

/// The store itself, without a mirror: for who does not serve.
pub(crate) async fn open_shared(config: &Config) -> anyhow::Result<Arc<dyn Store>> {
    let opened: Result<Arc<dyn Store>, StoreError> = match &config.store {
        StoreConfig::Embedded => Embedded::open(&config.data).await.map(|store| Arc::new(store) as _),
        StoreConfig::Cql(cql) => Scylla::connect(cql.clone()).await.map(|store| Arc::new(store) as _),
    };
    opened.map_err(coded)
}

/// An error with its code, by which scripts that start a server tell the reasons apart.
fn coded(error: StoreError) -> anyhow::Error {
    anyhow::anyhow!("{error} ({})", error.code())
}

/// A shared store, with a mirror of what this node serves beside it. Where there is something in the mirror, the
/// node does not wait for the store.
async fn mirrored(cql: &CqlConfig, data: &Path) -> Result<Arc<dyn Store>, StoreError> {
    let directory = data.join("mirror").join(&cql.keyspace);
    let shared = if Mirror::is_in(&directory) {
        match tokio::time::timeout(CONNECT_WAIT, Scylla::connect(cql.clone())).await {
            Ok(Ok(store)) => store,
            Ok(Err(error @ (StoreError::Schema { .. } | StoreError::Invalid { .. }))) => return Err(error),
            Ok(Err(_)) | Err(_) => Scylla::connect_later(cql.clone()),
        }
    } else {
        Scylla::connect(cql.clone()).await?
    };
    Ok(Arc::new(Mirror::open(Arc::new(shared), &directory).await?))
}

pub(super) fn node_config(config: &Config) -> anyhow::Result<NodeConfig> {
    std::fs::create_dir_all(&config.data)?;
    // This program as it runs: its file may be replaced by another build's.
    let program = PathBuf::from("/proc/self/exe");
    let compiler = CompilerConfig {
        wall: config.compiler.wall,
        cpu_seconds: config.compiler.cpu_seconds,
        memory: config.compiler.memory.get(),
        at_once: config.compiler.at_once,
        queue: config.compiler.queue,
        // The allocator reserves address space ahead, which is what the child has little of.
        environment: vec![("MIMALLOC_ARENA_RESERVE".to_owned(), "0".to_owned())],
        ..CompilerConfig::new(program, COMPILE)
    };
    Ok(NodeConfig {
        name: config.node.name.clone(),
        region: config.node.region.clone(),
        policy: config.limits,
        classes: config.classes.iter().map(|class| (class.name.clone(), class.quota)).collect(),
        services: config.services.iter().map(|(name, service)| (name.clone(), service.service())).collect(),
        keys: SigningKeys::new(config.signing.key()?, config.older_keys.keys()?),
        compiler: Arc::new(Compiler::new(compiler)),
        poll: config.node.poll,
        sweep: config.node.sweep,
        journal: config.data.join("switches.journal"),
        cache: config.node.cache,
        admin: String::new(),
        version: VERSION.to_owned(),
        peers: Arc::new(Alone),
        broken_percent: config.node.broken_percent,
        restarts: config.node.restarts,
        slow_threads: config.node.slow_workers,
        paces: config.node.paces,
        good: config.node.last_good,
        rules: config.blame.clone(),
        shedding: config.node.shedding,
        flight: None,
        aftermath: Aftermath::default(),
    })
}
