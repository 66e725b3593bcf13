//! Looking: heads and endpoints as this node serves them, history as the store has it.

use std::sync::Arc;

use actix::{Handler, Message, MessageResult, ResponseFuture};
use bytes::Bytes;
use quotas::limits::EndpointLimits;
use quotas::quarantine::Quarantine;
use quotas::scope::{EndpointId, RevisionId, RevisionNumber, ScriptId, ServiceName, TeamName};
use quotas::units::Bytes as Size;
use runtime::bundle::{Bundle, BundleHash};
use runtime::manifest::{EndpointSpec, Method, Priority};

use super::{Controller, Live, Work};
use crate::error::ControlError;
use crate::fleet::Standing;
use crate::storage::{Head, Revision};
use crate::units::UnitFailure;
use crate::who::unix_ms;

/// Anybody: where do the scripts stand that this node serves? Deleted ones are among them.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "Vec<(ScriptId, Head)>")]
pub struct Heads;

impl Handler<Heads> for Controller {
    type Result = MessageResult<Heads>;

    fn handle(&mut self, _: Heads, _: &mut Self::Context) -> Self::Result {
        MessageResult(self.scripts.iter().map(|(script, live)| (script.clone(), live.head.clone())).collect())
    }
}

/// The fleet: where does this script stand here?
#[derive(Debug, Clone, Message)]
#[rtype(result = "Standing")]
pub struct StandingOf(pub ScriptId);

impl Handler<StandingOf> for Controller {
    type Result = MessageResult<StandingOf>;

    fn handle(&mut self, StandingOf(script): StandingOf, _: &mut Self::Context) -> Self::Result {
        let told = |failure: &UnitFailure| (failure.code.to_owned(), failure.detail.clone());
        let never = self.shared.unserved().get(&script).map(told);
        let Some(live) = self.scripts.get(&script) else {
            return MessageResult(Standing { problem: never, ..Standing::default() });
        };
        let newer = live.problem.as_ref().map(|(_, failure)| told(failure));
        let refused = live.refused.first().map(|(spec, failure)| {
            let (code, detail) = told(failure);
            (code, format!("{}: {detail}", spec.name))
        });
        let problem = newer.or(refused).or(never);
        MessageResult(Standing { seq: live.head.seq, revision: live.head.active, problem })
    }
}

/// The admin door: which endpoints are there? Sorted by their ids.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Vec<EndpointInfo>")]
pub struct Endpoints {
    /// Only those of this team.
    pub team: Option<TeamName>,
    /// Only those after this one.
    pub after: Option<EndpointId>,
    /// How many at most.
    pub limit: usize,
}

/// An endpoint, for whoever asks.
#[derive(Debug, Clone)]
pub struct EndpointInfo {
    /// Its id.
    pub id: EndpointId,
    /// The revision that answers, or would.
    pub revision: Option<RevisionNumber>,
    /// The path that it answers.
    pub path: String,
    /// The methods that it answers.
    pub methods: Vec<Method>,
    /// What it may use.
    pub limits: EndpointLimits,
    /// The services that it may call.
    pub services: Vec<ServiceName>,
    /// How early it is shed.
    pub priority: Priority,
    /// Why it is set aside, if it is.
    pub quarantine: Option<Arc<Quarantine>>,
    /// Why it, or a newer revision of it, is not served.
    pub problem: Option<String>,
}

impl Handler<Endpoints> for Controller {
    type Result = MessageResult<Endpoints>;

    fn handle(&mut self, asked: Endpoints, _: &mut Self::Context) -> Self::Result {
        let Endpoints { team, after, limit } = asked;
        let scripts =
            self.scripts.iter().filter(|(script, _)| team.as_ref().is_none_or(|t| *t == script.team));
        let mut found: Vec<EndpointInfo> = scripts
            .flat_map(|(script, live)| self.infos(script, live))
            .filter(|info| after.as_ref().is_none_or(|after| info.id > *after))
            .collect();
        found.sort_by(|one, other| one.id.cmp(&other.id));
        found.truncate(limit);
        MessageResult(found)
    }
}

impl Controller {
    fn infos<'a>(&'a self, script: &'a ScriptId, live: &'a Live) -> impl Iterator<Item = EndpointInfo> + 'a {
        let newer =
            live.problem.as_ref().map(|(seq, failure)| format!("step {seq} is not served: {failure}"));
        let info = move |id: EndpointId, spec: &EndpointSpec| EndpointInfo {
            revision: live.head.active,
            path: spec.path.to_string(),
            methods: spec.methods.clone(),
            limits: self.shared.policy.endpoint(&spec.limits),
            services: spec.services.clone(),
            priority: spec.priority,
            quarantine: None,
            problem: newer.clone(),
            id,
        };
        let refused_info = info.clone();
        let now = unix_ms();
        let served = live.entries.iter().map(move |entry| {
            let info = info(entry.id.clone(), &entry.spec);
            let problem = if entry.has_expired(now) { Some(EXPIRED.to_owned()) } else { info.problem };
            EndpointInfo {
                revision: Some(entry.revision),
                quarantine: entry.guard.quarantine.get(),
                problem,
                ..info
            }
        });
        let refused = live.refused.iter().map(move |(spec, failure)| EndpointInfo {
            problem: Some(failure.to_string()),
            ..refused_info(EndpointId { script: script.clone(), name: spec.name.clone() }, spec)
        });
        served.chain(refused)
    }
}

/// What is the matter with an endpoint for a test whose time is over.
const EXPIRED: &str = "its time, `expires`, is over; a deploy begins it anew";

/// The admin door: which revisions has this script? Newest first.
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Vec<Revision>, ControlError>")]
pub struct History {
    /// The script.
    pub script: ScriptId,
    /// Only those with lower numbers.
    pub before: Option<RevisionNumber>,
    /// How many at most.
    pub limit: usize,
}

impl Handler<History> for Controller {
    type Result = ResponseFuture<Result<Vec<Revision>, ControlError>>;

    fn handle(&mut self, asked: History, ctx: &mut Self::Context) -> Self::Result {
        let work = self.work(ctx);
        Box::pin(async move {
            let History { script, before, limit } = asked;
            let found = work.store.revisions(&script, before, limit).await?;
            if found.is_empty() && work.store.head(&script).await?.is_none() {
                return Err(ControlError::ScriptUnknown(script));
            }
            Ok(found)
        })
    }
}

/// A file of a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileInfo {
    /// Its path.
    pub path: String,
    /// Its size.
    pub size: Size,
}

/// The admin door: what is this revision, and which files has it?
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<(Revision, Vec<FileInfo>), ControlError>")]
pub struct OneRevision {
    /// The script.
    pub script: ScriptId,
    /// The revision.
    pub number: RevisionNumber,
}

impl Handler<OneRevision> for Controller {
    type Result = ResponseFuture<Result<(Revision, Vec<FileInfo>), ControlError>>;

    fn handle(&mut self, asked: OneRevision, ctx: &mut Self::Context) -> Self::Result {
        let work = self.work(ctx);
        Box::pin(async move {
            let (revision, bundle) = work.read(asked.script, asked.number).await?;
            let file = |(path, bytes): (&runtime::bundle::BundlePath, &Arc<[u8]>)| FileInfo {
                path: path.as_str().to_owned(),
                size: Size::new(bytes.len() as u64),
            };
            Ok((revision, bundle.files().iter().map(file).collect()))
        })
    }
}

/// The admin door: what is in this file?
#[derive(Debug, Clone, Message)]
#[rtype(result = "Result<Bytes, ControlError>")]
pub struct FileOf {
    /// The script.
    pub script: ScriptId,
    /// The revision.
    pub number: RevisionNumber,
    /// The file.
    pub path: String,
}

impl Handler<FileOf> for Controller {
    type Result = ResponseFuture<Result<Bytes, ControlError>>;

    fn handle(&mut self, asked: FileOf, ctx: &mut Self::Context) -> Self::Result {
        let work = self.work(ctx);
        Box::pin(async move {
            let FileOf { script, number, path } = asked;
            let (_, bundle) = work.read(script.clone(), number).await?;
            match bundle.file(&path) {
                Some(bytes) => Ok(Bytes::copy_from_slice(bytes)),
                None => Err(ControlError::FileUnknown { revision: RevisionId { script, number }, path }),
            }
        })
    }
}

impl Work {
    async fn read(
        &self,
        script: ScriptId,
        number: RevisionNumber,
    ) -> Result<(Revision, Bundle), ControlError> {
        match self.store.revision(&script, number).await? {
            Some(revision) => {
                let bundle = self.shared.units.bundle(BundleHash::from_bytes(revision.bundle.0)).await?;
                Ok((revision, bundle))
            }
            None if self.store.head(&script).await?.is_none() => Err(ControlError::ScriptUnknown(script)),
            None => Err(ControlError::RevisionUnknown(RevisionId { script, number })),
        }
    }
}
