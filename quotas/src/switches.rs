//! Switches: what somebody turned off or bounded, as an immutable snapshot.
//!
//! Invariant: a board never changes; a change makes a new one, and one writer publishes it. A switch stays in
//! force until a newer board leaves it out: time alone opens nothing (see [`Board::expired`]).
//! Not here: publishing, journals, other nodes, telling the time.
//!
//! **Merging.** For each switch, told by its scope and its kind, the higher generation wins. On equal generations
//! off wins over released, refusing over observing, and the stricter over the milder; what remains is decided by
//! the later end (none is the latest), then by the switch's text, so that boards that saw the same changes in any
//! order are equal. A release is remembered with its generation, or a switch that arrives late would turn off
//! again what was released after it. Where it is forgotten all the same, whatever is switched next of a scope
//! unknown comes after it.

mod armed;
mod board;
mod id;
mod index;
mod kind;

use std::sync::Arc;

pub use self::armed::{Armed, Tally};
pub use self::board::{Board, Home};
pub use self::id::SwitchId;
pub use self::kind::{Effect, EffectError, Kind, Misfit, ParseKindError};
use crate::priority::Priority;
use crate::scope::{ClassName, EndpointId, RevisionNumber, Scope};

/// Something turned off or bounded, by whom, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Switch {
    /// What it is about.
    pub scope: Scope,
    /// What it does.
    pub effect: Effect,
    /// Who set it.
    pub by: Arc<str>,
    /// Why they did.
    pub reason: Arc<str>,
    /// Since when, in milliseconds of wall-clock time.
    pub since: u64,
    /// Until when, in milliseconds of wall-clock time; without it, until somebody releases it.
    pub until: Option<u64>,
    /// Counts the changes of this switch; take it from [`Board::next_generation`].
    pub generation: u64,
    /// Only count what would be refused.
    pub observe: bool,
}

/// What the board has to know of a call. The team and the script are the endpoint's.
#[derive(Debug, Clone, Copy)]
pub struct CallFacts<'a> {
    /// The endpoint called.
    pub endpoint: &'a EndpointId,
    /// The revision that would run.
    pub revision: RevisionNumber,
    /// The device's class, if it has one.
    pub class: Option<&'a ClassName>,
    /// How important it is.
    pub priority: Priority,
}

/// A change of one switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is set.
    Off(Arc<Switch>),
    /// It was released, in this generation.
    On(SwitchId, u64),
    /// That it was released need not be remembered any longer.
    Forget(SwitchId),
}

impl Switch {
    /// Which switch it is.
    pub fn id(&self) -> SwitchId {
        SwitchId { scope: self.scope.clone(), kind: self.effect.kind() }
    }

    /// Orders switches of one id: the greater wins.
    fn rank(&self) -> impl Ord {
        let until = self.until.unwrap_or(u64::MAX);
        let (by, reason) = (Arc::clone(&self.by), Arc::clone(&self.reason));
        (self.generation, !self.observe, self.effect.strictness(), until, self.since, by, reason)
    }
}

#[cfg(test)]
mod tests;
