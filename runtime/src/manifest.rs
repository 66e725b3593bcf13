//! Manifests: what `callboard.toml` says about a script and its endpoints.
//!
//! Invariant: a manifest in hand is whole: every name is well formed, every handler's file is in the bundle,
//! and no two endpoints answer the same method and path.
//! Not here: what the operator grants of the limits that are asked for (`quotas::limits`), whether a handler's
//! function exists (`compile`), who owns a path.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use quotas::limits::Requested;
pub use quotas::priority::Priority;
use quotas::scope::{EndpointName, ScriptName, ServiceName, TeamName};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::route_pattern::RoutePattern;

mod endpoint;
mod handler;
mod limits;
mod places;
mod table;

pub use handler::{HandlerPath, ParseHandlerError};
pub use places::Places;
use table::{Context, Table};

/// The manifest's path within a bundle.
pub const MANIFEST_FILE: &str = "callboard.toml";
/// The largest manifest, in bytes.
pub const MANIFEST_MAX: usize = 256 << 10;
/// The most endpoints of a script.
pub const ENDPOINTS_MAX: usize = 256;
/// The most services that an endpoint may call.
pub const SERVICES_MAX: usize = 32;
/// The most settings of an endpoint.
pub const CONFIG_MAX: usize = 64;
/// The longest text of a setting, in bytes.
pub const CONFIG_TEXT_MAX: usize = 4_096;

/// What a manifest says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The team that owns the script.
    pub team: TeamName,
    /// The script's name within the team.
    pub script: ScriptName,
    /// Its endpoints, at least one, in the manifest's order.
    pub endpoints: Vec<EndpointSpec>,
}

/// What a manifest says about one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Its name within the script; the handler's function where the manifest names none.
    pub name: EndpointName,
    /// The path that it answers.
    pub path: RoutePattern,
    /// The methods that it answers, sorted; `GET` where the manifest names none, and `HEAD` with `GET`.
    pub methods: Vec<Method>,
    /// The function that answers.
    pub handler: HandlerPath,
    /// The function that answers where the handler cannot, with a small allowance.
    pub fallback: Option<HandlerPath>,
    /// How old a good answer may be that is given again where there is no other.
    pub last_good: Option<Duration>,
    /// How early its calls are shed when the node is pressed.
    pub priority: Priority,
    /// The only services that it may call.
    pub services: Vec<ServiceName>,
    /// The limits that it asks for.
    pub limits: Requested,
    /// For how long after its deploy it answers, where it is for a test.
    pub expires: Option<Duration>,
    /// Settings that the script reads as `config`.
    pub config: BTreeMap<String, ConfigValue>,
}

/// A method of HTTP that endpoints can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// `GET`, and with it `HEAD`.
    Get,
    /// `POST`.
    Post,
    /// `PUT`.
    Put,
    /// `DELETE`.
    Delete,
    /// `PATCH`.
    Patch,
    /// `OPTIONS`.
    Options,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 6] = [Self::Get, Self::Post, Self::Put, Self::Delete, Self::Patch, Self::Options];

    /// Its token.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Patch => "PATCH",
            Self::Options => "OPTIONS",
        }
    }

    /// The method with this token, in capital letters.
    pub fn from_token(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == token)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The value of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigValue {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// Yes or no.
    Flag(bool),
}

impl Manifest {
    /// Reads a manifest; `has_file` answers whether the bundle has a file at a path.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn parse(bytes: &[u8], has_file: impl Fn(&str) -> bool) -> Result<Self, Diagnostics> {
        let whole = |code: &'static str, message: &str| Diagnostic::whole(MANIFEST_FILE, code, message);
        if bytes.len() > MANIFEST_MAX {
            return Err(whole("manifest.too_large", "a manifest has at most 256KiB").into());
        }
        let source =
            str::from_utf8(bytes).map_err(|_| whole("manifest.not_utf8", "a manifest is UTF-8 text"))?;
        // Only the first error: what the parser says after it is mostly about the first one again.
        let document = toml::de::DeTable::parse(source).map_err(|error| syntax(source, &error))?;
        let cx = Context::new(source);
        let manifest = read(&cx, document.get_ref(), &has_file);
        let found = cx.into_found();
        match manifest {
            Some(manifest) => found.unless_errors(manifest),
            None => Err(found),
        }
    }
}

fn syntax(source: &str, error: &toml::de::Error) -> Diagnostic {
    match error.span() {
        Some(span) => Diagnostic::at(MANIFEST_FILE, source, span, "manifest.syntax", error.message()),
        None => Diagnostic::whole(MANIFEST_FILE, "manifest.syntax", error.message()),
    }
}

/// The manifest, if what is missing or wrong leaves one; what is wrong is in the context.
fn read(
    cx: &Context<'_>,
    document: &toml::de::DeTable<'_>,
    has_file: &dyn Fn(&str) -> bool,
) -> Option<Manifest> {
    let top = Table::new(cx, document, 0..0, "the manifest");
    top.only(&["team", "script", "endpoint"]);
    let team = top.required("team").and_then(|value| value.parsed::<TeamName>());
    let script = top.required("script").and_then(|value| value.parsed::<ScriptName>());
    let list = top.optional("endpoint");
    let tables = list.as_ref().map_or_else(|| Some(Vec::new()), |value| value.tables())?;
    if tables.is_empty() {
        let hint = "add a table `[[endpoint]]` with a `path` and a `handler`";
        cx.error_of_all("manifest.no_endpoint", "a script has at least one endpoint", hint);
    }
    if tables.len() > ENDPOINTS_MAX {
        cx.error(tables[ENDPOINTS_MAX].span(), "manifest.too_many", "a script has at most 256 endpoints");
        return None;
    }
    let read: Vec<Option<(EndpointSpec, endpoint::Places)>> =
        tables.iter().map(|table| endpoint::read(table, has_file)).collect();
    unique(cx, read.iter().flatten());
    let endpoints = read.into_iter().map(|read| read.map(|(spec, _)| spec)).collect::<Option<Vec<_>>>()?;
    Some(Manifest { team: team?, script: script?, endpoints })
}

/// Finds endpoints that cannot be told apart.
fn unique<'a>(cx: &Context<'_>, endpoints: impl Iterator<Item = &'a (EndpointSpec, endpoint::Places)>) {
    let mut names = BTreeSet::new();
    let mut routes: BTreeMap<(Method, String), &EndpointName> = BTreeMap::new();
    for (spec, places) in endpoints {
        if !names.insert(&spec.name) {
            let message = format!("two endpoints are named `{}`", spec.name);
            let hint = "give one of them a `name` of its own".to_owned();
            cx.error_with(places.name.clone(), "manifest.duplicate_name", message, Some(hint));
        }
        for method in &spec.methods {
            if let Some(other) = routes.insert((*method, spec.path.canonical()), &spec.name) {
                let message = format!("the endpoint `{other}` answers `{method} {}` already", spec.path);
                cx.error(places.path.clone(), "manifest.duplicate_route", message);
            }
        }
    }
}

#[cfg(test)]
mod tests;
