//! What each kind of switch has to do, and what it tells who is refused.

use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use quotas::priority::Priority;
use quotas::refusal::Refusal;
use quotas::switches::{Effect, SwitchId};
use quotas::units::Amount;
use runtime::host::request::Request;

use super::get::Get;
use super::{Drill, REASON};
use crate::controller::Activate;
use crate::error::ControlError;
use crate::lane::{Admitted, Incoming};
use crate::routes::EndpointEntry;

/// What came of something that a switch may refuse.
type Tried = Result<(), Box<Refusal>>;

impl Drill {
    /// Whether the switch does what its kind says, and nothing else.
    pub(super) async fn check(&self, id: &SwitchId, effect: Effect, observe: bool) -> Result<(), String> {
        let before = self.hits(id);
        match effect {
            Effect::Kill | Effect::Fallback | Effect::LastGood => {
                self.judge(effect, observe, self.call(None).await?)?;
            }
            Effect::Shed(level) => {
                self.judge(effect, observe, self.call(Some(level)).await?)?;
                // A canary may be no more important itself.
                if self.entry()?.spec.priority > level {
                    self.is_served().await?;
                }
            }
            Effect::Cap(_) => {
                let alive = self.admit(&*self.entry()?, None);
                let alive = alive.map_err(|refusal| format!("the first call was refused: {refusal}"))?;
                let second = self.call(None).await?;
                drop(alive);
                self.judge(effect, observe, second)?;
                self.is_served().await?;
            }
            Effect::Freeze => {
                self.judge(effect, observe, self.change().await?)?;
                self.is_served().await?;
            }
        }
        match self.hits(id) > before {
            true => Ok(()),
            false => Err("it did not count what it did".to_owned()),
        }
    }

    /// A call is answered.
    pub(super) async fn is_served(&self) -> Result<(), String> {
        self.call(None)
            .await?
            .map_err(|refusal| format!("a call was refused that should be served: {refusal}"))
    }

    fn judge(&self, effect: Effect, observe: bool, tried: Tried) -> Result<(), String> {
        let refusal = match tried {
            Ok(()) if observe => return Ok(()),
            Ok(()) => return Err("what it is to refuse was not refused".to_owned()),
            Err(refusal) if observe => {
                return Err(format!("it only observes, and something was refused: {refusal}"));
            }
            Err(refusal) => refusal,
        };
        let code = effect.kind().code();
        if refusal.code != code {
            return Err(format!("the code is {} and not {code}", refusal.code));
        }
        if refusal.by.as_deref() != Some(&*self.who.name) || refusal.reason.as_deref() != Some(REASON) {
            return Err(format!("it is not told by whom and why: {refusal}"));
        }
        if let Effect::Cap(calls) = effect {
            let limit = Some(Amount::Calls(calls.get().into()));
            if (refusal.limit, refusal.observed) != (limit, limit) {
                return Err(format!("it is not told how many calls there may be and are: {refusal}"));
            }
        }
        if refusal.until.is_none() || refusal.advice().is_empty() {
            return Err(format!("it is not told until when and what to do: {refusal}"));
        }
        Ok(())
    }

    fn entry(&self) -> Result<Arc<EndpointEntry>, String> {
        let routes = self.node.shared().routes.load();
        routes.endpoint(&self.canary.endpoint).cloned().ok_or_else(|| "the canary is gone".to_owned())
    }

    fn admit(&self, entry: &EndpointEntry, priority: Option<Priority>) -> Result<Admitted, Box<Refusal>> {
        // Each call is another client's, so that the rate of one is in nobody's way.
        let client = self.calls.replace(self.calls.get() + 1).to_le_bytes();
        self.lane.admit(entry, None, priority, &client)
    }

    /// Calls the canary through admission; what it answers does not matter, only that it does.
    async fn call(&self, priority: Option<Priority>) -> Result<Tried, String> {
        let entry = self.entry()?;
        let admitted = match self.admit(&entry, priority) {
            Ok(admitted) => admitted,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let path = entry.spec.path.canonical();
        let incoming = Incoming {
            request: Request::new(Rc::new(Get(path)), Vec::new(), None, Bytes::new()),
            class: None,
            request_id: "drill".into(),
            hops: 0,
        };
        let answered = self.lane.run(&entry, admitted, incoming, None).await;
        match answered.result {
            Ok(_) => Ok(Ok(())),
            Err(crate::lane::CallFailure::Refused(refusal)) => Ok(Err(refusal)),
            Err(failure) => Err(format!("the canary failed: {}", failure.code())),
        }
    }

    /// Tries to change the canary's script, for a freeze to refuse; nothing is changed either way.
    async fn change(&self) -> Result<Tried, String> {
        let activate = Activate {
            who: self.who.clone(),
            script: self.canary.endpoint.script.clone(),
            revision: self.entry()?.revision,
            expected: None,
            dry_run: true,
            reason: Some(REASON.to_owned()),
        };
        let changed = self.node.controller().send(activate).await;
        match changed.unwrap_or_else(|error| Err(error.into())) {
            Ok(_) => Ok(Ok(())),
            Err(ControlError::Frozen(refusal)) => Ok(Err(refusal)),
            Err(error) => Err(format!("the canary could not be changed for another reason: {error}")),
        }
    }

    fn hits(&self, id: &SwitchId) -> u64 {
        self.node.shared().board.load().armed(id).map_or(0, |armed| armed.hits())
    }
}
