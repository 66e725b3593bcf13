//! Settings: what an operator can change of a scope's quotas while the server runs, and what holds then.
//!
//! Invariant: nothing that can be set can be set to nothing: every value has a least and a most, and an endpoint's
//! stays below the operator's ceilings whoever sets it. What nobody set is the configuration's or the manifest's.
//! Not here: who may set what, where settings are kept (`actors`), counting (`guards`).

use std::fmt;
use std::str::FromStr;

use crate::budget::{Budget, BudgetKind, Length};
use crate::limits::{EndpointLimits, Policy};
use crate::nearest::nearest;
use crate::rate::Quota;
use crate::scope::Scope;
use crate::team::TeamQuota;
use crate::units::{Bytes, PerSecond};

/// Something of a scope that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// Calls in a second.
    Rate,
    /// Calls at once after a quiet time.
    Burst,
    /// Calls alive at one time.
    Concurrency,
    /// Calls in a second of each client.
    ClientRate,
    /// Calls at once of each client.
    ClientBurst,
    /// What is used in a minute or a day.
    Budget(BudgetKind),
    /// What a team may keep here, and how often it may deploy.
    Team(TeamQuota),
}

/// Text that is not something that can be set, or not a value of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SettingError(pub String);

impl SettingError {
    /// The stable code of this error.
    pub const CODE: &'static str = "quota.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

/// What holds of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term {
    /// The limit, in whole units of what it limits.
    pub limit: u64,
    /// The soft limit in percent of it, where there is one.
    pub soft_percent: u8,
    /// Whether it only counts what it would refuse.
    pub observe: bool,
}

/// What was set of one name. What is not said stays as it is without it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Setting {
    /// The limit.
    pub limit: Option<u64>,
    /// The soft limit in percent of it.
    pub soft_percent: Option<u8>,
    /// Whether it only counts what it would refuse.
    pub observe: bool,
}

const NAMES: usize = 5 + BudgetKind::ALL.len() + TeamQuota::ALL.len();

/// What holds of every name of a scope. What the scope does not have holds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms([Term; NAMES]);

impl Name {
    /// All that there are.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Rate, Self::Burst, Self::Concurrency, Self::ClientRate, Self::ClientBurst]
            .into_iter()
            .chain(BudgetKind::ALL.map(Self::Budget))
            .chain(TeamQuota::ALL.map(Self::Team))
    }

    /// Those that a scope has; none of scripts, revisions and services.
    pub fn of(scope: &Scope) -> impl Iterator<Item = Self> {
        let scope = scope.kind();
        Self::all().filter(move |name| match name {
            Self::Rate | Self::Burst | Self::Budget(_) => matches!(scope, "team" | "endpoint" | "class"),
            Self::Concurrency => matches!(scope, "team" | "endpoint" | "all"),
            Self::ClientRate | Self::ClientBurst => scope == "all",
            Self::Team(_) => scope == "team",
        })
    }

    /// The stable text, such as `fuel_day`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rate => "rate",
            Self::Burst => "burst",
            Self::Concurrency => "concurrency",
            Self::ClientRate => "client_rate",
            Self::ClientBurst => "client_burst",
            Self::Budget(kind) => kind.as_str(),
            Self::Team(quota) => quota.as_str(),
        }
    }

    /// Whether it can only count. A burst goes with its rate; the node's own concurrency protects its memory, and
    /// what a team keeps is not asked by calls.
    pub fn can_observe(self, scope: &Scope) -> bool {
        match self {
            Self::Rate | Self::ClientRate | Self::Budget(_) => true,
            Self::Concurrency => *scope != Scope::All,
            Self::Burst | Self::ClientBurst | Self::Team(_) => false,
        }
    }

    /// Whether it has a soft limit.
    pub const fn has_soft(self) -> bool {
        matches!(self, Self::Budget(_))
    }

    /// The most that it can be set to in a scope.
    pub fn most(self, scope: &Scope, policy: &Policy) -> u64 {
        let ceiling = &policy.ceiling;
        match (self, scope) {
            (Self::Rate, Scope::Endpoint(_)) => ceiling.rate.get().into(),
            (Self::Burst, Scope::Endpoint(_)) => ceiling.burst.get().into(),
            (Self::Concurrency, Scope::Endpoint(_)) => ceiling.concurrency.get().into(),
            (Self::Rate | Self::ClientRate | Self::Burst | Self::ClientBurst, _) => 1_000_000,
            (Self::Concurrency, _) => 100_000,
            (Self::Budget(kind), _) => Budget::most(kind.length()),
            (Self::Team(quota), _) => quota.most(),
        }
    }

    /// Reads a value: a rate as `500/s`, bytes as `8MiB`, all else as a whole number, for which `5e9` will do.
    ///
    /// # Errors
    /// It is none, zero, or more than the most.
    pub fn read(self, text: &str, scope: &Scope, policy: &Policy) -> Result<u64, SettingError> {
        let wrong = |why: &dyn fmt::Display| SettingError(format!("`{}`: {why}", self.as_str()));
        let value = match self {
            Self::Rate | Self::ClientRate => {
                text.parse::<PerSecond>().map(|rate| rate.get().into()).map_err(|error| wrong(&error))?
            }
            Self::Budget(BudgetKind::BytesMinute | BudgetKind::BytesDay)
            | Self::Team(TeamQuota::UnitBytes) => {
                text.parse::<Bytes>().map(Bytes::get).map_err(|error| wrong(&error))?
            }
            _ => whole(text).ok_or_else(|| {
                wrong(&format_args!("`{text}` is not a whole number; write it like `5000000` or `5e6`"))
            })?,
        };
        let most = self.most(scope, policy);
        match value {
            0 => Err(wrong(&"it must not be zero: no limit can be taken away")),
            value if value > most => {
                Err(wrong(&format_args!("at most {} can be set, the operator's ceiling", self.show(most))))
            }
            value => Ok(value),
        }
    }

    /// A value as [`Name::read`] reads it.
    pub fn show(self, value: u64) -> String {
        match self {
            Self::Rate | Self::ClientRate => format!("{value}/s"),
            Self::Budget(BudgetKind::BytesMinute | BudgetKind::BytesDay)
            | Self::Team(TeamQuota::UnitBytes) => Bytes::new(value).to_string(),
            _ => value.to_string(),
        }
    }

    /// Over which time it counts; nothing where it counts what there is.
    pub const fn length(self) -> Option<Length> {
        match self {
            Self::Budget(kind) => Some(kind.length()),
            Self::Team(quota) => quota.length(),
            _ => None,
        }
    }

    const fn place(self) -> usize {
        match self {
            Self::Rate => 0,
            Self::Burst => 1,
            Self::Concurrency => 2,
            Self::ClientRate => 3,
            Self::ClientBurst => 4,
            Self::Budget(kind) => 5 + kind as usize,
            Self::Team(quota) => 5 + BudgetKind::ALL.len() + quota as usize,
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Name {
    type Err = SettingError;

    /// A dash is as good as an underscore.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.replace('-', "_");
        Self::all().find(|name| name.as_str() == wanted).ok_or_else(|| {
            let there_is = match nearest(&wanted, Self::all().map(Self::as_str)) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!("there are {}", Self::all().map(Self::as_str).collect::<Vec<_>>().join(", ")),
            };
            SettingError(format!("there is no quota `{text}`; {there_is}"))
        })
    }
}

impl Terms {
    fn new(limit: impl Fn(Name) -> u64, policy: &Policy) -> Self {
        let mut terms = Self([Term { limit: 1, soft_percent: policy.soft_percent, observe: false }; NAMES]);
        for name in Name::all() {
            terms.0[name.place()].limit = limit(name).max(1);
        }
        terms
    }

    /// What an endpoint has by itself: the configuration's defaults and its manifest.
    pub fn of_endpoint(limits: &EndpointLimits, policy: &Policy) -> Self {
        let limit = |name| match name {
            Name::Rate => limits.rate.get().into(),
            Name::Burst => limits.burst.get().into(),
            Name::Concurrency => limits.concurrency.get().into(),
            Name::Budget(kind) => policy.endpoint_budgets.get(kind),
            _ => 1,
        };
        Self::new(limit, policy)
    }

    /// What every team has by itself.
    pub fn of_team(policy: &Policy) -> Self {
        let limit = |name| match name {
            Name::Rate => policy.team_rate.get().into(),
            Name::Burst => policy.team_burst.get().into(),
            Name::Concurrency => policy.team_concurrency.get().into(),
            Name::Budget(kind) => policy.team_budgets.get(kind),
            Name::Team(quota) => policy.team_quotas.get(quota),
            _ => 1,
        };
        Self::new(limit, policy)
    }

    /// What a class has by itself.
    pub fn of_class(quota: Quota, policy: &Policy) -> Self {
        let limit = |name| match name {
            Name::Rate => quota.rate.get().into(),
            Name::Burst => quota.burst.get().into(),
            Name::Budget(kind) => policy.class_budgets.get(kind),
            _ => 1,
        };
        Self::new(limit, policy)
    }

    /// What the node has by itself.
    pub fn of_node(policy: &Policy) -> Self {
        let limit = |name| match name {
            Name::Concurrency => policy.node_concurrency.get().into(),
            Name::ClientRate => policy.client_rate.get().into(),
            Name::ClientBurst => policy.client_burst.get().into(),
            _ => 1,
        };
        Self::new(limit, policy)
    }

    /// What holds of a name.
    pub fn get(&self, name: Name) -> Term {
        self.0[name.place()]
    }

    /// What holds when this is set. A burst that was not set follows the rate that was.
    #[must_use]
    pub fn with<'a>(mut self, settings: impl IntoIterator<Item = (Name, &'a Setting)> + Clone) -> Self {
        let is_set =
            |wanted| settings.clone().into_iter().any(|(name, set)| name == wanted && set.limit.is_some());
        for (rate, burst) in [(Name::Rate, Name::Burst), (Name::ClientRate, Name::ClientBurst)] {
            let set = settings.clone().into_iter().find(|(name, _)| *name == rate);
            if let Some(limit) = set.and_then(|(_, set)| set.limit)
                && !is_set(burst)
            {
                let rate = u32::try_from(limit).ok().and_then(PerSecond::new);
                self.0[burst.place()].limit = rate.map_or(1, |rate| rate.usual_burst().get().into());
            }
        }
        for (name, set) in settings {
            let term = &mut self.0[name.place()];
            term.limit = set.limit.unwrap_or(term.limit);
            term.soft_percent = set.soft_percent.unwrap_or(term.soft_percent);
            term.observe = set.observe;
        }
        self
    }

    /// What a node has of it that takes this part of the traffic: its part of rates and budgets, rounded up, and
    /// all else whole.
    #[must_use]
    pub fn part(mut self, part: f64) -> Self {
        let shared = Name::all().filter(|name| matches!(name, Name::Rate | Name::Burst | Name::Budget(_)));
        for name in shared {
            let limit = &mut self.0[name.place()].limit;
            // Above 2^53 a limit loses its last digits, and there none matters.
            *limit = ((*limit as f64 * part).ceil() as u64).clamp(1, *limit);
        }
        self
    }
}

/// A whole number: plain, with underscores, or as digits and a power of ten.
fn whole(text: &str) -> Option<u64> {
    let (digits, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let plain = |text: &str| -> Option<u64> {
        let well = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
        (well && text.starts_with(|first: char| first.is_ascii_digit()))
            .then(|| text.replace('_', "").parse().ok())
            .flatten()
    };
    plain(digits)?.checked_mul(10_u64.checked_pow(u32::try_from(plain(power)?).ok()?)?)
}

#[cfg(test)]
mod tests;
