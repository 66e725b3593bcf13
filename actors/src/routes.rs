//! Routes: which endpoint answers a method and a path.
//!
//! Invariant: a snapshot never changes; the controller makes a new one and publishes it. A path is matched
//! and handed on in one canonical form, so that nobody sees a path that the match did not.
//! Not here: who may have which route (`controller`), who may call it (`quotas`).

mod path;
mod trie;

use std::collections::BTreeMap;
use std::sync::Arc;

use quotas::guards::EndpointGuard;
use quotas::limits::EndpointLimits;
use quotas::scope::{EndpointId, RevisionNumber, ScriptId, ScriptName, TeamName};
use runtime::bundle::BundleHash;
use runtime::host::call::EndpointContext;
use runtime::manifest::{EndpointSpec, Method};
use runtime::route_pattern::Segment;
use runtime::unit::Entry;

use self::trie::Trie;
use crate::flight::Label;
use crate::units::UnitCell;

/// The parameters that a path gave, decoded, in the pattern's order.
pub type Params = Vec<(Arc<str>, String)>;

/// One endpoint of an active revision.
#[derive(Debug)]
pub struct EndpointEntry {
    /// Its id.
    pub id: EndpointId,
    /// The revision that answers.
    pub revision: RevisionNumber,
    /// The step of the script that made it active: a higher one is newer.
    pub seq: u64,
    /// The bundle of the revision.
    pub bundle: BundleHash,
    /// The function that requests enter by.
    pub entry: Entry,
    /// What the manifest says.
    pub spec: EndpointSpec,
    /// What it may use.
    pub limits: EndpointLimits,
    /// When it stops to answer, in Unix milliseconds, where it is for a test.
    pub expires_ms: Option<u64>,
    /// What is counted for it; outlives revisions.
    pub guard: Arc<EndpointGuard>,
    /// The services that it may call, its own settings.
    pub context: Arc<EndpointContext>,
    /// Where its unit is, shared by the endpoints of a revision and by all threads.
    pub unit: Arc<UnitCell>,
    /// The names of its parameters, made once.
    pub parameters: Box<[Arc<str>]>,
    /// What stands on the flight board while it runs, made once.
    pub label: Label,
}

impl EndpointEntry {
    /// Whether it was for a test whose time is over.
    pub fn has_expired(&self, unix_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires| expires <= unix_ms)
    }

    /// The routes that it claims: each method with the canonical pattern.
    pub fn claims(&self) -> impl Iterator<Item = String> {
        claims(&self.spec)
    }
}

/// The routes that an endpoint claims: each method with the canonical pattern.
pub fn claims(spec: &EndpointSpec) -> impl Iterator<Item = String> {
    let pattern = spec.path.canonical();
    spec.methods.iter().map(move |method| format!("{method} {pattern}"))
}

/// What a method and a path lead to.
#[derive(Debug)]
pub enum Found<'a> {
    /// An endpoint.
    Route {
        /// Which.
        entry: &'a Arc<EndpointEntry>,
        /// What the path says.
        params: Params,
    },
    /// The path is known, with other methods.
    Method {
        /// Those that are known, sorted; `HEAD` where there is `GET`.
        allowed: Vec<&'a str>,
    },
    /// Nothing.
    None,
    /// Nothing ever: a path that could be read in two ways. The text says what is wrong with it.
    Malformed(&'static str),
}

/// All routes of a node at one time. A clone shares all that a change does not touch.
#[derive(Debug, Default, Clone)]
pub struct Routes {
    trie: Trie<Arc<EndpointEntry>>,
    teams: BTreeMap<TeamName, Arc<Scripts>>,
    len: usize,
}

/// What a team's scripts serve.
type Scripts = BTreeMap<ScriptName, Served>;

/// What a script serves, sorted by the endpoints' names.
pub type Served = Arc<[Arc<EndpointEntry>]>;

impl Routes {
    /// Lets a script serve these endpoints, and nothing that it served before. Nobody else may answer what they do.
    pub(crate) fn serve(&mut self, script: &ScriptId, served: &Served) {
        let scripts = Arc::make_mut(self.teams.entry(script.team.clone()).or_default());
        let before = scripts.remove(&script.script).unwrap_or_default();
        if !served.is_empty() {
            scripts.insert(script.script.clone(), Arc::clone(served));
        }
        if scripts.is_empty() {
            self.teams.remove(&script.team);
        }
        for entry in &*before {
            for method in &entry.spec.methods {
                self.trie.remove(entry.spec.path.segments(), *method);
            }
        }
        for entry in &**served {
            for method in &entry.spec.methods {
                self.trie.insert(entry.spec.path.segments(), *method, entry);
            }
        }
        self.len = self.len + served.len() - before.len();
    }

    /// Another script that answers one of these routes by the same method and canonical pattern, and that route.
    pub(crate) fn owner(&self, script: &ScriptId, spec: &EndpointSpec) -> Option<(Method, &ScriptId)> {
        spec.methods.iter().find_map(|method| {
            let entry = self.trie.get(spec.path.segments(), *method)?;
            (entry.id.script != *script).then_some((*method, &entry.id.script))
        })
    }

    /// Whether a script answers all routes of an endpoint now.
    pub(crate) fn is_served_by(&self, script: &ScriptId, spec: &EndpointSpec) -> bool {
        spec.methods.iter().all(|method| {
            self.trie.get(spec.path.segments(), *method).is_some_and(|entry| entry.id.script == *script)
        })
    }

    /// An endpoint of another script that would answer a path that this one answers, too, and which is wanted.
    pub(crate) fn find_overlap(
        &self,
        spec: &EndpointSpec,
        mut is_wanted: impl FnMut(&EndpointEntry) -> bool,
    ) -> Option<&Arc<EndpointEntry>> {
        self.trie.find_overlap(spec.path.segments(), &mut |method, entry| {
            spec.methods.contains(&method) && is_wanted(entry)
        })
    }

    /// What answers a method (upper case) and a path (without its query, as it came). `HEAD` finds `GET`.
    pub fn find(&self, method: &str, path: &str) -> Found<'_> {
        let segments = match path::segments(path) {
            Ok(segments) => segments,
            Err(problem) => return Found::Malformed(problem),
        };
        let wanted = Method::from_token(if method == "HEAD" { "GET" } else { method });
        match self.trie.find(&segments, wanted) {
            Ok(entry) => Found::Route { entry, params: params(entry, &segments) },
            Err(methods) if methods.is_empty() => Found::None,
            Err(methods) => {
                let head = methods.contains(&Method::Get).then_some("HEAD");
                let mut allowed: Vec<&str> = methods.into_iter().map(Method::as_str).chain(head).collect();
                allowed.sort_unstable();
                Found::Method { allowed }
            }
        }
    }

    /// One endpoint.
    pub fn endpoint(&self, id: &EndpointId) -> Option<&Arc<EndpointEntry>> {
        let served = self.script(&id.script);
        served.binary_search_by(|entry| entry.id.name.cmp(&id.name)).ok().map(|place| &served[place])
    }

    /// What a script serves, sorted by the endpoints' names.
    pub fn script(&self, id: &ScriptId) -> &[Arc<EndpointEntry>] {
        let scripts = self.teams.get(&id.team);
        scripts.and_then(|scripts| scripts.get(&id.script)).map_or(&[], |served| served)
    }

    /// What a team serves.
    pub fn team(&self, name: &TeamName) -> impl Iterator<Item = &Arc<EndpointEntry>> {
        self.teams.get(name).into_iter().flat_map(|scripts| scripts.values()).flat_map(|served| &**served)
    }

    /// All endpoints, sorted by their ids.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<EndpointEntry>> {
        self.teams.values().flat_map(|scripts| scripts.values()).flat_map(|served| &**served)
    }

    /// How many endpoints there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

fn params(entry: &EndpointEntry, segments: &[std::borrow::Cow<'_, str>]) -> Params {
    let mut names = entry.parameters.iter();
    let mut params = Vec::with_capacity(entry.parameters.len());
    for (place, segment) in entry.spec.path.segments().iter().enumerate() {
        let value = match segment {
            Segment::Literal(_) => continue,
            Segment::Parameter(_) => segments[place].clone().into_owned(),
            Segment::Tail(_) => segments[place..].join("/"),
        };
        if let Some(name) = names.next() {
            params.push((Arc::clone(name), value));
        }
    }
    params
}
