//! The start of a node: journal, switches, heads, and only then an answer.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::hash::RandomState;
use std::pin::pin;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::{Actor, Addr};
use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use quotas::guards::NodeGuard;
use quotas::scope::ScriptId;
use quotas::switches::{Board, Home, SwitchId};
use quotas::units::Moment;
use runtime::fuel::now_nanos;

use super::{Aside, Node, NodeConfig, Progress, Shared, warm};
use crate::controller::{ApplyAll, Controller, Depth, Prepared, prepare};
use crate::error::{StartError, StoreError};
use crate::events::Event;
use crate::fleet::Fleet;
use crate::journal::{Entry, Journal};
use crate::keeper::Keeper;
use crate::lane::{LaneRegistry, LastGood, SlowLanes};
use crate::routes::Routes;
use crate::storage::{Cursor, Head, Kept, NodeRow, QuotaRow, Store, SwitchRow};
use crate::supervisor::desk::Desk;
use crate::supervisor::{Supervisor, TakeOver};
use crate::units::Units;
use crate::watch::{Left, Storage};
use crate::who::unix_ms;

/// How long the store may take for one answer while the node starts.
const STORE_WAIT: Duration = Duration::from_secs(10);
/// How long it may take when there is something to serve without it.
const KEPT_WAIT: Duration = Duration::from_millis(300);
/// How many scripts are read at once.
const READ_AT_ONCE: usize = 8;
/// How many are given to the routes at once.
const APPLY_AT_ONCE: usize = 64;

pub(super) async fn start(config: NodeConfig, store: Arc<dyn Store>) -> Result<Node, StartError> {
    let name: Arc<str> = config.name.into();
    let home = Home { node: name.parse().ok(), region: config.region };
    let keys = config.keys.names();
    let units = Units::new(Arc::clone(&store), config.compiler, config.keys, config.cache, Arc::clone(&name));
    let units = Arc::new(units.map_err(StartError::Store)?);
    let classes: HashMap<_, _> = config.classes.into_iter().collect();
    let me = NodeRow {
        name: name.to_string(),
        admin: config.admin,
        version: config.version,
        build: runtime::codec::Fingerprint::current().text(),
        started_ms: unix_ms(),
        seen_ms: unix_ms(),
        key: keys.first().cloned(),
    };
    let shared = Arc::new(Shared {
        name: Arc::clone(&name),
        routes: ArcSwap::from_pointee(Routes::default()),
        board: ArcSwap::from_pointee(Board::at(home.clone())),
        node: NodeGuard::new(&config.policy, &classes, RandomState::new()),
        lanes: LaneRegistry::default(),
        units,
        policy: config.policy,
        services: config.services,
        fleet: Fleet::new(me, keys, config.peers),
        progress: Progress::default(),
        paces: config.paces,
        slow: SlowLanes::default(),
        shedding: config.shedding,
        good: LastGood::new(config.good),
        flight: config.flight,
        aside: Aside::of(&config.aftermath.set_aside),
        counting_since: Moment::from_nanos(now_nanos()),
        drilling: Arc::default(),
        unserved: Mutex::default(),
        tokens: AtomicU64::new(0),
    });

    let path = config.journal;
    let opened = crate::blocking::run({
        let path = path.clone();
        move || Journal::open(&path)
    });
    let opened = opened.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let (journal, replayed) = opened.map_err(|source| StartError::Journal { path: path.clone(), source })?;
    if replayed.damaged > 0 {
        Event::JournalDamaged { lines: replayed.damaged }.tell();
    }

    let kept = store.kept().await;
    // A node that can serve from what it kept does not make devices wait for the store.
    let wait = if kept.is_some() { KEPT_WAIT } else { STORE_WAIT };
    // The cursor comes first, so that what changes while the rest is read is told by the feed.
    let read = answer(wait, async {
        let (_, cursor) = store.changes(&Cursor::default()).await?;
        Ok((cursor, store.switches().await?, store.heads().await?))
    });
    let (cursor, stored, heads) = match read.await {
        Ok((cursor, switches, heads)) => (Some(cursor), switches, Some(heads)),
        Err(error @ (StoreError::Schema { .. } | StoreError::Locked { .. } | StoreError::Invalid { .. })) => {
            return Err(StartError::Store(error));
        }
        Err(error) => {
            Event::StoreLost { code: error.code(), detail: &error.to_string() }.tell();
            (None, Vec::new(), None)
        }
    };

    let mut desk = Desk::new(home, replayed.rows, replayed.unstored);
    let learned = desk.merge(stored.iter().cloned());
    let learned: Vec<Entry> = learned.taken.into_iter().map(Entry::Row).collect();
    if !learned.is_empty() {
        // So that they hold after a start without the store, too.
        let written = journal.append(learned).await;
        written.map_err(|source| StartError::Journal { path: path.clone(), source })?;
    }
    let known: HashMap<SwitchId, &SwitchRow> = stored.iter().map(|row| (row.id(), row)).collect();
    let is_stored = |row: &&SwitchRow| known.get(&row.id()).is_some_and(|known| *known == *row);
    let unstored: Vec<SwitchRow> = desk.rows().iter().filter(|row| !is_stored(row)).cloned().collect();
    let supervisor =
        Supervisor::new(Arc::clone(&shared), Arc::clone(&store), journal, desk, unstored, config.restarts);
    // In force before anything else runs, and before the actor's first message.
    supervisor.publish();
    let supervisor = supervisor.start();
    let quotas = known_quotas(&store, kept.as_ref(), heads.is_some().then_some(wait)).await;
    let controller = Controller::new(Arc::clone(&shared), Arc::clone(&store), quotas).start();
    let mut whole = false;
    if heads.is_some() {
        shared.progress.set_in_step(unix_ms());
    }
    let is_known = heads.is_some() || kept.is_some();
    if let (None, Some(kept)) = (&heads, &kept) {
        let age = unix_ms().saturating_sub(kept.at_ms) / 1_000;
        Event::MirrorServed { scripts: kept.heads.len(), age }.tell();
        shared.progress.set_in_step(kept.at_ms);
    }
    if is_known {
        let sources = sources(&store, heads, kept);
        let (scripts, is_stored) = (sources.len(), sources.iter().all(|source| source.is_stored));
        let applied = apply_all(&shared, &controller, sources).await?;
        whole = cursor.is_some() && is_stored && applied == scripts;
        actix_rt::spawn(warm(Arc::clone(&shared), config.broken_percent));
    }
    supervisor.send(TakeOver(config.aftermath)).await.map_err(|_| StartError::Stopped)?;
    let storage = Storage::new(
        Arc::clone(&shared),
        Arc::clone(&store),
        controller.clone(),
        supervisor.clone(),
        Left { cursor, whole, cold: (!is_known).then_some(config.broken_percent) },
        (config.poll, config.sweep),
    );
    let node = Node { shared, store, controller, supervisor, storage: storage.start(), journal: path };
    SlowLanes::start(&node, config.slow_threads);
    let (shared, store) = (Arc::clone(node.shared()), Arc::clone(node.store()));
    Keeper::new(shared, store, node.controller().clone(), node.supervisor().clone(), config.rules).start();
    Ok(node)
}

/// What was set of quotas: from the store where it answers within so long, and else what was kept of it.
async fn known_quotas(store: &Arc<dyn Store>, kept: Option<&Kept>, wait: Option<Duration>) -> Vec<QuotaRow> {
    if let Some(wait) = wait
        && let Ok(rows) = answer(wait, store.quotas()).await
    {
        return rows;
    }
    match kept {
        // The watch brings the rest when the store answers.
        Some(kept) => kept.local.quotas().await.unwrap_or_default(),
        None => Vec::new(),
    }
}

async fn answer<T>(
    wait: Duration,
    asked: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(wait, asked)
        .await
        .unwrap_or_else(|_| Err(StoreError::unavailable("it did not answer in time")))
}

/// A head, and where what it needs is read from.
struct Source {
    script: ScriptId,
    head: Head,
    from: Arc<dyn Store>,
    /// Whether the store has it, too.
    is_stored: bool,
}

/// What is to be served: what the store says, and of what it says nothing, what was kept. A store that lost
/// scripts takes none away from a node that starts.
fn sources(store: &Arc<dyn Store>, heads: Option<Vec<(ScriptId, Head)>>, kept: Option<Kept>) -> Vec<Source> {
    let (mut near, local) = match kept {
        Some(kept) => (kept.heads.into_iter().collect(), Some(kept.local)),
        None => (BTreeMap::new(), None),
    };
    let stored = heads.unwrap_or_default().into_iter().map(|(script, head)| {
        let kept = near.remove(&script);
        let (head, from, is_stored) = match (kept, &local) {
            (Some(kept), Some(local)) if kept.seq >= head.seq => {
                let is_stored = kept.seq == head.seq;
                (kept, Arc::clone(local), is_stored)
            }
            _ => (head, Arc::clone(store), true),
        };
        Source { script, head, from, is_stored }
    });
    let mut sources: Vec<Source> = stored.collect();
    if let Some(local) = local {
        sources.extend(near.into_iter().map(|(script, head)| {
            let from = Arc::clone(&local);
            Source { script, head, from, is_stored: false }
        }));
    }
    sources
}

/// Reads the manifests of all active revisions and has them served, some at a time, so that no more than these are held
/// twice. One that cannot be read is left to the sweep. Answers how many are served.
async fn apply_all(
    shared: &Arc<Shared>,
    controller: &Addr<Controller>,
    sources: Vec<Source>,
) -> Result<usize, StartError> {
    let prepared =
        stream::iter(sources).map(|source| prepare_one(shared, source)).buffer_unordered(READ_AT_ONCE);
    let mut chunks = pin!(prepared.filter_map(|prepared| async { prepared }).chunks(APPLY_AT_ONCE));
    let mut applied = 0;
    while let Some(chunk) = chunks.next().await {
        applied += chunk.len();
        controller.send(ApplyAll(chunk)).await.map_err(|_| StartError::Stopped)?;
    }
    Ok(applied)
}

async fn prepare_one(shared: &Shared, Source { script, head, from, .. }: Source) -> Option<Prepared> {
    match prepare(shared, &*from, &script, head, Depth::Manifest).await {
        Ok(prepared) => Some(prepared),
        Err(failure) => {
            shared.not_served(&script, &failure);
            Event::ScriptRejected { script: &script, code: failure.code, detail: &failure.detail }.tell();
            None
        }
    }
}
