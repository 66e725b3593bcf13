//! Aftermath: tells what became of the processes before this one, and ends what was set aside for it.

use actix::{Handler, Message};
use quotas::scope::{EndpointId, Scope};

use super::{Supervisor, record};
use crate::events::Event;
use crate::node::{Aftermath, Death};
use crate::who::{Who, unix_ms};

/// The start of the node: this is what was left to you. What is set aside is in force already.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct TakeOver(pub(crate) Aftermath);

impl Handler<TakeOver> for Supervisor {
    type Result = ();

    fn handle(&mut self, TakeOver(aftermath): TakeOver, _: &mut Self::Context) {
        let who = Who::node("warden");
        for Death { what, culprit } in aftermath.deaths {
            Event::ProcessDied { detail: &what }.tell();
            let subject = match culprit {
                Some(culprit) => Scope::Endpoint(culprit.endpoint),
                None => Scope::All,
            };
            record::note(self, who.entry("process.died", subject, Some(what)));
        }
        for aside in aftermath.set_aside.into_iter().filter(|aside| aside.is_new) {
            Event::EndpointQuarantined { endpoint: &aside.endpoint, revision: aside.revision }.tell();
            let subject = Scope::Endpoint(aside.endpoint);
            record::note(self, who.entry("quarantine.on", subject, Some(aside.reason)));
        }
        self.lifted = aftermath.lifted;
    }
}

impl Supervisor {
    /// Lets in again what was set aside for a time that is over.
    pub(super) fn end_quarantines(&mut self) {
        for (endpoint, reason) in self.shared.aside.over(unix_ms()) {
            let routes = self.shared.routes.load();
            let Some(cell) = routes.endpoint(&endpoint).map(|entry| &entry.guard.quarantine) else {
                continue;
            };
            // Another may have taken its place meanwhile.
            if cell.get().is_some_and(|stands| stands.reason == reason) {
                cell.lift();
                Event::QuarantineLifted { endpoint: &endpoint, by: "expiry" }.tell();
                let why = Some("its time is over".to_owned());
                record::note(
                    self,
                    Who::node("expiry").entry("quarantine.off", Scope::Endpoint(endpoint), why),
                );
            }
        }
    }

    /// Somebody vouches for an endpoint: it is set aside no more, and what was held against it is forgotten.
    pub(super) fn vouch_for(&self, endpoint: &EndpointId) {
        self.shared.aside.remove(endpoint);
        if let Some(lifted) = &self.lifted {
            // Who does not listen any more is about to end.
            let _ = lifted.send(endpoint.clone());
        }
    }
}
