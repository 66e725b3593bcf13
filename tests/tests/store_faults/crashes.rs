//! Crash points: the server is killed right after the n-th statement of a deploy went to the store, for every n.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::process::Signal;
use tests::cassandra::Cassandra;
use tests::proxy::{Asked, Fate};
use tests::server::{Server, runs, signal};
use tests::wait::until;

use super::stage::{PATIENCE, Stage, answer, answers, check, deploy, history, upload};

const SCRIPT: &str = "tv/home";
/// More statements than a deploy has.
const POINTS: usize = 60;

/// Whether a statement is part of a deploy: nodes that look at the store all the time ask other things.
fn is_of_a_deploy(asked: &Asked) -> bool {
    let looks =
        [".nodes", ".changes WHERE", ".tokens", ".switches", ".quotas", "SELECT DISTINCT", ".schema_version"];
    !looks.iter().any(|look| asked.statement.contains(look))
}

/// The manifest's end with one more endpoint, whose route no revision had before.
fn with_route(path: &str) -> String {
    format!(
        "[[endpoint]]\nname = \"more\"\npath = \"{path}\"\nmethods = [\"GET\"]\nhandler = \"main::main\"\n"
    )
}

#[tokio::test]
async fn a_server_that_is_killed_after_any_statement_of_a_deploy_leaves_the_store_whole() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let stage = Stage::on(cassandra);
    let mut server = stage.server("one", &[]);
    deploy(&server, SCRIPT, "first").await.unwrap();
    let mut acknowledged = vec!["first".to_owned()];
    for point in 1.. {
        let before = acknowledged.last().unwrap().clone();
        let (text, route) = (format!("deploy {point}"), format!("/tv/more-{point}"));
        let done = killed_at(point, &stage, &mut server, SCRIPT, &route, &text).await;
        if done.acknowledged {
            acknowledged.push(text.clone());
        }
        let Some(statement) = done.statement else {
            println!("a deploy has {} statements; it was killed after each", point - 1);
            assert_eq!(answer(&server, SCRIPT).await, text);
            break;
        };
        let began = Instant::now();
        let is_new = whole(&server, &acknowledged, &before, &text).await;
        let what = if is_new { "new" } else { "old" };
        println!("killed after statement {point}, {statement}: {what}, whole after {:?}", began.elapsed());
        if is_new && !done.acknowledged {
            acknowledged.push(text);
        }
        acknowledged.push(deploys(&server, SCRIPT, &route, point).await);
    }

    // A script that there was not before is there, or is not.
    for point in 1.. {
        let id = format!("tv/fresh-{point}");
        let route = format!("/{id}/more");
        let done = killed_at(point, &stage, &mut server, &id, &route, "fresh").await;
        let Some(statement) = done.statement else {
            println!("a first deploy has {} statements; it was killed after each", point - 1);
            break;
        };
        let (team, script) = id.split_once('/').unwrap();
        let is_there = server.client().active(team, script).await.is_ok();
        assert!(is_there || !done.acknowledged);
        let wanted = if is_there { "fresh" } else { "route.unknown" };
        answers(&server, &id, wanted, PATIENCE).await;
        println!("killed after statement {point} of a first deploy, {statement}: {wanted}");
        deploys(&server, &id, &route, point).await;
        assert_eq!(history(&server, &id).await.len(), 1 + usize::from(is_there));
    }
}

/// A deploy in the middle of which the server was perhaps killed.
struct Done {
    acknowledged: bool,
    /// After which statement it was killed, and started again; nothing if the deploy has fewer.
    statement: Option<String>,
}

/// Deploys a script with one more route, and kills the server after so many statements.
async fn killed_at(
    point: usize,
    stage: &Stage<'_>,
    server: &mut Server,
    id: &str,
    route: &str,
    text: &str,
) -> Done {
    assert!(point <= POINTS, "a deploy of more than {POINTS} statements");
    let (warden, child) = (server.pid(), server.child_pid().unwrap());
    let sent = AtomicUsize::new(0);
    let last = Arc::new(Mutex::new(None));
    let seen = Arc::clone(&last);
    stage.proxy.rule(move |asked| {
        if !is_of_a_deploy(asked) || sent.fetch_add(1, Ordering::Relaxed) + 1 != point {
            return Fate::Pass;
        }
        let beginning = asked.statement.split(" WHERE").next().unwrap_or_default();
        *seen.lock().unwrap() = Some(beginning.to_owned());
        Fate::Then(Box::new(move || {
            // The warden first, so that it starts no other.
            signal(warden, Signal::KILL);
            signal(child, Signal::KILL);
        }))
    });
    let done = upload(server, id, &with_route(route), text, None).await;
    let statement = last.lock().unwrap().clone();
    stage.proxy.no_rule();
    if statement.is_some() {
        until("what was killed is gone", PATIENCE, async || (!runs(child)).then_some(())).await;
        server.kill();
        *server = stage.server("one", &[]);
        // It serves before it has reached the store.
        until("the store is reached", PATIENCE, async || check(server, "store").await.0.then_some(())).await;
    } else {
        assert!(done.is_ok() && point > 5, "{done:?} in {point} statements");
    }
    Done { acknowledged: done.is_ok(), statement }
}

/// The script can be deployed, and the route that was perhaps claimed is still its own. What it answers now.
async fn deploys(server: &Server, id: &str, route: &str, point: usize) -> String {
    let text = format!("after {point}");
    upload(server, id, &with_route(route), &text, None).await.unwrap();
    assert_eq!(answer(server, id).await, text);
    assert_eq!(answer(server, route.trim_start_matches('/')).await, text);
    text
}

/// The store is whole: the script answers the old or the new revision, as its history says, which has everything
/// that was acknowledged. Whether it is the new one.
async fn whole(server: &Server, acknowledged: &[String], old: &str, new: &str) -> bool {
    let all = history(server, SCRIPT).await;
    let mut messages: Vec<&str> = all.iter().map(|revision| &*revision.message).collect();
    let active = all.iter().find(|revision| revision.active).unwrap();
    assert!([old, new].contains(&&*active.message), "{active:?}");
    answers(server, SCRIPT, &active.message, PATIENCE).await;
    if messages.last() == Some(&new) && acknowledged.last().is_none_or(|last| last != new) {
        messages.pop();
    }
    assert_eq!(messages, acknowledged);
    active.message == new
}
