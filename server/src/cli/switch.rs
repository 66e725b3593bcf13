//! `switch`: things are turned off and on.

use api::{SwitchAnswer, SwitchRequest, SwitchState};
use quotas::scope::Scope;

use super::arguments::{SwitchArguments, SwitchCommand};
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{self, Unasked, clean, when};

/// `switch`
pub(super) async fn run(arguments: &SwitchArguments, out: &Out) -> Result<Exit, Failure> {
    match &arguments.command {
        SwitchCommand::Off { scope, reason, duration, observe, dry_run, yes, server } => {
            let client = server.client()?;
            if *scope == Scope::All && !dry_run && !observe {
                // Nothing may stand between an operator's script and the switch.
                person::confirm(&format!("Turn off everything on {}?", client.base()), *yes, Unasked::GoOn)?;
            }
            let until = duration.map(|duration| {
                let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                api::time_from_ms(api::time_to_ms(api::time_now()).saturating_add(ms))
            });
            let state = if *observe { SwitchState::Observe } else { SwitchState::Off };
            let request = SwitchRequest { state, reason: reason.clone(), until };
            let answer = client.switch_off(&scope.to_string(), &request, *dry_run).await?;
            out.result("switch", &answer, |out| describe(&answer, out));
        }
        SwitchCommand::On { scope, reason, dry_run, server } => {
            let answer = server.client()?.switch_on(&scope.to_string(), reason.as_deref(), *dry_run).await?;
            out.result("switch", &answer, |out| describe(&answer, out));
        }
        SwitchCommand::List { server } => {
            let page = server.client()?.switches().await?;
            out.result("switches", &page, |out| {
                let rows: Vec<_> = page
                    .items
                    .iter()
                    .map(|switch| {
                        vec![
                            clean(&switch.scope),
                            switch.state.to_string(),
                            when(switch.since),
                            switch.until.map_or("-".to_owned(), when),
                            clean(&switch.by),
                            clean(&switch.reason),
                        ]
                    })
                    .collect();
                if rows.is_empty() {
                    return "nothing is off".to_owned();
                }
                out.table(&["SCOPE", "STATE", "SINCE", "UNTIL", "BY", "REASON"], &rows)
            });
        }
    }
    Ok(Exit::Done)
}

fn describe(answer: &SwitchAnswer, out: &Out) -> String {
    let would = if answer.dry_run { "would be " } else { "is " };
    let state = match answer.switch.as_ref().map(|switch| switch.state) {
        None => out.good("on"),
        Some(SwitchState::Off) => out.bad("off"),
        Some(SwitchState::Observe) => "observed".to_owned(),
    };
    let mut text = format!("{} {would}{state}", out.strong(&clean(&answer.scope)));
    if let Some(until) = answer.switch.as_ref().and_then(|switch| switch.until) {
        text.push_str(&format!(" until {}", when(until)));
    }
    if let Some(before) = &answer.before {
        text.push_str(&clean(&format!(" (it was {}, by {}: {})", before.state, before.by, before.reason)));
    }
    if answer.endpoints.is_empty() && answer.switch.is_some() && !answer.scope.starts_with("class:") {
        text.push_str("\n  nothing that is deployed is in it now; `callboard endpoints` lists what is");
    }
    for endpoint in &answer.endpoints {
        text.push_str(&format!("\n  {}", clean(endpoint)));
    }
    text
}
