//! A cluster of real Cassandra nodes in a test, in one data centre or in several.
//!
//! Invariant: a cluster that was started sees itself whole: each node knows all others to be up. Its nodes end with
//! the program, as a single one does.
//! Not here: a single node (`cassandra`); what is stored in it.

mod wire;

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use self::wire::Wire;
use crate::cassandra::{Cassandra, Place, STORAGE, free_address};

/// How long the nodes may take to know each other.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(50);

/// A cluster. Its nodes are killed, paused, resumed and started again one by one.
pub struct Cluster {
    /// The nodes, in the order in which their data centres were named.
    pub nodes: Vec<Cassandra>,
    /// What each node is reached through by the others, where that can be cut.
    wires: Vec<Wire>,
    /// Where each node is reached by the others.
    reached_at: Vec<Ipv4Addr>,
}

impl Cluster {
    /// A node for each data centre named. Nothing where there can be none, which is said.
    ///
    /// # Panics
    /// There can be none and `CALLBOARD_REQUIRE_CQL=1`, or one does not start.
    pub fn start(datacenters: &[&str]) -> Option<Self> {
        Cassandra::can_start().then(|| Self::of(datacenters, false))
    }

    /// The same, with the nodes' wires to each other in the test's hands.
    ///
    /// # Panics
    /// As [`Cluster::start`].
    pub fn start_with_wires(datacenters: &[&str]) -> Option<Self> {
        Cassandra::can_start().then(|| Self::of(datacenters, true))
    }

    fn of(datacenters: &[&str], wired: bool) -> Self {
        let mut seed = None;
        let (mut wires, mut reached_at, mut seats) = (Vec::new(), Vec::new(), Vec::new());
        for datacenter in datacenters {
            let address = free_address();
            let wire = wired.then(|| Wire::to(address.0));
            let reached = wire.as_ref().map_or(address.0, Wire::address);
            let place = Place {
                seed: Some(*seed.get_or_insert(reached)),
                reached_at: wire.as_ref().map(Wire::address),
                datacenter: Some((*datacenter).to_owned()),
            };
            wires.extend(wire);
            reached_at.push(reached);
            seats.push((place, address));
        }
        // The others join the first, all at once.
        let mut seats = seats.into_iter();
        let mut nodes: Vec<_> =
            seats.next().map(|(place, address)| Cassandra::start_at(place, address)).into_iter().collect();
        let joining: Vec<_> = seats
            .map(|(place, address)| std::thread::spawn(move || Cassandra::start_at(place, address)))
            .collect();
        nodes.extend(joining.into_iter().map(|node| node.join().expect("a node starts")));
        let cluster = Self { nodes, wires, reached_at };
        cluster.wait_until_whole();
        cluster
    }

    /// The store's address: all nodes, and a keyspace.
    pub fn store(&self, keyspace: &str) -> String {
        let hosts: Vec<&str> = self.nodes.iter().map(Cassandra::address).collect();
        format!("cql://{}/{keyspace}", hosts.join(","))
    }

    ///
    /// # Panics
    /// They do not in time.
    pub fn wait_until_whole(&self) {
        let until = Instant::now() + PATIENCE;
        while !(0..self.nodes.len()).all(|number| self.others_count_it(number, "UP", "DOWN")) {
            assert!(Instant::now() < until, "the nodes do not know each other");
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether all others count a node as down.
    pub fn is_missed(&self, number: usize) -> bool {
        self.others_count_it(number, "DOWN", "UP")
    }

    /// Whether the logs of all others say this of a node, and the opposite not after it.
    fn others_count_it(&self, number: usize, state: &str, opposite: &str) -> bool {
        let others = self.nodes.iter().enumerate().filter(|(other, _)| *other != number);
        others.map(|(_, other)| other.log()).all(|log| {
            let last = |state| log.rfind(&format!("/{}:{STORAGE} is now {state}", self.reached_at[number]));
            last(state) > last(opposite)
        })
    }

    /// Cuts every wire between nodes: connections stay, and nothing passes.
    pub fn cut(&self) {
        assert!(!self.wires.is_empty(), "this cluster's wires are not in the test's hands");
        self.wires.iter().for_each(|wire| wire.cut(true));
    }

    /// Mends what was cut.
    pub fn heal(&self) {
        self.wires.iter().for_each(|wire| wire.cut(false));
    }
}
