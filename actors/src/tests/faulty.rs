//! A store that fails when it is told to.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quotas::scope::{RevisionNumber, Scope, ScriptId};

use super::kit::ana;
use crate::error::StoreError;
use crate::storage::{
    AuditEntry, Change, Claimed, Commit, Committed, ContentHash, ContentKind, Cursor, DeployId, Embedded,
    Head, Move, NodeRow, QuotaRow, Revision, Seen, Store, SwitchRow, Switched, TokenRow,
};

/// A store that fails when it is told to.
pub(super) struct Faulty {
    inner: Embedded,
    pub(super) down: AtomicBool,
    /// A bit of every unit that is read is wrong.
    pub(super) flips: AtomicBool,
    /// How many commits are to be beaten by a rival.
    pub(super) rivals: AtomicU32,
}

impl Faulty {
    pub(super) fn new(inner: Embedded) -> Self {
        Self { inner, down: AtomicBool::new(false), flips: AtomicBool::new(false), rivals: AtomicU32::new(0) }
    }

    fn up(&self) -> Result<&Embedded, StoreError> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(StoreError::unavailable("a test took it down")),
            false => Ok(&self.inner),
        }
    }

    /// Moves a script on, as another node would.
    async fn rival(&self, script: &ScriptId) -> Result<(), StoreError> {
        let head = self.inner.head(script).await?;
        let Some(head) = head else { return Ok(()) };
        let commit = Commit {
            script: script.clone(),
            expected_seq: head.seq,
            deploy: DeployId::new_v4(),
            active: head.active,
            revision: None,
            deleted: head.deleted,
            audit: ana().entry("revision.activate", Scope::Script(script.clone()), None),
        };
        self.inner.commit(&commit).await.map(drop)
    }
}

#[async_trait]
impl Store for Faulty {
    async fn put_content(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        self.up()?.put_content(kind, key, bytes).await
    }
    async fn content(&self, kind: &ContentKind, key: ContentHash) -> Result<Option<Bytes>, StoreError> {
        let found = self.up()?.content(kind, key).await?;
        let flips = self.flips.load(Ordering::SeqCst) && matches!(kind, ContentKind::Unit { .. });
        Ok(found.map(|bytes| match flips {
            true => {
                let mut wrong = bytes.to_vec();
                let last = wrong.len() - 1;
                wrong[last] ^= 1;
                wrong.into()
            }
            false => bytes,
        }))
    }
    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError> {
        let take = |left: u32| left.checked_sub(1);
        if self.rivals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, take).is_ok() {
            self.rival(&commit.script).await?;
        }
        self.up()?.commit(commit).await
    }
    async fn head(&self, script: &ScriptId) -> Result<Option<Head>, StoreError> {
        self.up()?.head(script).await
    }
    async fn heads(&self) -> Result<Vec<(ScriptId, Head)>, StoreError> {
        self.up()?.heads().await
    }
    async fn revision(
        &self,
        script: &ScriptId,
        number: RevisionNumber,
    ) -> Result<Option<Revision>, StoreError> {
        self.up()?.revision(script, number).await
    }
    async fn revisions(
        &self,
        script: &ScriptId,
        before: Option<RevisionNumber>,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.up()?.revisions(script, before, limit).await
    }
    async fn claim_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<Claimed, StoreError> {
        self.up()?.claim_routes(script, patterns).await
    }
    async fn release_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<(), StoreError> {
        self.up()?.release_routes(script, patterns).await
    }
    async fn put_switch(
        &self,
        row: &SwitchRow,
        seen: Seen<'_>,
        audit: &AuditEntry,
    ) -> Result<Switched, StoreError> {
        self.up()?.put_switch(row, seen, audit).await
    }
    async fn switches(&self) -> Result<Vec<SwitchRow>, StoreError> {
        self.up()?.switches().await
    }
    async fn put_token(&self, row: &TokenRow, audit: &AuditEntry) -> Result<(), StoreError> {
        self.up()?.put_token(row, audit).await
    }
    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.up()?.tokens().await
    }
    async fn put_quota(&self, row: &QuotaRow, audit: &AuditEntry) -> Result<bool, StoreError> {
        self.up()?.put_quota(row, audit).await
    }
    async fn quotas(&self) -> Result<Vec<QuotaRow>, StoreError> {
        self.up()?.quotas().await
    }
    async fn lease(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        self.up()?.lease(kind, key, node, time).await
    }
    async fn release_lease(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
    ) -> Result<(), StoreError> {
        self.up()?.release_lease(kind, key, node).await
    }
    async fn steps(&self, script: &ScriptId, after: u64, limit: usize) -> Result<Vec<Move>, StoreError> {
        self.up()?.steps(script, after, limit).await
    }
    async fn put_node(&self, node: &NodeRow, time: Duration) -> Result<(), StoreError> {
        self.up()?.put_node(node, time).await
    }
    async fn drop_node(&self, name: &str) -> Result<(), StoreError> {
        self.up()?.drop_node(name).await
    }
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.up()?.nodes().await
    }
    async fn note(&self, audit: &AuditEntry) -> Result<(), StoreError> {
        self.up()?.note(audit).await
    }

    async fn audit(&self, script: Option<&ScriptId>, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        self.up()?.audit(script, limit).await
    }
    async fn changes(&self, since: &Cursor) -> Result<(Vec<Change>, Cursor), StoreError> {
        self.up()?.changes(since).await
    }
    async fn let_go(&self) -> Result<(), StoreError> {
        self.up()?.let_go().await
    }
    async fn take_back(&self) -> Result<(), StoreError> {
        self.up()?.take_back().await
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.up()?.ping().await
    }
}
