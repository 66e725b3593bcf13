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
    /// What the script serves.
    serves: Has,
    /// Whether the script is new.
    is_new: bool,
}

impl Handler<TeamStandOf> for Controller {
    type Result = MessageResult<TeamStandOf>;

    fn handle(&mut self, TeamStandOf(script): TeamStandOf, _: &mut Self::Context) -> Self::Result {
        let guard = self.team_guard(&script.team);
        let is_new = self.scripts.get(&script).is_none_or(|live| live.head.deleted);
        let has = self.team_has(&script.team, Some(&script));
        let all = self.team_has(&script.team, None);
        let serves = Has {
            endpoints: all.endpoints.saturating_sub(has.endpoints),
            // A unit may have been forgotten between the two looks.
            unit_bytes: all.unit_bytes.saturating_sub(has.unit_bytes),
            ..Has::default()
        };
        let terms = self.team_terms(&script.team);
        MessageResult(TeamStand { team: script.team, guard, terms, has, serves, is_new })
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
    /// Whether a deploy may begin, and be compiled, that makes so many endpoints answer.
    pub(super) fn begins(&self, endpoints: usize, dry_run: bool) -> Result<(), ControlError> {
        self.guard.deploys.ask_compiling(&self.team, now()).map_err(ControlError::Quota)?;
        self.deploys(endpoints, dry_run)
    }

    /// Whether a deploy may be made that makes so many endpoints answer. One that is only tried is not counted.
    pub(super) fn deploys(&self, endpoints: usize, dry_run: bool) -> Result<(), ControlError> {
        if !dry_run {
            self.guard.deploys.ask(&self.team, now()).map_err(ControlError::Quota)?;
        }
        self.keeps(TeamQuota::Scripts, u64::from(self.is_new))?;
        self.keeps(TeamQuota::Revisions, 1)?;
        self.keeps(TeamQuota::Endpoints, endpoints as u64)
    }

    /// So long was compiled.
    pub(super) fn compiled(&self, took: Duration) {
        self.guard.deploys.compiled(took, now());
    }

    /// Whether the team may hold a unit of so many bytes for the script.
    pub(super) fn holds(&self, unit_bytes: u64) -> Result<(), ControlError> {
        self.keeps(TeamQuota::UnitBytes, unit_bytes)
    }

    /// Whether a revision may answer that was deployed before, with so many endpoints and a unit of so many bytes. One
    /// that takes no more than what answers now always may, whatever the limits came to: it may be the way back.
    pub(super) fn activates(&self, endpoints: usize, unit_bytes: u64) -> Result<(), ControlError> {
        self.keeps(TeamQuota::Scripts, u64::from(self.is_new))?;
        let endpoints = endpoints as u64;
        if endpoints > self.serves.endpoints {
            self.keeps(TeamQuota::Endpoints, endpoints)?;
        }
        if unit_bytes > self.serves.unit_bytes {
            self.keeps(TeamQuota::UnitBytes, unit_bytes)?;
        }
        Ok(())
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
