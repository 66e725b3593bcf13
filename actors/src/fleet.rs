//! Fleet: the other nodes on the same store, as this one knows them.
//!
//! Invariant: a hint is only a hint. Whoever misses one hears of the change at the next look at the store, so
//! hints are sent once, with a bound on time and number, and never waited for.
//! Not here: how one node speaks to another (the server's, behind [`Peers`]), the watch of the store (`watch`).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::join_all;
use quotas::scope::{RevisionNumber, Scope, ScriptId};
use tokio::sync::{Mutex, Semaphore};

use crate::controller::{Controller, StandingOf};
use crate::error::StoreError;
use crate::events::Event;
use crate::storage::{Change, Head, NodeRow, Store};
use crate::who::unix_ms;

/// How often a node makes itself known and looks who else is there.
pub(crate) const BEAT: Duration = Duration::from_secs(3);
/// For how long it is known after that.
const KNOWN: Duration = Duration::from_secs(15);
/// How many hints may be under way; more are left to the watch.
const HINTS_MAX: usize = 64;

/// How one node asks another, at the admin address that this gave the store. Who answers there has to be that node: an
/// address that leads elsewhere, as to the one who asks, is an error.
#[async_trait]
pub trait Peers: Send + Sync {
    /// Tells a node that something changed.
    async fn hint(&self, node: &NodeRow, changes: &[Change]) -> Result<(), String>;
    /// Asks a node where a script stands there.
    async fn standing(&self, node: &NodeRow, script: &ScriptId) -> Result<Standing, String>;
    /// Asks a node for a decision that it made, as it would tell it; nothing when it knows none of this id.
    async fn decision(&self, node: &NodeRow, id: &str) -> Result<Option<Bytes>, String>;
    /// Asks a node for how many calls it is asked lately, by scope.
    async fn demand(&self, node: &NodeRow) -> Result<Vec<(Scope, f64)>, String>;
}

/// A node that has no others.
#[derive(Debug, Clone, Copy)]
pub struct Alone;

#[async_trait]
impl Peers for Alone {
    async fn hint(&self, _: &NodeRow, _: &[Change]) -> Result<(), String> {
        Ok(())
    }
    async fn standing(&self, _: &NodeRow, _: &ScriptId) -> Result<Standing, String> {
        Err("this node asks no others".to_owned())
    }
    async fn decision(&self, _: &NodeRow, _: &str) -> Result<Option<Bytes>, String> {
        Ok(None)
    }
    async fn demand(&self, _: &NodeRow) -> Result<Vec<(Scope, f64)>, String> {
        Err("this node asks no others".to_owned())
    }
}

/// Where a script stands on one node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The step of the script's history that is served; zero for none.
    pub seq: u64,
    /// The revision that answers.
    pub revision: Option<RevisionNumber>,
    /// Why a newer step, or an endpoint, is not served: the code and more of it.
    pub problem: Option<(String, String)>,
}

/// The fleet as one node sees it.
pub struct Fleet {
    me: NodeRow,
    others: ArcSwap<Vec<NodeRow>>,
    peers: Arc<dyn Peers>,
    hints: Arc<Semaphore>,
    has_twin: AtomicBool,
    /// Whether another node says that it is where this one is.
    is_doubled: AtomicBool,
    /// The names of the keys whose signatures this node takes.
    keys: Vec<String>,
    /// The nodes that sign with another one, as they were known at the last beat.
    strangers: ArcSwap<Vec<String>>,
    /// Whether it has left for good; held while that, or that it is there, is written.
    has_left: Mutex<bool>,
    demand: ArcSwap<Vec<(Scope, f64)>>,
}

impl std::fmt::Debug for Fleet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet").field("me", &self.me).finish_non_exhaustive()
    }
}

impl Fleet {
    pub(crate) fn new(me: NodeRow, keys: Vec<String>, peers: Arc<dyn Peers>) -> Self {
        let hints = Arc::new(Semaphore::new(HINTS_MAX));
        Self {
            me,
            others: ArcSwap::default(),
            peers,
            hints,
            has_twin: AtomicBool::new(false),
            is_doubled: AtomicBool::new(false),
            keys,
            strangers: ArcSwap::default(),
            has_left: Mutex::new(false),
            demand: ArcSwap::default(),
        }
    }

    /// This node.
    pub fn me(&self) -> NodeRow {
        NodeRow { seen_ms: unix_ms(), ..self.me.clone() }
    }

    /// The others, as they were known at the last beat.
    pub fn others(&self) -> Arc<Vec<NodeRow>> {
        self.others.load_full()
    }

    /// Makes this node known, if it has a door, and looks who else is there.
    pub(crate) async fn beat(&self, store: &dyn Store) -> Result<(), StoreError> {
        // Read first: one's own row would hide that of another of the same name.
        let mut others = store.nodes().await?;
        let twin = |node: &&NodeRow| {
            node.name == self.me.name && node.started_ms != self.me.started_ms && node.admin != self.me.admin
        };
        if let Some(twin) = others.iter().find(twin)
            && !self.has_twin.swap(true, Ordering::Relaxed)
        {
            Event::NodeNameTaken { node: &self.me.name, admin: &twin.admin }.tell();
        }
        others.retain(|node| node.name != self.me.name);
        self.look_for_strangers(&others);
        let double = others.iter().find(|node| !node.admin.is_empty() && node.admin == self.me.admin);
        if !self.is_doubled.swap(double.is_some(), Ordering::Relaxed)
            && let Some(double) = double
        {
            Event::NodeAddressTaken { node: &double.name, admin: &double.admin }.tell();
        }
        self.others.store(Arc::new(others));
        let has_left = self.has_left.lock().await;
        if !self.me.admin.is_empty() && !*has_left {
            store.put_node(&self.me(), KNOWN).await?;
        }
        Ok(())
    }

    /// Who signs with a key that this node does not have neither runs its bytecode nor is answered by it.
    fn look_for_strangers(&self, others: &[NodeRow]) {
        let known = self.strangers();
        let mut strangers = Vec::new();
        for node in others {
            if node.key.as_ref().is_some_and(|key| !self.keys.contains(key)) {
                if !known.contains(&node.name) {
                    Event::NodeKeyUnknown { node: &node.name, admin: &node.admin }.tell();
                }
                strangers.push(node.name.clone());
            }
        }
        self.strangers.store(Arc::new(strangers));
    }

    /// Whether another node says that it is where this one is: the others then ask one of them in the name of both.
    pub fn is_doubled(&self) -> bool {
        self.is_doubled.load(Ordering::Relaxed)
    }

    /// The names of the nodes that sign with a key that this one does not have.
    pub fn strangers(&self) -> Arc<Vec<String>> {
        self.strangers.load_full()
    }

    /// Takes this node back from those that are known, for good: no beat makes it known again.
    pub(crate) async fn leave(&self, store: &dyn Store) -> Result<(), StoreError> {
        let mut has_left = self.has_left.lock().await;
        *has_left = true;
        store.drop_node(&self.me.name).await
    }

    /// How many calls this node is asked for lately, by scope, for the others.
    pub fn demand(&self) -> Arc<Vec<(Scope, f64)>> {
        self.demand.load_full()
    }

    /// Sets that.
    pub(crate) fn set_demand(&self, demand: Vec<(Scope, f64)>) {
        self.demand.store(Arc::new(demand));
    }

    /// Asks all others for the same; nothing when one of them could not be asked.
    pub(crate) async fn demand_of_others(&self) -> Option<Vec<(Scope, f64)>> {
        let others = self.others();
        let asked = others.iter().map(|node| self.peers.demand(node));
        let told: Result<Vec<_>, String> = join_all(asked).await.into_iter().collect();
        told.map(|told| told.into_iter().flatten().collect())
            .inspect_err(|why| tracing::debug!(why, "a node could not be asked for its traffic"))
            .ok()
    }

    /// Asks all others for a decision that one of them made. Who cannot be asked knows none.
    pub async fn decision_of_others(&self, id: &str) -> Option<Bytes> {
        let others = self.others();
        let asked = others.iter().filter(|node| !node.admin.is_empty());
        let told = join_all(asked.map(|node| self.peers.decision(node, id))).await;
        told.into_iter().find_map(|told| told.ok().flatten())
    }

    /// Tells the others that something changed, in the background.
    pub fn hint(&self, change: Change) {
        for node in self.others.load().iter().filter(|node| !node.admin.is_empty()) {
            let Ok(place) = Arc::clone(&self.hints).try_acquire_owned() else { return };
            let (peers, node, change) = (Arc::clone(&self.peers), node.clone(), change.clone());
            tokio::spawn(async move {
                if let Err(why) = peers.hint(&node, &[change]).await {
                    tracing::debug!(node = node.name, why, "a hint did not arrive");
                }
                drop(place);
            });
        }
    }

    /// Asks every node where a script stands there.
    ///
    /// # Errors
    /// The store does not say where it has to stand.
    pub async fn convergence(
        &self,
        store: &dyn Store,
        controller: &actix::Addr<Controller>,
        script: &ScriptId,
    ) -> Result<Option<Convergence>, StoreError> {
        let Some(target) = store.head(script).await? else { return Ok(None) };
        let others = store.nodes().await?;
        let others = others.into_iter().filter(|node| node.name != self.me.name);
        let asked = others.map(|node| async move {
            let standing = match node.admin.as_str() {
                "" => Err("it does not say where its admin door is".to_owned()),
                _ => self.peers.standing(&node, script).await,
            };
            (node, standing)
        });
        let (mine, others) = tokio::join!(controller.send(StandingOf(script.clone())), join_all(asked));
        let mine = (self.me(), mine.map_err(|_| "it is about to stop".to_owned()));
        let nodes = std::iter::once(mine).chain(others);
        let nodes = nodes.map(|(node, standing)| NodeStanding::of(node, standing, &target)).collect();
        Ok(Some(Convergence { target, nodes }))
    }
}

/// Where a script stands in the store and on every node.
#[derive(Debug, Clone)]
pub struct Convergence {
    /// Where the store has it.
    pub target: Head,
    /// The nodes, this one first.
    pub nodes: Vec<NodeStanding>,
}

impl Convergence {
    /// Whether every node that is known serves what the store has, or something newer.
    pub fn is_whole(&self) -> bool {
        self.nodes.iter().all(|node| node.state == NodeState::Converged)
    }
}

/// Where a script stands on a node.
#[derive(Debug, Clone)]
pub struct NodeStanding {
    /// The node.
    pub node: NodeRow,
    /// What it serves; nothing when it could not be asked.
    pub standing: Option<Standing>,
    /// How that compares with the store.
    pub state: NodeState,
    /// Why it is not converged, as far as that is known.
    pub why: Option<String>,
}

/// How a node compares with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It serves what the store has.
    Converged,
    /// It does not yet.
    Behind,
    /// It cannot, and says why.
    Failed,
    /// It could not be asked.
    Unreachable,
}

impl NodeStanding {
    fn of(node: NodeRow, standing: Result<Standing, String>, target: &Head) -> Self {
        let standing = match standing {
            Ok(standing) => standing,
            Err(why) => {
                let state = NodeState::Unreachable;
                return Self { node, standing: None, state, why: Some(why) };
            }
        };
        let (state, why) = match &standing.problem {
            Some((code, detail)) => (NodeState::Failed, Some(format!("{code}: {detail}"))),
            None if standing.seq >= target.seq => (NodeState::Converged, None),
            None => (NodeState::Behind, None),
        };
        Self { node, standing: Some(standing), state, why }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::Embedded;

    #[tokio::test]
    async fn who_has_left_is_not_made_known_again() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path()).await.unwrap();
        let known = async || store.nodes().await.unwrap().len();
        let me = NodeRow { admin: "http://127.0.0.1:1".into(), ..node() };
        let fleet = Fleet::new(me, Vec::new(), Arc::new(Alone));
        fleet.beat(&store).await.unwrap();
        assert_eq!(known().await, 1);
        fleet.leave(&store).await.unwrap();
        fleet.beat(&store).await.unwrap();
        assert_eq!(known().await, 0);
    }

    #[tokio::test]
    async fn a_node_of_another_key_is_found_out_and_one_of_an_older_key_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path()).await.unwrap();
        let at = |name: &str, key: Option<&str>| NodeRow {
            name: name.into(),
            key: key.map(str::to_owned),
            ..node()
        };
        for other in
            [at("new", Some("k2")), at("old", Some("k1")), at("older", None), at("strange", Some("k9"))]
        {
            store.put_node(&other, Duration::from_secs(60)).await.unwrap();
        }
        let fleet = Fleet::new(node(), vec!["k2".into(), "k1".into()], Arc::new(Alone));
        fleet.beat(&store).await.unwrap();
        assert_eq!(*fleet.strangers(), ["strange"]);
    }

    fn node() -> NodeRow {
        NodeRow {
            name: "a".into(),
            admin: String::new(),
            version: "1".into(),
            build: "b".into(),
            started_ms: 1,
            seen_ms: 2,
            key: None,
        }
    }

    #[test]
    fn a_node_is_converged_when_it_serves_the_step_of_the_store_without_a_problem() {
        let target = Head {
            seq: 5,
            active: RevisionNumber::new(3),
            latest: RevisionNumber::new(3),
            deploy: uuid::Uuid::nil(),
            deleted: false,
        };
        let at = |seq, problem: Option<&str>| Standing {
            seq,
            revision: None,
            problem: problem.map(|code| (code.to_owned(), "x".to_owned())),
        };
        for (standing, state) in [
            (Ok(at(5, None)), NodeState::Converged),
            (Ok(at(6, None)), NodeState::Converged),
            (Ok(at(4, None)), NodeState::Behind),
            (Ok(at(4, Some("unit.content"))), NodeState::Failed),
            (Ok(at(5, Some("route.conflict"))), NodeState::Failed),
            (Err("no".to_owned()), NodeState::Unreachable),
        ] {
            let said = format!("{standing:?}");
            assert_eq!(NodeStanding::of(node(), standing, &target).state, state, "{said}");
        }
    }
}
