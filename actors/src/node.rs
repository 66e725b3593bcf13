//! Node: the actors of one process, what they share, and the order in which they start.
//!
//! Invariant: each snapshot that all threads read has one writer: the routes the controller, the board the
//! supervisor. When a start has returned, every switch that was ever acknowledged is in force.
//! Not here: doors, worker threads, configuration files.

mod aftermath;
mod hand_over;
mod progress;
mod start;
mod warm;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use actix::Addr;
use arc_swap::ArcSwap;
use quotas::guards::{Condition, NodeGuard};
use quotas::limits::Policy;
use quotas::pressure::Mode;
use quotas::rate::Quota;
use quotas::remedy::Rules;
use quotas::scope::{ClassName, RegionName, ScriptId, ServiceName};
use quotas::switches::Board;
use quotas::track::Paces;
use quotas::units::{Bytes, Moment};
use runtime::codec::SigningKeys;
use runtime::host::service::Service;

use crate::controller::Controller;
use crate::error::StartError;
use crate::events::Event;
use crate::fleet::{Fleet, Peers};
use crate::flight::FlightBoard;
use crate::lane::{LaneRegistry, LastGood, SlowLanes};
use crate::routes::Routes;
use crate::storage::Store;
use crate::supervisor::Supervisor;
use crate::units::{Compile, UnitFailure, Units};
use crate::watch::Storage;

pub(crate) use self::aftermath::Aside;
pub use self::aftermath::{Aftermath, Death, SetAside};
pub use self::hand_over::InMemory;
pub use self::progress::Progress;
pub(crate) use self::warm::warm;

/// How long a node that stops waits for the store to forget it.
const LEAVE_WAIT: Duration = Duration::from_millis(500);

/// What a node is made of.
#[derive(Clone)]
pub struct NodeConfig {
    /// Its name.
    pub name: String,
    /// The region that it is in, for switches of a region.
    pub region: Option<RegionName>,
    /// Defaults and ceilings.
    pub policy: Policy,
    /// The rates of classes of devices.
    pub classes: Vec<(ClassName, Quota)>,
    /// The services that scripts may call.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// The keys that units are signed with.
    pub keys: SigningKeys,
    /// What compiles.
    pub compiler: Arc<dyn Compile>,
    /// How often the store is asked for changes.
    pub poll: Duration,
    /// How often all heads are looked at.
    pub sweep: Duration,
    /// The journal of switches, a file.
    pub journal: PathBuf,
    /// How much memory units may take that nobody runs.
    pub cache: Bytes,
    /// Where other nodes find this one's admin door, as a URL; empty where they cannot.
    pub admin: String,
    /// The version of the program.
    pub version: String,
    /// How this node speaks to the others.
    pub peers: Arc<dyn Peers>,
    /// How many of a hundred scripts may have no unit in a node that says it is ready.
    pub broken_percent: u8,
    /// How many failures of an endpoint's actors, within which time, are borne.
    pub restarts: (u32, Duration),
    /// How many threads there are for endpoints that would hold up the others; with none, these run beside them.
    pub slow_threads: usize,
    /// When an endpoint is moved to them.
    pub paces: Paces,
    /// How much memory the last good answers may take.
    pub good: Bytes,
    /// What is done about who presses the node.
    pub rules: Rules,
    /// What is done about calls that it would give up when it is pressed.
    pub shedding: Mode,
    /// Where its lanes show what they run, when somebody looks.
    pub flight: Option<Arc<FlightBoard>>,
    /// What the processes before this one left.
    pub aftermath: Aftermath,
}

impl NodeConfig {
    /// How often the store is asked for changes, where nothing else is said.
    pub const POLL: Duration = Duration::from_secs(1);
    /// How often all heads are looked at, where nothing else is said.
    pub const SWEEP: Duration = Duration::from_secs(60);
    /// The share of scripts without a unit that is borne, where nothing else is said.
    pub const BROKEN_PERCENT: u8 = 10;
    /// The failures that are borne, where nothing else is said.
    pub const RESTARTS: (u32, Duration) = (5, Duration::from_secs(60));
}

/// What the threads of a node share.
#[derive(Debug)]
pub struct Shared {
    /// The node's name.
    pub name: Arc<str>,
    /// Which endpoint answers what; the controller writes it.
    pub routes: ArcSwap<Routes>,
    /// What is switched off; the supervisor writes it.
    pub board: ArcSwap<Board>,
    /// What is counted for the node.
    pub node: NodeGuard,
    /// Its lanes.
    pub lanes: LaneRegistry,
    /// Its units.
    pub units: Arc<Units>,
    /// Defaults and ceilings.
    pub policy: Policy,
    /// The services that scripts may call.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// The other nodes.
    pub fleet: Fleet,
    /// How far the node has come since its start.
    pub progress: Progress,
    /// When an endpoint is moved to threads of its own.
    pub paces: Paces,
    /// Those threads.
    pub slow: SlowLanes,
    /// What is done about calls that a pressed thread would give up.
    pub shedding: Mode,
    /// The last good answers of endpoints that want theirs kept.
    pub good: LastGood,
    /// Where its lanes show what they run, when somebody looks.
    pub flight: Option<Arc<FlightBoard>>,
    /// What is set aside since before the start.
    pub(crate) aside: Aside,
    /// Since when its traffic is counted.
    pub counting_since: Moment,
    /// Held by a drill that runs.
    pub(crate) drilling: Arc<tokio::sync::Mutex<()>>,
    unserved: Mutex<BTreeMap<ScriptId, UnitFailure>>,
    tokens: AtomicU64,
}

impl Shared {
    /// Whether all scripts were read since the start, from the store or from what was kept, and enough of them
    /// can be loaded.
    pub fn is_loaded(&self) -> bool {
        self.progress.is_loaded()
    }

    /// The scripts that are not served as the store has them, and why.
    pub fn unserved(&self) -> MutexGuard<'_, BTreeMap<ScriptId, UnitFailure>> {
        self.unserved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn served(&self, script: &ScriptId) {
        self.unserved().remove(script);
    }

    pub(crate) fn not_served(&self, script: &ScriptId, failure: &UnitFailure) {
        self.unserved().insert(script.clone(), failure.clone());
    }

    /// Counts the changes of tokens that were seen in the store: read them again when it has moved.
    pub fn tokens_changed(&self) -> u64 {
        self.tokens.load(Ordering::Acquire)
    }

    /// Counts a change of tokens.
    pub fn count_tokens(&self) {
        self.tokens.fetch_add(1, Ordering::AcqRel);
    }
}

/// A node. A cheap handle.
#[derive(Clone)]
pub struct Node {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    controller: Addr<Controller>,
    supervisor: Addr<Supervisor>,
    storage: Addr<Storage>,
    journal: PathBuf,
}

impl Node {
    /// Starts the actors on this thread's arbiter, replays the journal of switches and loads the heads.
    ///
    /// # Errors
    /// The journal cannot be used, or the store is one that this program must not work with. A store that
    /// does not answer is no error: the node serves what it can and goes on asking.
    pub async fn start(config: NodeConfig, store: Arc<dyn Store>) -> Result<Self, StartError> {
        start::start(config, store).await
    }

    /// What the threads share.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Where revisions, switches and tokens are kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// Who owns the routes.
    pub fn controller(&self) -> &Addr<Controller> {
        &self.controller
    }

    /// Who owns the switches.
    pub fn supervisor(&self) -> &Addr<Supervisor> {
        &self.supervisor
    }

    /// Who watches the store.
    pub fn storage(&self) -> &Addr<Storage> {
        &self.storage
    }

    /// Waits until every unit was looked at that an endpoint needs; for a start that only makes units.
    pub async fn warmed(&self) {
        self.shared.progress.warmed().await;
    }

    /// From now on no call is let in. For good.
    pub async fn drain(&self) {
        let leave = self.shared.fleet.leave(&*self.store);
        // The others forget a node that is silent all the same.
        let _ = tokio::time::timeout(LEAVE_WAIT, leave).await;
        self.shared.node.set_condition(Condition::Draining);
        Event::NodeDrained { node: &self.shared.name }.tell();
    }
}
