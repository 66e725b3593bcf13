//! Deploying: from a bundle to a revision that answers.
//!
//! Invariant: what is acknowledged is stored and served. A deploy that is not told where the script has to
//! stand wins over what it meets, and loses nobody's revision; the same key and files again are the same
//! deploy.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix::{Handler, Message, ResponseFuture};
use quotas::limits::Cut;
use quotas::nearest::nearest;
use quotas::scope::{EndpointId, EndpointName, RevisionId, RevisionNumber, Scope, ScriptId};
use runtime::bundle::Bundle;
use runtime::diagnostic::Diagnostics;

use super::prepare::{Active, Prepared};
use super::team::TeamStandOf;
use super::{Applied, Controller, Work, claims};
use crate::error::{ControlError, StoreError};
use crate::storage::{Change, Commit, Committed, ContentHash, DeployId, Head, Revision};
use crate::units::{Opened, UnitCell};
use crate::who::{Who, unix_ms};

/// How often a deploy that lost a race is tried again on what won.
pub(super) const RACES: u32 = 3;

/// A team: take these files as a new revision. Answered when it serves, or when it is stored if it is not to.
#[derive(Debug, Message)]
#[rtype(result = "Result<Deployed, ControlError>")]
pub struct Deploy {
    /// Who asks.
    pub who: Who,
    /// The script that they mean.
    pub script: ScriptId,
    /// The files.
    pub bundle: Bundle,
    /// What they say about it.
    pub message: String,
    /// A name for it.
    pub tag: Option<String>,
    /// Whether it is to answer from now on.
    pub activate: bool,
    /// Only say what would be done.
    pub dry_run: bool,
    /// What makes the same request again the same deploy.
    pub idempotency_key: Option<String>,
}

/// What a deploy did, or would do.
#[derive(Debug, Clone)]
pub struct Deployed {
    /// The revision.
    pub revision: Revision,
    /// Where the script stands.
    pub head: Head,
    /// What answers now.
    pub endpoints: Vec<EndpointId>,
    /// What answered before and does no more.
    pub removed: Vec<EndpointId>,
    /// What the author should look at.
    pub warnings: Diagnostics,
    /// Limits that were asked for and not granted as asked.
    pub cuts: Vec<(EndpointName, Cut)>,
    /// Whether it had been done before, under the same key.
    pub repeated: bool,
    /// How long it took.
    pub took: Duration,
}

impl Handler<Deploy> for Controller {
    type Result = ResponseFuture<Result<Deployed, ControlError>>;

    fn handle(&mut self, deploy: Deploy, ctx: &mut Self::Context) -> Self::Result {
        let work = self.work(ctx);
        Box::pin(async move {
            let started = Instant::now();
            let script = deploy.script.clone();
            let done = Work::told(&script, work.deploy(deploy).await);
            done.map(|deployed| Deployed { took: started.elapsed(), ..deployed })
        })
    }
}

impl Work {
    async fn deploy(&self, deploy: Deploy) -> Result<Deployed, ControlError> {
        let manifest = deploy.bundle.manifest();
        let named = ScriptId { team: manifest.team.clone(), script: manifest.script.clone() };
        if named != deploy.script {
            return Err(ControlError::TeamMismatch { manifest: named, asked: deploy.script });
        }
        let _turn = self.turns.take(&deploy.script).await;
        if let Some(deployed) = self.repeated(&deploy).await? {
            return Ok(deployed);
        }
        self.may_change(&deploy.script)?;
        if deploy.activate {
            claims::check(&self.shared.routes.load(), &deploy.script, manifest)?;
        }
        let endpoints = if deploy.activate { manifest.endpoints.len() } else { 0 };
        let stand = self.controller.send(TeamStandOf(deploy.script.clone())).await?;
        stand.begins(endpoints, deploy.dry_run)?;
        let (compiled, took) = self.shared.units.compile(&deploy.bundle).await;
        stand.compiled(took);
        let (opened, mut warnings) = compiled?;
        // To compile takes its time, and others of the team had the same answer meanwhile: it is asked again, by one
        // of them after the other.
        let _team_turn = match deploy.dry_run {
            true => None,
            false => Some(self.team_turns.take(&deploy.script.team).await),
        };
        let stand = self.controller.send(TeamStandOf(deploy.script.clone())).await?;
        stand.deploys(endpoints, deploy.dry_run)?;
        stand.holds(if deploy.activate { opened.weight().into() } else { 0 })?;
        warnings.append(self.unknown_services(&deploy.bundle));
        let cuts = self.cuts(&deploy.bundle);
        self.may_still_change(&deploy.script)?;
        let (revision, head, applied) =
            if deploy.dry_run { self.foretell(&deploy).await? } else { self.make(&deploy, &opened).await? };
        let Applied { endpoints, removed, .. } = applied;
        let (repeated, took) = (false, Duration::ZERO);
        Ok(Deployed { revision, head, endpoints, removed, warnings, cuts, repeated, took })
    }

    /// The deploy that was done under the same key, if there is one.
    async fn repeated(&self, deploy: &Deploy) -> Result<Option<Deployed>, ControlError> {
        let Some(key) = &deploy.idempotency_key else { return Ok(None) };
        let Some(revision) = self.store.revision_by_key(&deploy.script, key).await? else { return Ok(None) };
        if revision.bundle != content_hash(&deploy.bundle) {
            let used = RevisionId { script: deploy.script.clone(), number: revision.number };
            return Err(ControlError::IdempotencyMismatch { used });
        }
        let head = self.store.head(&deploy.script).await?;
        let head = head.ok_or_else(|| ControlError::ScriptUnknown(deploy.script.clone()))?;
        // It may have been stored by a node that stopped before it applied it.
        let endpoints = self.bring(&deploy.script, &head).await?.endpoints;
        Ok(Some(Deployed {
            revision,
            head,
            endpoints,
            removed: Vec::new(),
            warnings: self.unknown_services(&deploy.bundle),
            cuts: self.cuts(&deploy.bundle),
            repeated: true,
            took: Duration::ZERO,
        }))
    }

    /// What would be, without making it.
    async fn foretell(&self, deploy: &Deploy) -> Result<(Revision, Head, Applied), ControlError> {
        let present = self.store.head(&deploy.script).await?;
        let deploy_id = deploy_id(deploy);
        let revision = revision(deploy, present.as_ref());
        let head = Head {
            seq: present.as_ref().map_or(0, |head| head.seq) + 1,
            active: active(deploy, &revision, present.as_ref()),
            latest: Some(revision.number),
            deploy: deploy_id,
            deleted: is_deleted(deploy, present.as_ref()),
        };
        let routes = self.shared.routes.load();
        let served: Vec<EndpointId> =
            routes.script(&deploy.script).iter().map(|entry| entry.id.clone()).collect();
        let endpoints = if deploy.activate { endpoints(deploy) } else { served.clone() };
        let removed = served.into_iter().filter(|id| !endpoints.contains(id)).collect();
        Ok((revision, head, Applied { endpoints, removed, released: Vec::new() }))
    }

    async fn make(
        &self,
        deploy: &Deploy,
        opened: &Opened,
    ) -> Result<(Revision, Head, Applied), ControlError> {
        let manifest = deploy.bundle.manifest();
        self.shared.units.keep(&deploy.bundle, opened).await?;
        // Until they are served.
        let _reserved = match deploy.activate {
            true => Some(self.claim(&deploy.script, manifest).await?),
            false => None,
        };
        let (revision, head) = match self.commit(deploy).await {
            Ok(done) => done,
            Err(error) => {
                // Of an unknown outcome the claims may be in use.
                if deploy.activate && !matches!(error, ControlError::Store(StoreError::Unknown { .. })) {
                    self.unclaim(&deploy.script, manifest).await;
                }
                return Err(error);
            }
        };
        self.shared.fleet.hint(Change::Script(deploy.script.clone(), head.seq));
        let applied = if head.active == Some(revision.number) {
            let bundle = deploy.bundle.hash();
            let active = Active {
                revision: revision.clone(),
                bundle,
                manifest: manifest.clone(),
                cell: Arc::new(UnitCell::filled(opened)),
                unit: Some(Arc::clone(&opened.unit)),
            };
            let (script, head) = (deploy.script.clone(), head.clone());
            self.apply(Prepared { script, head, active: Some(active) }).await?
        } else {
            self.bring(&deploy.script, &head).await?
        };
        self.give_back(&deploy.script, &applied.released).await;
        Ok((revision, head, applied))
    }

    async fn commit(&self, deploy: &Deploy) -> Result<(Revision, Head), ControlError> {
        let id = deploy_id(deploy);
        let mut present = self.store.head(&deploy.script).await?;
        let mut races = 0;
        loop {
            let revision = revision(deploy, present.as_ref());
            let subject = RevisionId { script: deploy.script.clone(), number: revision.number };
            let active = active(deploy, &revision, present.as_ref());
            let commit = Commit {
                script: deploy.script.clone(),
                expected_seq: present.as_ref().map_or(0, |head| head.seq),
                deploy: id,
                active,
                revision: Some(revision.clone()),
                deleted: is_deleted(deploy, present.as_ref()),
                audit: deploy
                    .who
                    .entry("revision.deploy", Scope::Revision(subject), Some(deploy.message.clone()))
                    .with("active", active.map(RevisionNumber::get)),
            };
            match self.store.commit(&commit).await? {
                Committed::Applied(head) => return Ok((revision, head)),
                Committed::Lost { present: Some(head) } if races >= RACES => {
                    return Err(ControlError::DeployConflict { present: Box::new(head) });
                }
                Committed::Lost { present: None } if races >= RACES => {
                    return Err(ControlError::ScriptUnknown(deploy.script.clone()));
                }
                Committed::Lost { present: winner } => present = winner,
            }
            races += 1;
        }
    }

    fn cuts(&self, bundle: &Bundle) -> Vec<(EndpointName, Cut)> {
        let endpoints = bundle.manifest().endpoints.iter();
        let cuts = |spec| (spec, self.shared.policy);
        endpoints
            .map(cuts)
            .flat_map(|(spec, policy)| {
                policy.cuts(&spec.limits).into_iter().map(|cut| (spec.name.clone(), cut))
            })
            .collect()
    }

    /// Services that the manifest names and the operator did not configure, each where it is named first.
    fn unknown_services(&self, bundle: &Bundle) -> Diagnostics {
        let known = &self.shared.services;
        let mut unknown = BTreeMap::new();
        for (number, spec) in bundle.manifest().endpoints.iter().enumerate() {
            for service in spec.services.iter().filter(|service| !known.contains_key(service)) {
                unknown.entry(service.as_str()).or_insert(number);
            }
        }
        let places = bundle.manifest_places();
        let warning = |(service, endpoint): (&str, usize)| {
            let message = format!("this server has no service `{service}`: each call of it will fail");
            let hint = match nearest(service, known.keys().map(|name| name.as_str())) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "whoever runs the server configures services".to_owned(),
            };
            places.wrong(endpoint, "services", service, "service.unknown", message).with_hint(hint).warning()
        };
        unknown.into_iter().map(warning).collect()
    }
}

fn revision(deploy: &Deploy, present: Option<&Head>) -> Revision {
    let latest = present.and_then(|head| head.latest);
    let bundle = content_hash(&deploy.bundle);
    Revision {
        number: latest.map_or(RevisionNumber::first(), RevisionNumber::next),
        bundle,
        message: deploy.message.clone(),
        tag: deploy.tag.clone(),
        by: deploy.who.name.clone(),
        at_ms: unix_ms(),
        idempotency_key: deploy.idempotency_key.clone(),
        request_hash: deploy.idempotency_key.as_ref().map(|_| bundle),
        endpoints: deploy.bundle.manifest().endpoints.iter().map(|spec| spec.name.to_string()).collect(),
    }
}

fn active(deploy: &Deploy, revision: &Revision, present: Option<&Head>) -> Option<RevisionNumber> {
    if deploy.activate { Some(revision.number) } else { present.and_then(|head| head.active) }
}

fn is_deleted(deploy: &Deploy, present: Option<&Head>) -> bool {
    !deploy.activate && present.is_some_and(|head| head.deleted)
}

fn endpoints(deploy: &Deploy) -> Vec<EndpointId> {
    let names = deploy.bundle.manifest().endpoints.iter().map(|spec| spec.name.clone());
    names.map(|name| EndpointId { script: deploy.script.clone(), name }).collect()
}

fn content_hash(bundle: &Bundle) -> ContentHash {
    ContentHash(*bundle.hash().as_bytes())
}

/// The deploy's id: of its key where it has one, so that whoever repeats it, on whichever node, finds it.
fn deploy_id(deploy: &Deploy) -> DeployId {
    let Some(key) = &deploy.idempotency_key else { return DeployId::new_v4() };
    let mut hasher = blake3::Hasher::new_derive_key("callboard deploy id v1");
    for part in [deploy.script.to_string().as_bytes(), key.as_bytes(), deploy.bundle.hash().as_bytes()] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    DeployId::from_bytes(id)
}
