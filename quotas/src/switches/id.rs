//! What tells one switch from another: its scope and its kind.
//!
//! Invariant: an id prints as text that parses back to the same id. That of a kill switch is its scope's text
//! alone, as it was when there was no other kind.

use std::fmt;
use std::str::FromStr;

use super::Kind;
use crate::scope::{ParseScopeError, Scope};

/// Which switch: sorted by scope, then by kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwitchId {
    /// What it is about.
    pub scope: Scope,
    /// What kind it is.
    pub kind: Kind,
}

impl SwitchId {
    /// The kill switch of a scope.
    pub fn kill(scope: Scope) -> Self {
        Self { scope, kind: Kind::Kill }
    }
}

impl fmt::Display for SwitchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Kill => self.scope.fmt(f),
            kind => write!(f, "{kind} {}", self.scope),
        }
    }
}

impl FromStr for SwitchId {
    type Err = ParseScopeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let Some((kind, scope)) = text.split_once(' ') else { return Ok(Self::kill(text.parse()?)) };
        let kind = kind.parse().map_err(|_| ParseScopeError {
            what: "a switch",
            text: text.to_owned(),
            problem: "before the blank there has to be a kind of switch other than kill",
            example: "freeze team:tv",
        })?;
        Ok(Self { kind, scope: scope.parse()? })
    }
}
