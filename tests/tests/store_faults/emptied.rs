//! A store that lost its scripts: what is served goes on, and somebody is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tests::cassandra::Cassandra;
use tests::proxy::Fate;
use tests::server::Server;
use tests::wait::until;

use super::stage::{PATIENCE, Stage, answer, check, count, deploy};

const SCRIPTS: [&str; 3] = ["tv/home", "tv/search", "phone/home"];
/// Looks at all heads often.
const OFTEN: &[&str] = &["node.sweep=1s"];

#[tokio::test]
async fn a_store_that_lost_its_scripts_takes_none_away_and_somebody_is_told() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let stage = Stage::on(cassandra);
    let mut server = stage.server("one", OFTEN);
    for id in SCRIPTS {
        deploy(&server, id, id).await.unwrap();
    }
    assert!(check(&server, "converged").await.0);
    let session = stage.session().await;
    session.query_unpaged("TRUNCATE scripts", ()).await.unwrap();
    told(&server, "running").await;
    server.kill();
    server = stage.server("one", OFTEN);
    told(&server, "started again").await;

    // A server that never saw them has nothing to lose.
    let fresh = stage.server("fresh", OFTEN);
    assert_eq!(answer(&fresh, SCRIPTS[0]).await, "route.unknown");
    // What it deploys begins anew and is no step after the ones that were lost: the other serves on and says so.
    deploy(&fresh, SCRIPTS[0], "elsewhere").await.unwrap();
    assert_eq!(answer(&fresh, SCRIPTS[0]).await, "elsewhere");
    both_look(&stage).await;
    told(&server, "with another beginning").await;
    // Deploying them again where they are served makes the store whole, for who never saw them too.
    for id in SCRIPTS {
        deploy(&server, id, &format!("{id} again")).await.unwrap();
    }
    for id in SCRIPTS {
        for (name, server) in [("one", &server), ("fresh", &fresh)] {
            super::stage::answers(server, id, &format!("{id} again"), PATIENCE).await;
            println!("{name} serves {id} again");
        }
    }
    let (_, took) =
        until("it is whole again", PATIENCE, async || check(&server, "converged").await.0.then_some(()))
            .await;
    println!("converged again after {took:?}");
}

/// Waits until each of two servers has read all heads again.
async fn both_look(stage: &Stage<'_>) {
    let reads = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&reads);
    stage.proxy.rule(move |asked| {
        seen.fetch_add(usize::from(asked.statement.starts_with("SELECT DISTINCT")), Ordering::Relaxed);
        Fate::Pass
    });
    // They take turns, about; one that was under way does not count.
    let enough = async || (reads.load(Ordering::Relaxed) >= 6).then_some(());
    until("all heads are read again", PATIENCE, enough).await;
}

async fn told(server: &Server, how: &str) {
    let (detail, took) = until("the alarm is raised", PATIENCE, async || {
        let (ok, detail) = check(server, "converged").await;
        (!ok).then_some(detail)
    })
    .await;
    println!("{how}: after {took:?}: {detail}");
    assert!(detail.ends_with("lacks 3"), "{detail}");
    assert!(count(server, "scripts_missing").await >= 1);
    assert!(server.client().ready().await.unwrap().ready);
    for id in SCRIPTS {
        assert_eq!(answer(server, id).await, id, "{how}");
    }
}
