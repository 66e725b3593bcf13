//! `delete`: a script answers nothing any more.
//!
//! Invariant: it takes away only what it looked at: when somebody else was faster, nothing happens.

use super::arguments::DeleteArguments;
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{self, Unasked, clean};

/// `delete`
pub(super) async fn run(arguments: &DeleteArguments, out: &Out) -> Result<Exit, Failure> {
    let script = &arguments.script;
    let (team, name) = (script.team.as_str(), script.script.as_str());
    let client = arguments.server.client()?;
    let head = client.active(team, name).await?;
    if !arguments.change.dry_run {
        let question = format!("Take away all endpoints of {script} on {}?", client.base());
        // It can be brought back, but another team may have its paths by then.
        person::confirm(&question, arguments.change.yes, Unasked::Refuse)?;
    }
    let reason = arguments.change.reason.as_deref();
    let done = client.delete_script(team, name, &head.etag, reason, arguments.change.dry_run).await?;
    out.result("delete", &done, |out| {
        let shown = out.strong(&script.to_string());
        let mut text = match done.dry_run {
            true => format!("would take {shown} away"),
            false => format!("{shown} is gone"),
        };
        for endpoint in &done.removed {
            text.push_str(&format!("\n  {} {}", out.bad("-"), clean(endpoint)));
        }
        text
    });
    if let (false, Some(back)) = (done.dry_run, head.active) {
        out.note(format!(
            "its revisions stay: `callboard rollback {script} --to {back}` brings it back while its paths are free"
        ));
    }
    Ok(Exit::Done)
}
