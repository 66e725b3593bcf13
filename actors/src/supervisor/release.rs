//! Releasing: recorded first, in force after.

use std::sync::Arc;

use actix::{AsyncContext, Handler, Message, ResponseFuture};
use quotas::scope::TeamName;
use quotas::switches::{Switch, SwitchId};

use super::desk::Releasing;
use super::{Supervisor, record};
use crate::error::ControlError;
use crate::events::Event;
use crate::journal::Entry;
use crate::storage::{AuditEntry, Seen, SwitchRow, Switched};
use crate::verdicts;
use crate::who::{Who, unix_ms};

/// An operator, or the end of a switch's time: release this. The answer is the switch that was set, nothing when
/// none was.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Option<Switch>, ControlError>")]
pub struct Release {
    /// Who asks.
    pub who: Who,
    /// The team that they are bound to, who release only what they set themselves.
    pub bound: Option<TeamName>,
    /// Which switch is to be released.
    pub id: SwitchId,
    /// Only if it is of this generation still.
    pub of: Option<u64>,
    /// Why.
    pub reason: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
}

impl Handler<Release> for Supervisor {
    type Result = ResponseFuture<Result<Option<Switch>, ControlError>>;

    fn handle(&mut self, release: Release, ctx: &mut Self::Context) -> Self::Result {
        let Release { who, bound, id, of, reason, dry_run } = release;
        if let Err(error) = self.may_change(&id, bound.as_ref(), &who) {
            return Box::pin(async { Err(error) });
        }
        if dry_run {
            let set = self.desk.board().get(&id).cloned();
            return Box::pin(async { Ok(set) });
        }
        let releasing = self.desk.release(&id, of, &who.name, reason.as_deref(), unix_ms());
        let Some(Releasing { row, set, store_first }) = releasing else {
            return Box::pin(async { Ok(None) });
        };
        let audit = who.entry("switch.on", &id, reason);
        let (store, journal) = (Arc::clone(&self.store), self.journal.clone());
        let myself = ctx.address();
        Box::pin(async move {
            let seen = [set];
            let stored = record::store_once(&*store, &row, Seen::Only(&seen), &audit).await;
            let recorded = match stored {
                Ok(Switched::Kept) => {
                    record::write(&journal, vec![Entry::Row(row.clone())]).await.map(|()| None)
                }
                Ok(Switched::Lost { present }) => {
                    myself.send(record::Merge(vec![*present])).await?;
                    Err(ControlError::SwitchChanged { switch: id.clone() })
                }
                Err(error) if store_first => Err(error.into()),
                Err(_) => {
                    let lines = record::unstored(row.clone()).to_vec();
                    record::write(&journal, lines).await.map(|()| Some(audit))
                }
            };
            let [set] = seen;
            match recorded {
                Ok(later) => myself.send(Open { row, later }).await?,
                Err(error) => {
                    myself.send(Closed(id)).await?;
                    return Err(error);
                }
            }
            Ok(Some(verdicts::switch_of(&set)))
        })
    }
}

/// From this module: the release is recorded, put it in force, and in the store later where it has to be.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Open {
    row: SwitchRow,
    later: Option<AuditEntry>,
}

impl Handler<Open> for Supervisor {
    type Result = ();

    fn handle(&mut self, Open { row, later }: Open, ctx: &mut Self::Context) {
        let id = row.id();
        if !self.desk.released(row.clone(), later.is_none()) {
            return;
        }
        self.ending.remove(&id);
        self.publish();
        Event::SwitchReleased { switch: &id, by: &row.by, generation: row.generation }.tell();
        if let Some(audit) = later {
            drop(record::send(self, ctx.address(), row, audit, None));
        }
    }
}

/// From this module: the release is not recorded; the switch stays as it is.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Closed(SwitchId);

impl Handler<Closed> for Supervisor {
    type Result = ();

    fn handle(&mut self, Closed(id): Closed, _: &mut Self::Context) {
        self.desk.not_released(&id);
    }
}
