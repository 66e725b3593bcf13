//! The mirror: what this node serves, kept on its own disk beside a shared store.
//!
//! Invariant: the store decides and the mirror only remembers: heads are kept when they are served, contents
//! when they were read or written, in that order, so that a head on the disk has what it needs. A mirror that
//! cannot be written costs a later start without the store, and nothing else.
//! Not here: what a node does with what was kept (`node::start`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quotas::scope::{RevisionNumber, ScriptId};
use tokio::sync::mpsc;

use super::embedded::{Embedded, Keep};
use super::records::{
    AuditEntry, Change, Claimed, Commit, Committed, ContentHash, ContentKind, Cursor, Head, Move, NodeRow,
    QuotaRow, Revision, Seen, SwitchRow, Switched, TokenRow,
};
use super::store::{Kept, Store};
use crate::error::StoreError;
use crate::events::Event;
use crate::who::unix_ms;

/// How much may wait to be written; who has more to keep waits.
const QUEUE: usize = 256;
/// How much is written at one time, about, in bytes.
const BATCH: usize = 4 * 1024 * 1024;

/// A shared store with a mirror of what this node serves.
pub struct Mirror {
    store: Arc<dyn Store>,
    local: Embedded,
    queue: mpsc::Sender<Keep>,
}

impl Mirror {
    /// A mirror in this directory. It is written by a task of the runtime that this is called on.
    ///
    /// # Errors
    /// The directory cannot be used, or another process has it.
    pub async fn open(store: Arc<dyn Store>, directory: &Path) -> Result<Self, StoreError> {
        let local = Embedded::open(directory).await?;
        // A file that grew by what is no longer served shrinks by it once a start.
        local.drop_unused().await?;
        let (queue, kept) = mpsc::channel(QUEUE);
        tokio::spawn(write(local.clone(), kept));
        Ok(Self { store, local, queue })
    }

    /// Whether there is anything in this directory to start from.
    pub fn is_in(directory: &Path) -> bool {
        Embedded::is_in(directory)
    }

    async fn remember(&self, keep: Keep) {
        // Whoever writes it ends with the process.
        let _ = self.queue.send(keep).await;
    }

    /// The same for who cannot wait.
    fn remember_later(&self, keep: Keep) {
        if let Err(mpsc::error::TrySendError::Full(keep)) = self.queue.try_send(keep) {
            let queue = self.queue.clone();
            tokio::spawn(async move { queue.send(keep).await });
        }
    }
}

/// Writes what is to be kept, as much at one time as has come.
async fn write(local: Embedded, mut queue: mpsc::Receiver<Keep>) {
    let mut failed = false;
    while let Some(first) = queue.recv().await {
        let mut size = first.size();
        let mut batch = vec![first];
        while size < BATCH
            && let Ok(next) = queue.try_recv()
        {
            size += next.size();
            batch.push(next);
        }
        match local.keep(batch).await {
            Ok(()) => failed = false,
            // Told once, until it is well again.
            Err(error) if !failed => {
                failed = true;
                Event::MirrorFailed { code: error.code(), detail: &error.to_string() }.tell();
            }
            Err(_) => {}
        }
    }
}

#[async_trait]
impl Store for Mirror {
    async fn put_content(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        self.store.put_content(kind, key, bytes.clone()).await?;
        self.remember(Keep::Content(kind.clone(), key, bytes)).await;
        Ok(())
    }

    async fn content(&self, kind: &ContentKind, key: ContentHash) -> Result<Option<Bytes>, StoreError> {
        // Its key says what it is, whoever kept it; who reads it checks that.
        if let Ok(Some(bytes)) = self.local.content(kind, key).await {
            return Ok(Some(bytes));
        }
        self.refetch(kind, key).await
    }

    async fn refetch(&self, kind: &ContentKind, key: ContentHash) -> Result<Option<Bytes>, StoreError> {
        let found = self.store.content(kind, key).await?;
        if let Some(bytes) = &found {
            self.remember(Keep::Content(kind.clone(), key, bytes.clone())).await;
        }
        Ok(found)
    }

    async fn lease(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        self.store.lease(kind, key, node, time).await
    }

    async fn release_lease(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
    ) -> Result<(), StoreError> {
        self.store.release_lease(kind, key, node).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError> {
        // A store that lost scripts counts their steps from the beginning again; who serves later ones would never
        // take them.
        let kept = self.local.head(&commit.script).await;
        let known = kept.ok().flatten().map_or(0, |head| head.seq);
        self.store.commit_after(commit, known).await
    }

    async fn head(&self, script: &ScriptId) -> Result<Option<Head>, StoreError> {
        self.store.head(script).await
    }

    async fn heads(&self) -> Result<Vec<(ScriptId, Head)>, StoreError> {
        self.store.heads().await
    }

    async fn revision(
        &self,
        script: &ScriptId,
        number: RevisionNumber,
    ) -> Result<Option<Revision>, StoreError> {
        self.store.revision(script, number).await
    }

    async fn revisions(
        &self,
        script: &ScriptId,
        before: Option<RevisionNumber>,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.store.revisions(script, before, limit).await
    }

    async fn claim_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<Claimed, StoreError> {
        self.store.claim_routes(script, patterns).await
    }

    async fn release_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<(), StoreError> {
        self.store.release_routes(script, patterns).await
    }

    async fn put_switch(
        &self,
        row: &SwitchRow,
        seen: Seen<'_>,
        audit: &AuditEntry,
    ) -> Result<Switched, StoreError> {
        self.store.put_switch(row, seen, audit).await
    }

    async fn switches(&self) -> Result<Vec<SwitchRow>, StoreError> {
        self.store.switches().await
    }

    async fn put_token(&self, row: &TokenRow, audit: &AuditEntry) -> Result<(), StoreError> {
        self.store.put_token(row, audit).await
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        match self.store.tokens().await {
            Ok(rows) => {
                self.remember(Keep::Tokens(rows.clone())).await;
                Ok(rows)
            }
            // Who could come in before still can: switches are flipped most when all else is down.
            Err(error @ StoreError::Unavailable { .. }) => match self.local.tokens().await {
                Ok(rows) if !rows.is_empty() => Ok(rows),
                _ => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    async fn put_quota(&self, row: &QuotaRow, audit: &AuditEntry) -> Result<bool, StoreError> {
        self.store.put_quota(row, audit).await
    }

    async fn quotas(&self) -> Result<Vec<QuotaRow>, StoreError> {
        let rows = self.store.quotas().await?;
        self.remember(Keep::Quotas(rows.clone())).await;
        Ok(rows)
    }

    async fn note(&self, audit: &AuditEntry) -> Result<(), StoreError> {
        self.store.note(audit).await
    }

    async fn audit(&self, script: Option<&ScriptId>, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.store.audit(script, limit).await
    }

    async fn changes(&self, since: &Cursor) -> Result<(Vec<Change>, Cursor), StoreError> {
        self.store.changes(since).await
    }

    async fn steps(&self, script: &ScriptId, after: u64, limit: usize) -> Result<Vec<Move>, StoreError> {
        self.store.steps(script, after, limit).await
    }

    async fn put_node(&self, node: &NodeRow, time: Duration) -> Result<(), StoreError> {
        self.store.put_node(node, time).await
    }

    async fn drop_node(&self, name: &str) -> Result<(), StoreError> {
        self.store.drop_node(name).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.store.nodes().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }

    async fn let_go(&self) -> Result<(), StoreError> {
        self.store.let_go().await?;
        self.local.let_go().await
    }

    async fn take_back(&self) -> Result<(), StoreError> {
        self.local.take_back().await?;
        self.store.take_back().await
    }

    async fn kept(&self) -> Option<Kept> {
        let (heads, at_ms) = tokio::join!(self.local.heads(), self.local.kept_at());
        let heads = heads.ok().filter(|heads| !heads.is_empty())?;
        Some(Kept { heads, at_ms: at_ms.unwrap_or(0), local: Arc::new(self.local.clone()) })
    }

    fn keep(&self, script: &ScriptId, head: &Head, revision: Option<Revision>) {
        self.remember_later(Keep::Head(script.clone(), head.clone(), revision));
    }

    fn keep_in_step(&self) {
        self.remember_later(Keep::InStep(unix_ms()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_copy_that_is_no_good_is_fetched_again_from_the_store() {
        let (shared, near) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let store = Arc::new(Embedded::open(shared.path()).await.unwrap());
        let (kind, key) = (ContentKind::Bundle, ContentHash::of(b"good"));
        store.put_content(&kind, key, Bytes::from_static(b"good")).await.unwrap();
        let mirror = Mirror::open(store, near.path()).await.unwrap();
        let copy = Keep::Content(kind.clone(), key, Bytes::from_static(b"no good"));
        mirror.local.keep(vec![copy]).await.unwrap();
        assert_eq!(mirror.content(&kind, key).await.unwrap().unwrap(), "no good");
        assert_eq!(mirror.refetch(&kind, key).await.unwrap().unwrap(), "good");
    }
}
