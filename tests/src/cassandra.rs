//! A real Cassandra for tests, one for all tests of a program or one of a test's own.
//!
//! Invariant: no node outlives the program that started it, however that ends: a script holds the node and waits
//! for the other end of a pipe to close (`cassandra/cassandra`).
//! Not here: what is stored in it.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

/// The port on which a node speaks CQL.
pub(crate) const CQL: u16 = 9042;
/// The port on which nodes speak to each other.
pub(crate) const STORAGE: u16 = 7000;
/// Nobody speaks here: who listens on it has the address.
const HELD: u16 = 7099;

/// A server that somebody runs already, as `host:port`.
const GIVEN: &str = "CALLBOARD_TEST_CQL";
/// When it is set to 1, a missing Cassandra fails the tests instead of skipping them.
const REQUIRED: &str = "CALLBOARD_REQUIRE_CQL";

/// Leaves changes of the schema to the commit log: setting up a keyspace takes half the time, but a node that was
/// killed may not find all of its tables again.
const QUICK_SCHEMA: &str = "-Dcassandra.test.flush_local_schema_changes=false";

/// A Cassandra node.
pub struct Cassandra {
    address: String,
    node: Option<Node>,
}

/// Where a node stands in a cluster.
#[derive(Debug, Default)]
pub(crate) struct Place {
    /// The node that it joins; itself when nothing is said.
    pub seed: Option<Ipv4Addr>,
    /// Where the others reach it, when that is not its own address.
    pub reached_at: Option<Ipv4Addr>,
    /// Its data centre; `dc1` when nothing is said.
    pub datacenter: Option<String>,
}

/// A node that this program started.
struct Node {
    directory: PathBuf,
    /// More flags for Java.
    flags: &'static str,
    place: Place,
    holder: Mutex<Option<Holder>>,
    /// Keeps the address from other programs until this one ends.
    _address: TcpListener,
}

/// The script that holds the node, and the pipe that it waits on.
struct Holder {
    script: Child,
    pipe: ChildStdin,
}

impl Cassandra {
    /// The node that all tests of this program share, started by the first that asks; or the server that
    /// `CALLBOARD_TEST_CQL` names. Nothing when there can be none here, which is said.
    ///
    /// # Panics
    /// When there can be none and `CALLBOARD_REQUIRE_CQL=1`, or when one does not start.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<Cassandra>> = OnceLock::new();
        let given = || std::env::var(GIVEN).ok().map(|address| Self { address, node: None });
        SHARED.get_or_init(|| given().or_else(|| Self::start_with(QUICK_SCHEMA))).as_ref()
    }

    /// A node of one's own, to be killed and paused. Nothing when there can be none here, which is said.
    ///
    /// # Panics
    /// When there can be none and `CALLBOARD_REQUIRE_CQL=1`, or when it does not start.
    pub fn start() -> Option<Self> {
        Self::start_with("")
    }

    fn start_with(flags: &'static str) -> Option<Self> {
        Self::can_start().then(|| Self::place(flags, Place::default(), free_address()))
    }

    /// Whether a node can be had here. That there is none is said.
    ///
    /// # Panics
    /// There can be none and `CALLBOARD_REQUIRE_CQL=1`.
    pub(crate) fn can_start() -> bool {
        match missing() {
            None => true,
            Some(what) if std::env::var(REQUIRED).is_ok_and(|value| value == "1") => {
                panic!("Cassandra cannot be started here: {what}")
            }
            Some(what) => {
                // Not by a macro, whose output the test runner swallows.
                let _ = writeln!(std::io::stderr(), "skipped: no Cassandra here: {what}");
                false
            }
        }
    }

    /// A node of a cluster, at an address that is free.
    pub(crate) fn start_at(place: Place, address: (Ipv4Addr, TcpListener)) -> Self {
        Self::place("", place, address)
    }

    fn place(flags: &'static str, place: Place, (host, held): (Ipv4Addr, TcpListener)) -> Self {
        static NODES: AtomicU32 = AtomicU32::new(0);
        let number = NODES.fetch_add(1, Ordering::Relaxed);
        let name = format!("callboard-cassandra-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        let node = Node { directory, flags, place, holder: Mutex::default(), _address: held };
        let cassandra = Self { address: format!("{host}:{CQL}"), node: Some(node) };
        cassandra.restart();
        cassandra
    }

    /// What the node wrote into its log since it was started last.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.own().directory.join("logs/system.log")).unwrap_or_default()
    }

    /// Where it speaks CQL, as `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether somebody else runs it: then keyspaces should be dropped, and it cannot be killed.
    pub fn is_given(&self) -> bool {
        self.node.is_none()
    }

    /// A name for a keyspace that no other test uses.
    pub fn fresh_keyspace(&self) -> String {
        static KEYSPACES: AtomicU32 = AtomicU32::new(0);
        format!("t_{}_{}", std::process::id(), KEYSPACES.fetch_add(1, Ordering::Relaxed))
    }

    /// Kills the node as a crash would. Its data stays.
    ///
    /// # Panics
    /// When it is not one's own: the shared node and a given server are everyone's.
    pub fn kill(&self) {
        let node = self.own();
        assert!(node.flags.is_empty(), "the shared node is not to be killed");
        node.script("kill");
        if let Some(mut holder) = node.holder().take() {
            let _ = holder.pipe.write_all(b"keep\n");
            holder.end();
        }
    }

    /// Starts a node that was killed, at the same address with its data, and waits until it answers.
    pub fn restart(&self) {
        let node = self.own();
        let mut holder = node.holder();
        assert!(holder.is_none(), "the node runs already");
        let (host, port) = self.address.split_once(':').expect("an address of a node has a port");
        let mut command = Command::new(script());
        command
            .arg("run")
            .arg(&node.directory)
            .args([host, port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        for (name, value) in node.place.variables() {
            command.env(name, value);
        }
        let mut child = command.env("CASSANDRA_FLAGS", node.flags).spawn().expect("the script can be run");
        let pipe = child.stdin.take().expect("stdin is a pipe");
        let mut said = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut line = String::new();
        said.read_line(&mut line).expect("the script says whether the node answers");
        let started = Holder { script: child, pipe };
        if line.trim() != self.address {
            started.end();
            panic!("Cassandra does not start; what it said is above");
        }
        *holder = Some(started);
    }

    /// Stops the node as a hanging machine would: connections stay, nothing is answered.
    pub fn pause(&self) {
        self.own().script("pause");
    }

    /// Lets a paused node go on.
    pub fn resume(&self) {
        self.own().script("resume");
    }

    fn own(&self) -> &Node {
        self.node.as_ref().expect("a server that somebody else runs is left alone")
    }
}

impl Place {
    /// The place as the script is told it.
    fn variables(&self) -> impl Iterator<Item = (&'static str, String)> {
        [
            ("CASSANDRA_SEED", self.seed.map(|seed| seed.to_string())),
            ("CASSANDRA_BROADCAST", self.reached_at.map(|address| address.to_string())),
            ("CASSANDRA_DC", self.datacenter.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

impl Node {
    fn script(&self, what: &str) {
        let ended = Command::new(script()).arg(what).arg(&self.directory).status();
        assert!(ended.expect("the script can be run").success(), "cassandra {what}");
    }

    fn holder(&self) -> MutexGuard<'_, Option<Holder>> {
        self.holder.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(holder) = self.holder().take() {
            holder.end();
        } else {
            // It was killed, and nobody holds its directory any more.
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

impl Holder {
    fn end(self) {
        let Self { mut script, pipe } = self;
        drop(pipe);
        let _ = script.wait();
    }
}

fn script() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cassandra/cassandra")
}

/// What is missing to run a node here.
fn missing() -> Option<String> {
    let java = Command::new("java").arg("-version").stdin(Stdio::null()).output();
    if !java.is_ok_and(|java| java.status.success()) {
        return Some("Java is needed (java, 11 or 17)".to_owned());
    }
    let jars = Command::new(script()).arg("fetch").stdin(Stdio::null()).output();
    match jars {
        Ok(jars) if jars.status.success() => None,
        Ok(jars) => Some(String::from_utf8_lossy(&jars.stderr).trim().to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// A loopback address on which nobody listens where a node would. It begins at the program's number, so that two
/// programs seldom try the same, and whoever listens on one port of it has it.
pub(crate) fn free_address() -> (Ipv4Addr, TcpListener) {
    let first = std::process::id().wrapping_mul(16);
    for number in first..first + 4096 {
        let [_, a, b, c] = number.to_be_bytes();
        let host = Ipv4Addr::new(127, a % 128 + 64, b, c % 254 + 1);
        let listen = |port| TcpListener::bind(SocketAddr::from((host, port)));
        if let Ok(held) = listen(HELD)
            && listen(STORAGE).is_ok()
            && listen(CQL).is_ok()
        {
            return (host, held);
        }
    }
    panic!("no loopback address is free for a Cassandra node");
}
