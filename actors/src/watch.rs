//! Storage: the actor that watches the store for what other nodes did, one a node.
//!
//! Invariant: switches are looked at before scripts, and a script that takes long holds up nobody else. A
//! store that is down changes nothing but the waiting time, and is told of once.
//! Not here: what a change means (`controller`, `supervisor`), how a store finds changes (`storage`).

mod audit;
mod follow;

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::fut::wrap_future;
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use tokio::sync::Mutex;

use self::follow::Follow;
use crate::controller::Controller;
use crate::error::StoreError;
use crate::events::Event;
use crate::fleet;
use crate::node::Shared;
use crate::storage::{Change, Cursor, Store};
use crate::supervisor::Supervisor;
use crate::verdicts;
use crate::vital::Vital;
use crate::who::unix_ms;

pub use self::audit::Audit;

/// How often is kept on the disk that the node is in step: whoever starts from it says how old it is.
const KEEP: Duration = Duration::from_secs(10);
/// How long one round may take.
const ROUND_WAIT: Duration = Duration::from_secs(10);

/// The actor.
pub struct Storage {
    _vital: Vital,
    store: Arc<dyn Store>,
    follow: Arc<Follow>,
    watch: Arc<Mutex<Watch>>,
}

struct Watch {
    follow: Arc<Follow>,
    /// How far the feed was read; nothing while the store was never reached.
    cursor: Option<Cursor>,
    poll: Duration,
    sweep: Duration,
    /// When all heads were looked at; nothing if that is due.
    swept: Option<Instant>,
    /// When it was kept that the node is in step.
    kept: Option<Instant>,
    failures: u32,
}

/// What the start of the node left to the watch.
pub(crate) struct Left {
    /// How far the feed was read; nothing while the store was never reached.
    pub(crate) cursor: Option<Cursor>,
    /// Whether all of the store was read; otherwise the watch begins with a sweep.
    pub(crate) whole: bool,
    /// The share of broken scripts that is borne, for a node whose start knew of no script: it is warmed after the
    /// first sweep.
    pub(crate) cold: Option<u8>,
}

impl Storage {
    /// A watch that goes on from where the start came to.
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Arc<dyn Store>,
        controller: Addr<Controller>,
        supervisor: Addr<Supervisor>,
        Left { cursor, whole, cold }: Left,
        (poll, sweep): (Duration, Duration),
    ) -> Self {
        let follow = Arc::new(Follow::new(shared, Arc::clone(&store), controller, supervisor, cold));
        let watch = Watch {
            follow: Arc::clone(&follow),
            failures: u32::from(cursor.is_none()),
            cursor,
            poll,
            sweep,
            swept: whole.then(Instant::now),
            kept: None,
        };
        Self { _vital: Vital("storage"), store, follow, watch: Arc::new(Mutex::new(watch)) }
    }
}

impl Actor for Storage {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        ctx.spawn(wrap_future(beats(Arc::clone(&self.follow))));
        let watch = Arc::clone(&self.watch);
        ctx.spawn(wrap_future(async move {
            // What a start without the store could not read is read as soon as may be.
            let mut wait = match watch.lock().await.cursor {
                Some(_) => None,
                None => Some(Duration::ZERO),
            };
            loop {
                let pause = watch.lock().await.pause(uuid::Uuid::new_v4().as_u64_pair().0);
                tokio::time::sleep(wait.take().unwrap_or(pause)).await;
                // What went wrong was told, and decides how long the next pause is.
                let _ = watch.lock().await.round().await;
            }
        }));
    }
}

/// Makes the node known to the others, again and again.
async fn beats(follow: Arc<Follow>) {
    loop {
        let beat = follow.shared.fleet.beat(&*follow.store);
        if let Ok(Err(error)) = tokio::time::timeout(ROUND_WAIT, beat).await {
            tracing::debug!(%error, "this node could not make itself known");
        }
        tokio::time::sleep(fleet::BEAT).await;
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
        let now = unix_ms();
        let (changes, next) = self.follow.store.changes(&self.cursor.unwrap_or_default()).await?;
        // What happened while the store was away may have fallen out of the feed.
        let sweep = self.failures > 0
            || self.cursor.is_none()
            || self.swept.is_none_or(|at| at.elapsed() >= self.sweep);
        if sweep {
            self.follow.everything().await?;
            self.swept = Some(Instant::now());
        } else {
            self.follow.these(changes).await?;
        }
        self.follow.shared.progress.set_in_step(now);
        if sweep || self.kept.is_none_or(|at| at.elapsed() >= KEEP) {
            self.follow.store.keep_in_step();
            self.kept = Some(Instant::now());
        }
        self.cursor = Some(next);
        Ok(())
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

/// Another node: these changed. Answered when the store was asked about them.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(), StoreError>")]
pub struct Hinted(pub Vec<Change>);

impl Handler<Hinted> for Storage {
    type Result = ResponseFuture<Result<(), StoreError>>;

    fn handle(&mut self, Hinted(changes): Hinted, _: &mut Self::Context) -> Self::Result {
        let follow = Arc::clone(&self.follow);
        Box::pin(async move {
            let taken = tokio::time::timeout(ROUND_WAIT, follow.these(changes)).await;
            taken.unwrap_or_else(|_| Err(StoreError::unavailable("it did not answer in time")))
        })
    }
}
