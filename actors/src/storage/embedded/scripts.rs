//! Heads, revisions and the steps between.
//!
//! Invariant: a head and the step that made it are written in one transaction.
//! Not here: what a commit does to a head (`moves`).

use quotas::scope::{RevisionNumber, ScriptId};
use redb::ReadableTable;

use super::super::moves::{self, Standing};
use super::super::records::{AuditEntry, Commit, Committed, Head, Move, Revision};
use super::super::rows::{decode, encode, unless_damaged};
use super::file::{AUDIT, Done, File, HEADS, MOVES, REVISIONS, Step};
use crate::error::StoreError;

pub(super) fn commit(file: &File, commit: &Commit) -> Step<Committed> {
    file.write(|tables| {
        let script = commit.script.to_string();
        let mut heads = tables.open_table(HEADS)?;
        let mut steps = tables.open_table(MOVES)?;
        let present = heads.get(&*script)?.map(|row| decode::<Head>(&script, row.value())).transpose()?;
        let head = match moves::standing(commit, present.as_ref(), 0)? {
            Standing::Ready(head) => head,
            Standing::Behind => return Ok(Done::Leave(Committed::Lost { present })),
            Standing::Passed => {
                let step = steps.get((&*script, commit.expected_seq + 1))?;
                let step = step.map(|row| decode::<Move>(&script, row.value())).transpose()?;
                return Ok(Done::Leave(moves::passed(commit, step, present)));
            }
        };
        let audit = &commit.audit;
        let step = Move { head: head.clone(), audit: audit.clone() };
        heads.insert(&*script, &*encode(&head)?)?;
        steps.insert((&*script, head.seq), &*encode(&step)?)?;
        tables.open_table(AUDIT)?.insert((audit.at_ms, &*audit.id), &*encode(audit)?)?;
        if let Some(revision) = &commit.revision {
            let mut revisions = tables.open_table(REVISIONS)?;
            revisions.insert((&*script, revision.number.get()), &*encode(revision)?)?;
        }
        Ok(Done::Keep(Committed::Applied(head)))
    })
}

pub(super) fn head(file: &File, script: &ScriptId) -> Step<Option<Head>> {
    let script = script.to_string();
    let tables = file.read()?;
    let row = tables.open_table(HEADS)?.get(&*script)?;
    Ok(row.map(|row| decode(&script, row.value())).transpose()?)
}

pub(super) fn heads(file: &File) -> Step<Vec<(ScriptId, Head)>> {
    let mut all = Vec::new();
    let tables = file.read()?;
    for row in tables.open_table(HEADS)?.iter()? {
        let (script, row) = row?;
        let id = script.value().parse().map_err(|error| StoreError::corrupt("a head's script", error));
        let head = id.and_then(|id| Ok((id, decode(&script.value(), row.value())?)));
        all.extend(unless_damaged(head));
    }
    Ok(all)
}

pub(super) fn revision(file: &File, script: &ScriptId, number: RevisionNumber) -> Step<Option<Revision>> {
    let script = script.to_string();
    let tables = file.read()?;
    let row = tables.open_table(REVISIONS)?.get((&*script, number.get()))?;
    Ok(row.map(|row| decode(&format_args!("{script}@{number}"), row.value())).transpose()?)
}

pub(super) fn revisions(
    file: &File,
    script: &ScriptId,
    before: Option<RevisionNumber>,
    limit: usize,
) -> Step<Vec<Revision>> {
    let script = script.to_string();
    let before = before.map_or(u64::MAX, RevisionNumber::get);
    let tables = file.read()?;
    let table = tables.open_table(REVISIONS)?;
    let mut newest = Vec::new();
    for row in table.range((&*script, 0)..(&*script, before))?.rev().take(limit) {
        let (key, row) = row?;
        newest.extend(unless_damaged(decode(&format_args!("{script}@{}", key.value().1), row.value())));
    }
    Ok(newest)
}

pub(super) fn steps(file: &File, script: &ScriptId, after: u64, limit: usize) -> Step<Vec<Move>> {
    let script = script.to_string();
    let mut steps = Vec::new();
    let tables = file.read()?;
    let from = after.saturating_add(1);
    for row in tables.open_table(MOVES)?.range((&*script, from)..=(&*script, u64::MAX))?.take(limit) {
        steps.push(decode(&script, row?.1.value())?);
    }
    Ok(steps)
}

pub(super) fn audit(file: &File, script: &ScriptId, limit: usize) -> Step<Vec<AuditEntry>> {
    let script = script.to_string();
    let tables = file.read()?;
    let table = tables.open_table(MOVES)?;
    let mut newest = Vec::new();
    for row in table.range((&*script, 0)..=(&*script, u64::MAX))?.rev().take(limit) {
        let step = unless_damaged(decode::<Move>(&script, row?.1.value()));
        newest.extend(step.map(|step| step.audit));
    }
    Ok(newest)
}
