//! `[blame]`: what is done about an endpoint that presses the node.

use quotas::remedy::{Act, Mode, Rules};

use super::error::Fault;
use super::settings::Settings;

pub(super) fn read(settings: &Settings) -> Result<Rules, Fault> {
    let mode = match settings.text("blame.mode") {
        "observe" => Mode::Observe,
        "off" => Mode::Off,
        _ => Mode::Enforce,
    };
    let mut allowed = Vec::new();
    for name in settings.text("blame.actions").split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = Act::ALL.map(Act::as_str).join(", ");
        let act = Act::from_name(name);
        let fault =
            || settings.fault("blame.actions", format_args!("`{name}` is no action; there are {known}"));
        allowed.push(act.ok_or_else(fault)?);
    }
    Ok(Rules {
        mode,
        allowed,
        patience: settings.time("blame.patience")?,
        calm: settings.time("blame.calm")?,
        an_hour: settings.count("blame.an_hour")?,
    })
}
