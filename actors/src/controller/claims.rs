//! Claims: who may answer a route.
//!
//! Invariant: a method and canonical pattern belong to one script of the whole fleet; the store decides. What
//! merely overlaps may do so within a team.

use quotas::scope::ScriptId;
use runtime::manifest::Manifest;

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
    for spec in &manifest.endpoints {
        let is_conflict = |other: &EndpointEntry| {
            *script != other.id.script
                && (script.team != other.id.script.team
                    || spec.path.canonical() == other.spec.path.canonical())
        };
        if let Some(entry) = routes.find_overlap(spec, is_conflict) {
            let method = spec.methods.iter().find(|method| entry.spec.methods.contains(method));
            let method = method.map_or("", |method| method.as_str());
            return Err(ControlError::RouteConflict {
                // What was asked for: what it runs into may be another team's, and theirs to tell.
                pattern: format!("{method} {}", spec.path),
                owner: Some(entry.id.script.clone()),
            });
        }
    }
    Ok(())
}

impl Work {
    /// Claims the routes of a manifest in the store.
    pub(super) async fn claim(&self, script: &ScriptId, manifest: &Manifest) -> Result<(), ControlError> {
        match self.store.claim_routes(script, &of(manifest)).await? {
            Claimed::All => Ok(()),
            Claimed::Taken { pattern, owner } => {
                Err(ControlError::RouteConflict { pattern, owner: Some(owner) })
            }
        }
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
