//! `quota`: what teams, endpoints and classes may use is shown and set.

use std::time::Duration;

use api::{
    Client, QuotaAnswer, QuotaChange, QuotaMode, QuotaOrigin, QuotaRequest, QuotaRule, QuotaSet, QuotaState,
    QuotasSet,
};
use quotas::scope::Scope;
use quotas::units::Bytes;

use super::arguments::{QuotaArguments, QuotaCommand};
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{self, Unasked, clean, length, size, when};

/// How long is waited to hear what is in force.
const LOOK: Duration = Duration::from_secs(2);
/// What is said of a scope that may be misspelt, or is yet to come.
const ABSENT: &str =
    "nothing of it is on this node now: this waits for it; `callboard endpoints` lists what is here";

/// `quota`
pub(super) async fn run(arguments: &QuotaArguments, out: &Out) -> Result<Exit, Failure> {
    match &arguments.command {
        QuotaCommand::Show { scope, server } => {
            let state = server.client()?.quotas(&scope.to_string()).await?;
            out.result("quotas", &state, |out| table(&state, out));
        }
        QuotaCommand::Set { scope, quotas, reason, duration, soft, observe, dry_run, yes, server } => {
            let mode = if *observe { QuotaMode::Observe } else { QuotaMode::Enforce };
            let client = server.client()?;
            let rules: Vec<_> = quotas.iter().map(|text| change(text, *soft, mode)).collect();
            if *observe
                && !*dry_run
                && let Some(question) = suspends(&client, scope, &rules).await
            {
                person::confirm(&question, *yes, Unasked::Refuse)?;
            }
            let until = duration.map(|duration| {
                let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
                api::time_from_ms(api::time_to_ms(api::time_now()).saturating_add(ms))
            });
            let request = QuotaRequest { rules, reason: reason.clone(), until };
            let answer = client.set_quotas(&scope.to_string(), "*", &request, *dry_run).await?;
            out.result("quota", &answer, |out| describe(&answer, out));
        }
        QuotaCommand::List { server } => {
            let page = server.client()?.quotas_set().await?;
            out.result("quotas", &page, |out| {
                let of_one = |set: &QuotasSet| {
                    let text = format!("{}{}", out.strong(&clean(&set.scope)), rows(&set.set));
                    if set.present { text } else { format!("{text}\n  {}", out.bad(ABSENT)) }
                };
                let all: Vec<_> = page.items.iter().map(of_one).collect();
                if all.is_empty() { "nothing is set".to_owned() } else { all.join("\n") }
            });
        }
        QuotaCommand::Reset { scope, reason, dry_run, server } => {
            let client = server.client()?;
            let answer = client.reset_quotas(&scope.to_string(), "*", reason.as_deref(), *dry_run).await?;
            out.result("quota", &answer, |out| describe(&answer, out));
        }
    }
    Ok(Exit::Done)
}

/// What somebody is asked before limits that refuse now come to observe only. Where the server does not say what is in
/// force, nothing stands in the way.
async fn suspends(client: &Client, scope: &Scope, changes: &[QuotaChange]) -> Option<String> {
    let state = client.clone().with_timeout(LOOK).quotas(&scope.to_string()).await.ok()?;
    let named = |rule: &&QuotaRule| {
        let is_it = |change: &QuotaChange| Some(change.name.replace('-', "_")) == rule.name;
        rule.mode == QuotaMode::Enforce && changes.iter().any(is_it)
    };
    let refuse: Vec<_> = state
        .rules
        .iter()
        .filter(named)
        .map(|rule| format!("{} ({})", clean(&rule.rule), clean(&rule.limit)))
        .collect();
    (!refuse.is_empty()).then(|| {
        format!("Until it enforces again this refuses nothing of {scope}: {}. Go on?", refuse.join(", "))
    })
}

/// `NAME=LIMIT`, or `NAME` alone.
fn change(text: &str, soft_percent: Option<u32>, mode: QuotaMode) -> QuotaChange {
    let (name, limit) = match text.split_once('=') {
        Some((name, limit)) => (name, Some(limit.to_owned())),
        None => (text, None),
    };
    // A rate beside a budget has no soft limit; who names one means the budgets.
    let is_budget = name.ends_with("minute") || name.ends_with("day");
    QuotaChange {
        name: name.to_owned(),
        limit,
        soft_percent: soft_percent.filter(|_| is_budget),
        mode: Some(mode),
    }
}

fn table(state: &QuotaState, out: &Out) -> String {
    let row = |rule: &QuotaRule| {
        let from = match (&rule.source.from, &rule.source.by) {
            (QuotaOrigin::Operator, Some(by)) => {
                let until =
                    rule.source.until.map_or(String::new(), |until| format!(", until {}", when(until)));
                let reason = rule.source.reason.as_deref().unwrap_or_default();
                clean(&format!("{by}{until}: {reason}"))
            }
            (from, _) => from.to_string(),
        };
        let refused = match rule.mode {
            QuotaMode::Enforce => rule.refused.to_string(),
            QuotaMode::Observe => format!("would {}", rule.observed),
        };
        vec![
            clean(&rule.rule),
            limit(rule),
            rule.here.as_deref().map_or("-".to_owned(), clean),
            amount(rule, rule.used),
            amount(rule, rule.remaining),
            rule.reset_ms.map_or("-".to_owned(), length),
            refused,
            from,
        ]
    };
    let rows: Vec<_> = state.rules.iter().map(row).collect();
    out.table(&["RULE", "LIMIT", "HERE", "USED", "LEFT", "RESET", "REFUSED", "FROM"], &rows)
}

/// A number of what a rule counts: sizes as a person reads them.
fn amount(rule: &QuotaRule, number: u64) -> String {
    let is_size = rule.rule.starts_with("memory.") || rule.rule.contains("bytes");
    if is_size { size(number) } else { number.to_string() }
}

/// Its limit, the same way.
fn limit(rule: &QuotaRule) -> String {
    match rule.limit.parse::<Bytes>() {
        Ok(bytes) => amount(rule, bytes.get()),
        Err(_) => clean(&rule.limit),
    }
}

fn describe(answer: &QuotaAnswer, out: &Out) -> String {
    let would = if answer.dry_run { "would have" } else { "has" };
    let scope = out.strong(&clean(&answer.scope));
    if answer.set.is_empty() {
        return format!("{scope} {would} nothing set any more");
    }
    let text = format!("{scope} {would} set{}", rows(&answer.set));
    if answer.present { text } else { format!("{text}\n{}", out.bad(ABSENT)) }
}

/// What is set, a line each.
fn rows(all: &[QuotaSet]) -> String {
    let mut text = String::new();
    for set in all {
        let limit = set.limit.as_deref().unwrap_or("its own limit");
        text.push_str(&clean(&format!("\n  {} {limit}", set.name)));
        if let Some(percent) = set.soft_percent {
            text.push_str(&format!(", warning from {percent} %"));
        }
        if set.mode == QuotaMode::Observe {
            text.push_str(", only counted");
        }
        if let Some(until) = set.source.until {
            text.push_str(&format!(", until {}", when(until)));
        }
        if let (Some(by), Some(reason)) = (&set.source.by, &set.source.reason) {
            text.push_str(&clean(&format!(" ({by}: {reason})")));
        }
    }
    text
}
