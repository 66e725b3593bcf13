//! `token`: who may do what.
//!
//! Invariant: a secret is printed once, alone on standard output, so that `$(…)` gets it and a log does not.

use api::TokenRequest;

use super::arguments::{TokenArguments, TokenCommand};
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{self, Unasked, clean, when};

/// `token`
pub(super) async fn run(arguments: &TokenArguments, out: &Out) -> Result<Exit, Failure> {
    match &arguments.command {
        TokenCommand::Create { role, team, note, expires, server } => {
            let expires = expires.map(|time| {
                let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
                api::time_from_ms(api::time_to_ms(api::time_now()).saturating_add(ms))
            });
            let team = team.as_ref().map(ToString::to_string);
            let request = TokenRequest { role: *role, team, note: note.clone(), expires };
            let made = server.client()?.create_token(&request).await?;
            out.note(clean(&format!(
                "token {}, {}; this is the only time that it is shown:",
                made.token.id, made.token.role
            )));
            out.result("token", &made, |_| clean(&made.secret));
        }
        TokenCommand::List { server } => {
            let page = server.client()?.tokens().await?;
            out.result("tokens", &page, |out| {
                let rows: Vec<_> = page
                    .items
                    .iter()
                    .map(|token| {
                        let ends = match (token.revoked, token.expires) {
                            (true, _) => "revoked".to_owned(),
                            (false, Some(time)) => when(time),
                            (false, None) => "-".to_owned(),
                        };
                        let team = token.team.as_deref().unwrap_or("(all)");
                        vec![
                            clean(&token.id),
                            token.role.to_string(),
                            clean(team),
                            when(token.created),
                            ends,
                            clean(&token.note),
                        ]
                    })
                    .collect();
                out.table(&["ID", "ROLE", "TEAM", "MADE", "ENDS", "NOTE"], &rows)
            });
        }
        TokenCommand::Revoke { id, yes, server } => {
            let client = server.client()?;
            person::confirm(&format!("Revoke token {} for good?", clean(id)), *yes, Unasked::Refuse)?;
            let token = client.revoke_token(id).await?;
            out.result("token", &token, |out| format!("{} is revoked", out.strong(&clean(&token.id))));
        }
    }
    Ok(Exit::Done)
}
