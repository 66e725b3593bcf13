//! `status` and `whoami`: how the server is, and who it takes one for.

use serde_json::json;

use super::arguments::ServerArguments;
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{clean, when};

/// `status`
pub(super) async fn status(arguments: &ServerArguments, out: &Out) -> Result<Exit, Failure> {
    let client = arguments.client()?;
    let health = client.ready().await?;
    let version = client.version().await?;
    let object = json!({ "url": client.base().to_string(), "server": version, "health": health });
    out.result("status", &object, |out| {
        let word = if health.ready { out.good("ready") } else { out.bad("not ready") };
        let mut text =
            format!("{} {word}, version {}", out.strong(&client.base().to_string()), clean(&version.version));
        for check in &health.checks {
            let mark = if check.ok { out.good("ok") } else { out.bad("no") };
            text.push_str(&format!("\n  {mark} {}", clean(&check.name)));
            if let Some(detail) = &check.detail {
                text.push_str(&format!(": {}", clean(detail)));
            }
        }
        text
    });
    Ok(if health.ready { Exit::Done } else { Exit::Failed })
}

/// `whoami`
pub(super) async fn whoami(arguments: &ServerArguments, out: &Out) -> Result<Exit, Failure> {
    let client = arguments.client()?;
    let place = arguments.token()?.map(|(_, place)| place);
    let who = client.whoami().await?;
    let object = json!({ "url": client.base().to_string(), "token_from": place, "who": who });
    out.result("whoami", &object, |out| {
        let team = who.team.as_deref().map_or("all teams".to_owned(), |team| format!("team {team}"));
        let mut text = clean(&format!("{} of {team}, as {}", who.role, who.name));
        text.push_str(&format!(" on {}", out.strong(&client.base().to_string())));
        if let Some(place) = &place {
            text.push_str(&format!("\n  token from {place}"));
        }
        if let Some(expires) = who.expires {
            text.push_str(&format!("\n  it ends {}", when(expires)));
        }
        text
    });
    Ok(Exit::Done)
}
