//! The start of a node: journal, switches, heads, and only then an answer.

use std::collections::HashMap;
use std::future::Future;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use actix::Actor;
use arc_swap::ArcSwap;
use futures_util::{StreamExt, stream};
use quotas::guards::NodeGuard;
use quotas::switches::Board;

use super::{Node, NodeConfig, Shared};
use crate::controller::{ApplyAll, Controller, Depth, prepare};
use crate::error::{StartError, StoreError};
use crate::events::Event;
use crate::journal::Journal;
use crate::lane::LaneRegistry;
use crate::routes::Routes;
use crate::storage::{Cursor, Head, Store, SwitchRow};
use crate::supervisor::Supervisor;
use crate::units::Units;
use crate::verdicts;
use crate::watch::Storage;

/// How long the store may take for one answer while the node starts.
const STORE_WAIT: Duration = Duration::from_secs(10);
/// How many scripts are read at once.
const READ_AT_ONCE: usize = 8;
/// How many units are loaded at once before anybody asks for them.
const WARM_AT_ONCE: usize = 2;

pub(super) async fn start(config: NodeConfig, store: Arc<dyn Store>) -> Result<Node, StartError> {
    let units = Units::new(Arc::clone(&store), config.compiler, config.keys, config.cache);
    let units = Arc::new(units.map_err(StartError::Store)?);
    let classes: HashMap<_, _> = config.classes.into_iter().collect();
    let shared = Arc::new(Shared {
        name: config.name.into(),
        routes: ArcSwap::from_pointee(Routes::default()),
        board: ArcSwap::from_pointee(Board::default()),
        node: NodeGuard::new(&config.policy, &classes, RandomState::new()),
        lanes: LaneRegistry::default(),
        units,
        policy: config.policy,
        services: config.services,
        loaded: AtomicBool::new(false),
        tokens: AtomicU64::new(0),
    });

    let path = config.journal;
    let opened = tokio::task::spawn_blocking({
        let path = path.clone();
        move || Journal::open(&path)
    });
    let opened = opened.await.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    let (journal, replayed) = opened.map_err(|source| StartError::Journal { path, source })?;
    if replayed.damaged > 0 {
        Event::JournalDamaged { lines: replayed.damaged }.tell();
    }

    // The cursor comes first, so that what changes while the rest is read is told by the feed.
    let read = answer(async {
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

    let rows = verdicts::newest(replayed.rows.iter().chain(&stored).cloned());
    let unstored: Vec<SwitchRow> = rows.values().filter(|row| !stored.contains(row)).cloned().collect();
    let supervisor =
        Supervisor::new(Arc::clone(&shared), Arc::clone(&store), journal, rows, unstored, config.restarts);
    // In force before anything else runs, and before the actor's first message.
    supervisor.publish();
    let supervisor = supervisor.start();
    let controller = Controller::new(Arc::clone(&shared), Arc::clone(&store)).start();
    let mut whole = false;
    if let Some(heads) = heads {
        let scripts = heads.len();
        let prepared = prepare_all(&shared, &store, heads).await;
        whole = prepared.len() == scripts;
        controller.send(ApplyAll(prepared)).await.map_err(|_| StartError::Stopped)?;
        shared.set_loaded();
    }
    warm(&shared);
    let storage = Storage::new(
        Arc::clone(&shared),
        Arc::clone(&store),
        controller.clone(),
        supervisor.clone(),
        cursor,
        whole,
        (config.poll, config.sweep),
    );
    Ok(Node { shared, store, controller, supervisor, storage: storage.start() })
}

async fn answer<T>(asked: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STORE_WAIT, asked)
        .await
        .unwrap_or_else(|_| Err(StoreError::unavailable("it did not answer in time")))
}

/// Reads the manifests of all active revisions. One that cannot be read is left to the sweep.
async fn prepare_all(
    shared: &Arc<Shared>,
    store: &Arc<dyn Store>,
    heads: Vec<(quotas::scope::ScriptId, Head)>,
) -> Vec<crate::controller::Prepared> {
    stream::iter(heads)
        .map(|(script, head)| async move {
            match prepare(shared, &**store, &script, head, Depth::Manifest).await {
                Ok(prepared) => Some(prepared),
                Err(failure) => {
                    Event::ScriptRejected { script: &script, code: failure.code, detail: &failure.detail }
                        .tell();
                    None
                }
            }
        })
        .buffer_unordered(READ_AT_ONCE)
        .filter_map(|prepared| async { prepared })
        .collect()
        .await
}

/// Loads units in the background, so that few first calls find theirs cold.
fn warm(shared: &Arc<Shared>) {
    let routes = shared.routes.load_full();
    let units = Arc::clone(&shared.units);
    actix_rt::spawn(async move {
        let mut seen = std::collections::HashSet::new();
        let cold = routes.iter().filter(|entry| seen.insert(entry.bundle));
        let mut loads = stream::iter(cold)
            .map(|entry| {
                let units = &units;
                async move { (entry, units.load(&entry.unit).await) }
            })
            .buffer_unordered(WARM_AT_ONCE);
        while let Some((entry, loaded)) = loads.next().await {
            if let Err(failure) = loaded {
                let script = &entry.id.script;
                Event::ScriptRejected { script, code: failure.code, detail: &failure.detail }.tell();
            }
        }
    });
}
