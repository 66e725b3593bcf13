//! What a mirror keeps: rows that a shared store decided, written as they come.
//!
//! Invariant: all of a batch is written or nothing; an older head never replaces a newer one. Contents that no
//! kept head needs are dropped when the file is opened to start from it.
//! Not here: deciding anything; a store of one's own writes through `scripts` and `shared`.

use std::collections::HashSet;

use bytes::Bytes;
use quotas::scope::ScriptId;
use redb::{ReadableTable, WriteTransaction};

use super::super::records::{ContentHash, ContentKind, Head, QuotaRow, Revision, TokenRow};
use super::super::rows::{decode, encode};
use super::file::{ABOUT, BUNDLES, Done, File, HEADS, QUOTAS, REVISIONS, Step, TOKENS, UNITS};
use super::shared::content_row;

/// When the heads were last compared with the store's.
const IN_STEP: &str = "in step";

/// Something to keep.
#[derive(Debug)]
pub(in crate::storage) enum Keep {
    /// A content under its key.
    Content(ContentKind, ContentHash, Bytes),
    /// Where a script stands on this node, and the revision that answers.
    Head(ScriptId, Head, Option<Revision>),
    /// All tokens.
    Tokens(Vec<TokenRow>),
    /// All that was set of quotas.
    Quotas(Vec<QuotaRow>),
    /// What is kept is what the store has, at this time in Unix milliseconds.
    InStep(u64),
}

impl Keep {
    /// How much memory it takes, about, in bytes.
    pub(in crate::storage) fn size(&self) -> usize {
        match self {
            Self::Content(_, _, bytes) => bytes.len(),
            Self::Head(..) | Self::InStep(_) => 256,
            Self::Tokens(rows) => rows.len() * 256,
            Self::Quotas(rows) => rows.len() * 1_024,
        }
    }
}

pub(super) fn keep(file: &File, batch: &[Keep]) -> Step<()> {
    file.write(|tables| {
        batch.iter().try_for_each(|keep| write(tables, keep))?;
        Ok(Done::Keep(()))
    })
}

fn write(tables: &WriteTransaction, keep: &Keep) -> Step<()> {
    match keep {
        Keep::Content(ContentKind::Bundle, key, bytes) => {
            tables.open_table(BUNDLES)?.insert(&key.0, &*content_row(bytes))?;
        }
        Keep::Content(ContentKind::Unit { fingerprint }, key, bytes) => {
            tables.open_table(UNITS)?.insert((&key.0, fingerprint.as_str()), &*content_row(bytes))?;
        }
        Keep::Head(script, head, revision) => {
            let script = script.to_string();
            let mut heads = tables.open_table(HEADS)?;
            let present = heads.get(&*script)?.and_then(|row| decode::<Head>(&script, row.value()).ok());
            if present.is_some_and(|present| present.seq > head.seq) {
                return Ok(());
            }
            heads.insert(&*script, &*encode(head)?)?;
            if let Some(revision) = revision {
                let mut revisions = tables.open_table(REVISIONS)?;
                // Only the one that answers is needed.
                revisions.retain_in((&*script, 0)..=(&*script, u64::MAX), |_, _| false)?;
                revisions.insert((&*script, revision.number.get()), &*encode(revision)?)?;
            }
        }
        Keep::Tokens(rows) => {
            let mut tokens = tables.open_table(TOKENS)?;
            tokens.retain(|_, _| false)?;
            for row in rows {
                tokens.insert(&*row.id, &*encode(row)?)?;
            }
        }
        Keep::Quotas(rows) => {
            let mut quotas = tables.open_table(QUOTAS)?;
            quotas.retain(|_, _| false)?;
            for row in rows {
                quotas.insert(&*row.scope.to_string(), &*encode(row)?)?;
            }
        }
        Keep::InStep(at_ms) => {
            tables.open_table(ABOUT)?.insert(IN_STEP, at_ms)?;
        }
    }
    Ok(())
}

pub(super) fn kept_at(file: &File) -> Step<Option<u64>> {
    Ok(file.read()?.open_table(ABOUT)?.get(IN_STEP)?.map(|at_ms| at_ms.value()))
}

/// Drops the contents that no kept revision names.
pub(super) fn drop_unused(file: &File) -> Step<()> {
    file.write(|tables| {
        let mut used = HashSet::new();
        for row in tables.open_table(REVISIONS)?.iter()? {
            let (key, row) = row?;
            let revision = decode::<Revision>(&key.value().0, row.value());
            used.extend(revision.map(|revision| revision.bundle.0).ok());
        }
        tables.open_table(BUNDLES)?.retain(|key, _| used.contains(key))?;
        tables.open_table(UNITS)?.retain(|key, _| used.contains(key.0))?;
        Ok(Done::Keep(()))
    })
}
