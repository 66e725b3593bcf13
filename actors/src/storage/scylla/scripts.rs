//! Heads, revisions and the steps between: one partition a script.
//!
//! Invariant: the partition changes by one conditional batch a step and by nothing else. A commit is answered
//! as applied or lost only after the step of its sequence number was seen, or the batch was answered.
//! Not here: what a commit does to a head (`moves`).

use ::scylla::value::CqlValue;
use quotas::scope::{RevisionNumber, ScriptId};
use tokio::time::Instant;

use super::super::moves::{self, Standing};
use super::super::records::{AuditEntry, Commit, Committed, Head, Move, Revision};
use super::super::rows::{decode, encode, unless_damaged};
use super::Scylla;
use super::asks::Ask;
use super::found::{Line, limit, signed};
use crate::error::StoreError;

/// How often one commit is sent, always with its own deploy id.
const SENDS: usize = 4;
/// How often an outcome is looked for before the commit is sent again.
const READS: usize = 2;

impl Scylla {
    pub(super) async fn commit_step(&self, commit: &Commit, known: u64) -> Result<Committed, StoreError> {
        let until = self.deadline();
        let script = commit.script.to_string();
        let hash = blake3::hash(script.as_bytes());
        let turn = &self.turns[usize::from(hash.as_bytes()[0]) % self.turns.len()];
        let late = || StoreError::unavailable("other commits of this script take too long");
        let _turn = tokio::time::timeout_at(until, turn.lock()).await.map_err(|_| late())?;

        let mut sent = 0;
        loop {
            let unknown = StoreError::Unknown { deploy: commit.deploy };
            let present = match self.standing(commit, known, &script, if sent == 0 { 1 } else { READS }).await
            {
                Ok(Seen::Settled(committed)) => return Ok(committed),
                Ok(Seen::Ready(head)) => head,
                // What fits is decided before anything is sent; after that, no reading error is an outcome.
                Err(error) if sent == 0 => return Err(error),
                Err(_) => return Err(unknown),
            };
            if sent == SENDS || (sent > 0 && Instant::now() >= until) {
                return Err(unknown);
            }
            let (asks, values) = batch(commit, &script, &present)?;
            sent += 1;
            if self.links.now()?.step(&asks, values).await.is_ok_and(|answer| answer.applied()) {
                return Ok(Committed::Applied(present));
            }
            // Not applied, or who knows: the partition says which.
        }
    }

    /// Where the commit stands, after up to `reads` serial reads.
    async fn standing(
        &self,
        commit: &Commit,
        known: u64,
        script: &str,
        reads: usize,
    ) -> Result<Seen, StoreError> {
        let mut left = reads;
        loop {
            let present = self.read_head(script).await?;
            match moves::standing(commit, present.as_ref(), known)? {
                Standing::Ready(head) => {
                    left -= 1;
                    if left == 0 {
                        return Ok(Seen::Ready(head));
                    }
                }
                Standing::Behind => return Ok(Seen::Settled(Committed::Lost { present })),
                Standing::Passed => {
                    // Where the store lost steps, the commit made a later one than it would have otherwise.
                    let mut step = self.read_step(script, moves::next(commit, 0)).await?;
                    if step.is_none() && moves::next(commit, known) > moves::next(commit, 0) {
                        step = self.read_step(script, moves::next(commit, known)).await?;
                    }
                    return Ok(Seen::Settled(moves::passed(commit, step, present)));
                }
            }
        }
    }

    async fn read_step(&self, script: &str, number: u64) -> Result<Option<Move>, StoreError> {
        let step = self.links.now()?.ask(Ask::Step, (script, signed(number)?)).await?;
        step.first().map(|line| read_body(&script, &line)).transpose()
    }

    pub(super) async fn read_head(&self, script: &str) -> Result<Option<Head>, StoreError> {
        let found = self.links.now()?.ask(Ask::Head, (script,)).await?;
        found.first().map(|line| head(&script, &line)).transpose()
    }

    pub(super) async fn read_heads(&self) -> Result<Vec<(ScriptId, Head)>, StoreError> {
        let mut all = Vec::new();
        let each = |line: Line<'_>| {
            let script = line.text("script").unwrap_or_default();
            let id = script.parse().map_err(|error| StoreError::corrupt("a head's script", error));
            all.extend(unless_damaged(id.and_then(|id| Ok((id, head(&script, &line)?)))));
            Ok(())
        };
        self.links.now()?.ask_paged(Ask::Heads, each).await?;
        Ok(all)
    }

    pub(super) async fn read_revision(
        &self,
        script: &ScriptId,
        number: RevisionNumber,
    ) -> Result<Option<Revision>, StoreError> {
        let values = (script.to_string(), signed(number.get())?);
        let found = self.links.now()?.ask(Ask::Revision, values).await?;
        found.first().map(|line| read_body(&format_args!("{script}@{number}"), &line)).transpose()
    }

    pub(super) async fn read_revisions(
        &self,
        script: &ScriptId,
        before: Option<RevisionNumber>,
        most: usize,
    ) -> Result<Vec<Revision>, StoreError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let before = before.map_or(Ok(i64::MAX), |before| signed(before.get()))?;
        let found = self.links.now()?.ask(Ask::Revisions, (script.to_string(), before, limit(most))).await?;
        Ok(found.lines().filter_map(|line| unless_damaged(read_body(script, &line))).collect())
    }

    pub(super) async fn read_steps(
        &self,
        script: &ScriptId,
        after: u64,
        most: usize,
    ) -> Result<Vec<Move>, StoreError> {
        // They are kept newest first, and asked for by a range of numbers.
        let (from, to) = (signed(after)?, signed(after.saturating_add(limit(most) as u64))?);
        let found = self.links.now()?.ask(Ask::StepsBetween, (script.to_string(), from, to)).await?;
        found.lines().rev().map(|line| read_body(script, &line)).collect()
    }

    pub(super) async fn read_script_audit(
        &self,
        script: &ScriptId,
        most: usize,
    ) -> Result<Vec<AuditEntry>, StoreError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let found = self.links.now()?.ask(Ask::Steps, (script.to_string(), limit(most))).await?;
        let steps = found.lines().filter_map(|line| unless_damaged(read_body::<Move>(script, &line)));
        Ok(steps.map(|step| step.audit).collect())
    }
}

/// What was seen of a commit.
enum Seen {
    /// It can be sent, and makes this head.
    Ready(Head),
    /// It is decided.
    Settled(Committed),
}

type Values = Vec<Vec<Option<CqlValue>>>;

/// The statements of one step.
fn batch(commit: &Commit, script: &str, head: &Head) -> Result<(Vec<Ask>, Values), StoreError> {
    let number = |number: u64| signed(number).map(CqlValue::BigInt);
    let revision = |at: Option<RevisionNumber>| at.map(|at| number(at.get())).transpose();
    let script = || Some(CqlValue::Text(script.to_owned()));
    let blob = |bytes| Some(CqlValue::Blob(bytes));
    let expected = (commit.expected_seq > 0).then(|| number(commit.expected_seq)).transpose()?;
    let step = Move { head: head.clone(), audit: commit.audit.clone() };

    let mut asks = vec![Ask::MoveHead, Ask::AddStep];
    let mut values = vec![
        vec![
            Some(number(head.seq)?),
            revision(head.active)?,
            revision(head.latest)?,
            Some(CqlValue::Uuid(head.deploy)),
            Some(CqlValue::Boolean(head.deleted)),
            script(),
            expected,
        ],
        vec![script(), Some(number(head.seq)?), blob(encode(&step)?)],
    ];
    if let Some(new) = &commit.revision {
        asks.push(Ask::AddRevision);
        values.push(vec![script(), Some(number(new.number.get())?), blob(encode(new)?)]);
    }
    Ok((asks, values))
}

fn head(script: &dyn std::fmt::Display, line: &Line<'_>) -> Result<Head, StoreError> {
    let corrupt = |why| StoreError::corrupt(format_args!("head {script}"), why);
    let revision = |name: &str| match line.large(name) {
        Some(number) => {
            let number = u64::try_from(number).ok().and_then(RevisionNumber::new);
            number.map(Some).ok_or_else(|| corrupt("a revision's number is not positive"))
        }
        None => Ok(None),
    };
    Ok(Head {
        seq: line
            .large("seq")
            .and_then(|seq| seq.try_into().ok())
            .ok_or_else(|| corrupt("it has no number"))?,
        active: revision("active")?,
        latest: revision("latest")?,
        deploy: line.id("deploy").ok_or_else(|| corrupt("it has no deploy id"))?,
        deleted: line.flag("deleted").unwrap_or(false),
    })
}

fn read_body<T: super::super::rows::Kept>(
    key: &dyn std::fmt::Display,
    line: &Line<'_>,
) -> Result<T, StoreError> {
    decode(key, line.bytes("body").unwrap_or_default())
}
