//! The quotas that are tried: tables named by their scopes, as `callboard quota set` names them.
//!
//! Invariant: a name or a value that the server would refuse is refused here, with its line; what is not said is the
//! server's default.
//! Not here: what the quotas do (`replay`).

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::time::Duration;

use quotas::limits::{EndpointLimits, Policy};
use quotas::rate::Quota;
use quotas::scope::{ClassName, EndpointId, Scope};
use quotas::setting::{Name, Setting, Terms};
use quotas::units::{Bytes, Fuel};
use toml::{Spanned, Value};

use crate::plan::fault::{Fault, Source};
use crate::plan::unit;

/// The quotas.
#[derive(Debug, Default)]
pub struct Quotas {
    /// The server's own limits.
    pub policy: Policy,
    /// What a call uses where the trace does not tell.
    pub usual: Use,
    set: HashMap<String, Vec<(Name, Setting)>>,
    /// Paths with the endpoint that answers all below, the longest first.
    routes: Vec<(String, EndpointId)>,
}

/// What a call uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Use {
    /// How long it is alive.
    pub took: Duration,
    /// Work of its script.
    pub fuel: Fuel,
    /// Its calls of services.
    pub host_calls: u32,
    /// The bytes that it moves.
    pub bytes: Bytes,
}

impl Default for Use {
    /// A small script that asks one service.
    fn default() -> Self {
        Self { took: Duration::from_millis(20), fuel: Fuel::new(10_000), host_calls: 1, bytes: Bytes::kib(2) }
    }
}

type Table = BTreeMap<Spanned<String>, Spanned<Value>>;

const TABLES: &str = "there are `[all]`, `[\"team:tv\"]`, `[\"endpoint:tv/home/home\"]` and `[\"class:tv-2015\"]`, with `*` \
    for all others of a kind, `[route]` and `[call]`";
const CALLS: &str = "there are `took = \"20ms\"`, `fuel`, `host_calls` and `bytes`, each a whole number";
const ROUTES: &str = "write `\"/tv/home\" = \"tv/home/home\"`: what is below the path, and the endpoint";

impl Quotas {
    /// Reads them.
    ///
    /// # Errors
    /// What is wrong with them, and where.
    pub fn read(source: Source<'_>) -> Result<Self, Fault> {
        let tables: BTreeMap<Spanned<String>, Table> = toml::from_str(source.text)
            .map_err(|error| source.fault(error.span().unwrap_or(0..0), error.message(), TABLES))?;
        let mut quotas = Self::default();
        for (name, table) in tables {
            let (span, name) = (name.span(), name.into_inner());
            for (key, value) in table {
                let (key_span, key) = (key.span(), key.into_inner());
                let (value_span, value) = (value.span(), value.into_inner());
                let at =
                    |problem: &dyn Display, advice: &str| source.fault(value_span.clone(), problem, advice);
                match name.as_str() {
                    "route" => {
                        let endpoint =
                            value.as_str().unwrap_or_default().parse().map_err(|error| at(&error, ROUTES))?;
                        quotas.routes.push((key, endpoint));
                    }
                    "call" => quotas.usual.set(&key, &value).map_err(|problem| at(&problem, CALLS))?,
                    scope => {
                        let setting = quotas.setting(scope, &key, &value);
                        let (name, setting) = setting.map_err(|(place, problem)| {
                            let span = match place {
                                Place::Scope => span.clone(),
                                Place::Key => key_span,
                                Place::Value => value_span,
                            };
                            source.fault(span, problem, TABLES)
                        })?;
                        quotas.set.entry(scope.to_owned()).or_default().push((name, setting));
                    }
                }
            }
        }
        quotas.routes.sort_by_key(|(path, _)| Reverse(path.len()));
        Ok(quotas)
    }

    fn setting(&self, scope: &str, key: &str, value: &Value) -> Result<(Name, Setting), (Place, String)> {
        // Of a kind, any one will do to know what there is.
        let one = match scope {
            "team:*" => "team:any",
            "endpoint:*" => "endpoint:any/any/any",
            "class:*" => "class:any",
            scope => scope,
        };
        let one: Scope =
            one.parse().map_err(|error| (Place::Scope, format!("`{scope}` is no scope: {error}")))?;
        let name: Name = key.parse().map_err(|error| (Place::Key, format!("{error}")))?;
        if !Name::of(&one).any(|known| known == name) || matches!(name, Name::Team(_)) {
            let known: Vec<&str> =
                Name::of(&one).filter(|name| !matches!(name, Name::Team(_))).map(Name::as_str).collect();
            let problem = if known.is_empty() {
                format!("calls are not limited by `{scope}`")
            } else {
                format!("`{scope}` has no `{key}` that calls are asked for; it has {}", known.join(", "))
            };
            return Err((Place::Key, problem));
        }
        let text = match value {
            Value::String(text) => text.clone(),
            value => value.to_string(),
        };
        let limit =
            name.read(&text, &one, &self.policy).map_err(|error| (Place::Value, error.to_string()))?;
        Ok((name, Setting { limit: Some(limit), ..Setting::default() }))
    }

    /// The endpoint that a path is answered by: by a route; else a path is its team's, and its first two segments name
    /// the script.
    pub fn endpoint(&self, path: &str) -> Option<EndpointId> {
        let path = path.split('?').next().unwrap_or(path);
        let below = |route: &str| {
            path.strip_prefix(route.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if let Some((_, endpoint)) = self.routes.iter().find(|(route, _)| below(route)) {
            return Some(endpoint.clone());
        }
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let (team, script) = (segments.next()?, segments.next().unwrap_or("main"));
        EndpointId::parse(&format!("{team}/{script}/main")).ok()
    }

    /// What holds of the whole node.
    pub fn of_node(&self) -> Terms {
        self.with(Terms::of_node(&self.policy), "all", "all")
    }

    /// What holds of a scope of this kind.
    pub fn of_team(&self, team: &str) -> Terms {
        self.with(Terms::of_team(&self.policy), "team", team)
    }

    /// What holds of an endpoint.
    pub fn of_endpoint(&self, limits: &EndpointLimits, endpoint: &EndpointId) -> Terms {
        self.with(Terms::of_endpoint(limits, &self.policy), "endpoint", &endpoint.to_string())
    }

    /// What holds of a class.
    pub fn of_class(&self, quota: Quota, class: &ClassName) -> Terms {
        self.with(Terms::of_class(quota, &self.policy), "class", class.as_str())
    }

    fn with(&self, terms: Terms, kind: &str, name: &str) -> Terms {
        let scope = if kind == name { name.to_owned() } else { format!("{kind}:{name}") };
        let set = self.set.get(&scope).or_else(|| self.set.get(&format!("{kind}:*")));
        terms.with(set.into_iter().flatten().map(|(name, setting)| (*name, setting)))
    }
}

/// What of a setting is wrong.
enum Place {
    Scope,
    Key,
    Value,
}

impl Use {
    fn set(&mut self, key: &str, value: &Value) -> Result<(), String> {
        let whole = || {
            value
                .as_integer()
                .and_then(|value| u64::try_from(value).ok())
                .ok_or(format!("`{value}` is no whole number"))
        };
        match key {
            "took" => {
                self.took =
                    unit::time(value.as_str().unwrap_or_default()).map_err(|error| error.to_string())?;
            }
            "fuel" => self.fuel = Fuel::new(whole()?),
            "host_calls" => self.host_calls = u32::try_from(whole()?).unwrap_or(u32::MAX),
            "bytes" => self.bytes = Bytes::new(whole()?),
            _ => return Err(format!("a call has no `{key}`")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Quotas, String> {
        Quotas::read(Source { file: "new.toml", text }).map_err(|fault| fault.to_string())
    }

    #[test]
    fn a_scope_has_what_its_own_table_says_or_that_of_its_kind() {
        let quotas = read(
            "[\"team:*\"]\nrate = \"300/s\"\n[\"team:tv\"]\nrate = \"40/s\"\nburst = 7\n[all]\nconcurrency = 12\n",
        )
        .unwrap();
        let limit = |terms: Terms, name| terms.get(name).limit;
        assert_eq!(limit(quotas.of_team("tv"), Name::Rate), 40);
        assert_eq!(limit(quotas.of_team("tv"), Name::Burst), 7);
        assert_eq!(limit(quotas.of_team("phone"), Name::Rate), 300);
        assert_eq!(limit(quotas.of_node(), Name::Concurrency), 12);
        let usual = limit(quotas.of_team("tv"), Name::Concurrency);
        assert_eq!(usual, u64::from(quotas.policy.team_concurrency.get()), "what is not said is the default");
    }

    #[test]
    fn a_path_leads_to_its_route_or_to_what_it_names() {
        let quotas = read("[route]\n\"/tv\" = \"tv/all/main\"\n\"/tv/home/\" = \"tv/home/home\"\n").unwrap();
        for (path, endpoint) in [
            ("/tv/home/row/3?x=/y", Some("tv/home/home")),
            ("/tv/home", Some("tv/home/home")),
            ("/tv/homes", Some("tv/all/main")),
            ("/phone/start/a", Some("phone/start/main")),
            ("/phone", Some("phone/main/main")),
            ("/", None),
            ("/Ä/b", None),
        ] {
            assert_eq!(quotas.endpoint(path).map(|id| id.to_string()).as_deref(), endpoint, "{path}");
        }
    }

    #[test]
    fn what_the_server_would_refuse_is_refused_with_its_place() {
        for (text, wanted) in [
            ("[\"team:tv\"]\nrate = 0\n", "new.toml:2:8: `rate`"),
            ("[\"team:tv\"]\nspeed = \"1/s\"\n", "new.toml:2:1: there is no quota `speed`"),
            (
                "[\"team:tv\"]\nscripts = 3\n",
                "new.toml:2:1: `team:tv` has no `scripts` that calls are asked for",
            ),
            ("[\"tame:tv\"]\nrate = \"1/s\"\n", "new.toml:1:2: `tame:tv` is no scope"),
            (
                "[\"service:catalog\"]\nrate = \"1/s\"\n",
                "new.toml:2:1: calls are not limited by `service:catalog`",
            ),
            ("rate = 5\n", "new.toml:1:8: "),
            ("[call]\ntook = 5\n", "new.toml:2:8: `` is no time"),
            ("[call]\nfuel = -5\n", "new.toml:2:8: `-5` is no whole number"),
            ("[route]\n\"/a\" = \"b\"\n", "new.toml:2:8: "),
            ("[all\n", "new.toml:1:"),
        ] {
            let fault = read(text).unwrap_err();
            assert!(fault.starts_with(wanted) && fault.contains('\n'), "{fault}");
        }
    }
}
