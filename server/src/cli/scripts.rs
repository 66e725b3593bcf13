//! `history` and `endpoints`: what there is.

use api::client::List;
use api::page::LIMIT_MAX;

use super::arguments::{EndpointsArguments, HistoryArguments};
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::{clean, when};
use super::trail::Trail;

/// `history`
pub(super) async fn history(arguments: &HistoryArguments, out: &Out) -> Result<Exit, Failure> {
    let script = arguments.script.script(out)?;
    let client = arguments.server.client()?;
    let list = List { limit: Some(arguments.limit), ..List::default() };
    let page = client.revisions(script.team.as_str(), script.script.as_str(), &list).await?;
    let trail =
        if out.is_json() { Trail::default() } else { Trail::of(&client, &script).await.unwrap_or_default() };
    out.result("history", &page, |out| {
        let rows: Vec<_> = page
            .items
            .iter()
            .map(|revision| {
                let mark = if revision.active { "*" } else { "" };
                vec![
                    format!("{}{mark}", revision.number),
                    if trail.was_left(revision.number) { "rolled back" } else { "-" }.to_owned(),
                    when(revision.at),
                    clean(&revision.by),
                    clean(revision.tag.as_deref().unwrap_or("-")),
                    clean(&revision.message),
                ]
            })
            .collect();
        out.table(&["REVISION", "STATE", "WHEN", "BY", "TAG", "MESSAGE"], &rows)
    });
    if page.cursor.is_some() {
        out.note("there are more: `--limit` shows them");
    }
    Ok(Exit::Done)
}

/// `endpoints`
pub(super) async fn endpoints(arguments: &EndpointsArguments, out: &Out) -> Result<Exit, Failure> {
    let client = arguments.server.client()?;
    let team = arguments.team.as_ref().map(ToString::to_string);
    let mut list = List { team, limit: Some(LIMIT_MAX), ..List::default() };
    let mut all = api::Page::whole(Vec::new());
    loop {
        let page = client.endpoints(&list).await?;
        let ended = page.cursor.is_none() || page.items.is_empty();
        all.items.extend(page.items);
        if ended {
            break;
        }
        list.cursor = page.cursor;
    }
    out.result("endpoints", &all, |out| {
        let rows: Vec<_> = all
            .items
            .iter()
            .map(|endpoint| {
                let state = match (&endpoint.quarantine, &endpoint.problem) {
                    (Some(quarantine), _) => format!("set aside: {}", quarantine.reason),
                    (None, Some(problem)) => problem.clone(),
                    (None, None) => "serves".to_owned(),
                };
                vec![
                    clean(&endpoint.id),
                    clean(&endpoint.methods.join(",")),
                    clean(&endpoint.path),
                    endpoint.revision.to_string(),
                    clean(&state),
                ]
            })
            .collect();
        if rows.is_empty() {
            return "nothing is deployed; `callboard init` and `callboard deploy` change that".to_owned();
        }
        out.table(&["ENDPOINT", "METHODS", "PATH", "REVISION", "STATE"], &rows)
    });
    Ok(Exit::Done)
}
