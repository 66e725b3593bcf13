//! Kinds: what a switch does with what is in its scope, and which scopes each kind makes sense for.
//!
//! Invariant: a switch and its kind fit: [`Kind::fits`] is the one table, asked before a switch is made.
//! Not here: asking a switch about a call (`armed`).

use std::fmt;
use std::str::FromStr;

use crate::priority::Priority;
use crate::refusal::RefusalCode;
use crate::scope::Scope;
use crate::units::InFlight;

/// What kind of switch it is. A scope can have one of each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nothing of it runs: calls are refused, and those that run are stopped.
    #[default]
    Kill,
    /// Nothing of it is changed: deploys, rollbacks and deletions are refused.
    Freeze,
    /// Calls of a priority and of those below it are refused.
    Shed,
    /// Its calls do not run; who has a fallback answers with that.
    Fallback,
    /// Its calls do not run; who has a last good answer answers with that.
    LastGood,
    /// Only so many of its calls are alive at one time.
    Cap,
}

/// What a switch does: its kind, with what that kind needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    /// See [`Kind::Kill`].
    Kill,
    /// See [`Kind::Freeze`].
    Freeze,
    /// The most important priority that is refused; see [`Effect::shed`].
    Shed(Priority),
    /// See [`Kind::Fallback`].
    Fallback,
    /// See [`Kind::LastGood`].
    LastGood,
    /// Calls that may be alive at one time, on each node.
    Cap(InFlight),
}

/// A kind of switch that makes no sense for a scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{kind}` makes no sense for a scope of the kind `{scope}`: {why}")]
pub struct Misfit {
    /// The kind of switch.
    pub kind: Kind,
    /// The kind of scope.
    pub scope: &'static str,
    /// What is wrong, and what to do instead.
    pub why: &'static str,
}

/// Text that names no kind of switch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of switch; there are kill, freeze, shed, fallback, last-good, cap")]
pub struct ParseKindError(String);

/// What a kind needs to know and was not told, or was told and has no use for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct EffectError {
    /// Which of the two it is about: `level` or `limit`.
    pub field: &'static str,
    /// What is wrong.
    pub problem: String,
}

impl EffectError {
    /// The stable code of this error.
    pub const CODE: &'static str = "request.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

impl Misfit {
    /// The stable code of this error.
    pub const CODE: &'static str = "switch.misfit";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

impl ParseKindError {
    /// The stable code of this error.
    pub const CODE: &'static str = "request.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Kill, Self::Freeze, Self::Shed, Self::Fallback, Self::LastGood, Self::Cap];

    /// Those that refuse calls, in the order in which they are asked: what is killed is never answered by a
    /// fallback, and what does not run needs no place.
    pub(super) const OF_CALLS: [Self; 5] =
        [Self::Kill, Self::Fallback, Self::LastGood, Self::Shed, Self::Cap];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Freeze => "freeze",
            Self::Shed => "shed",
            Self::Fallback => "fallback",
            Self::LastGood => "last-good",
            Self::Cap => "cap",
        }
    }

    /// Whether it makes sense for a scope.
    ///
    /// # Errors
    /// It does not; the error says what to do instead.
    pub fn fits(self, scope: &Scope) -> Result<(), Misfit> {
        let why = match (self, scope) {
            (Self::Kill, _) => return Ok(()),
            (Self::Freeze, Scope::All | Scope::Team(_) | Scope::Script(_)) => return Ok(()),
            (Self::Freeze, Scope::Endpoint(_) | Scope::Revision(_)) => {
                "a script is changed as a whole; freeze the script"
            }
            (Self::Freeze, Scope::Region(_) | Scope::Node(_)) => {
                "a script is changed on all nodes; freeze the script, its team or all"
            }
            (Self::Freeze, Scope::Class(_) | Scope::Service(_)) => "nothing of it is ever deployed",
            (_, Scope::Service(_)) => {
                "it is about calls of devices; a service can be turned off with `kill`, and is bounded by its \
                 own `concurrency`"
            }
            _ => return Ok(()),
        };
        Err(Misfit { kind: self, scope: scope.kind(), why })
    }

    /// The code of its refusals.
    pub const fn code(self) -> RefusalCode {
        match self {
            Self::Kill => RefusalCode::SwitchOff,
            Self::Freeze => RefusalCode::DeployFrozen,
            Self::Shed => RefusalCode::SwitchShed,
            Self::Fallback => RefusalCode::SwitchFallback,
            Self::LastGood => RefusalCode::SwitchLastGood,
            Self::Cap => RefusalCode::SwitchCapped,
        }
    }

    /// The name of its rule in refusals.
    pub const fn rule(self) -> &'static str {
        match self {
            Self::Kill => "switch",
            Self::Freeze => "switch.freeze",
            Self::Shed => "switch.shed",
            Self::Fallback => "switch.fallback",
            Self::LastGood => "switch.last_good",
            Self::Cap => "switch.cap",
        }
    }
}

impl Effect {
    /// Refuses calls of this priority and of those below it. Nothing for `user`, which would refuse every call:
    /// that is what `kill` is for.
    pub const fn shed(priority: Priority) -> Option<Self> {
        match priority {
            Priority::User => None,
            Priority::Prefetch | Priority::Background => Some(Self::Shed(priority)),
        }
    }

    /// The effect of a kind, from what stands beside it in a request or a row.
    ///
    /// # Errors
    /// The kind needs something else.
    pub fn of(kind: Kind, level: Option<&str>, limit: Option<u64>) -> Result<Self, EffectError> {
        let wrong = |field, problem: String| Err(EffectError { field, problem });
        match (kind, level, limit) {
            (Kind::Shed, Some(level), None) => {
                let shed = level.parse().ok().and_then(Self::shed);
                let problem = || format!("it has to be `prefetch` or `background`, not `{level}`");
                shed.ok_or_else(|| EffectError { field: "level", problem: problem() })
            }
            (Kind::Cap, None, Some(limit)) => {
                let calls = u32::try_from(limit).ok().and_then(InFlight::new);
                let problem = || format!("it has to be 1 to {}", u32::MAX);
                calls.map(Self::Cap).ok_or_else(|| EffectError { field: "limit", problem: problem() })
            }
            (Kind::Shed, None, _) => {
                wrong("level", "`shed` needs a `level`, `prefetch` or `background`".to_owned())
            }
            (Kind::Cap, _, None) => wrong("limit", "`cap` needs a `limit` of calls at one time".to_owned()),
            (_, Some(_), _) => wrong("level", format!("`{kind}` takes no `level`")),
            (_, _, Some(_)) => wrong("limit", format!("`{kind}` takes no `limit`")),
            (Kind::Kill, None, None) => Ok(Self::Kill),
            (Kind::Freeze, None, None) => Ok(Self::Freeze),
            (Kind::Fallback, None, None) => Ok(Self::Fallback),
            (Kind::LastGood, None, None) => Ok(Self::LastGood),
        }
    }

    /// The most important priority that is refused, of a switch that sheds.
    pub const fn level(self) -> Option<Priority> {
        match self {
            Self::Shed(priority) => Some(priority),
            _ => None,
        }
    }

    /// The calls that may be alive, of a cap.
    pub const fn limit(self) -> Option<InFlight> {
        match self {
            Self::Cap(calls) => Some(calls),
            _ => None,
        }
    }

    /// Its kind.
    pub const fn kind(self) -> Kind {
        match self {
            Self::Kill => Kind::Kill,
            Self::Freeze => Kind::Freeze,
            Self::Shed(_) => Kind::Shed,
            Self::Fallback => Kind::Fallback,
            Self::LastGood => Kind::LastGood,
            Self::Cap(_) => Kind::Cap,
        }
    }

    /// How much it refuses, against others of its kind: what refuses more is greater.
    pub fn strictness(self) -> u32 {
        match self {
            Self::Kill | Self::Freeze | Self::Fallback | Self::LastGood => 0,
            Self::Shed(priority) => match priority {
                Priority::Background => 0,
                Priority::Prefetch => 1,
                Priority::User => 2,
            },
            Self::Cap(calls) => u32::MAX - calls.get(),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ParseKindError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| ParseKindError(text.to_owned()))
    }
}
