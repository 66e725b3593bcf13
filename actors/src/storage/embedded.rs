//! The embedded store: one file in a directory, for a node that is alone.
//!
//! Invariant: an answer is given after the file was synced; one write transaction makes a step whole, so a
//! commit, its revision and its audit entry are there together or not at all. After a failure of the disk the file is
//! opened again by who needs it next.
//! Not here: anything that a second node could see. redb's types stay in this module.

mod file;
mod holding;
mod kept;
mod scripts;
mod shared;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use bytes::Bytes;
use quotas::scope::{RevisionNumber, ScriptId};
use tokio::sync::OwnedMutexGuard;

use self::file::{Fault, File, Step};
use self::holding::Holding;
pub(super) use self::kept::Keep;
use super::records::{
    AuditEntry, Change, Claimed, Commit, Committed, ContentHash, ContentKind, Cursor, Head, Move, NodeRow,
    QuotaRow, Revision, Seen, SwitchRow, Switched, TokenRow,
};
use super::store::{CONTENT_MAX, READ_MAX, Store};
use crate::error::StoreError;

/// How many changes are remembered for readers of the feed.
const FEED_MAX: usize = 4096;

/// The embedded store. Its clones share the file; it closes with the last of them.
#[derive(Clone)]
pub struct Embedded {
    file: Arc<Holding>,
    feed: Arc<Mutex<Feed>>,
    /// Those who use this process's store, and until when each is known: two nodes in a test, one in life.
    nodes: Arc<Mutex<BTreeMap<String, (NodeRow, Instant)>>>,
    /// Writers wait here, not on threads of the blocking pool.
    writing: Arc<tokio::sync::Mutex<()>>,
}

/// The last changes. They are counted from the time of opening, so that a cursor of an earlier process stands
/// before all of them.
struct Feed {
    count: u64,
    last: VecDeque<Change>,
}

impl Embedded {
    /// Opens the store in this directory, and makes both where there are none. A second process is refused
    /// with [`StoreError::Locked`].
    pub async fn open(directory: &Path) -> Result<Self, StoreError> {
        let file = Holding::open(directory.to_owned()).await?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let count = u64::try_from(since.as_millis()).unwrap_or(0).max(1);
        let feed = Feed { count, last: VecDeque::new() };
        let feed = Arc::new(Mutex::new(feed));
        Ok(Self { file: Arc::new(file), feed, nodes: Arc::default(), writing: Arc::default() })
    }

    /// Whether there is a store in this directory.
    pub fn is_in(directory: &Path) -> bool {
        directory.join(file::FILE_NAME).is_file()
    }

    /// Keeps what another store decided.
    pub(super) async fn keep(&self, batch: Vec<Keep>) -> Result<(), StoreError> {
        self.write(move |file| kept::keep(file, &batch)).await
    }

    /// When what is kept was last compared with the other store, in Unix milliseconds.
    pub(super) async fn kept_at(&self) -> Option<u64> {
        self.read(kept::kept_at).await.ok().flatten()
    }

    /// Drops the contents that nothing kept names.
    pub(super) async fn drop_unused(&self) -> Result<(), StoreError> {
        self.write(kept::drop_unused).await
    }

    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        Ok(self.run(None, work).await?)
    }

    /// Runs `work`, which ends with a commit of the file. Dropping the call does not stop it half-way.
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> Step<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        Ok(self.step(work).await?)
    }

    /// The same for who has to know how it failed.
    async fn step<T: Send + 'static>(&self, work: impl FnOnce(&File) -> Step<T> + Send + 'static) -> Step<T> {
        let turn = Arc::clone(&self.writing).lock_owned().await;
        self.run(Some(turn), work).await
    }

    async fn run<T: Send + 'static>(
        &self,
        turn: Option<OwnedMutexGuard<()>>,
        work: impl FnOnce(&File) -> Step<T> + Send + 'static,
    ) -> Step<T> {
        let file = self.file.get().await?;
        let used = Arc::clone(&file);
        let done = crate::blocking::run(move || {
            // Whoever is next has to find the file as it is now.
            let done = work(&used).inspect_err(|fault| used.met(fault));
            drop(turn);
            done
        });
        done.await.unwrap_or_else(|error| {
            // A thread that ended without an answer may have committed before.
            let fault = Fault::Commit(error.to_string());
            file.met(&fault);
            Err(fault)
        })
    }

    /// What became of a commit that failed and nobody knows how far it had come: the file says that when it is open again.
    async fn outcome(&self, commit: &Commit, why: String) -> StoreError {
        let (script, before) = (commit.script.clone(), commit.expected_seq);
        match self.read(move |file| scripts::steps(file, &script, before, 1)).await {
            Ok(next) if next.iter().all(|step| step.head.deploy != commit.deploy) => {
                StoreError::Unavailable { why }
            }
            // What is there was not synced, perhaps, and then it does not outlive a power cut.
            _ => StoreError::Unknown { deploy: commit.deploy },
        }
    }

    fn feed(&self) -> MutexGuard<'_, Feed> {
        self.feed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<String, (NodeRow, Instant)>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: Change) {
        let mut feed = self.feed();
        feed.count += 1;
        feed.last.push_back(change);
        if feed.last.len() > FEED_MAX {
            feed.last.pop_front();
        }
    }
}

#[async_trait]
impl Store for Embedded {
    async fn put_content(
        &self,
        kind: &ContentKind,
        key: ContentHash,
        bytes: Bytes,
    ) -> Result<(), StoreError> {
        if bytes.len() > CONTENT_MAX {
            return Err(StoreError::TooLarge { what: key.to_string(), size: bytes.len(), most: CONTENT_MAX });
        }
        let kind = kind.clone();
        self.write(move |file| shared::put_content(file, &kind, key, &bytes)).await
    }

    async fn content(&self, kind: &ContentKind, key: ContentHash) -> Result<Option<Bytes>, StoreError> {
        let kind = kind.clone();
        self.read(move |file| shared::content(file, &kind, key)).await
    }

    async fn lease(&self, _: &ContentKind, _: ContentHash, _: &str, _: Duration) -> Result<bool, StoreError> {
        // Nobody else could make it.
        Ok(true)
    }

    async fn release_lease(&self, _: &ContentKind, _: ContentHash, _: &str) -> Result<(), StoreError> {
        Ok(())
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, StoreError> {
        let work = commit.clone();
        let committed = match self.step(move |file| scripts::commit(file, &work)).await {
            Err(Fault::Commit(why)) => return Err(self.outcome(commit, why).await),
            done => done?,
        };
        if let Committed::Applied(head) = &committed {
            self.tell(Change::Script(commit.script.clone(), head.seq));
        }
        Ok(committed)
    }

    async fn head(&self, script: &ScriptId) -> Result<Option<Head>, StoreError> {
        let script = script.clone();
        self.read(move |file| scripts::head(file, &script)).await
    }

    async fn heads(&self) -> Result<Vec<(ScriptId, Head)>, StoreError> {
        self.read(scripts::heads).await
    }

    async fn revision(
        &self,
        script: &ScriptId,
        number: RevisionNumber,
    ) -> Result<Option<Revision>, StoreError> {
        let script = script.clone();
        self.read(move |file| scripts::revision(file, &script, number)).await
    }

    async fn revisions(
        &self,
        script: &ScriptId,
        before: Option<RevisionNumber>,
        limit: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        let script = script.clone();
        self.read(move |file| scripts::revisions(file, &script, before, limit.min(READ_MAX))).await
    }

    async fn claim_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<Claimed, StoreError> {
        let (script, patterns) = (script.clone(), patterns.to_vec());
        self.write(move |file| shared::claim_routes(file, &script, &patterns)).await
    }

    async fn release_routes(&self, script: &ScriptId, patterns: &[String]) -> Result<(), StoreError> {
        let (script, patterns) = (script.clone(), patterns.to_vec());
        self.write(move |file| shared::release_routes(file, &script, &patterns)).await
    }

    async fn put_switch(
        &self,
        row: &SwitchRow,
        seen: Seen<'_>,
        audit: &AuditEntry,
    ) -> Result<Switched, StoreError> {
        let change = Change::Switch(row.id());
        let (row, audit) = (row.clone(), audit.clone());
        let seen = match seen {
            Seen::All => None,
            Seen::Only(rows) => Some(rows.to_vec()),
        };
        let (switched, changed) =
            self.write(move |file| shared::put_switch(file, &row, &seen, &audit)).await?;
        if changed {
            self.tell(change);
        }
        Ok(switched)
    }

    async fn switches(&self) -> Result<Vec<SwitchRow>, StoreError> {
        self.read(shared::switches).await
    }

    async fn put_token(&self, row: &TokenRow, audit: &AuditEntry) -> Result<(), StoreError> {
        let (row, audit) = (row.clone(), audit.clone());
        if self.write(move |file| shared::put_token(file, &row, &audit)).await? {
            self.tell(Change::Tokens);
        }
        Ok(())
    }

    async fn tokens(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.read(shared::tokens).await
    }

    async fn put_quota(&self, row: &QuotaRow, audit: &AuditEntry) -> Result<bool, StoreError> {
        let change = Change::Quota(row.scope.clone());
        let (row, audit) = (row.clone(), audit.clone());
        let done = self.write(move |file| shared::put_quota(file, &row, &audit)).await?;
        if done {
            self.tell(change);
        }
        Ok(done)
    }

    async fn quotas(&self) -> Result<Vec<QuotaRow>, StoreError> {
        self.read(shared::quotas).await
    }

    async fn note(&self, audit: &AuditEntry) -> Result<(), StoreError> {
        let audit = audit.clone();
        self.write(move |file| shared::note(file, &audit)).await
    }

    async fn audit(&self, script: Option<&ScriptId>, limit: usize) -> Result<Vec<AuditEntry>, StoreError> {
        let limit = limit.min(READ_MAX);
        match script.cloned() {
            Some(script) => self.read(move |file| scripts::audit(file, &script, limit)).await,
            None => self.read(move |file| shared::audit(file, limit)).await,
        }
    }

    async fn changes(&self, since: &Cursor) -> Result<(Vec<Change>, Cursor), StoreError> {
        let feed = self.feed();
        let now = Cursor(feed.count);
        // The default cursor starts at the present; so does one from the future of a clock that was set back.
        if since.0 == 0 || since.0 > feed.count {
            return Ok((Vec::new(), now));
        }
        let new = usize::try_from(feed.count - since.0).unwrap_or(usize::MAX).min(feed.last.len());
        Ok((feed.last.range(feed.last.len() - new..).cloned().collect(), now))
    }

    async fn steps(&self, script: &ScriptId, after: u64, limit: usize) -> Result<Vec<Move>, StoreError> {
        let script = script.clone();
        self.read(move |file| scripts::steps(file, &script, after, limit.min(READ_MAX))).await
    }

    async fn put_node(&self, node: &NodeRow, time: Duration) -> Result<(), StoreError> {
        self.known().insert(node.name.clone(), (node.clone(), Instant::now() + time));
        Ok(())
    }

    async fn drop_node(&self, name: &str) -> Result<(), StoreError> {
        self.known().remove(name);
        Ok(())
    }

    async fn nodes(&self) -> Result<Vec<NodeRow>, StoreError> {
        let now = Instant::now();
        let mut known = self.known();
        known.retain(|_, (_, until)| *until > now);
        Ok(known.values().map(|(node, _)| node.clone()).collect())
    }

    async fn let_go(&self) -> Result<(), StoreError> {
        let _turn = self.writing.lock().await;
        self.file.let_go().await
    }

    async fn take_back(&self) -> Result<(), StoreError> {
        self.file.take_back().await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(file::File::ping).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::records::DeployId;
    use super::*;

    fn commit(expected_seq: u64) -> Commit {
        let text = String::new;
        let audit = AuditEntry {
            id: text(),
            at_ms: 0,
            who: text(),
            from: text(),
            what: text(),
            subject: text(),
            why: None,
            detail: text(),
        };
        Commit {
            script: ScriptId::parse("tv/home").unwrap(),
            expected_seq,
            deploy: DeployId::new_v4(),
            active: None,
            revision: None,
            deleted: false,
            audit,
        }
    }

    async fn full(store: &Embedded) {
        let no_space = || Fault::Broken("no space".to_owned());
        let failed = store.write(move |_| Err::<(), _>(no_space())).await.unwrap_err();
        assert_eq!(failed, StoreError::unavailable("no space"));
    }

    #[tokio::test]
    async fn after_a_failure_of_the_disk_all_that_was_acknowledged_is_there_and_more_is_taken() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path()).await.unwrap();
        let script = commit(0).script;
        for seq in 1..=3 {
            store.commit(&commit(seq - 1)).await.unwrap();
            full(&store).await;
            assert_eq!(store.head(&script).await.unwrap().unwrap().seq, seq);
        }
    }

    #[tokio::test]
    async fn of_a_commit_that_failed_the_file_says_whether_it_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path()).await.unwrap();
        let (made, lost) = (commit(0), commit(1));
        store.commit(&made).await.unwrap();
        full(&store).await;
        for (commit, code) in [(made, "store.unknown"), (lost, "store.unavailable")] {
            assert_eq!(store.outcome(&commit, String::new()).await.code(), code);
        }
    }

    #[tokio::test]
    async fn a_thread_that_panics_leaves_a_store_that_goes_on() {
        let directory = tempfile::tempdir().unwrap();
        let store = Embedded::open(directory.path()).await.unwrap();
        let panicked = store.write::<()>(|file| file.write(|_| panic!("on purpose"))).await;
        assert_eq!(panicked.unwrap_err().code(), "store.unavailable");
        store.commit(&commit(0)).await.unwrap();
    }
}
