//! Recording switches: in the journal at once, in the store as soon as it takes them; and taking what others
//! recorded.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use actix::{Addr, AsyncContext, Context, Handler, Message, ResponseFuture};
use tokio::sync::oneshot;

use super::desk::{self, Merged};
use super::{Supervisor, THREADS_WAIT};
use crate::error::{ControlError, StoreError};
use crate::events::Event;
use crate::journal::{Entry, Journal};
use crate::storage::{AuditEntry, Change, Seen, Store, SwitchRow, Switched};
use crate::verdicts;
use crate::who::Who;
use quotas::concurrency::Share;
use quotas::scope::TeamName;
use quotas::switches::SwitchId;

/// How long the store may take for one switch.
const STORE_WAIT: Duration = Duration::from_secs(5);

/// Writes to the journal.
pub(super) async fn write(journal: &Journal, entries: Vec<Entry>) -> Result<(), ControlError> {
    journal.append(entries).await.map_err(|error: io::Error| {
        let why = error.to_string();
        Event::JournalFailed { detail: &why }.tell();
        ControlError::Journal { why }
    })
}

/// The lines of a row that the store may not have.
pub(super) fn unstored(row: SwitchRow) -> [Entry; 2] {
    let mark = Entry::Unstored(row.id(), row.generation);
    [mark, Entry::Row(row)]
}

/// Writes a row to the store once.
pub(super) async fn store_once(
    store: &dyn Store,
    row: &SwitchRow,
    seen: Seen<'_>,
    audit: &AuditEntry,
) -> Result<Switched, StoreError> {
    tokio::time::timeout(STORE_WAIT, store.put_switch(row, seen, audit))
        .await
        .unwrap_or_else(|_| Err(StoreError::unavailable("it did not answer in time")))
}

/// Writes a row to the store in the background, until it took it, another one stays, or a newer change of the switch
/// came. The share is given back then. Answers whether the first attempt brought it there.
pub(super) fn send(
    of: &Supervisor,
    myself: Addr<Supervisor>,
    row: SwitchRow,
    audit: AuditEntry,
    share: Option<Share<TeamName>>,
) -> oneshot::Receiver<bool> {
    let (shared, store) = (Arc::clone(&of.shared), Arc::clone(&of.store));
    let (first, tried) = oneshot::channel();
    let (id, rows) = (row.id(), of.desk.seen(&row.id()));
    actix_rt::spawn(async move {
        let (mut failures, _share, mut first) = (0, share, Some(first));
        loop {
            let done = store_once(&*store, &row, desk::seen(&rows), &audit).await;
            if let Some(first) = first.take() {
                // Who flipped may have stopped to wait.
                let _ = first.send(matches!(done, Ok(Switched::Kept)));
            }
            match done {
                Ok(Switched::Kept) => {
                    Event::SwitchStored { switch: &id, generation: row.generation }.tell();
                    shared.fleet.hint(Change::Switch(id.clone()));
                    // An actor that stops needs to know no more.
                    let _ = myself.send(Stored(id, row.generation)).await;
                    return;
                }
                Ok(Switched::Lost { present }) => {
                    let _ = myself.send(Lost { sent: row, present }).await;
                    return;
                }
                Err(StoreError::Invalid { .. } | StoreError::TooLarge { .. }) => return,
                Err(_) => failures += 1,
            }
            tokio::time::sleep(verdicts::backoff(failures)).await;
            if shared.board.load().next_generation(&id) > row.generation.saturating_add(1) {
                return;
            }
        }
    });
    tried
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

/// The history's entry of a row that nobody asked for now: it was made before, here or elsewhere.
pub(super) fn entry(row: &SwitchRow) -> AuditEntry {
    let what = if row.off { "switch.off" } else { "switch.on" };
    Who::node(&row.by).entry(what, row.id(), Some(row.reason.clone()))
}

/// From this module: the store has this generation of a switch.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Stored(SwitchId, u64);

impl Handler<Stored> for Supervisor {
    type Result = ();

    fn handle(&mut self, Stored(id, generation): Stored, _: &mut Self::Context) {
        if self.desk.stored(&id, generation) {
            let journal = self.journal.clone();
            // Where the mark is lost, a start asks the store.
            actix_rt::spawn(async move { write(&journal, vec![Entry::Stored(id, generation)]).await });
        }
    }
}

/// From this module: the store did not take this row, another one stays.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Lost {
    sent: SwitchRow,
    present: Box<SwitchRow>,
}

impl Handler<Lost> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Lost { sent, present }: Lost, ctx: &mut Self::Context) -> Self::Result {
        let merged = self.desk.lost(&sent, *present);
        self.came(merged, ctx)
    }
}

/// The watch: this is what the store says of switches. Answered when what is new is in force and written.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct Merge(pub(crate) Vec<SwitchRow>);

impl Handler<Merge> for Supervisor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, Merge(rows): Merge, ctx: &mut Self::Context) -> Self::Result {
        let merged = self.desk.merge(rows);
        self.came(merged, ctx)
    }
}

impl Supervisor {
    /// Puts in force and writes what came of rows from the store.
    fn came(&mut self, merged: Merged, ctx: &mut Context<Self>) -> ResponseFuture<()> {
        if merged.is_empty() {
            return Box::pin(async {});
        }
        self.publish();
        let Merged { taken, raised, stored } = merged;
        for row in taken.iter().chain(&raised) {
            let (switch, by, generation) = (&row.id(), row.by.as_str(), row.generation);
            self.ending.remove(switch);
            match row.off {
                true => Event::SwitchFlipped { switch, by, generation }.tell(),
                false => Event::SwitchReleased { switch, by, generation }.tell(),
            }
        }
        for row in &raised {
            drop(send(self, ctx.address(), row.clone(), entry(row), None));
        }
        let stored = stored.into_iter().map(|(id, generation)| Entry::Stored(id, generation));
        let raised = raised.into_iter().flat_map(unstored);
        let entries = taken.into_iter().map(Entry::Row).chain(raised).chain(stored).collect();
        let (shared, journal) = (Arc::clone(&self.shared), self.journal.clone());
        Box::pin(async move {
            let threads = tokio::time::timeout(THREADS_WAIT, shared.lanes.wake());
            // The store has them; a journal that failed has said so.
            let _ = tokio::join!(threads, write(&journal, entries));
        })
    }
}
