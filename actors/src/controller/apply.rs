//! Applying: the one way in which routes change.

use std::collections::BTreeMap;
use std::sync::Arc;

use actix::{Handler, Message, MessageResult};
use quotas::guards::{EndpointGuard, TeamGuard};
use quotas::limits::EndpointLimits;
use quotas::scope::{EndpointId, RevisionNumber, Scope, ScriptId, TeamName};
use quotas::units::Moment;
use runtime::fuel::now_nanos;
use runtime::host::call::{EndpointContext, Setting, Settings};
use runtime::manifest::{ConfigValue, EndpointSpec};
use runtime::unit::Entry;

use super::Controller;
use super::prepare::{Active, Prepared};
use crate::events::Event;
use crate::flight::Label;
use crate::routes::{EndpointEntry, Served};
use crate::storage::Head;
use crate::units::UnitFailure;
use crate::who::unix_ms;

/// How many guards of endpoints that are gone are kept, so that deploying them again gives no fresh burst.
const GONE_MAX: usize = 1_024;

/// So many teams are counted for; beyond that those without an endpoint are forgotten.
const TEAMS_MAX: usize = 4_096;

const HOUR_MS: u64 = 60 * 60 * 1_000;

/// A script as it is served.
#[derive(Debug)]
pub(crate) struct Live {
    /// The head that was applied.
    pub(crate) head: Head,
    /// What answers.
    pub(crate) entries: Served,
    /// Endpoints that could not be taken, and why.
    pub(crate) refused: Vec<(EndpointSpec, UnitFailure)>,
    /// A newer step that could not be taken, and why.
    pub(crate) problem: Option<(u64, UnitFailure)>,
}

/// What applying did.
#[derive(Debug, Default)]
pub(crate) struct Applied {
    /// What answers now.
    pub(crate) endpoints: Vec<EndpointId>,
    /// What answered before and does no more.
    pub(crate) removed: Vec<EndpointId>,
    /// The routes that the script had and has no more.
    pub(crate) released: Vec<String>,
}

/// Those who changed a script, here or by the watch: serve it so. An older step than the one served changes
/// nothing.
#[derive(Debug, Message)]
#[rtype(result = "Applied")]
pub(crate) struct Apply(pub(crate) Prepared);

impl Handler<Apply> for Controller {
    type Result = MessageResult<Apply>;

    fn handle(&mut self, Apply(prepared): Apply, _: &mut Self::Context) -> Self::Result {
        let applied = self.take(prepared, Origin::Changed);
        self.publish();
        MessageResult(applied)
    }
}

/// The start of the node: serve all of these, too.
#[derive(Debug, Message)]
#[rtype(result = "()")]
pub(crate) struct ApplyAll(pub(crate) Vec<Prepared>);

impl Handler<ApplyAll> for Controller {
    type Result = ();

    fn handle(&mut self, ApplyAll(all): ApplyAll, _: &mut Self::Context) {
        for prepared in all {
            self.take(prepared, Origin::Found);
        }
        self.publish();
    }
}

/// Where a step of a script comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// It was made just now, here or elsewhere.
    Changed,
    /// It was there when the node started.
    Found,
}

impl Controller {
    fn publish(&self) {
        self.shared.routes.store(Arc::new(self.routes.clone()));
    }

    fn take(&mut self, prepared: Prepared, origin: Origin) -> Applied {
        let Prepared { script, head, active } = prepared;
        let before = self.scripts.remove(&script);
        if let Some(live) = before.as_ref().filter(|live| live.head.seq >= head.seq) {
            let endpoints = live.entries.iter().map(|entry| entry.id.clone()).collect();
            self.scripts.extend(before.map(|live| (script, live)));
            return Applied { endpoints, ..Applied::default() };
        }
        if origin == Origin::Changed {
            let seen = before.as_ref().map(|live| live.head.latest);
            self.count_deploys(&script, seen, head.latest, active.as_ref());
        }
        let before = before.map(|live| live.entries).unwrap_or_default();
        let had: Vec<String> = before.iter().flat_map(|entry| entry.claims()).collect();
        let (mut entries, mut refused) = (Vec::new(), Vec::new());
        self.shared.served(&script);
        self.store.keep(&script, &head, active.as_ref().map(|active| active.revision.clone()));
        if let Some(mut active) = active {
            let now = Moment::from_nanos(now_nanos());
            // Whoever goes back to an earlier revision knows what it does.
            let is_new = origin == Origin::Changed && Some(active.revision.number) == head.latest;
            for spec in std::mem::take(&mut active.manifest.endpoints) {
                match self.is_free(&script, &spec) {
                    Ok(()) => entries.push(Arc::new(self.entry(&script, &head, &active, spec, is_new, now))),
                    Err(failure) => {
                        let endpoint = EndpointId { script: script.clone(), name: spec.name.clone() };
                        Event::EndpointRejected { endpoint: &endpoint, code: failure.code }.tell();
                        refused.push((spec, failure));
                    }
                }
            }
            // Until here somebody had to hold it, or the cell would be empty already.
            drop(active.unit);
        }
        entries.sort_unstable_by(|one: &Arc<EndpointEntry>, next| one.id.cmp(&next.id));
        let entries: Served = entries.into();
        self.routes.serve(&script, &entries);
        let has: Vec<String> = entries.iter().flat_map(|entry| entry.claims()).collect();
        let applied = Applied {
            endpoints: entries.iter().map(|entry| entry.id.clone()).collect(),
            removed: before
                .iter()
                .filter(|old| entries.iter().all(|new| new.id != old.id))
                .map(|old| old.id.clone())
                .collect(),
            released: had.into_iter().filter(|route| !has.contains(route)).collect(),
        };
        Event::DeployApplied { script: &script, seq: head.seq, endpoints: entries.len() }.tell();
        self.scripts.insert(script, Live { head, entries, refused, problem: None });
        self.forget_guards();
        applied
    }

    /// Counts for the team what was deployed since this node has `seen` the script, whichever node was asked: a team
    /// that asks them in turn has no more deploys than one that asks the same. A node that was away does not count what
    /// is older than an hour, and of a script that it never saw it counts one.
    fn count_deploys(
        &mut self,
        script: &ScriptId,
        seen: Option<Option<RevisionNumber>>,
        latest: Option<RevisionNumber>,
        active: Option<&Active>,
    ) {
        let number = |revision: Option<RevisionNumber>| revision.map_or(0, RevisionNumber::get);
        let count = seen.map_or(1, |seen| number(latest).saturating_sub(number(seen)));
        let newest = active.filter(|active| Some(active.revision.number) == latest);
        let is_old = newest.is_some_and(|active| active.revision.at_ms.saturating_add(HOUR_MS) < unix_ms());
        if count > 0 && !is_old {
            self.team_guard(&script.team).deploys.deployed(count, Moment::from_nanos(now_nanos()));
        }
    }

    /// Whether nobody else answers what an endpoint of this script would.
    fn is_free(&self, script: &ScriptId, spec: &EndpointSpec) -> Result<(), UnitFailure> {
        let Some((method, owner)) = self.routes.owner(script, spec) else { return Ok(()) };
        let detail = format!("{method} {} is answered by {owner}", spec.path.canonical());
        Err(UnitFailure { code: "route.conflict", detail })
    }

    /// The entry of one endpoint.
    fn entry(
        &mut self,
        script: &ScriptId,
        head: &Head,
        active: &Active,
        spec: EndpointSpec,
        is_new: bool,
        now: Moment,
    ) -> EndpointEntry {
        let id = EndpointId { script: script.clone(), name: spec.name.clone() };
        let limits = self.shared.policy.endpoint(&spec.limits);
        let guard = self.guard(&id, &limits, now);
        guard.track.serve(active.revision.number, is_new);
        let expires_ms = spec.expires.map(|time| {
            active.revision.at_ms.saturating_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
        });
        let services: BTreeMap<_, _> = spec
            .services
            .iter()
            .filter_map(|name| self.shared.services.get(name).map(|known| (name.clone(), Arc::clone(known))))
            .collect();
        let context = EndpointContext {
            team: id.team().clone(),
            services: Arc::new(services),
            settings: Arc::new(settings(&spec)),
        };
        EndpointEntry {
            label: Label::of(&id, active.revision.number),
            id,
            revision: active.revision.number,
            seq: head.seq,
            bundle: active.bundle,
            entry: Entry::new(spec.handler.module(), spec.handler.function()),
            limits,
            expires_ms,
            guard,
            context: Arc::new(context),
            unit: Arc::clone(&active.cell),
            parameters: spec.path.parameters().map(Arc::from).collect(),
            spec,
        }
    }

    fn guard(&mut self, id: &EndpointId, limits: &EndpointLimits, now: Moment) -> Arc<EndpointGuard> {
        let guard = match self.guards.get(id) {
            Some(guard) => Arc::clone(guard),
            None => {
                let team = self.team_guard(id.team());
                let guard = Arc::new(EndpointGuard::new(id.clone(), team, limits));
                if let Some(quarantine) = self.shared.aside.get(id) {
                    guard.quarantine.set(quarantine);
                }
                self.guards.insert(id.clone(), Arc::clone(&guard));
                guard
            }
        };
        guard.set(&self.endpoint_terms(id, limits), now);
        guard
    }

    pub(super) fn team_guard(&mut self, team: &TeamName) -> Arc<TeamGuard> {
        if let Some(guard) = self.teams.get(team) {
            return Arc::clone(guard);
        }
        if self.teams.len() >= TEAMS_MAX {
            self.teams.retain(|_, guard| Arc::strong_count(guard) > 1);
        }
        let guard = Arc::new(TeamGuard::new(team.clone(), &self.shared.policy));
        self.teams.insert(team.clone(), Arc::clone(&guard));
        self.put_in_force(&Scope::Team(team.clone()));
        guard
    }

    /// Endpoints that come and go under ever new names must not fill the memory.
    fn forget_guards(&mut self) {
        if self.guards.len() > self.routes.len() + GONE_MAX {
            // Whoever uses a guard has it too.
            // Those of teams stay: what a team used is not to be forgotten because it took its endpoints away.
            self.guards.retain(|_, guard| Arc::strong_count(guard) > 1);
        }
    }
}

fn settings(spec: &EndpointSpec) -> Settings {
    let setting = |value: &ConfigValue| match value {
        ConfigValue::Text(text) => Setting::Text(text.clone()),
        ConfigValue::Integer(number) => Setting::Integer(*number),
        ConfigValue::Flag(flag) => Setting::Bool(*flag),
    };
    spec.config.iter().map(|(name, value)| (name.clone(), setting(value))).collect()
}
