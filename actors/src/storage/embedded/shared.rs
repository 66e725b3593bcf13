//! What does not belong to one script alone: contents, routes, switches, quotas, tokens and everyone's audit.
//!
//! Invariant: a switch, a quota or a token and its audit entry are written in one transaction.
//! Not here: heads and revisions (`scripts`).

use bytes::Bytes;
use quotas::scope::ScriptId;
use redb::{ReadableTable, WriteTransaction};

use super::super::records::{
    AuditEntry, Claimed, ContentHash, ContentKind, QuotaRow, Seen, SwitchRow, Switched, TokenRow,
};
use super::super::rows::{decode, encode, unless_damaged};
use super::file::{AUDIT, BUNDLES, Done, File, QUOTAS, ROUTES, SWITCHES, Step, TOKENS, UNITS};
use crate::error::StoreError;

pub(super) fn put_content(file: &File, kind: &ContentKind, key: ContentHash, bytes: &[u8]) -> Step<()> {
    let row = content_row(bytes);
    file.write(|tables| {
        match kind {
            ContentKind::Bundle => {
                let mut bundles = tables.open_table(BUNDLES)?;
                // What cannot be read is replaced: the bytes are at hand now.
                if bundles.get(&key.0)?.is_some_and(|row| checked(key, row.value()).is_ok()) {
                    return Ok(Done::Leave(()));
                }
                bundles.insert(&key.0, &*row)?;
            }
            ContentKind::Unit { fingerprint } => {
                tables.open_table(UNITS)?.insert((&key.0, fingerprint.as_str()), &*row)?;
            }
        }
        Ok(Done::Keep(()))
    })
}

/// A content behind its checksum.
pub(super) fn content_row(bytes: &[u8]) -> Vec<u8> {
    let mut row = Vec::with_capacity(32 + bytes.len());
    row.extend_from_slice(&ContentHash::of(bytes).0);
    row.extend_from_slice(bytes);
    row
}

pub(super) fn content(file: &File, kind: &ContentKind, key: ContentHash) -> Step<Option<Bytes>> {
    let tables = file.read()?;
    let row = match kind {
        ContentKind::Bundle => tables.open_table(BUNDLES)?.get(&key.0)?,
        ContentKind::Unit { fingerprint } => tables.open_table(UNITS)?.get((&key.0, fingerprint.as_str()))?,
    };
    Ok(row.map(|row| checked(key, row.value()).map(Bytes::copy_from_slice)).transpose()?)
}

/// The bytes of a content's row, if they are those that were stored.
fn checked(key: ContentHash, row: &[u8]) -> Result<&[u8], StoreError> {
    match row.split_at_checked(32) {
        Some((sum, bytes)) if sum == ContentHash::of(bytes).0 => Ok(bytes),
        _ => Err(StoreError::corrupt(format_args!("content {key}"), "its checksum does not fit")),
    }
}

pub(super) fn claim_routes(file: &File, script: &ScriptId, patterns: &[String]) -> Step<Claimed> {
    let me = script.to_string();
    file.write(|tables| {
        let mut routes = tables.open_table(ROUTES)?;
        let mut added = false;
        for pattern in patterns {
            let owner = routes.get(&**pattern)?.map(|owner| owner.value().to_owned());
            match owner {
                Some(owner) if owner == me => {}
                Some(owner) => {
                    let owner =
                        owner.parse().map_err(|error| StoreError::corrupt("a route's owner", error))?;
                    return Ok(Done::Leave(Claimed::Taken { pattern: pattern.clone(), owner }));
                }
                None => {
                    routes.insert(&**pattern, &*me)?;
                    added = true;
                }
            }
        }
        Ok(if added { Done::Keep(Claimed::All) } else { Done::Leave(Claimed::All) })
    })
}

pub(super) fn release_routes(file: &File, script: &ScriptId, patterns: &[String]) -> Step<()> {
    let me = script.to_string();
    file.write(|tables| {
        let mut routes = tables.open_table(ROUTES)?;
        for pattern in patterns {
            if routes.get(&**pattern)?.is_some_and(|owner| owner.value() == me) {
                routes.remove(&**pattern)?;
            }
        }
        Ok(Done::Keep(()))
    })
}

/// What came of it, and whether it changed anything.
pub(super) fn put_switch(
    file: &File,
    row: &SwitchRow,
    seen: &Option<Vec<SwitchRow>>,
    audit: &AuditEntry,
) -> Step<(Switched, bool)> {
    let id = row.id().to_string();
    let seen = seen.as_deref().map_or(Seen::All, Seen::Only);
    file.write(|tables| {
        let mut switches = tables.open_table(SWITCHES)?;
        let present = switches.get(&*id)?.map(|row| decode::<SwitchRow>(&id, row.value())).transpose()?;
        match present {
            Some(present) if present == *row => return Ok(Done::Leave((Switched::Kept, false))),
            Some(present) if !row.may_replace(&present, seen) => {
                return Ok(Done::Leave((Switched::Lost { present: Box::new(present) }, false)));
            }
            _ => {}
        }
        switches.insert(&*id, &*encode(row)?)?;
        write_audit(tables, audit)?;
        Ok(Done::Keep((Switched::Kept, true)))
    })
}

pub(super) fn switches(file: &File) -> Step<Vec<SwitchRow>> {
    let mut all = Vec::new();
    let tables = file.read()?;
    for row in tables.open_table(SWITCHES)?.iter()? {
        let (scope, row) = row?;
        all.extend(unless_damaged(decode(&scope.value(), row.value())));
    }
    Ok(all)
}

/// Whether the quotas were changed, or are these.
pub(super) fn put_quota(file: &File, row: &QuotaRow, audit: &AuditEntry) -> Step<bool> {
    let scope = row.scope.to_string();
    file.write(|tables| {
        let mut quotas = tables.open_table(QUOTAS)?;
        let present = quotas.get(&*scope)?.map(|row| decode::<QuotaRow>(&scope, row.value())).transpose()?;
        match present {
            Some(present) if present == *row => return Ok(Done::Leave(true)),
            Some(present) if !row.replaces(&present) => return Ok(Done::Leave(false)),
            _ => quotas.insert(&*scope, &*encode(row)?)?,
        };
        write_audit(tables, audit)?;
        Ok(Done::Keep(true))
    })
}

pub(super) fn quotas(file: &File) -> Step<Vec<QuotaRow>> {
    let mut all = Vec::new();
    let tables = file.read()?;
    for row in tables.open_table(QUOTAS)?.iter()? {
        let (scope, row) = row?;
        all.extend(unless_damaged(decode(&scope.value(), row.value())));
    }
    Ok(all)
}

/// Whether the token was changed.
pub(super) fn put_token(file: &File, row: &TokenRow, audit: &AuditEntry) -> Step<bool> {
    file.write(|tables| {
        let mut tokens = tables.open_table(TOKENS)?;
        let present =
            tokens.get(&*row.id)?.map(|stored| decode::<TokenRow>(&row.id, stored.value())).transpose()?;
        if present.is_some_and(|present| present.revoked) {
            return Ok(Done::Leave(false));
        }
        tokens.insert(&*row.id, &*encode(row)?)?;
        write_audit(tables, audit)?;
        Ok(Done::Keep(true))
    })
}

pub(super) fn tokens(file: &File) -> Step<Vec<TokenRow>> {
    let mut all = Vec::new();
    let tables = file.read()?;
    for row in tables.open_table(TOKENS)?.iter()? {
        let (id, row) = row?;
        all.extend(unless_damaged(decode(&id.value(), row.value())));
    }
    Ok(all)
}

pub(super) fn audit(file: &File, limit: usize) -> Step<Vec<AuditEntry>> {
    let mut newest = Vec::new();
    let tables = file.read()?;
    for row in tables.open_table(AUDIT)?.iter()?.rev().take(limit) {
        let (key, row) = row?;
        newest.extend(unless_damaged(decode(&key.value().1, row.value())));
    }
    Ok(newest)
}

pub(super) fn note(file: &File, audit: &AuditEntry) -> Step<()> {
    file.write(|tables| {
        write_audit(tables, audit)?;
        Ok(Done::Keep(()))
    })
}

fn write_audit(tables: &WriteTransaction, audit: &AuditEntry) -> Step<()> {
    tables.open_table(AUDIT)?.insert((audit.at_ms, &*audit.id), &*encode(audit)?)?;
    Ok(())
}
