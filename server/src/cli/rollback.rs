//! `rollback`: an earlier revision answers again.
//!
//! Invariant: it moves only what it looked at: when somebody else was faster, nothing happens.

use api::ActivateRequest;
use api::client::{List, Wait};
use quotas::scope::ScriptId;

use super::arguments::RollbackArguments;
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{self, Unasked};
use super::trail::Trail;

/// `rollback`
pub(super) async fn run(arguments: &RollbackArguments, out: &Out) -> Result<Exit, Failure> {
    let script = arguments.script.script(out)?;
    let (team, name) = (script.team.as_str(), script.script.as_str());
    let client = arguments.server.client()?;
    let head = client.active(team, name).await?;
    let to = match (arguments.to, head.active) {
        (Some(to), _) => to,
        (None, None) => {
            return Err(Failure::usage(format_args!(
                "no revision of {script} is active: say which with `--to`"
            )));
        }
        (None, Some(active)) => match trail(&client, &script, out).await.before(active) {
            Some(before) => before,
            None => before(&client, team, name, active).await?.ok_or_else(|| {
                Failure::failed(format_args!(
                    "{script} has no revision before {active}; `callboard history {script}` shows those that `--to` may \
                     name"
                ))
            })?,
        },
    };
    let from = head.active.map_or("nothing".to_owned(), |active| active.to_string());
    if !arguments.change.dry_run {
        let question = format!("Move {script} from revision {from} to {to} on {}?", client.base());
        person::confirm(&question, arguments.change.yes, Unasked::GoOn)?;
    }
    let request = ActivateRequest { revision: to, reason: arguments.change.reason.clone() };
    let done =
        client.activate(team, name, &head.etag, &request, arguments.change.dry_run, Wait::Node).await?;
    out.result("rollback", &done, |out| {
        let revision = out.strong(&format!("{script}@{to}"));
        let mut text = match done.dry_run {
            true => format!("would make {revision} active instead of {from}"),
            false => format!("{revision} {}, it was {from}", out.good("serves")),
        };
        for endpoint in &done.removed {
            text.push_str(&format!("\n  {} {}", out.bad("-"), person::clean(endpoint)));
        }
        text
    });
    if !done.dry_run && done.head.active != Some(to) {
        return Err(Failure::failed(format_args!("revision {to} is not active")));
    }
    Ok(Exit::Done)
}

/// What answered before, as far as the audit can be asked.
async fn trail(client: &api::Client, script: &ScriptId, out: &Out) -> Trail {
    Trail::of(client, script).await.unwrap_or_else(|error| {
        out.note(format!(
            "the audit does not say what answered before, so it is the revision before by number: {error}"
        ));
        Trail::default()
    })
}

/// The newest revision older than this one: where the audit does not reach back to what answered before.
async fn before(client: &api::Client, team: &str, script: &str, active: u64) -> Result<Option<u64>, Failure> {
    let mut list = List { limit: Some(api::page::LIMIT_MAX), ..List::default() };
    loop {
        let page = client.revisions(team, script, &list).await?;
        if let Some(revision) = page.items.iter().find(|revision| revision.number < active) {
            return Ok(Some(revision.number));
        }
        match page.cursor {
            Some(cursor) if !page.items.is_empty() => list.cursor = Some(cursor),
            _ => return Ok(None),
        }
    }
}
