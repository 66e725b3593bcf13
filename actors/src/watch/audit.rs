//! Who did what, as the store has it.

use std::sync::Arc;

use actix::{Handler, Message, ResponseFuture};
use quotas::scope::{ScriptId, TeamName};
use quotas::switches::SwitchId;

use super::Storage;
use crate::error::StoreError;
use crate::storage::AuditEntry;
use crate::storage::store::READ_MAX;

/// The admin door: who did what, newest first.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Vec<AuditEntry>, StoreError>")]
pub struct Audit {
    /// Only of this script.
    pub script: Option<ScriptId>,
    /// Only of this team, among the newest thousand.
    pub team: Option<TeamName>,
    /// How many at most.
    pub limit: usize,
}

impl Handler<Audit> for Storage {
    type Result = ResponseFuture<Result<Vec<AuditEntry>, StoreError>>;

    fn handle(&mut self, Audit { script, team, limit }: Audit, _: &mut Self::Context) -> Self::Result {
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            let read = if team.is_some() { READ_MAX } else { limit };
            let mut entries = store.audit(script.as_ref(), read).await?;
            if let Some(team) = &team {
                entries.retain(|entry| {
                    // A switch's subject is its id, anything else's a scope, which is a kill switch's id.
                    entry.subject.parse::<SwitchId>().is_ok_and(|id| id.scope.team() == Some(team))
                });
            }
            entries.truncate(limit);
            Ok(entries)
        })
    }
}
