//! Switches, quotas and tokens: rows that replace each other by a rule.
//!
//! Invariant: a row changes only from the one that was compared, told by a stamp that every write sets anew; who
//! did it is written in the same row.
//! Not here: the rules themselves (`records`).

use uuid::Uuid;

use super::super::records::{AuditEntry, QuotaRow, SwitchRow, TokenRow};
use super::super::rows::{Kept, decode, encode, unless_damaged};
use super::Scylla;
use super::asks::Ask;
use super::found::Line;
use crate::error::StoreError;
use crate::events::Event;

/// How often a row is tried while others change it too.
const SENDS: usize = 8;

/// A record that is kept under an id and replaced by a rule.
pub(super) trait Flip: Kept + PartialEq + Send + Sync {
    const READ: Ask;
    const READ_ALL: Ask;
    const ADD: Ask;
    const MOVE: Ask;

    fn id(&self) -> String;
    /// Whether this one is to replace one that cannot be read.
    fn replaces_garbage(&self) -> bool;
}

impl Flip for SwitchRow {
    const READ: Ask = Ask::Switch;
    const READ_ALL: Ask = Ask::Switches;
    const ADD: Ask = Ask::AddSwitch;
    const MOVE: Ask = Ask::MoveSwitch;

    fn id(&self) -> String {
        SwitchRow::id(self).to_string()
    }

    fn replaces_garbage(&self) -> bool {
        true
    }
}

impl Flip for QuotaRow {
    const READ: Ask = Ask::Quota;
    const READ_ALL: Ask = Ask::Quotas;
    const ADD: Ask = Ask::AddQuota;
    const MOVE: Ask = Ask::MoveQuota;

    fn id(&self) -> String {
        self.scope.to_string()
    }

    fn replaces_garbage(&self) -> bool {
        true
    }
}

impl Flip for TokenRow {
    const READ: Ask = Ask::Token;
    const READ_ALL: Ask = Ask::Tokens;
    const ADD: Ask = Ask::AddToken;
    const MOVE: Ask = Ask::MoveToken;

    fn id(&self) -> String {
        self.id.clone()
    }

    fn replaces_garbage(&self) -> bool {
        // It may have been a revoked one.
        self.revoked
    }
}

impl Scylla {
    /// Writes a row if it `follows` the one that is there; the one that stays instead, if one does. Writing the
    /// same again does no harm.
    pub(super) async fn flip<T: Flip>(
        &self,
        row: &T,
        follows: impl Fn(&T) -> bool,
        audit: &AuditEntry,
    ) -> Result<Option<T>, StoreError> {
        let id = row.id();
        let (body, audit) = (encode(row)?, encode(audit)?);
        for _ in 0..SENDS {
            let link = self.links.now()?;
            let found = link.ask(T::READ, (&*id,)).await?;
            let stamp = Uuid::new_v4();
            // An error says nothing about whether it was applied: the next read does.
            let sent = match found.first() {
                None => link.ask(T::ADD, (&*id, stamp, &body, &audit)).await,
                Some(line) => {
                    match decode::<T>(&id, line.bytes("body").unwrap_or_default()) {
                        Ok(present) if present == *row => return Ok(None),
                        Ok(present) if !follows(&present) => return Ok(Some(present)),
                        Ok(_) => {}
                        // Nobody can say any more what stood there; this does.
                        Err(error @ StoreError::Corrupt { .. }) if row.replaces_garbage() => {
                            Event::RowRejected { detail: &error.to_string(), code: error.code() }.tell();
                        }
                        Err(error) => return Err(error),
                    }
                    link.ask(T::MOVE, (stamp, &body, &audit, &*id, line.id("stamp"))).await
                }
            };
            if sent.is_ok_and(|answer| answer.applied()) {
                return Ok(None);
            }
        }
        Err(StoreError::unavailable(format_args!(
            "{} {id} could not be written; it may be sent again",
            T::WHAT
        )))
    }

    pub(super) async fn read_flips<T: Flip>(&self) -> Result<Vec<T>, StoreError> {
        let mut all = Vec::new();
        let each = |line: Line<'_>| {
            let id = line.text("id").unwrap_or_default();
            all.extend(unless_damaged(decode(&id, line.bytes("body").unwrap_or_default())));
            Ok(())
        };
        self.links.now()?.ask_paged(T::READ_ALL, each).await?;
        Ok(all)
    }
}
