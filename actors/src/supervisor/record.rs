//! Recording switches: in the journal at once, in the store as soon as it takes them; and taking what others
//! recorded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, Handler, Message, ResponseFuture};

use super::{Supervisor, THREADS_WAIT};
use crate::error::{ControlError, StoreError};
use crate::events::Event;
use crate::journal::Journal;
use crate::storage::{AuditEntry, Change, Store, SwitchRow};
use crate::verdicts;
use quotas::concurrency::Share;
use quotas::scope::{Scope, TeamName};

/// How long the store may take for one switch.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// Writes rows to the journal.
pub(super) async fn write(journal: &Journal, rows: Vec<SwitchRow>) -> Result<(), ControlError> {
    journal.append(rows).await.map_err(|error: io::Error| {
        let why = error.to_string();
        Event::JournalFailed { detail: &why }.tell();
        ControlError::Journal { why }
    })
}

/// Writes a row to the store once.
pub(super) async fn store_once(
    store: &dyn Store,
    row: &SwitchRow,
    audit: &AuditEntry,
) -> Result<(), StoreError> {
    tokio::time::timeout(STORE_WAIT, store.put_switch(row, audit))
        .await
        .unwrap_or_else(|_| Err(StoreError::unavailable("it did not answer in time")))
}

/// Writes a row to the store in the background, until it took it or a newer change of the scope came. The share is
/// given back then.
pub(super) fn send(
    of: &Supervisor,
    myself: Addr<Supervisor>,
    row: SwitchRow,
    audit: AuditEntry,
    share: Option<Share<TeamName>>,
) {
    let (shared, store) = (Arc::clone(&of.shared), Arc::clone(&of.store));
    actix_rt::spawn(async move {
        let (mut failures, _share) = (0, share);
        loop {
            match store_once(&*store, &row, &audit).await {
                Ok(()) => {
                    Event::SwitchStored { scope: &row.scope, generation: row.generation }.tell();
                    shared.fleet.hint(Change::Switch(row.scope.clone()));
                    // An actor that stops needs to know no more.
                    let _ = myself.send(Stored(row.scope)).await;
                    return;
                }
                Err(StoreError::Invalid { .. } | StoreError::TooLarge { .. }) => return,
                Err(_) => failures += 1,
            }
            tokio::time::sleep(verdicts::backoff(failures)).await;
            if shared.board.load().next_generation(&row.scope) > row.generation.saturating_add(1) {
                return;
            }
        }
    });
}

/// Adds an entry to the audit in the background. Where the store does not take it, the log has the event.
pub(super) fn note(of: &Supervisor, audit: AuditEntry) {
    let store = Arc::clone(&of.store);
    actix_rt::spawn(async move {
        let noted = tokio::time::timeout(STORE_WAIT, store.note(&audit)).await;
        if !matches!(noted, Ok(Ok(()))) {
            tracing::warn!(what = audit.what, subject = audit.subject, "an audit entry could not be stored");
        }
    });
}

/// From this module: the store has the scope's switch.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Stored(Scope);

impl Handler<Stored> for Supervisor {
    type Result = ();

    fn handle(&mut self, Stored(scope): Stored, _: &mut Self::Context) {
        self.unstored.remove(&scope);
    }
}

/// The watch: this is what the store says of switches. Answered when what is new is in force and written.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Merge(pub(crate) Vec<SwitchRow>);

impl Handler<Merge> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Merge(rows): Merge, _: &mut Self::Context) -> Self::Result {
        let taken = self.take(rows);
        if taken.is_empty() {
            return Box::pin(async {});
        }
        for row in &taken {
            self.unstored.remove(&row.scope);
            let (scope, by, generation) = (&row.scope, row.by.as_str(), row.generation);
            match row.off {
                true => Event::SwitchFlipped { scope, by, generation }.tell(),
                false => Event::SwitchReleased { scope, by, generation }.tell(),
            }
        }
        let (shared, journal) = (Arc::clone(&self.shared), self.journal.clone());
        Box::pin(async move {
            let threads = tokio::time::timeout(THREADS_WAIT, shared.lanes.wake());
            // The store has them; a journal that failed has said so.
            let _ = tokio::join!(threads, write(&journal, taken));
        })
    }
}
