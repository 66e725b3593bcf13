//! Claims: who may answer a route.
//!
//! Invariant: a method and canonical pattern belong to one script of the whole fleet; the store decides. What
//! merely overlaps may do so within a team; of two teams that would answer the same path one is refused, also when they
//! ask a node at the same time. Who serves a route may always deploy it again.
//! Not here: two nodes that are asked at the same time for patterns that overlap and are not the same. Both are served
//! then, each path by the more specific one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quotas::scope::ScriptId;
use runtime::manifest::{EndpointSpec, Manifest};

use super::Work;
use crate::error::ControlError;
use crate::events::Event;
use crate::routes::{EndpointEntry, Routes, claims};
use crate::storage::Claimed;

/// Every route that a manifest claims.
pub(super) fn of(manifest: &Manifest) -> Vec<String> {
    manifest.endpoints.iter().flat_map(claims).collect()
}

/// Finds a route that somebody else answers, among those that are served now.
pub(super) fn check(routes: &Routes, script: &ScriptId, manifest: &Manifest) -> Result<(), ControlError> {
    for spec in manifest.endpoints.iter().filter(|spec| !routes.is_served_by(script, spec)) {
        let is_conflict = |other: &EndpointEntry| {
            *script != other.id.script && may_not_overlap(script, spec, &other.id.script, &other.spec)
        };
        if let Some(entry) = routes.find_overlap(spec, is_conflict) {
            return Err(refusal(spec, &entry.id.script, &entry.spec));
        }
    }
    Ok(())
}

/// Whether two endpoints of these scripts, which overlap, may not.
fn may_not_overlap(script: &ScriptId, spec: &EndpointSpec, other: &ScriptId, theirs: &EndpointSpec) -> bool {
    script.team != other.team || spec.path.canonical() == theirs.path.canonical()
}

fn refusal(spec: &EndpointSpec, owner: &ScriptId, theirs: &EndpointSpec) -> ControlError {
    let method = spec.methods.iter().find(|method| theirs.methods.contains(method));
    let method = method.map_or("", |method| method.as_str());
    // What was asked for: what it runs into may be another team's, and theirs to tell.
    ControlError::RouteConflict { pattern: format!("{method} {}", spec.path), owner: Some(owner.clone()) }
}

/// What changes that are under way on this node are about to serve. A route that is reserved is not served yet, and so
/// whoever comes meanwhile would not run into it.
#[derive(Debug, Default)]
pub(super) struct Reserved(Mutex<HashMap<ScriptId, Vec<EndpointSpec>>>);

/// The routes of one change, reserved until this is dropped: when they are served, or will not be.
#[must_use]
#[derive(Debug)]
pub(super) struct Reservation {
    all: Arc<Reserved>,
    script: ScriptId,
}

impl Reserved {
    fn lock(&self) -> MutexGuard<'_, HashMap<ScriptId, Vec<EndpointSpec>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.all.lock().remove(&self.script);
    }
}

impl Work {
    /// Reserves the routes of a manifest on this node and claims them in the store. The script's turn has to be held.
    pub(super) async fn claim(
        &self,
        script: &ScriptId,
        manifest: &Manifest,
    ) -> Result<Reservation, ControlError> {
        let reservation = self.reserve(script, manifest)?;
        match self.store.claim_routes(script, &of(manifest)).await? {
            Claimed::All => Ok(reservation),
            Claimed::Taken { pattern, owner } => {
                Err(ControlError::RouteConflict { pattern, owner: Some(owner) })
            }
        }
    }

    fn reserve(&self, script: &ScriptId, manifest: &Manifest) -> Result<Reservation, ControlError> {
        let mut reserved = self.reserved.lock();
        // Looked at while nobody can give a reservation up: whoever did serves the routes by now, or never will.
        check(&self.shared.routes.load(), script, manifest)?;
        for (other, theirs) in reserved.iter().filter(|(other, _)| *other != script) {
            let conflict = manifest.endpoints.iter().find_map(|spec| {
                let is_conflict = |theirs: &&EndpointSpec| {
                    spec.methods.iter().any(|method| theirs.methods.contains(method))
                        && spec.path.overlaps(&theirs.path)
                        && may_not_overlap(script, spec, other, theirs)
                };
                theirs.iter().find(is_conflict).map(|theirs| refusal(spec, other, theirs))
            });
            if let Some(refusal) = conflict {
                return Err(refusal);
            }
        }
        reserved.insert(script.clone(), manifest.endpoints.clone());
        Ok(Reservation { all: Arc::clone(&self.reserved), script: script.clone() })
    }

    /// Gives back what was claimed for a change that was not made: all that is not served.
    pub(super) async fn unclaim(&self, script: &ScriptId, manifest: &Manifest) {
        let served: Vec<String> = {
            let routes = self.shared.routes.load();
            routes.script(script).iter().flat_map(|entry| entry.claims()).collect()
        };
        let unused: Vec<String> = of(manifest).into_iter().filter(|route| !served.contains(route)).collect();
        self.give_back(script, &unused).await;
    }

    /// Gives back routes that the script has no more.
    pub(super) async fn give_back(&self, script: &ScriptId, routes: &[String]) {
        if routes.is_empty() {
            return;
        }
        if let Err(error) = self.store.release_routes(script, routes).await {
            Event::ClaimsKept { script, code: error.code() }.tell();
        }
    }
}
