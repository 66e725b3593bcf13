//! Storage: the actor that watches the store for what other nodes did, one a node.
//!
//! Invariant: switches are looked at before scripts, and a script that takes long holds up nobody else. A
//! store that is down changes nothing but the waiting time, and is told of once.
//! Not here: what a change means (`controller`, `supervisor`), how a store finds changes (`storage`).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use quotas::scope::{Scope, ScriptId, TeamName};
use tokio::sync::{Mutex, Semaphore};

use crate::controller::{Controller, Seen};
use crate::error::StoreError;
use crate::events::Event;
use crate::node::Shared;
use crate::storage::store::READ_MAX;
use crate::storage::{AuditEntry, Change, Cursor, Head, Store};
use crate::supervisor::{Merge, Supervisor};
use crate::verdicts;

/// How many scripts are brought up to date at once.
const SCRIPTS_AT_ONCE: usize = 4;
/// How long one round may take.
const ROUND_WAIT: Duration = Duration::from_secs(10);

/// The actor.
pub struct Storage {
    store: Arc<dyn Store>,
    watch: Arc<Mutex<Watch>>,
}

struct Watch {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    controller: Addr<Controller>,
    supervisor: Addr<Supervisor>,
    scripts: Arc<Semaphore>,
    /// How far the feed was read; nothing while the store was never reached.
    cursor: Option<Cursor>,
    poll: Duration,
    sweep: Duration,
    /// When all heads were looked at; nothing if that is due.
    swept: Option<Instant>,
    failures: u32,
}

impl Storage {
    /// A watch that goes on from `cursor`; unless the start read the `whole` store, it begins with a sweep.
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        controller: Addr<Controller>,
        supervisor: Addr<Supervisor>,
        cursor: Option<Cursor>,
        whole: bool,
        (poll, sweep): (Duration, Duration),
    ) -> Self {
        let watch = Watch {
            shared,
            store: Arc::clone(&store),
            controller,
            supervisor,
            scripts: Arc::new(Semaphore::new(SCRIPTS_AT_ONCE)),
            failures: u32::from(cursor.is_none()),
            cursor,
            poll,
            sweep,
            swept: whole.then(Instant::now),
        };
        Self { store, watch: Arc::new(Mutex::new(watch)) }
    }
}

impl Actor for Storage {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let watch = Arc::clone(&self.watch);
        ctx.spawn(wrap_future(async move {
            loop {
                let wait = watch.lock().await.pause(uuid::Uuid::new_v4().as_u64_pair().0);
                tokio::time::sleep(wait).await;
                // What went wrong was told, and decides how long the next pause is.
                let _ = watch.lock().await.round().await;
            }
        }));
    }
}

impl Watch {
    fn pause(&self, chance: u64) -> Duration {
        match self.failures {
            0 => verdicts::jittered(self.poll, chance),
            failures => verdicts::jittered(verdicts::backoff(failures), chance),
        }
    }

    async fn round(&mut self) -> Result<(), StoreError> {
        let done = tokio::time::timeout(ROUND_WAIT, self.look()).await;
        let done = done.unwrap_or_else(|_| Err(StoreError::unavailable("it did not answer in time")));
        match &done {
            Ok(()) if self.failures > 0 => {
                Event::StoreFound { attempts: self.failures }.tell();
                self.failures = 0;
            }
            Ok(()) => {}
            Err(error) => {
                if self.failures == 0 {
                    Event::StoreLost { code: error.code(), detail: &error.to_string() }.tell();
                }
                self.failures = self.failures.saturating_add(1);
            }
        }
        done
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        let (changes, next) = self.store.changes(&self.cursor.unwrap_or_default()).await?;
        // What happened while the store was away may have fallen out of the feed.
        let sweep = self.failures > 0
            || self.cursor.is_none()
            || self.swept.is_none_or(|at| at.elapsed() >= self.sweep);
        let switched = changes.iter().any(|change| matches!(change, Change::Switch(_)));
        if sweep || switched {
            // An actor that stops takes no more; so does the node.
            let _ = self.supervisor.send(Merge(self.store.switches().await?)).await;
        }
        if sweep || changes.contains(&Change::Tokens) {
            self.shared.count_tokens();
        }
        if sweep {
            for (script, head) in self.store.heads().await? {
                self.bring(script, head);
            }
            self.swept = Some(Instant::now());
            self.shared.set_loaded();
        } else {
            let scripts: HashSet<_> = changes
                .into_iter()
                .filter_map(|change| match change {
                    Change::Script(script, _) => Some(script),
                    Change::Switch(_) | Change::Tokens => None,
                })
                .collect();
            for script in scripts {
                if let Some(head) = self.store.head(&script).await? {
                    self.bring(script, head);
                }
            }
        }
        self.cursor = Some(next);
        Ok(())
    }

    /// Has a script brought up to date in the background.
    fn bring(&self, script: ScriptId, head: Head) {
        let (controller, turns) = (self.controller.clone(), Arc::clone(&self.scripts));
        actix_rt::spawn(async move {
            if let Ok(_turn) = turns.acquire().await {
                let _ = controller.send(Seen { script, head }).await;
            }
        });
    }
}

/// Anybody: look at the store now, and answer when it was looked at.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Look;

impl Handler<Look> for Storage {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, _: Look, _: &mut Self::Context) -> Self::Result {
        let watch = Arc::clone(&self.watch);
        Box::pin(async move { watch.lock().await.round().await })
    }
}

/// The admin door: who did what, newest first.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Vec<AuditEntry>, StoreError>")]
pub struct Audit {
    /// Only of this script.
    pub script: Option<ScriptId>,
    /// Only of this team, among the newest thousand.
    pub team: Option<TeamName>,
    /// How many at most.
    pub limit: usize,
}

impl Handler<Audit> for Storage {
    type Result = ResponseFuture<Result<Vec<AuditEntry>, StoreError>>;

    fn handle(&mut self, Audit { script, team, limit }: Audit, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            let read = if team.is_some() { READ_MAX } else { limit };
            let mut entries = store.audit(script.as_ref(), read).await?;
            if let Some(team) = &team {
                entries.retain(|entry| {
                    Scope::parse(&entry.subject).is_ok_and(|scope| team_of(&scope) == Some(team))
                });
            }
            entries.truncate(limit);
            Ok(entries)
        })
    }
}

fn team_of(scope: &Scope) -> Option<&TeamName> {
    match scope {
        Scope::Team(team) => Some(team),
        Scope::Script(script) => Some(&script.team),
        Scope::Endpoint(endpoint) => Some(endpoint.team()),
        Scope::Revision(revision) => Some(&revision.script.team),
        Scope::All | Scope::Class(_) | Scope::Service(_) => None,
    }
}
