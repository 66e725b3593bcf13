//! Following: bringing this node to where the store stands, one change at a time or all of it.
//!
//! Invariant: a script that takes long, or whose row cannot be read, holds up nobody else.
//! Not here: when to look (`watch`).

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix::Addr;
use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use quotas::scope::ScriptId;
use tokio::sync::Semaphore;

use crate::controller::{Controller, Heads, MergeQuotas, Seen};
use crate::error::StoreError;
use crate::events::Event;
use crate::node::{Shared, warm};
use crate::storage::{Change, Head, Store};
use crate::supervisor::{Merge, Supervisor};

/// How many scripts are brought up to date at once.
const SCRIPTS_AT_ONCE: usize = 4;
/// How many heads are read at once.
const HEADS_AT_ONCE: usize = 8;
/// How many lost scripts are counted; more make no difference to who has to act.
const MISSING_MAX: usize = 100;

/// Brings the node to where the store stands.
pub(super) struct Follow {
    pub(super) shared: Arc<Shared>,
    pub(super) store: Arc<dyn Store>,
    controller: Addr<Controller>,
    supervisor: Addr<Supervisor>,
    scripts: Arc<Semaphore>,
    /// The steps that were brought since the last sweep: the feed tells of a change more than once.
    brought: Arc<Mutex<HashMap<ScriptId, u64>>>,
    /// The share of broken scripts that is borne, until the node is warmed; nothing when the start saw to that.
    cold: Mutex<Option<u8>>,
}

impl Follow {
    pub(super) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        controller: Addr<Controller>,
        supervisor: Addr<Supervisor>,
        cold: Option<u8>,
    ) -> Self {
        let cold = Mutex::new(cold);
        let scripts = Arc::new(Semaphore::new(SCRIPTS_AT_ONCE));
        Self { shared, store, controller, supervisor, scripts, brought: Arc::default(), cold }
    }

    /// Takes what the store says of everything.
    pub(super) async fn everything(&self) -> Result<(), StoreError> {
        self.switches().await?;
        self.quotas().await?;
        self.shared.count_tokens();
        let heads = self.store.heads().await?;
        self.alarm_if_missing(&heads).await;
        brought(&self.brought).clear();
        let brought: Vec<_> = heads.into_iter().map(|(script, head)| self.bring(script, head)).collect();
        // A start that knew of no script is whole only now.
        if let Some(broken_percent) = self.cold.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let shared = Arc::clone(&self.shared);
            actix_rt::spawn(async move {
                join_all(brought).await;
                warm(shared, broken_percent).await;
            });
        }
        Ok(())
    }

    /// Takes what the store says of these.
    pub(super) async fn these(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        if changes.iter().any(|change| matches!(change, Change::Switch(_))) {
            self.switches().await?;
        }
        if changes.iter().any(|change| matches!(change, Change::Quota(_))) {
            self.quotas().await?;
        }
        if changes.contains(&Change::Tokens) {
            self.shared.count_tokens();
        }
        let scripts: HashSet<ScriptId> =
            changes.into_iter().filter_map(|change| self.is_news(change)).collect();
        let mut heads = stream::iter(scripts)
            .map(|script| async { (self.store.head(&script).await, script) })
            .buffer_unordered(HEADS_AT_ONCE);
        while let Some((head, script)) = heads.next().await {
            match head {
                Ok(Some(head)) => drop(self.bring(script, head)),
                Ok(None) => {}
                Err(error @ StoreError::Corrupt { .. }) => {
                    Event::RowRejected { detail: &error.to_string(), code: error.code() }.tell();
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn switches(&self) -> Result<(), StoreError> {
        // An actor that stops takes no more; so does the node.
        let _ = self.supervisor.send(Merge(self.store.switches().await?)).await;
        Ok(())
    }

    async fn quotas(&self) -> Result<(), StoreError> {
        let _ = self.controller.send(MergeQuotas(self.store.quotas().await?)).await;
        Ok(())
    }

    /// The script that a change is about, if it was not brought so far already.
    fn is_news(&self, change: Change) -> Option<ScriptId> {
        let Change::Script(script, seq) = change else { return None };
        let is_old = brought(&self.brought).get(&script).is_some_and(|brought| *brought >= seq);
        (!is_old).then_some(script)
    }

    /// Has a script brought up to date in the background.
    fn bring(&self, script: ScriptId, head: Head) -> actix_rt::task::JoinHandle<()> {
        let (controller, turns) = (self.controller.clone(), Arc::clone(&self.scripts));
        let steps = Arc::clone(&self.brought);
        actix_rt::spawn(async move {
            let Ok(_turn) = turns.acquire().await else { return };
            let seq = head.seq;
            if controller.send(Seen { script: script.clone(), head }).await == Ok(true) {
                brought(&steps).insert(script, seq);
            }
        })
    }

    /// A store that lacks what is served, without a mark that it was taken away, has lost it, or is another
    /// one: what is served goes on, and somebody has to hear of it.
    async fn alarm_if_missing(&self, heads: &[(ScriptId, Head)]) {
        let Ok(served) = self.controller.send(Heads).await else { return };
        let stored: HashMap<&ScriptId, &Head> = heads.iter().map(|(script, head)| (script, head)).collect();
        let is_lost =
            |(script, head): &&(ScriptId, Head)| !head.deleted && lacks(stored.get(script).copied(), head);
        let mut missing = 0;
        for (script, head) in served.iter().filter(is_lost) {
            // It may have been deployed while the heads were read.
            let now = self.store.head(script).await;
            missing += usize::from(match now {
                Ok(now) => lacks(now.as_ref(), head),
                Err(_) => false,
            });
            if missing == MISSING_MAX {
                break;
            }
        }
        let before = self.shared.progress.set_missing(missing);
        if missing > 0 && missing != before {
            Event::ScriptsMissing { missing, served: served.len() }.tell();
        }
    }
}

/// Whether a store with this head never heard of that one, or forgot it: a step of the same number that another
/// deploy made was made by a store that began anew.
fn lacks(stored: Option<&Head>, served: &Head) -> bool {
    stored.is_none_or(|stored| {
        stored.seq < served.seq || (stored.seq == served.seq && stored.deploy != served.deploy)
    })
}

fn brought(steps: &Mutex<HashMap<ScriptId, u64>>) -> MutexGuard<'_, HashMap<ScriptId, u64>> {
    steps.lock().unwrap_or_else(PoisonError::into_inner)
}
