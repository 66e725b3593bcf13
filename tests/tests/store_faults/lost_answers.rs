//! A conditional write that was applied and whose answer is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use tests::cassandra::Cassandra;
use tests::proxy::{Fate, Kind};

use super::stage::{FOLLOWS, Stage, answer, answers, clear_failure, deploy, deploy_as, history};

#[tokio::test]
async fn a_deploy_whose_answer_is_lost_is_there_once_and_reported_as_it_is() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let stage = Stage::on(cassandra);
    let server = stage.server("one", &[]);
    deploy(&server, "tv/home", "first").await.unwrap();
    stage.passes_through_the_wire(&server).await;
    let once = |message: &str, history: &[api::Revision]| {
        assert_eq!(history.iter().filter(|revision| revision.message == message).count(), 1, "{history:?}");
    };

    // Only the answer of the step is lost: it is read back. Of the first deploy of a script as of a later one.
    for (id, key) in [("tv/home", "one"), ("tv/fresh", "two")] {
        let lost = stage.proxy.lost();
        let first = AtomicBool::new(true);
        stage.proxy.rule(move |asked| match asked.kind {
            Kind::Batch if first.swap(false, Ordering::Relaxed) => Fate::LoseAnswer,
            _ => Fate::Pass,
        });
        let began = Instant::now();
        let deployed = deploy_as(&server, id, "read back", Some(key)).await.unwrap();
        println!("{id}: the answer of the step is lost: deployed after {:?}", began.elapsed());
        assert_eq!(stage.proxy.lost(), lost + 1);
        assert!(!deployed.repeated);
        assert_eq!(answer(&server, id).await, "read back");
        once("read back", &history(&server, id).await);
        let again = deploy_as(&server, id, "read back", Some(key)).await.unwrap();
        assert!(again.repeated && again.revision.number == deployed.revision.number, "{again:?}");
        once("read back", &history(&server, id).await);
    }

    // The answers of the reads that would settle it are lost too: nobody knows, and asking again settles it.
    let lost = stage.proxy.lost();
    let batches = Arc::new(AtomicUsize::new(0));
    let sent = Arc::clone(&batches);
    stage.proxy.rule(move |asked| match asked.kind {
        Kind::Batch => {
            sent.fetch_add(1, Ordering::Relaxed);
            Fate::LoseAnswer
        }
        Kind::Execute
            if sent.load(Ordering::Relaxed) > 0 && asked.statement.contains(".scripts WHERE script") =>
        {
            Fate::LoseAnswer
        }
        Kind::Execute => Fate::Pass,
    });
    let began = Instant::now();
    let problem = clear_failure(deploy_as(&server, "tv/home", "who knows", Some("three")).await);
    println!("the read's answer is lost too: {problem} after {:?}", began.elapsed());
    assert_eq!(problem.code, "store.unknown");
    assert!(stage.proxy.lost() >= lost + 2 && batches.load(Ordering::Relaxed) == 1);
    stage.proxy.no_rule();
    let settled = deploy_as(&server, "tv/home", "who knows", Some("three")).await.unwrap();
    println!("asked again: repeated {}, revision {}", settled.repeated, settled.revision.number);
    assert!(settled.repeated);
    assert_eq!(answer(&server, "tv/home").await, "who knows");
    let all = history(&server, "tv/home").await;
    once("who knows", &all);
    assert_eq!(all.len(), 3, "{all:?}");

    // Without a key it was stored all the same, and the server serves it without being told.
    let lost = AtomicUsize::new(0);
    stage.proxy.rule(move |asked| {
        let reads = asked.statement.contains(".scripts WHERE script");
        let begun = lost.load(Ordering::Relaxed) > 0;
        match asked.kind {
            Kind::Batch => {}
            // Those of the node that looks what is new are lost, too: they look the same.
            Kind::Execute if begun && reads => {}
            Kind::Execute => return Fate::Pass,
        }
        lost.fetch_add(1, Ordering::Relaxed);
        Fate::LoseAnswer
    });
    let problem = clear_failure(deploy(&server, "tv/home", "without a key").await);
    assert_eq!(problem.code, "store.unknown");
    stage.proxy.no_rule();
    let took = answers(&server, "tv/home", "without a key", FOLLOWS * 2).await;
    println!("without a key: {problem}; served {took:?} later");
    once("without a key", &history(&server, "tv/home").await);
    stage.passes_through_the_wire(&server).await;
}
