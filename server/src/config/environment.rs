//! The environment: `CALLBOARD_` and a key in capitals, `CALLBOARD_DEVICE_ADDRESS`.
//!
//! A variable that is meant for a section and names none of its keys is refused, as in the file. What an
//! orchestrator puts beside it for a service called `callboard` (`…_SERVICE_HOST`, `…_PORT_8080_TCP`) is not
//! ours and is passed over, and so is what the command line reads.

use super::error::Fault;
use super::keys::KEYS;
use super::settings::{Origin, Settings};
use quotas::nearest::nearest;

const PREFIX: &str = "CALLBOARD_";

/// Variables that begin like a section and are no settings.
const OTHERS: [&str; 5] = [
    "CALLBOARD_DEVICE_URL",
    "CALLBOARD_ADMIN_TOKEN",
    "CALLBOARD_SIGNING_KEY",
    "CALLBOARD_SIGNING_KEYS_OLDER",
    "CALLBOARD_CLIENT_KEY",
];

/// Reads the environment into the settings.
pub(super) fn read(environment: &[(String, String)], settings: &mut Settings, faults: &mut Vec<Fault>) {
    let mut ours: Vec<_> = environment
        .iter()
        .filter(|(name, value)| {
            name.starts_with(PREFIX)
                && !value.is_empty()
                && !OTHERS.contains(&name.as_str())
                && !is_link(name)
        })
        .collect();
    ours.sort();
    for (name, value) in ours {
        let origin = Origin::Variable(name.clone());
        if let Some(key) = key_of(name, settings) {
            settings.set_text(&key, value, origin, faults);
        } else if is_meant_for_a_section(name) {
            let known: Vec<String> =
                KEYS.iter().filter(|key| !key.name.contains('*')).map(|key| variable(key.name)).collect();
            let fault = Fault::new(origin, "there is no such setting");
            faults.push(
                match nearest(&name.to_ascii_lowercase(), known.iter().map(|known| known.as_str())) {
                    Some(nearest) => {
                        fault.with_hint(format!("did you mean `{}`?", nearest.to_ascii_uppercase()))
                    }
                    None => fault.with_hint("`callboard config` lists all keys"),
                },
            );
        }
    }
}

/// The variable of a key, in small letters.
fn variable(key: &str) -> String {
    format!("{PREFIX}{}", key.replace('.', "_")).to_ascii_lowercase()
}

/// The key that a variable sets.
fn key_of(name: &str, settings: &Settings) -> Option<String> {
    let small = name.to_ascii_lowercase();
    if let Some(key) = KEYS.iter().find(|key| !key.name.contains('*') && variable(key.name) == small) {
        return Some(key.name.to_owned());
    }
    KEYS.iter().find_map(|key| {
        let (section, last) = key.name.split_once(".*.")?;
        let rest = small.strip_prefix(&variable(section))?.strip_prefix('_')?;
        let instance = rest.strip_suffix(last)?.strip_suffix('_')?;
        // A name may hold `-`, a variable may not: one that is known already is meant before a new one.
        let known = settings.instances(section).into_iter().find(|known| known.replace('-', "_") == instance);
        Some(format!("{section}.{}.{last}", known.unwrap_or_else(|| instance.to_owned())))
    })
}

/// Whether a variable begins with a section whose keys are all known.
fn is_meant_for_a_section(name: &str) -> bool {
    let small = name.to_ascii_lowercase();
    KEYS.iter().filter(|key| !key.name.contains('*')).any(|key| {
        let section = key.name.split('.').next().unwrap_or_default();
        small.strip_prefix(&variable(section)).is_some_and(|rest| rest.starts_with('_'))
    })
}

/// Whether a variable describes a service of an orchestrator, not a setting.
fn is_link(name: &str) -> bool {
    let end = ["_SERVICE_HOST", "_PORT"].iter().any(|end| name.ends_with(end));
    end || name.contains("_SERVICE_PORT") || name.contains("_PORT_")
}
