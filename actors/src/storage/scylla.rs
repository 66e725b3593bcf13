//! The store on ScyllaDB or Cassandra, for nodes that share one.
//!
//! Invariant: a script is one partition, which only conditional batches change; after any error of a
//! conditional write its outcome is unknown until a serial read says whose step it was.
//! Not here: one file per table family says the rest. The driver's types stay in this module.

mod asks;
mod claims;
mod config;
mod contents;
mod feed;
mod fleet;
mod flips;
mod found;
mod link;
mod schema;
mod scripts;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use quotas::scope::{RevisionNumber, ScriptId};
use tokio::time::Instant;

pub use self::config::{CqlConfig, CqlConsistency, CqlSerial};
use self::link::Links;
use super::moves;
use super::records::{
    AuditEntry, Change, Claimed, Commit, Committed, ContentHash, ContentKind, Cursor, Head, Move, NodeRow,
    QuotaRow, Revision, Seen, SwitchRow, Switched, TokenRow,
};
use super::store::Store;
use crate::error::StoreError;

/// The store on ScyllaDB or Cassandra.
pub struct Scylla {
    links: Links,
    /// A node decides one commit per script at a time: contending conditional writes only slow each other
    /// down. A script has a turn by its hash.
    turns: [tokio::sync::Mutex<()>; 64],
    /// How long one conditional step may be tried, reads and all.
    patience: Duration,
}

impl Scylla {
    /// Makes the keyspace and its tables, or brings them up to what this program needs. It only goes forward,
    /// may be run again, and refuses a newer schema. Run it from one place at a time.
    pub async fn migrate(config: &CqlConfig) -> Result<(), StoreError> {
        schema::migrate(config).await
    }

    /// Connects to a keyspace that was set up, or says within the configured time that it cannot. The
    /// connections are served by the runtime that this is called on, which has to outlive the store.
    pub async fn connect(config: CqlConfig) -> Result<Self, StoreError> {
        let patience = config.timeout * 4;
        Ok(Self::over(Links::open(config).await?, patience))
    }

    /// The same at once, connected as soon as the cluster can be reached; until then it does not answer. For a
    /// node that can serve from its mirror.
    pub fn connect_later(config: CqlConfig) -> Self {
        let patience = config.timeout * 4;
        Self::over(Links::open_later(config), patience)
    }

    fn over(links: Links, patience: Duration) -> Self {
        Self { links, turns: std::array::from_fn(|_| tokio::sync::Mutex::default()), patience }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }
}

#[async_trait]
impl Store for Scylla {
    async fn put_content(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        self.put_one_content(kind, key, &bytes).await
    }

    async fn content(&self, kind: &ContentKind, key: ContentHash) -> Result<Option<Bytes>, StoreError> {
        self.read_content(kind, key).await
    }

    async fn lease(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
        time: Duration,
    ) -> Result<bool, StoreError> {
        self.take_lease(kind, key, node, time).await
    }

    async fn release_lease(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        node: &str,
    ) -> Result<(), StoreError> {
        self.give_lease_back(kind, key, node).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError> {
        self.commit_after(commit, 0).await
    }

    async fn commit_after(&self, commit: &Commit, known: u64) -> Result<Committed, StoreError> {
        let committed = match self.commit_step(commit, known).await {
            Err(error @ StoreError::Unknown { .. }) => {
                let step = moves::next(commit, known);
                self.tell_of_unknown(Change::Script(commit.script.clone(), step));
                return Err(error);
            }
            done => done?,
        };
        if let Committed::Applied(head) = &committed {
            self.tell(&Change::Script(commit.script.clone(), head.seq)).await;
            self.feed_audit(&commit.audit).await;
        }
        Ok(committed)
    }

    async fn head(&self, script: &ScriptId) -> Result<Option<Head>, StoreError> {
        self.read_head(&script.to_string()).await
    }

    async fn heads(&self) -> Result<Vec<(ScriptId, Head)>, StoreError> {
        self.read_heads().await
    }

    async fn revision(
        &self,
        script: &ScriptId,
        number: RevisionNumber,
    ) -> Result<Option<Revision>, StoreError> {
        self.read_revision(script, number).await
    }

    async fn revisions(
        &self,
        script: &ScriptId,
        before: Option<RevisionNumber>,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        self.read_revisions(script, before, limit).await
    }

    async fn claim_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<Claimed, StoreError> {
        self.claim_all(script, patterns).await
    }

    async fn release_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<(), StoreError> {
        self.release_all(script, patterns).await
    }

    async fn put_switch(
        &self,
        row: &SwitchRow,
        seen: Seen<'_>,
        audit: &AuditEntry,
    ) -> Result<Switched, StoreError> {
        match self.flip(row, |present| row.may_replace(present, seen), audit).await? {
            Some(present) => Ok(Switched::Lost { present: Box::new(present) }),
            None => {
                self.tell(&Change::Switch(row.id())).await;
                self.feed_audit(audit).await;
                Ok(Switched::Kept)
            }
        }
    }

    async fn switches(&self) -> Result<Vec<SwitchRow>, StoreError> {
        self.read_flips().await
    }

    async fn put_token(&self, row: &TokenRow, audit: &AuditEntry) -> Result<(), StoreError> {
        if self.flip(row, |present| !present.revoked, audit).await?.is_none() {
            self.tell(&Change::Tokens).await;
            self.feed_audit(audit).await;
        }
        Ok(())
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.read_flips().await
    }

    async fn put_quota(&self, row: &QuotaRow, audit: &AuditEntry) -> Result<bool, StoreError> {
        let done = self.flip(row, |present| row.replaces(present), audit).await?.is_none();
        if done {
            self.tell(&Change::Quota(row.scope.clone())).await;
            self.feed_audit(audit).await;
        }
        Ok(done)
    }

    async fn quotas(&self) -> Result<Vec<QuotaRow>, StoreError> {
        self.read_flips().await
    }

    async fn note(&self, audit: &AuditEntry) -> Result<(), StoreError> {
        self.write_audit(audit).await
    }

    async fn audit(&self, script: Option<&ScriptId>, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        match script {
            Some(script) => self.read_script_audit(script, limit).await,
            None => self.read_audit_feed(limit).await,
        }
    }

    async fn changes(&self, since: &Cursor) -> Result<(Vec<Change>, Cursor), StoreError> {
        self.read_changes(since).await
    }

    async fn steps(&self, script: &ScriptId, after: u64, limit: usize) -> Result<Vec<Move>, StoreError> {
        self.read_steps(script, after, limit).await
    }

    async fn put_node(&self, node: &NodeRow, time: Duration) -> Result<(), StoreError> {
        self.write_node(node, time).await
    }

    async fn drop_node(&self, name: &str) -> Result<(), StoreError> {
        self.delete_node(name).await
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        self.read_nodes().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.links.now()?.ping().await
    }
}
