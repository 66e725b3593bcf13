//! Turning on again: recorded first, in force after.

use std::sync::Arc;

use actix::{AsyncContext, Handler, Message, ResponseFuture};
use quotas::scope::Scope;
use quotas::switches::Switch;

use super::{Supervisor, record};
use crate::error::ControlError;
use crate::events::Event;
use crate::storage::{AuditEntry, SwitchRow};
use crate::verdicts;
use crate::who::{Who, unix_ms};

/// An operator, or the end of a switch's time: turn this on again. The answer is the switch that was off,
/// nothing when none was.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Option<Switch>, ControlError>")]
pub struct Release {
    /// Who asks.
    pub who: Who,
    /// What is to be on again.
    pub scope: Scope,
    /// Why.
    pub reason: Option<String>,
    /// Only say what would be done.
    pub dry_run: bool,
}

impl Handler<Release> for Supervisor {
    type Result = ResponseFuture<Result<Option<Switch>, ControlError>>;

    fn handle(&mut self, release: Release, ctx: &mut Self::Context) -> Self::Result {
        let Release { who, scope, reason, dry_run } = release;
        let off = self.rows.get(&scope).filter(|row| row.off).map(verdicts::switch_of);
        let Some(switch) = off.filter(|_| !dry_run) else {
            let off = self.board.get(&scope).cloned();
            return Box::pin(async { Ok(off) });
        };
        let row = SwitchRow {
            off: false,
            generation: switch.generation.saturating_add(1),
            by: who.name.clone(),
            reason: reason.clone().unwrap_or_default(),
            since_ms: unix_ms(),
            until_ms: None,
            observe: switch.observe,
            scope: scope.clone(),
        };
        let audit = who.entry("switch.on", &scope, reason);
        let (store, journal) = (Arc::clone(&self.store), self.journal.clone());
        let (myself, was_stored) = (ctx.address(), !self.unstored.contains(&scope));
        Box::pin(async move {
            let stored = record::store_once(&*store, &row, &audit).await;
            if was_stored {
                stored.clone()?;
            }
            record::write(&journal, vec![row.clone()]).await?;
            let later = stored.is_err().then_some(audit);
            myself.send(Open { row, later }).await?;
            Ok(Some(switch))
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
        if later.is_none() {
            self.unstored.remove(&row.scope);
        }
        // Somebody may have turned it off again meanwhile; then that stands.
        let taken = self.take(vec![row.clone()]);
        for SwitchRow { scope, by, generation, .. } in &taken {
            Event::SwitchReleased { scope, by, generation: *generation }.tell();
        }
        if let (Some(audit), false) = (later, taken.is_empty()) {
            record::send(self, ctx.address(), row, audit, None);
        }
    }
}
