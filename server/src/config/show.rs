//! The configuration as a person and a machine can read it.
//!
//! Invariant: what is printed for a person is a file that says the same; a secret is only said to be there.

use serde_json::json;

use super::key::{Kind, Preset};
use super::keys::KEYS;
use super::settings::{Setting, Value, find};
use super::signing::SigningSource;
use super::{ADMIN_TOKEN_VARIABLE, Config, SIGNING_KEY_VARIABLE};

/// The width that origins are aligned to, where values are short enough.
const WIDTH: usize = 56;

pub(super) fn as_toml(config: &Config) -> String {
    let mut text = String::new();
    let mut section = "";
    for (name, setting) in config.settings.iter() {
        let this = name.split('.').next().unwrap_or_default();
        if this != section {
            if !section.is_empty() {
                text.push('\n');
            }
            section = this;
        }
        let line = format!("{name} = {}", value(name, setting));
        text.push_str(&format!("{line:<WIDTH$}  # {}\n", setting.origin));
    }
    text.push('\n');
    templates(&mut text);
    for (what, place) in secrets(config) {
        text.push_str(&format!("# the {what} is in {place} and not shown\n"));
    }
    text
}

/// What services and classes have, each under a name of the operator's, as comments.
fn templates(text: &mut String) {
    for key in KEYS.iter().filter(|key| key.name.contains('*')) {
        let name = key.name.replace('*', "NAME");
        let line = match (key.preset, key.kind) {
            (Preset::Text(""), _) => format!("# {name} = …"),
            (Preset::Text(preset), Kind::Count | Kind::Flag) => format!("# {name} = {preset}"),
            (Preset::Text(preset), _) => format!("# {name} = \"{preset}\""),
            (Preset::Machine(_) | Preset::Missing, _) => format!("# {name} = …"),
        };
        text.push_str(&format!("{line:<WIDTH$}  # {}\n", key.doc));
    }
    text.push('\n');
}

pub(super) fn as_json(config: &Config) -> serde_json::Value {
    let settings: Vec<_> = config
        .settings
        .iter()
        .map(|(name, setting)| {
            let value = match &setting.value {
                Value::One(text) => json!(text),
                Value::Many(texts) => json!(texts),
            };
            let doc = find(name).map_or("", |(key, _)| key.doc);
            json!({ "key": name, "value": value, "origin": setting.origin.to_string(), "doc": doc })
        })
        .collect();
    let secrets: Vec<_> =
        secrets(config).map(|(what, place)| json!({ "secret": what, "origin": place })).collect();
    json!({ "settings": settings, "secrets": secrets })
}

/// The secrets that there are, and where.
fn secrets(config: &Config) -> impl Iterator<Item = (&'static str, String)> {
    let signing = match &config.signing {
        SigningSource::Variable(_) => SIGNING_KEY_VARIABLE.to_owned(),
        SigningSource::Nowhere => String::new(),
        SigningSource::Given(path) | SigningSource::Own(path) => path.display().to_string(),
    };
    let token = config.admin_token.as_ref().map(|_| ("first admin token", ADMIN_TOKEN_VARIABLE.to_owned()));
    [("signing key", signing)].into_iter().chain(token)
}

/// A value as TOML.
fn value(name: &str, setting: &Setting) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    match (&setting.value, find(name).map(|(key, _)| key.kind)) {
        (Value::Many(texts), _) => {
            format!("[{}]", texts.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
        }
        (Value::One(text), Some(Kind::Flag | Kind::Count)) => text.clone(),
        (Value::One(text), _) => quoted(text),
    }
}
