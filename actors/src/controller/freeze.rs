//! Freezing: a switch that keeps scripts from being changed on this node. What other nodes decided is applied all
//! the same, and devices are served.

use quotas::scope::ScriptId;

use super::Work;
use crate::error::ControlError;
use crate::who::unix_ms;

impl Work {
    /// Whether a script may be changed, counted by the switches that say no or observe.
    pub(super) fn may_change(&self, script: &ScriptId) -> Result<(), ControlError> {
        let board = self.shared.board.load();
        let (observing, refusing): (Vec<_>, Vec<_>) =
            board.freezes(script).partition(|armed| armed.switch().observe);
        observing.iter().chain(refusing.first()).for_each(|armed| armed.count());
        match refusing.first() {
            Some(armed) => Err(ControlError::Frozen(Box::new(armed.refusal(unix_ms())))),
            None => Ok(()),
        }
    }

    /// The same for who has asked before and waited since; it is not counted again.
    pub(super) fn may_still_change(&self, script: &ScriptId) -> Result<(), ControlError> {
        let board = self.shared.board.load();
        let frozen = board.freezes(script).find(|armed| !armed.switch().observe);
        frozen.map_or(Ok(()), |armed| Err(ControlError::Frozen(Box::new(armed.refusal(unix_ms())))))
    }
}
