//! Settings: every key with its value as text and where that came from.
//!
//! Invariant: a later source replaces an earlier one key by key, and what stands here passed its key's check.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use super::error::Fault;
use super::key::{self, Key, Kind, Preset};
use super::keys::KEYS;
use quotas::nearest::nearest;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Variable(String),
    /// A flag.
    Flag(String),
}

/// A value before it is read as what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One text.
    One(String),
    /// Several.
    Many(Vec<String>),
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The value.
    pub value: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// All settings by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, Setting>);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Variable(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// The key of this name, and the name that stands for its `*`.
pub(super) fn find(name: &str) -> Option<(&'static Key, Option<&str>)> {
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return (!name.contains('*')).then_some((key, None));
    }
    let (section, rest) = name.split_once('.')?;
    let (instance, last) = rest.rsplit_once('.')?;
    let pattern = format!("{section}.*.{last}");
    KEYS.iter().find(|key| key.name == pattern).map(|key| (key, Some(instance)))
}

/// Where a key stands in the table: its section, the name of a service or a class, the key itself.
fn place(name: &str) -> Option<(usize, &str, usize)> {
    let (key, instance) = find(name)?;
    let section = key.name.split('.').next();
    let first = KEYS.iter().position(|known| known.name.split('.').next() == section)?;
    let last = KEYS.iter().position(|known| known.name == key.name)?;
    Some((first, instance.unwrap_or_default(), last))
}

/// The fault of a name that is no key, with the nearest that is.
pub(super) fn unknown(name: &str, origin: Origin) -> Fault {
    let fault = Fault::new(origin, format!("there is no `{name}`"));
    // The name of a service or a class is taken from what was written, so that only the key is compared.
    let instance = name.split('.').nth(1).unwrap_or_default();
    let known: Vec<String> = KEYS.iter().map(|key| key.name.replace('*', instance)).collect();
    match nearest(name, known.iter().map(String::as_str)) {
        Some(nearest) => fault.with_hint(format!("did you mean `{nearest}`?")),
        None => fault.with_hint("`callboard config` lists all keys"),
    }
}

impl Settings {
    /// Sets a key, unless something is wrong with that.
    pub(super) fn set(&mut self, name: &str, value: Value, origin: Origin, faults: &mut Vec<Fault>) {
        let Some((key, instance)) = find(name) else {
            return faults.push(unknown(name, origin));
        };
        if let Some(instance) = instance
            && let Err(error) = instance.parse::<quotas::scope::ServiceName>()
        {
            return faults
                .push(Fault::new(origin, format!("`{instance}` cannot be a name: {}", error.problem)));
        }
        match key.check(&value) {
            Ok(()) => {
                let value = key.canonical(value);
                self.0.insert(name.to_owned(), Setting { value, origin });
            }
            Err(problem) => faults.push(Fault::new(origin, format!("`{name}`: {problem}"))),
        }
    }

    /// Sets a key from one text; a list is written with commas.
    pub(super) fn set_text(&mut self, name: &str, text: &str, origin: Origin, faults: &mut Vec<Fault>) {
        let value = match find(name) {
            Some((key, _)) if key.kind == Kind::Texts => Value::Many(
                text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned).collect(),
            ),
            _ => Value::One(text.to_owned()),
        };
        self.set(name, value, origin, faults);
    }

    /// Adds the defaults of what nobody spoke of.
    pub(super) fn fill_defaults(&mut self, faults: &mut Vec<Fault>) {
        for key in KEYS {
            let names = match key.name.split_once(".*.") {
                None => vec![key.name.to_owned()],
                Some((section, last)) => {
                    self.instances(section).iter().map(|name| format!("{section}.{name}.{last}")).collect()
                }
            };
            for name in names {
                if self.0.contains_key(&name) {
                    continue;
                }
                let value = match key.preset {
                    Preset::Text(_) if key.kind == Kind::Texts => Value::Many(Vec::new()),
                    Preset::Text(text) => Value::One(text.to_owned()),
                    Preset::Machine(ask) => Value::One(ask()),
                    Preset::Missing => {
                        let section = name.rsplit_once('.').map_or(name.as_str(), |(section, _)| section);
                        let origin = self.section_origin(section);
                        faults.push(Fault::new(
                            origin,
                            format!("`{section}` has to have a `{}`", last_of(&name)),
                        ));
                        continue;
                    }
                };
                self.0.insert(name, Setting { value, origin: Origin::Default });
            }
        }
    }

    /// The names that stand for the `*` of a section.
    pub(super) fn instances(&self, section: &str) -> BTreeSet<String> {
        let within =
            self.0.keys().filter_map(|name| name.strip_prefix(section)?.strip_prefix('.')?.rsplit_once('.'));
        within.map(|(instance, _)| instance.to_owned()).collect()
    }

    fn section_origin(&self, section: &str) -> Origin {
        let within = self
            .0
            .iter()
            .filter(|(name, _)| name.rsplit_once('.').is_some_and(|(known, _)| known == section));
        within.map(|(_, setting)| setting.origin.clone()).max().unwrap_or(Origin::Default)
    }

    /// All settings, in the order of the table and then of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Setting)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, setting)| (name.as_str(), setting)).collect();
        all.sort_by(|(one, _), (other, _)| place(one).cmp(&place(other)));
        all.into_iter()
    }

    /// One setting.
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// Where a value came from.
    pub fn origin(&self, name: &str) -> Origin {
        self.get(name).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// The text of a key; nothing for a list.
    pub(super) fn text(&self, name: &str) -> &str {
        match self.get(name) {
            Some(Setting { value: Value::One(text), .. }) => text,
            _ => "",
        }
    }

    /// The texts of a key that is a list.
    pub(super) fn texts(&self, name: &str) -> &[String] {
        match self.get(name) {
            Some(Setting { value: Value::Many(texts), .. }) => texts,
            _ => &[],
        }
    }

    /// The value of a key as what it is.
    pub(super) fn typed<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, Fault> {
        self.text(name).parse().map_err(|error: T::Err| self.fault(name, error))
    }

    /// The value of a key that is a number.
    pub(super) fn count<T: TryFrom<u64>>(&self, name: &str) -> Result<T, Fault> {
        let number: quotas::units::Fuel = self.typed(name)?;
        T::try_from(number.get()).map_err(|_| self.fault(name, "it is out of range"))
    }

    /// The value of a key that is a time.
    pub(super) fn time(&self, name: &str) -> Result<Duration, Fault> {
        key::time(self.text(name)).map_err(|error| self.fault(name, error))
    }

    /// A fault of a key's value.
    pub(super) fn fault(&self, name: &str, problem: impl fmt::Display) -> Fault {
        Fault::new(self.origin(name), format!("`{name}`: {problem}"))
    }
}

fn last_of(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
