//! Moving the active revision, and taking a script away.

use actix::{Handler, Message, ResponseFuture};
use quotas::scope::{EndpointId, RevisionId, RevisionNumber, Scope, ScriptId};

use super::deploy::RACES;
use super::prepare::{self, Active, Depth, Prepared};
use super::team::TeamStandOf;
use super::{Applied, Controller, Work, claims};
use crate::error::{ControlError, StoreError};
use crate::storage::{AuditEntry, Change, Commit, Committed, DeployId, Head};
use crate::who::Who;

/// A team: let this revision answer. Answered when it does.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Activated, ControlError>")]
pub struct Activate {
    /// Who asks.
    pub who: Who,
    /// The script.
    pub script: ScriptId,
    /// The revision.
    pub revision: RevisionNumber,
    /// Where the script has to stand; without it, wherever it stands.
    pub expected: Option<u64>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Why.
    pub reason: Option<String>,
}

/// A team: take this script away. Its history stays.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Activated, ControlError>")]
pub struct Delete {
    /// Who asks.
    pub who: Who,
    /// The script.
    pub script: ScriptId,
    /// Where the script has to stand; without it, wherever it stands.
    pub expected: Option<u64>,
    /// Only say what would be done.
    pub dry_run: bool,
    /// Why.
    pub reason: Option<String>,
}

/// Where a script stands after a move, or would.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activated {
    /// The head.
    pub head: Head,
    /// What answers now.
    pub endpoints: Vec<EndpointId>,
    /// What answered before and does no more.
    pub removed: Vec<EndpointId>,
}

/// A move of a script's head.
struct Move {
    script: ScriptId,
    expected: Option<u64>,
    active: Option<Active>,
    audit: AuditEntry,
    dry_run: bool,
}

impl Handler<Activate> for Controller {
    type Result = ResponseFuture<Result<Activated, ControlError>>;

    fn handle(&mut self, activate: Activate, ctx: &mut Self::Context) -> Self::Result {
        let work = self.work(ctx);
        Box::pin(async move {
            let script = activate.script.clone();
            Work::told(&script, work.activate(activate).await)
        })
    }
}

impl Handler<Delete> for Controller {
    type Result = ResponseFuture<Result<Activated, ControlError>>;

    fn handle(&mut self, delete: Delete, ctx: &mut Self::Context) -> Self::Result {
        let work = self.work(ctx);
        Box::pin(async move {
            let Delete { who, script, expected, dry_run, reason } = delete;
            let _turn = work.turns.take(&script).await;
            let audit = who.entry("script.delete", Scope::Script(script.clone()), reason);
            let done =
                work.shift(Move { script: script.clone(), expected, active: None, audit, dry_run }).await;
            Work::told(&script, done)
        })
    }
}

impl Work {
    async fn activate(&self, activate: Activate) -> Result<Activated, ControlError> {
        let Activate { who, script, revision, expected, dry_run, reason } = activate;
        let _turn = self.turns.take(&script).await;
        let id = RevisionId { script: script.clone(), number: revision };
        if self.store.head(&script).await?.is_none() {
            return Err(ControlError::ScriptUnknown(script));
        }
        if self.store.revision(&script, revision).await?.is_none() {
            return Err(ControlError::RevisionUnknown(id));
        }
        let active = prepare::active(&self.shared, &*self.store, &script, revision, Depth::Unit).await?;
        claims::check(&self.shared.routes.load(), &script, &active.manifest)?;
        let stand = self.controller.send(TeamStandOf(script.clone())).await?;
        stand.activates(active.manifest.endpoints.len(), active.cell.weight())?;
        let audit = who.entry("revision.activate", Scope::Revision(id), reason);
        self.shift(Move { script, expected, active: Some(active), audit, dry_run }).await
    }

    /// Moves a script's head to a revision, or to none.
    async fn shift(&self, to: Move) -> Result<Activated, ControlError> {
        let Move { script, expected, active, audit, dry_run } = to;
        let present = self.store.head(&script).await?;
        let taken_away = active.is_none();
        let gone = |head: &Head| taken_away && head.deleted;
        let Some(head) = present.filter(|head| !gone(head)) else {
            return Err(ControlError::ScriptUnknown(script));
        };
        if expected.is_some_and(|expected| expected != head.seq) {
            return Err(ControlError::DeployConflict { present: Box::new(head) });
        }
        self.may_change(&script)?;
        if dry_run {
            return Ok(self.foretell_shift(&script, head, active.as_ref()));
        }
        // Until they are served.
        let _reserved = match &active {
            Some(active) => Some(self.claim(&script, &active.manifest).await?),
            None => None,
        };
        let number = active.as_ref().map(|active| active.revision.number);
        let commit = Commit {
            script: script.clone(),
            expected_seq: head.seq,
            deploy: DeployId::new_v4(),
            active: number,
            revision: None,
            deleted: taken_away,
            audit,
        };
        let head = match self.race(commit, expected.is_none()).await {
            Ok(head) => head,
            Err(error) => {
                if let Some(active) = &active
                    && !matches!(error, ControlError::Store(StoreError::Unknown { .. }))
                {
                    self.unclaim(&script, &active.manifest).await;
                }
                return Err(error);
            }
        };
        self.shared.fleet.hint(Change::Script(script.clone(), head.seq));
        let prepared = Prepared { script: script.clone(), head: head.clone(), active };
        let Applied { endpoints, removed, released } = self.apply(prepared).await?;
        self.give_back(&script, &released).await;
        Ok(Activated { head, endpoints, removed })
    }

    /// Commits; a race that was lost is run again where the caller did not say where the script has to stand.
    async fn race(&self, mut commit: Commit, again: bool) -> Result<Head, ControlError> {
        let mut races = if again { 0 } else { RACES };
        loop {
            match self.store.commit(&commit).await? {
                Committed::Applied(head) => return Ok(head),
                Committed::Lost { present: None } => return Err(ControlError::ScriptUnknown(commit.script)),
                Committed::Lost { present: Some(head) } if races >= RACES => {
                    return Err(ControlError::DeployConflict { present: Box::new(head) });
                }
                Committed::Lost { present: Some(head) } => commit.expected_seq = head.seq,
            }
            races += 1;
        }
    }

    fn foretell_shift(&self, script: &ScriptId, head: Head, active: Option<&Active>) -> Activated {
        let endpoints: Vec<EndpointId> = active
            .into_iter()
            .flat_map(|active| &active.manifest.endpoints)
            .map(|spec| EndpointId { script: script.clone(), name: spec.name.clone() })
            .collect();
        let routes = self.shared.routes.load();
        let served = routes.script(script).iter().map(|entry| entry.id.clone());
        let removed = served.filter(|id| !endpoints.contains(id)).collect();
        let number = active.map(|active| active.revision.number);
        let head = Head { seq: head.seq + 1, active: number, deleted: active.is_none(), ..head };
        Activated { head, endpoints, removed }
    }

    /// Brings the routes to a head that was found in the store.
    pub(super) async fn bring(&self, script: &ScriptId, head: &Head) -> Result<Applied, ControlError> {
        let prepared =
            prepare::prepare(&self.shared, &*self.store, script, head.clone(), Depth::Unit).await?;
        self.apply(prepared).await
    }
}
