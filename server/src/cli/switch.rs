//! `switch`: things are turned off and on, frozen and bounded.

use std::time::Duration;

use api::{Client, Radius, Spread, Switch, SwitchAnswer, SwitchKind, SwitchRequest, SwitchState, Time};
use quotas::scope::Scope;

use super::arguments::{SwitchArguments, SwitchCommand};
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{self, Unasked, clean, when};

/// How long is waited to hear what is in force: a brake waits for nothing.
const LOOK: Duration = Duration::from_secs(2);

/// What is said of a scope that may be misspelt, or is yet to come.
const NOTHING: &str = "\n  nothing that is deployed is in it now; `callboard endpoints` lists what is";

/// `switch`
pub(super) async fn run(arguments: &SwitchArguments, out: &Out) -> Result<Exit, Failure> {
    match &arguments.command {
        SwitchCommand::Off {
            scope,
            reason,
            kind,
            priority,
            calls,
            duration,
            observe,
            dry_run,
            yes,
            server,
        } => {
            let client = server.client()?;
            if *scope == Scope::All && !dry_run && !observe {
                // Nothing may stand between an operator's script and the switch.
                let question = match kind {
                    SwitchKind::Kill => format!("Turn off everything on {}?", client.base()),
                    kind => format!("Set `{kind}` for everything on {}?", client.base()),
                };
                person::confirm_by_typing(&question, "all", *yes, Unasked::GoOn)?;
            }
            let until = duration.map(|duration| {
                let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                api::time_from_ms(api::time_to_ms(api::time_now()).saturating_add(ms))
            });
            let state = if *observe { SwitchState::Observe } else { SwitchState::Off };
            let (level, limit) = (*priority, *calls);
            if !dry_run && let Some(question) = weakens(&client, scope, *kind, state, until).await {
                person::confirm(&question, *yes, Unasked::Refuse)?;
            }
            let request =
                SwitchRequest { state, until, level, limit, ..SwitchRequest::of(*kind, reason.as_str()) };
            let answer = client.switch_off(&scope.to_string(), &request, *dry_run).await?;
            out.result("switch", &answer, |out| describe(&answer, out));
        }
        SwitchCommand::On { scope, kind, reason, dry_run, server } => {
            let client = server.client()?;
            let answer =
                client.release_switch(&scope.to_string(), *kind, reason.as_deref(), *dry_run).await?;
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
                            kind(switch),
                            state(switch),
                            switch.hits.unwrap_or(0).to_string(),
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
                out.table(&["SCOPE", "KIND", "STATE", "HITS", "SINCE", "UNTIL", "BY", "REASON"], &rows)
            });
        }
    }
    Ok(Exit::Done)
}

/// What somebody is asked before a switch that is in force is set anew to do less: only to be observed, or to end
/// sooner. Where the server does not say what is in force, nothing stands in the way.
async fn weakens(
    client: &Client,
    scope: &Scope,
    kind: SwitchKind,
    state: SwitchState,
    until: Option<Time>,
) -> Option<String> {
    let known = client.clone().with_timeout(LOOK).switches().await.ok()?;
    let (page, scope) = (known, scope.to_string());
    let is_it = |set: &&Switch| set.scope == scope && set.kind == kind && set.state == SwitchState::Off;
    let set = page.items.iter().find(is_it)?;
    let ends_sooner = until.is_some_and(|until| set.until.is_none_or(|known| until < known));
    let less = match until {
        _ if state == SwitchState::Observe => "only observes".to_owned(),
        Some(until) if ends_sooner => format!("ends at {}", when(until)),
        _ => return None,
    };
    let (scope, ends) = (clean(&scope), end(set));
    let set = clean(&format!("{}, {ends}, by {}: {}", word(set), set.by, set.reason));
    Some(format!("{scope} is {set}. What is set now {less}, instead. Weaken it?"))
}

/// When it ends.
fn end(switch: &Switch) -> String {
    switch.until.map_or("without an end".to_owned(), |until| format!("until {}", when(until)))
}

/// What it is in, in a word.
fn word(switch: &Switch) -> &'static str {
    match (switch.kind, switch.state) {
        (SwitchKind::Kill, SwitchState::Off) => "off",
        (_, SwitchState::Off) => "set",
        (_, SwitchState::Observe) => "observed",
    }
}

/// A switch's kind, with what it needs to know.
fn kind(switch: &Switch) -> String {
    match (switch.level, switch.limit) {
        (Some(level), _) => format!("{} {level}", switch.kind),
        (_, Some(limit)) => format!("{} {limit}", switch.kind),
        _ => switch.kind.to_string(),
    }
}

/// Its state, and where it is not in force in the whole fleet.
fn state(switch: &Switch) -> String {
    let place = match (switch.here, switch.spread) {
        (Some(false), _) => ", not here",
        (_, Some(Spread::Node)) => ", on this node",
        _ => "",
    };
    format!("{}{place}", word(switch))
}

fn describe(answer: &SwitchAnswer, out: &Out) -> String {
    let would = if answer.dry_run { "would be " } else { "is " };
    let state = match answer.switch.as_ref().map(|switch| (switch.kind, switch.state)) {
        None if answer.kind == SwitchKind::Kill => out.good("on"),
        None => out.good(&format!("without `{}`", answer.kind)),
        Some((SwitchKind::Kill, SwitchState::Off)) => out.bad("off"),
        Some((SwitchKind::Kill, SwitchState::Observe)) => "observed".to_owned(),
        Some((_, SwitchState::Off)) => {
            out.bad(&format!("under `{}`", answer.switch.as_ref().map(kind).unwrap_or_default()))
        }
        Some((_, SwitchState::Observe)) => {
            format!("observed for `{}`", answer.switch.as_ref().map(kind).unwrap_or_default())
        }
    };
    let mut text = format!("{} {would}{state}", out.strong(&clean(&answer.scope)));
    if let Some(until) = answer.switch.as_ref().and_then(|switch| switch.until) {
        text.push_str(&format!(" until {}", when(until)));
    }
    if let Some(before) = &answer.before {
        let was = format!("{}, {}, by {}: {}", word(before), end(before), before.by, before.reason);
        text.push_str(&clean(&format!(" (it was {was})")));
    }
    if answer.switch.as_ref().is_some_and(|switch| switch.spread == Some(Spread::Node)) {
        text.push_str(
            "\n  on this node alone until the store is back; tell the other nodes by hand if it is urgent",
        );
    }
    if let Some(radius) = answer.radius.as_ref().filter(|_| answer.switch.is_some()) {
        text.push_str(&touched(radius));
        if radius.endpoints == 0 {
            text.push_str(NOTHING);
        }
        return text;
    }
    if answer.endpoints.is_empty() && answer.switch.is_some() && !answer.scope.starts_with("class:") {
        text.push_str(NOTHING);
    }
    for endpoint in &answer.endpoints {
        text.push_str(&format!("\n  {}", clean(endpoint)));
    }
    text
}

/// What it would touch, the endpoints that were called most one by one.
fn touched(radius: &Radius) -> String {
    let counted =
        |count: u64, one: &str, many: &str| format!("{count} {}", if count == 1 { one } else { many });
    let mut text = format!(
        "\n  it would touch {} of {}, called by {}\n  {} in the last {} s on node {} ({})",
        counted(radius.endpoints, "endpoint", "endpoints"),
        counted(radius.teams, "team", "teams"),
        counted(radius.classes, "known class of devices", "known classes of devices"),
        counted(radius.calls, "call", "calls"),
        radius.window_s,
        clean(&radius.node),
        clean(&radius.rate),
    );
    for of in &radius.top {
        text.push_str(&format!("\n  {}  {}", clean(&of.endpoint), clean(&of.rate)));
    }
    text
}
