//! What a commit does to a head, decided without a store.
//!
//! Invariant: sequence numbers go up, by one unless the store lost some; a revision's number is above all before it; what is active exists.
//! Not here: making it so in one step (`embedded`, `scylla`).

use super::records::{Commit, Committed, Head, Move};
use crate::error::StoreError;

/// Where a commit meets the head.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// The head is where the commit expects it; this is what it becomes.
    Ready(Head),
    /// The head is past it: the step after the expected one says whose it was.
    Passed,
    /// The head is not there yet, so the commit was decided on something that does not exist.
    Behind,
}

/// The number of the step that a commit makes, when steps up to `known` were seen elsewhere.
pub(super) fn next(commit: &Commit, known: u64) -> u64 {
    commit.expected_seq.max(known).saturating_add(1)
}

pub(super) fn standing(commit: &Commit, present: Option<&Head>, known: u64) -> Result<Standing, StoreError> {
    let seq = present.map_or(0, |head| head.seq);
    if seq > commit.expected_seq {
        return Ok(Standing::Passed);
    }
    if seq < commit.expected_seq {
        return Ok(Standing::Behind);
    }
    let before = present.and_then(|head| head.latest);
    let new = commit.revision.as_ref().map(|revision| revision.number);
    if let (Some(new), Some(before)) = (new, before)
        && new <= before
    {
        let script = &commit.script;
        return Err(StoreError::invalid(format_args!(
            "{script} has revision {before}, so {new} is not a new one"
        )));
    }
    let latest = new.or(before);
    if commit.active > latest {
        return Err(StoreError::invalid(format_args!(
            "{} has no such revision to make active",
            commit.script
        )));
    }
    let (active, deploy, deleted) = (commit.active, commit.deploy, commit.deleted);
    Ok(Standing::Ready(Head { seq: next(commit, known), active, latest, deploy, deleted }))
}

/// What came of a commit that the head has passed, given the step after the expected one.
pub(super) fn passed(commit: &Commit, step: Option<Move>, present: Option<Head>) -> Committed {
    match step {
        Some(step) if step.head.deploy == commit.deploy => Committed::Applied(step.head),
        _ => Committed::Lost { present },
    }
}

#[cfg(test)]
mod tests {
    use quotas::scope::{RevisionNumber, ScriptId};

    use super::super::records::{AuditEntry, ContentHash, DeployId, Revision};
    use super::*;

    fn head(seq: u64, latest: u64) -> Head {
        let latest = RevisionNumber::new(latest);
        Head { seq, active: latest, latest, deploy: DeployId::from_u128(1), deleted: false }
    }

    fn commit(expected_seq: u64, revision: Option<u64>, active: u64) -> Commit {
        let revision = revision.and_then(RevisionNumber::new).map(|number| Revision {
            number,
            bundle: ContentHash::of(b""),
            message: String::new(),
            tag: None,
            by: String::new(),
            at_ms: 0,
            idempotency_key: None,
            request_hash: None,
            endpoints: Vec::new(),
        });
        Commit {
            script: ScriptId::parse("tv/home").unwrap(),
            expected_seq,
            deploy: DeployId::from_u128(2),
            active: RevisionNumber::new(active),
            revision,
            deleted: false,
            audit: AuditEntry {
                id: String::new(),
                at_ms: 0,
                who: String::new(),
                from: String::new(),
                what: String::new(),
                subject: String::new(),
                why: None,
                detail: String::new(),
            },
        }
    }

    #[test]
    fn a_commit_meets_the_head_where_its_sequence_number_says() {
        fn check(commit: Commit, present: Option<Head>, want: Result<Standing, &str>) {
            assert_eq!(standing(&commit, present.as_ref(), 0).map_err(|e| e.code()), want);
        }
        let ready = |seq, latest, active| {
            let (active, latest) = (RevisionNumber::new(active), RevisionNumber::new(latest));
            Ok(Standing::Ready(Head { seq, active, latest, deploy: DeployId::from_u128(2), deleted: false }))
        };
        check(commit(0, Some(1), 1), None, ready(1, 1, 1));
        check(commit(3, Some(5), 5), Some(head(3, 4)), ready(4, 5, 5));
        check(commit(3, None, 2), Some(head(3, 4)), ready(4, 4, 2));
        check(commit(2, Some(5), 5), Some(head(3, 4)), Ok(Standing::Passed));
        check(commit(4, Some(5), 5), Some(head(3, 4)), Ok(Standing::Behind));
        check(commit(3, Some(4), 4), Some(head(3, 4)), Err("store.invalid"));
        check(commit(3, None, 5), Some(head(3, 4)), Err("store.invalid"));
        check(commit(0, None, 1), None, Err("store.invalid"));
    }

    #[test]
    fn a_step_comes_after_those_that_the_store_lost() {
        let seq = |present: Option<Head>, known| {
            let commit = commit(present.as_ref().map_or(0, |head| head.seq), Some(9), 9);
            match standing(&commit, present.as_ref(), known) {
                Ok(Standing::Ready(head)) => head.seq,
                other => panic!("{other:?}"),
            }
        };
        let (old, new) = (Some(head(3, 1)), Some(head(9, 1)));
        assert_eq!([seq(None, 0), seq(None, 7), seq(old, 7), seq(new, 7)], [1, 8, 8, 10]);
    }

    #[test]
    fn a_commit_that_was_passed_knows_its_own_step() {
        let commit = commit(1, Some(2), 2);
        let mine = Head { deploy: commit.deploy, ..head(2, 2) };
        let step = |head: &Head| Some(Move { head: head.clone(), audit: commit.audit.clone() });
        let present = Some(head(5, 5));
        assert_eq!(passed(&commit, step(&mine), present.clone()), Committed::Applied(mine));
        let lost = Committed::Lost { present: present.clone() };
        assert_eq!(passed(&commit, step(&head(2, 2)), present), lost);
    }
}
