//! Crash points: the server is killed right after the n-th statement of a deploy went to the store, for every n.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use rustix::process::Signal;
use tests::cassandra::Cassandra;
use tests::proxy::{Asked, Fate};
use tests::server::{Server, runs, signal};
use tests::wait::until;

use super::stage::{PATIENCE, Stage, answer, answers, deploy, history, upload};

const SCRIPT: &str = "tv/home";
/// More statements than a deploy has.
const POINTS: usize = 60;

/// Whether a statement is part of a deploy: nodes that look at the store all the time ask other things.
fn is_of_a_deploy(asked: &Asked) -> bool {
    let looks = [".nodes", ".changes WHERE", ".tokens", ".switches", "SELECT DISTINCT", ".schema_version"];
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
    for point in 1..=POINTS {
        let before = acknowledged.last().unwrap().clone();
        let text = format!("deploy {point}");
        let route = format!("/tv/more-{point}");
        let (warden, child) = (server.pid(), server.child_pid().unwrap());
        let sent = Arc::new(AtomicUsize::new(0));
        let last = Arc::new(std::sync::Mutex::new(String::new()));
        let (counted, seen) = (Arc::clone(&sent), Arc::clone(&last));
        stage.proxy.rule(move |asked| {
            if is_of_a_deploy(asked) && counted.fetch_add(1, Ordering::Relaxed) + 1 == point {
                seen.lock().unwrap().clone_from(&asked.statement);
                return Fate::Then(Box::new(move || {
                    // The warden first, so that it starts no other.
                    signal(warden, Signal::KILL);
                    signal(child, Signal::KILL);
                }));
            }
            Fate::Pass
        });
        let done = upload(&server, SCRIPT, &with_route(&route), &text, None).await;
        let died = sent.load(Ordering::Relaxed) >= point;
        stage.proxy.no_rule();
        match done {
            Ok(_) => acknowledged.push(text.clone()),
            Err(error) => assert!(died, "{error:?}"),
        }
        if !died {
            println!("a deploy has {} statements; it was killed after each", point - 1);
            assert!(point > 5, "so few statements are no deploy");
            assert_eq!(answer(&server, SCRIPT).await, text);
            return;
        }
        until("what was killed is gone", PATIENCE, async || (!runs(child)).then_some(())).await;
        server.kill();
        let began = Instant::now();
        server = stage.server("one", &[]);
        let point_is =
            format!("{point}: {}", last.lock().unwrap().split(" WHERE").next().unwrap_or_default());
        let is_new = whole(&server, &acknowledged, &before, &text).await;
        println!(
            "killed after statement {point_is}: {}, whole after {:?}",
            if is_new { "new" } else { "old" },
            began.elapsed()
        );
        if is_new && acknowledged.last() != Some(&text) {
            acknowledged.push(text);
        }
        // The script can be deployed, and the route that was perhaps claimed is still its own.
        let text = format!("after {point}");
        upload(&server, SCRIPT, &with_route(&route), &text, None).await.unwrap();
        assert_eq!(answer(&server, SCRIPT).await, text);
        assert_eq!(answer(&server, route.trim_start_matches('/')).await, text);
        acknowledged.push(text);
    }
    panic!("a deploy of more than {POINTS} statements");
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
