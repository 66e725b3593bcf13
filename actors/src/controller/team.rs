//! Team: what a team has on this node, compared with what it may have before a deploy makes it more.
//!
//! Invariant: a deploy that would be too much is refused before anything of it is stored, with the rule, the limit
//! and what there would be. What is there already stays, whatever the limits come to.
//! Not here: the limits (`quotas::team`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use actix::{Handler, Message, MessageResult};
use quotas::guards::TeamGuard;
use quotas::scope::{Scope, ScriptId, TeamName};
use quotas::setting::{Name, Terms};
use quotas::team::{TeamQuota, TeamRefusal};
use quotas::units::Moment;
use runtime::fuel::now_nanos;

use super::Controller;
use crate::error::ControlError;
use crate::who::unix_ms;

/// What a team has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Has {
    endpoints: u64,
    scripts: u64,
    revisions: u64,
    unit_bytes: u64,
}

impl Has {
    /// How many it has of a thing that is kept.
    pub(super) fn of(&self, quota: TeamQuota) -> u64 {
        match quota {
            TeamQuota::Endpoints => self.endpoints,
            TeamQuota::Scripts => self.scripts,
            TeamQuota::Revisions => self.revisions,
            TeamQuota::UnitBytes => self.unit_bytes,
            TeamQuota::DeploysHour | TeamQuota::CompileHour => 0,
        }
    }
}

/// A deploy: how does the team stand without what this script serves?
#[derive(Debug, Clone, Message)]
#[rtype(result = "TeamStand")]
pub(super) struct TeamStandOf(pub(super) ScriptId);

/// How a team stands before a deploy.
#[derive(Debug, Clone)]
pub(super) struct TeamStand {
    team: TeamName,
    guard: Arc<TeamGuard>,
    terms: Terms,
    /// What it has without what the script serves.
    has: Has,
    /// Whether the script is new.
    is_new: bool,
}

impl Handler<TeamStandOf> for Controller {
    type Result = MessageResult<TeamStandOf>;

    fn handle(&mut self, TeamStandOf(script): TeamStandOf, _: &mut Self::Context) -> Self::Result {
        let guard = self.team_guard(&script.team);
        let is_new = self.scripts.get(&script).is_none_or(|live| live.head.deleted);
        let has = self.team_has(&script.team, Some(&script));
        let terms = self.team_terms(&script.team);
        MessageResult(TeamStand { team: script.team, guard, terms, has, is_new })
    }
}

impl Controller {
    /// What a team has, without what one of its scripts serves.
    pub(super) fn team_has(&self, team: &TeamName, without: Option<&ScriptId>) -> Has {
        let (mut has, now) = (Has::default(), unix_ms());
        let mut units = HashMap::new();
        for (script, live) in self.scripts.iter().filter(|(script, _)| script.team == *team) {
            has.revisions += live.head.latest.map_or(0, |latest| latest.get());
            has.scripts += u64::from(!live.head.deleted);
            if without == Some(script) {
                continue;
            }
            for entry in live.entries.iter().filter(|entry| !entry.has_expired(now)) {
                has.endpoints += 1;
                units.insert(*entry.bundle.as_bytes(), entry.unit.weight());
            }
        }
        has.unit_bytes = units.into_values().sum();
        has
    }

    fn team_terms(&self, team: &TeamName) -> Terms {
        self.terms(&Scope::Team(team.clone()), Terms::of_team(&self.shared.policy))
    }
}

impl TeamStand {
    /// Whether a deploy may begin that makes so many endpoints answer.
    pub(super) fn begins(&self, endpoints: usize) -> Result<(), ControlError> {
        self.guard.deploys.ask(&self.team, now()).map_err(ControlError::Quota)?;
        self.keeps(TeamQuota::Scripts, u64::from(self.is_new))?;
        self.keeps(TeamQuota::Revisions, 1)?;
        self.keeps(TeamQuota::Endpoints, endpoints as u64)
    }

    /// So long was compiled, to a unit of so many bytes.
    pub(super) fn compiled(&self, took: Duration, unit_bytes: u64) -> Result<(), ControlError> {
        self.guard.deploys.compiled(took, now());
        self.keeps(TeamQuota::UnitBytes, unit_bytes)
    }

    fn keeps(&self, quota: TeamQuota, more: u64) -> Result<(), ControlError> {
        let limit = self.terms.get(Name::Team(quota)).limit;
        let observed = self.has.of(quota).saturating_add(more);
        if more == 0 || observed <= limit {
            return Ok(());
        }
        let refusal = TeamRefusal { team: self.team.clone(), quota, limit, observed, retry_after: None };
        Err(ControlError::Quota(Box::new(refusal)))
    }
}

fn now() -> Moment {
    Moment::from_nanos(now_nanos())
}
