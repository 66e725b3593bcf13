//! Team: what a team may keep on the server, and how often it may change it.
//!
//! Invariant: a refusal names the rule, the limit, what was found, and what to do about it.
//! Not here: counting what there is (`actors`), calls (`admission`).
//!
//! What there is is counted when a deploy asks, on the node that it asks, before it compiles and again before it is
//! stored: of two deploys of one team at the same moment on two nodes, both may be told yes where one place is left.

use std::time::Duration;

use crate::budget::{Budget, Exhausted, Length};
use crate::refusal::Reader;
use crate::scope::TeamName;
use crate::units::{Amount, Bytes, Moment};

/// What a team has of a thing that is kept or done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TeamQuota {
    /// Endpoints that answer.
    Endpoints,
    /// Scripts that are not deleted.
    Scripts,
    /// Revisions that are kept, of deleted scripts too.
    Revisions,
    /// Deploys in an hour.
    DeploysHour,
    /// Seconds of compiling in an hour.
    CompileHour,
    /// Memory of its units, in bytes.
    UnitBytes,
}

impl TeamQuota {
    /// All of them, in the order in which they are asked.
    pub const ALL: [Self; 6] = [
        Self::DeploysHour,
        Self::CompileHour,
        Self::Scripts,
        Self::Revisions,
        Self::Endpoints,
        Self::UnitBytes,
    ];

    /// Its word in settings.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Endpoints => "endpoints",
            Self::Scripts => "scripts",
            Self::Revisions => "revisions",
            Self::DeploysHour => "deploys_hour",
            Self::CompileHour => "compile_hour",
            Self::UnitBytes => "unit_bytes",
        }
    }

    /// The rule's name in a refusal.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Endpoints => "team.endpoints",
            Self::Scripts => "team.scripts",
            Self::Revisions => "team.revisions",
            Self::DeploysHour => "team.deploys_hour",
            Self::CompileHour => "team.compile_hour",
            Self::UnitBytes => "team.unit_bytes",
        }
    }

    /// Over which time it counts; nothing where it counts what there is.
    pub const fn length(self) -> Option<Length> {
        match self {
            Self::DeploysHour | Self::CompileHour => Some(Length::Hour),
            Self::Endpoints | Self::Scripts | Self::Revisions | Self::UnitBytes => None,
        }
    }

    /// The most that it can be set to.
    pub const fn most(self) -> u64 {
        match self {
            Self::Endpoints | Self::Scripts => 100_000,
            Self::Revisions => 100_000_000,
            Self::DeploysHour | Self::CompileHour => 1_000_000,
            Self::UnitBytes => Bytes::mib(1 << 20).get(),
        }
    }

    /// A number of what is counted.
    pub const fn amount(self, number: u64) -> Amount {
        match self {
            Self::UnitBytes => Amount::Bytes(Bytes::new(number)),
            Self::CompileHour => Amount::Time(Duration::from_secs(number)),
            _ => Amount::Calls(number),
        }
    }

    /// What to do when it is used up.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::Endpoints => {
                "Take endpoints that nobody calls out of a manifest, or a script away with `callboard delete`; those that are for a test go by themselves with `expires`."
            }
            Self::Scripts => {
                "Take a script away that nobody needs, with `callboard delete`, or put the endpoint into one that is there."
            }
            Self::Revisions => "Ask the operator for room for more revisions; none is ever taken away.",
            Self::DeploysHour => {
                "Deploy less often, or wait; `callboard check` and `--dry-run` do not count as deploys."
            }
            Self::CompileHour => "Wait, or make the scripts smaller; every deploy and dry run is compiled.",
            Self::UnitBytes => "Make the scripts smaller, delete one, or ask the operator for more memory.",
        }
    }
}

/// The limits of a team.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TeamQuotas(pub [u64; TeamQuota::ALL.len()]);

impl TeamQuotas {
    /// The limit of one.
    pub const fn get(&self, quota: TeamQuota) -> u64 {
        self.0[quota as usize]
    }
}

/// Why a team may not have or do one more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} of team:{team} allows {}, and {} would be", quota.rule(), quota.amount(*limit), quota.amount(*observed))]
pub struct TeamRefusal {
    /// The team.
    pub team: TeamName,
    /// Of what.
    pub quota: TeamQuota,
    /// The limit.
    pub limit: u64,
    /// What there would be.
    pub observed: u64,
    /// When it may be worth to try again, where time alone helps.
    pub retry_after: Option<Duration>,
}

impl TeamRefusal {
    /// The stable code.
    pub const CODE: &'static str = "quota.exceeded";

    /// What its reader is told by it.
    pub fn reader(&self) -> Reader {
        Reader::SlowDown
    }
}

/// The deploys of a team in the last hour, as far as this node heard of them, and what it compiled for the team.
#[derive(Debug)]
pub struct Deploys {
    deploys: Budget,
    /// In milliseconds.
    compiling: Budget,
}

impl Deploys {
    /// Of a team that did nothing yet.
    pub fn new(quotas: &TeamQuotas) -> Self {
        let budget = |quota, unit| Budget::new(Length::Hour, quotas.get(quota).saturating_mul(unit), 100);
        Self { deploys: budget(TeamQuota::DeploysHour, 1), compiling: budget(TeamQuota::CompileHour, 1_000) }
    }

    /// Puts other limits in force; what was used stays used.
    pub fn set(&self, deploys: u64, compile_seconds: u64) {
        self.deploys.set(deploys, 100);
        self.compiling.set(compile_seconds.saturating_mul(1_000), 100);
    }

    /// What is used of one of the two, and when all of it is left again.
    pub fn used(&self, quota: TeamQuota, now: Moment) -> (u64, Duration) {
        match quota {
            TeamQuota::CompileHour => {
                (self.compiling.used(now).div_ceil(1_000), self.compiling.reset_after(now))
            }
            _ => (self.deploys.used(now), self.deploys.reset_after(now)),
        }
    }

    /// Whether another deploy may be made.
    ///
    /// # Errors
    /// As many were made as may be in an hour.
    pub fn ask(&self, team: &TeamName, now: Moment) -> Result<(), Box<TeamRefusal>> {
        let refuse = |full: Exhausted| TeamRefusal {
            team: team.clone(),
            quota: TeamQuota::DeploysHour,
            limit: full.limit,
            observed: full.used + 1,
            retry_after: Some(self.deploys.left_after(now)),
        };
        self.deploys.ask(now).map(drop).map_err(|full| Box::new(refuse(full)))
    }

    /// Whether something more may be compiled.
    ///
    /// # Errors
    /// So much was compiled as may be in an hour.
    pub fn ask_compiling(&self, team: &TeamName, now: Moment) -> Result<(), Box<TeamRefusal>> {
        let refuse = |full: Exhausted| TeamRefusal {
            team: team.clone(),
            quota: TeamQuota::CompileHour,
            limit: full.limit / 1_000,
            observed: full.used.div_ceil(1_000),
            retry_after: Some(self.compiling.left_after(now)),
        };
        self.compiling.ask(now).map(drop).map_err(|full| Box::new(refuse(full)))
    }

    /// So many deploys were made, on this node or another.
    pub fn deployed(&self, count: u64, now: Moment) {
        self.deploys.charge(count, now);
    }

    /// So long was compiled.
    pub fn compiled(&self, took: Duration, now: Moment) {
        self.compiling.charge(u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deploys_of_an_hour_are_counted_and_the_refusal_says_when_to_come_back() {
        let team = TeamName::parse("tv").unwrap();
        let deploys = Deploys::new(&TeamQuotas([2; 6]));
        let at = |seconds: u64| Moment::from_nanos(seconds * 1_000_000_000);
        for _ in 0..2 {
            deploys.ask(&team, at(10)).unwrap();
            deploys.deployed(1, at(10));
        }
        let refused = deploys.ask(&team, at(20)).unwrap_err();
        assert_eq!((refused.quota, refused.limit, refused.observed), (TeamQuota::DeploysHour, 2, 3));
        assert_eq!(refused.to_string(), "team.deploys_hour of team:tv allows 2, and 3 would be");
        // The slot of the first deploys ends 150 s after the hour began, and counts for a whole hour more.
        assert_eq!(refused.retry_after, Some(Duration::from_secs(3_600 + 150 - 20)));
        deploys.ask(&team, at(3_750)).unwrap();
    }

    #[test]
    fn compiling_may_take_so_long_in_an_hour() {
        let team = TeamName::parse("tv").unwrap();
        let deploys = Deploys::new(&TeamQuotas([2; 6]));
        let now = Moment::from_nanos(1);
        deploys.compiled(Duration::from_millis(1_999), now);
        deploys.ask_compiling(&team, now).unwrap();
        deploys.compiled(Duration::from_millis(500), now);
        let refused = deploys.ask_compiling(&team, now).unwrap_err();
        assert_eq!((refused.quota, refused.limit, refused.observed), (TeamQuota::CompileHour, 2, 3));
        assert_eq!(deploys.used(TeamQuota::CompileHour, now).0, 3);
    }
}
