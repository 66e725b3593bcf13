//! The promises that every backend keeps.
//!
//! Invariant: no mutating method on heads, switches, quotas or tokens can be called without saying who does it: it
//! takes the audit entry.
//! Not here: how a backend does it (`embedded`, `scylla`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quotas::scope::{RevisionNumber, ScriptId};

use super::records::{
    AuditEntry, Change, Claimed, Commit, Committed, ContentHash, ContentKind, Cursor, Head, Move, NodeRow,
    QuotaRow, Revision, Seen, SwitchRow, Switched, TokenRow,
};
use crate::error::StoreError;

/// The largest content that a store takes.
pub const CONTENT_MAX: usize = 32 * 1024 * 1024;
/// The largest row (a revision's message and names, an audit entry, a switch, a token) that a store takes.
pub const ROW_MAX: usize = 64 * 1024;
/// The most rows that one reading method answers.
pub const READ_MAX: usize = 1000;

/// What a node keeps nearby.
#[derive(Clone)]
pub struct Kept {
    /// Where each script stood when the node served it.
    pub heads: Vec<(ScriptId, Head)>,
    /// When that was last compared with the store, in Unix milliseconds; zero for never.
    pub at_ms: u64,
    /// Has the revisions of these heads.
    pub local: Arc<dyn Store>,
}

/// Where revisions, switches, tokens and their history are kept.
#[async_trait]
pub trait Store: Send + Sync {
    /// Keeps a content under its key, before any revision names it. A bundle that is there already stays as
    /// it is; a unit is replaced, since it only repeats what its bundle says.
    async fn put_content(&self, kind: &ContentKind, key: ContentHash, bytes: Bytes)
    -> Result<(), StoreError>;

    /// The content under a key, checked against the checksum that was stored with it.
    async fn content(&self, kind: &ContentKind, key: ContentHash) -> Result<Option<Bytes>, StoreError>;

    /// The same from where it was first kept, when the copy at hand turned out to be no good; nothing where
    /// there is one copy only.
    async fn refetch(&self, _: &ContentKind, _: ContentHash) -> Result<Option<Bytes>, StoreError> {
        Ok(None)
    }

    /// Lets one node of a fleet at a time make a unit, for so long at most; whether it is this one's turn. A
    /// unit that is made twice all the same does no harm.
    async fn lease(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
        time: Duration,
    ) -> Result<bool, StoreError>;

    /// Gives the turn back for a unit that could not be made, so that the others need not wait to find out.
    async fn release_lease(&self, kind: &ContentKind, key: ContentHash, node: &str)
    -> Result<(), StoreError>;

    /// Moves a script's head, and adds its revision and audit entry, all or nothing, if the head still has
    /// the expected sequence number. The same deploy id sent again is answered as it was the first time.
    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError>;

    /// The same for who knows of a step of the script that the store has lost: the step that is made comes after
    /// that one, so that whoever serves that one takes it.
    async fn commit_after(&self, commit: &Commit, known: u64) -> Result<Committed, StoreError> {
        let _ = known;
        self.commit(commit).await
    }

    /// A script's head, after every commit that was acknowledged or is still being decided.
    async fn head(&self, script: &ScriptId) -> Result<Option<Head>, StoreError>;

    /// All heads, deleted ones too, for the sweep.
    async fn heads(&self) -> Result<Vec<(ScriptId, Head)>, StoreError>;

    /// One revision.
    async fn revision(
        &self,
        script: &ScriptId,
        number: RevisionNumber,
    ) -> Result<Option<Revision>, StoreError>;

    /// Up to `limit` revisions with lower numbers than `before`, newest first.
    async fn revisions(
        &self,
        script: &ScriptId,
        before: Option<RevisionNumber>,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError>;

    /// The revision, among the newest thousand, that was deployed with this idempotency key.
    async fn revision_by_key(&self, script: &ScriptId, key: &str) -> Result<Option<Revision>, StoreError> {
        let newest = self.revisions(script, None, READ_MAX).await?;
        Ok(newest.into_iter().find(|revision| revision.idempotency_key.as_deref() == Some(key)))
    }

    /// Claims canonical route patterns for a script: all of them, or none and the one that was taken. What the
    /// script has already stays its own. After an error some may be claimed: claim or release again.
    async fn claim_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<Claimed, StoreError>;

    /// Gives back those of the patterns that the script has.
    async fn release_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<(), StoreError>;

    /// Sets a switch, unless what is there stays: see [`SwitchRow::may_replace`].
    async fn put_switch(
        &self,
        row: &SwitchRow,
        seen: Seen<'_>,
        audit: &AuditEntry,
    ) -> Result<Switched, StoreError>;

    /// All switches, released ones too.
    async fn switches(&self) -> Result<Vec<SwitchRow>, StoreError>;

    /// Adds or changes a token. A token that is revoked stays as it is.
    async fn put_token(&self, row: &TokenRow, audit: &AuditEntry) -> Result<(), StoreError>;

    /// All tokens, revoked ones too.
    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError>;

    /// Sets a scope's quotas, unless what is there has as high a generation or a higher one; whether it is there
    /// now. After an error it may be.
    async fn put_quota(&self, row: &QuotaRow, audit: &AuditEntry) -> Result<bool, StoreError>;

    /// All quotas that were set, those that were taken back too.
    async fn quotas(&self) -> Result<Vec<QuotaRow>, StoreError>;

    /// Adds an entry to everyone's audit, for what is kept nowhere else: a quarantine.
    async fn note(&self, audit: &AuditEntry) -> Result<(), StoreError>;

    /// Up to `limit` audit entries, newest first: a script's, or everyone's.
    async fn audit(&self, script: Option<&ScriptId>, limit: usize) -> Result<Vec<AuditEntry>, StoreError>;

    /// What changed since the cursor, and the cursor for the next time. A hint: a change may be told more than
    /// once, out of order, or, after a crash or a long pause, not at all. The sweep of [`Store::heads`] repairs
    /// that.
    async fn changes(&self, since: &Cursor) -> Result<(Vec<Change>, Cursor), StoreError>;

    /// All steps of a script after this one, the oldest first, for a copy of the store.
    async fn steps(&self, script: &ScriptId, after: u64, limit: usize) -> Result<Vec<Move>, StoreError>;

    /// Makes a node known to the others for so long.
    async fn put_node(&self, node: &NodeRow, time: Duration) -> Result<(), StoreError>;

    /// Takes back a node that ends.
    async fn drop_node(&self, name: &str) -> Result<(), StoreError>;

    /// The nodes that made themselves known lately.
    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError>;

    /// Lets go of what only one process at a time can have, so that the next one can: from now on what needs it fails
    /// as unavailable. When this has returned, all that was acknowledged is where the next one finds it.
    async fn let_go(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Takes it back, when there is no next process after all.
    async fn take_back(&self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Whether the store answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// What this node keeps nearby of what it served, for a start without the store; nothing where the store
    /// itself is as near.
    async fn kept(&self) -> Option<Kept> {
        None
    }

    /// Keeps nearby that the node serves this of a script. Returns at once.
    fn keep(&self, _: &ScriptId, _: &Head, _: Option<Revision>) {}

    /// Keeps nearby that what is kept was just compared with the store. Returns at once.
    fn keep_in_step(&self) {}
}
