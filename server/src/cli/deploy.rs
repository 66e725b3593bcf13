//! `deploy`: a project goes to a server, all of it or nothing.
//!
//! Invariant: the command is done only when what was asked for holds: the new revision answers.

use std::path::Path;
use std::time::Duration;

use api::client::{Upload, Wait};
use api::{Client, DeployAnswer, NodeState};
use quotas::scope::ScriptId;

use super::arguments::{DeployArguments, Until};
use super::exit::{Exit, Failure};
use super::out::Out;
use super::{person, project};

/// What is left of the client's patience when the server stops waiting.
const GRACE: Duration = Duration::from_secs(60);

/// Of so many endpoints it is said when something keeps them from answering.
const NOTED: usize = 10;
/// How long is waited to hear that.
const NOTE_WAIT: Duration = Duration::from_secs(5);

/// `deploy`
pub(super) async fn run(arguments: &DeployArguments, out: &Out) -> Result<Exit, Failure> {
    let client = arguments.server.client()?.with_timeout(arguments.timeout + GRACE);
    let upload = Upload {
        message: arguments.message.clone(),
        tag: arguments.tag.clone(),
        keep_inactive: arguments.no_activate,
        dry_run: arguments.dry_run,
        wait: match arguments.wait {
            Until::Node => Wait::Node,
            Until::All => Wait::All,
        },
        timeout: Some(format!("{}ms", arguments.timeout.as_millis())),
        // Whoever stands between may send the request twice; the server then does it once.
        idempotency_key: Some(ulid::Ulid::generate().to_string()),
    };
    let (script, answer) = send(&client, &arguments.project.directory, &upload, out).await?;
    out.result("deploy", &answer, |out| describe(&script, &answer, out));
    let serves = arguments.dry_run || arguments.no_activate || answer.active == Some(answer.revision.number);
    if !serves {
        let said = match answer.active {
            Some(active) => {
                format!("revision {} is stored, and revision {active} is active", answer.revision.number)
            }
            None => format!("revision {} is stored, and none is active", answer.revision.number),
        };
        return Err(Failure::failed(said));
    }
    if !arguments.dry_run && !arguments.no_activate && !out.is_json() {
        let client = client.clone().with_timeout(NOTE_WAIT);
        for id in answer.endpoints.iter().take(NOTED) {
            if let Some(problem) = kept_off(&client, &script, id).await {
                out.note(format!(
                    "{}, but devices get no answer of it: {}",
                    person::clean(id),
                    person::clean(&problem)
                ));
            }
        }
    }
    if !answer.converged {
        for line in not_there(&client, &script, &answer).await {
            out.note(line);
        }
        return Err(Failure::failed(format_args!(
            "revision {} is stored and active, and not all nodes served it within {:?}",
            answer.revision.number, arguments.timeout
        )));
    }
    Ok(Exit::Done)
}

/// What keeps an endpoint from answering, as far as that can be asked.
async fn kept_off(client: &Client, script: &ScriptId, id: &str) -> Option<String> {
    let name = id.rsplit('/').next()?;
    let found = client.endpoint(script.team.as_str(), script.script.as_str(), name).await.ok()?;
    let aside = found.quarantine.map(|quarantine| format!("it is set aside: {}", quarantine.reason));
    aside.or(found.problem)
}

/// The nodes that do not serve a deploy, and why, as far as they can be asked.
async fn not_there(client: &Client, script: &ScriptId, answer: &DeployAnswer) -> Vec<String> {
    let Some(name) = answer.endpoints.first().and_then(|id| id.rsplit('/').next()) else { return Vec::new() };
    let found = client.convergence(script.team.as_str(), script.script.as_str(), name).await;
    let nodes = found.map(|found| found.nodes).unwrap_or_default();
    let late = nodes.into_iter().filter(|node| node.state != NodeState::Converged);
    late.map(|node| {
        let why = node.why.map_or(String::new(), |why| format!(": {why}"));
        let at = node.revision.map_or(String::new(), |revision| format!(", serves revision {revision}"));
        person::clean(&format!("{} is {}{at}{why}", node.node, node.state.as_str()))
    })
    .collect()
}

/// Packs a project and uploads it.
pub(super) async fn send(
    client: &Client,
    directory: &Path,
    upload: &Upload,
    out: &Out,
) -> Result<(ScriptId, DeployAnswer), Failure> {
    let bundle = project::bundle(directory, out)?;
    let script = project::script_of(&bundle);
    let archive = bundle.to_archive();
    let files = bundle.files();
    let bytes: usize = files.values().map(|content| content.len()).sum();
    out.note(format!(
        "{script}: {} files, {} to {}",
        files.len(),
        person::size(u64::try_from(bytes).unwrap_or(u64::MAX)),
        client.base()
    ));
    let answer = client.upload(script.team.as_str(), script.script.as_str(), archive.into(), upload).await?;
    if !out.is_json() {
        out.diagnostics(&person::diagnostics(&answer.warnings));
    }
    Ok((script, answer))
}

/// What an upload did, for a person.
pub(super) fn describe(script: &ScriptId, answer: &DeployAnswer, out: &Out) -> String {
    let revision = format!("{script}@{}", answer.revision.number);
    let is_active = answer.active == Some(answer.revision.number);
    let mut text = match (answer.dry_run, is_active) {
        (true, _) => format!("would deploy {}", out.strong(&revision)),
        (false, true) => format!("{} {} in {} ms", out.strong(&revision), out.good("serves"), answer.took_ms),
        (false, false) => format!("{} is stored, not active", out.strong(&revision)),
    };
    if answer.repeated {
        text.push_str(" (it was there already)");
    }
    for endpoint in &answer.endpoints {
        text.push_str(&format!("\n  + {}", person::clean(endpoint)));
    }
    for endpoint in &answer.removed {
        text.push_str(&format!("\n  {} {}", out.bad("-"), person::clean(endpoint)));
    }
    for cut in &answer.cuts {
        let cut = format!("{} asked for {} {}, and gets {}", cut.endpoint, cut.limit, cut.asked, cut.granted);
        text.push_str(&format!("\n  ! {}", person::clean(&cut)));
    }
    text
}
