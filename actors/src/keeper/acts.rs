//! What the keeper does to a culprit, and how it takes it back.

use std::sync::Arc;
use std::time::Duration;

use actix::Context;
use quotas::quarantine::Quarantine;
use quotas::remedy::{Act, Mode, Step};
use quotas::scope::Scope;
use quotas::switches::{Effect, Kind, SwitchId};
use quotas::units::{InFlight, Moment};
use runtime::fuel::now_nanos;

use super::{Culprit, Keeper, evidence};
use crate::controller::{Activate, Controller};
use crate::error::StoreError;
use crate::events::Event;
use crate::routes::EndpointEntry;
use crate::storage::{AuditEntry, Store};
use crate::supervisor::{Flip, Release};
use crate::who::{Who, unix_ms};

/// Whose name stands in the audit.
const BY: &str = "blame";
/// What it does ends by itself after so long, should the keeper not be there to undo it.
const LONGEST: Duration = Duration::from_secs(3_600);
/// How long a quarantine lasts.
const QUARANTINE: Duration = Duration::from_secs(600);
/// How long the store may take for an audit entry or to find a revision.
const STORE_WAIT: Duration = Duration::from_secs(5);

impl Keeper {
    pub(super) fn act(&mut self, step: &Step<Culprit>, _: &Context<Self>) {
        let Step { who: (endpoint, revision), act, .. } = step;
        let is_done = self.remedy.rules().mode == Mode::Enforce;
        let what = if is_done { act.as_str() } else { "observed" };
        Event::EndpointBlamed { endpoint, revision: *revision, act: what }.tell();
        self.note(if is_done { "blame.act" } else { "blame.observe" }, step, Some(evidence(step)));
        let Some(entry) = self.entry(step).filter(|_| is_done) else { return };
        match act {
            Act::Slow => {
                let until = Moment::from_nanos(now_nanos()).saturating_add(LONGEST);
                entry.guard.track.sentence(until);
            }
            Act::Throttle => {
                let limit = entry.guard.gate.limit();
                self.throttled.insert(step.who.clone(), limit);
                let quarter = InFlight::new(limit.get() / 4).unwrap_or(InFlight::new(1).expect("not zero"));
                entry.guard.gate.set_limit(quarter);
            }
            Act::FallBack => self.fall_back(step),
            Act::RollBack => self.roll_back(step, &entry),
            Act::Quarantine => {
                let until = unix_ms() + u64::try_from(QUARANTINE.as_millis()).unwrap_or(u64::MAX);
                entry.guard.quarantine.set(Quarantine {
                    revision: Some(*revision),
                    by: BY.into(),
                    reason: evidence(step).into(),
                    since: unix_ms(),
                    until: Some(until),
                });
                Event::EndpointQuarantined { endpoint, revision: *revision }.tell();
            }
        }
    }

    pub(super) fn undo(&mut self, step: &Step<Culprit>) {
        let Step { who: (endpoint, revision), act, .. } = step;
        let throttled = self.throttled.remove(&step.who);
        if self.remedy.rules().mode != Mode::Enforce {
            return;
        }
        Event::EndpointPardoned { endpoint, revision: *revision, act: act.as_str() }.tell();
        self.note("blame.undo", step, Some(format!("{}: the node has been calm since", act.as_str())));
        // A new revision has begun clean; nothing of the old one is left to undo.
        let Some(entry) = self.entry(step) else { return };
        match act {
            Act::Slow => entry.guard.track.pardon(),
            Act::Throttle => {
                if let Some(limit) = throttled {
                    entry.guard.gate.set_limit(limit);
                }
            }
            Act::FallBack => {
                let release = Release {
                    who: Who::node(BY),
                    bound: None,
                    id: SwitchId { scope: Scope::Endpoint(endpoint.clone()), kind: Kind::Fallback },
                    of: None,
                    reason: Some("the node is calm".to_owned()),
                    dry_run: false,
                };
                // It has an end of its own, should the supervisor have no room now.
                let _ = self.supervisor.try_send(release);
            }
            // The team promotes the revision again when it has looked at it.
            Act::RollBack => {}
            Act::Quarantine => {
                let is_ours = entry.guard.quarantine.get().is_some_and(|quarantine| &*quarantine.by == BY);
                if is_ours {
                    entry.guard.quarantine.lift();
                    Event::QuarantineLifted { endpoint, by: BY }.tell();
                }
            }
        }
    }

    pub(super) fn enough(&self, step: &Step<Culprit>) {
        let (endpoint, revision) = &step.who;
        Event::EndpointBlamed { endpoint, revision: *revision, act: "enough" }.tell();
        let reason = format!("not done, as many actions as an hour may have were begun: {}", evidence(step));
        self.note("blame.enough", step, Some(reason));
    }

    /// The culprit's entry, if it still is that revision that answers.
    fn entry(&self, step: &Step<Culprit>) -> Option<Arc<EndpointEntry>> {
        let (endpoint, revision) = &step.who;
        let routes = self.shared.routes.load();
        routes.endpoint(endpoint).filter(|entry| entry.revision == *revision).cloned()
    }

    fn fall_back(&self, step: &Step<Culprit>) {
        let flip = Flip {
            who: Who::node(BY),
            bound: None,
            scope: Scope::Endpoint(step.who.0.clone()),
            effect: Effect::Fallback,
            reason: evidence(step),
            until_ms: Some(unix_ms() + u64::try_from(LONGEST.as_millis()).unwrap_or(u64::MAX)),
            observe: false,
            dry_run: false,
        };
        if let Err(error) = self.supervisor.try_send(flip) {
            tracing::error!(endpoint = %step.who.0, %error, "supervisor not told to let a fallback answer");
        }
    }

    fn roll_back(&self, step: &Step<Culprit>, entry: &EndpointEntry) {
        let (store, controller) = (Arc::clone(&self.store), self.controller.clone());
        let (script, revision, seq) = (entry.id.script.clone(), entry.revision, entry.seq);
        let reason = evidence(step);
        actix_rt::spawn(async move {
            let before = tokio::time::timeout(STORE_WAIT, store.revisions(&script, Some(revision), 1));
            let before =
                before.await.unwrap_or_else(|_| Err(StoreError::unavailable("it did not answer in time")));
            let Some(before) = before.ok().and_then(|revisions| revisions.into_iter().next()) else {
                tracing::warn!(%script, %revision, "there is no revision to roll back to");
                return;
            };
            let activate = Activate {
                who: Who::node(BY),
                script: script.clone(),
                revision: before.number,
                // Whoever changed the script since knows better.
                expected: Some(seq),
                dry_run: false,
                reason: Some(reason),
            };
            send(&controller, activate, &script.to_string()).await;
        });
    }

    /// Adds an entry to the audit. Where the store does not take it, the log has the event.
    fn note(&self, what: &str, step: &Step<Culprit>, reason: Option<String>) {
        let scope = Scope::Endpoint(step.who.0.clone());
        let audit: AuditEntry = Who::node(BY).entry(what, scope, reason);
        let store: Arc<dyn Store> = Arc::clone(&self.store);
        actix_rt::spawn(async move {
            let noted = tokio::time::timeout(STORE_WAIT, store.note(&audit)).await;
            if !matches!(noted, Ok(Ok(()))) {
                tracing::warn!(
                    what = audit.what,
                    subject = audit.subject,
                    "an audit entry could not be stored"
                );
            }
        });
    }
}

async fn send(controller: &actix::Addr<Controller>, activate: Activate, script: &str) {
    let done = controller.send(activate).await;
    if !matches!(done, Ok(Ok(_))) {
        tracing::warn!(script, ?done, "a script was not rolled back");
    }
}
