//! A start without the store: what was served is served again, from the node's own disk.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use tests::cassandra::Cassandra;
use tests::device::Device;
use tests::proxy::Mode;
use tests::wait::until;

use super::stage::{
    PATIENCE, Stage, answer, answers, check, clear_failure, count, deploy, deploys_again, written,
};

const SCRIPTS: usize = 200;
/// How many teams share them: so many uploads of one team may arrive at once.
const TEAMS: usize = 4;
/// How soon all have to answer. It is far less on a machine that does nothing else.
const MOST: Duration = Duration::from_secs(5);
/// How long nothing was written to the disk when all was.
const QUIET: Duration = Duration::from_millis(500);
/// Before somebody who was shed calls again.
const PAUSE: Duration = Duration::from_millis(20);

#[tokio::test]
async fn a_server_starts_without_the_store_and_serves_what_it_served() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let stage = Stage::on(cassandra);
    let mut server = stage.server("one", &[]);
    let ids: Vec<String> =
        (0..SCRIPTS).map(|number| format!("team-{}/script-{number}", number % TEAMS)).collect();
    let began = Instant::now();
    let one = &server;
    let scripts = api::QuotaChange {
        name: "scripts".to_owned(),
        limit: Some("321".to_owned()),
        soft_percent: None,
        mode: None,
    };
    let quota = api::QuotaRequest { rules: vec![scripts], reason: "a test".to_owned(), until: None };
    one.client().set_quotas("team:team-0", "*", &quota, false).await.unwrap();
    stream::iter(&ids)
        .map(|id| async move { deploy(one, id, id).await.unwrap_or_else(|error| panic!("{id}: {error}")) })
        .buffer_unordered(TEAMS)
        .collect::<Vec<_>>()
        .await;
    println!("{SCRIPTS} scripts are deployed after {:?}", began.elapsed());
    let data = stage.data("one").join("mirror");
    until("the mirror is written", PATIENCE, async || {
        written(&data)?.elapsed().is_ok_and(|since| since >= QUIET).then_some(())
    })
    .await;
    server.kill();

    for (fault, mode) in [("cut", Mode::Cut), ("closed", Mode::Closed)] {
        stage.proxy.set(mode);
        let began = Instant::now();
        server = stage.server("one", &[]);
        let says_where = began.elapsed();
        let device = Device::of(&server.device);
        let mut first = None;
        for id in &ids {
            let mut reply = device.get(&format!("/{id}")).await;
            while reply.code() == "pressure.shed" && began.elapsed() < MOST {
                // The databases of the other tests have the processors too; the bound on all of them stays.
                tokio::time::sleep(PAUSE).await;
                reply = device.get(&format!("/{id}")).await;
            }
            assert_eq!((reply.status, &reply.body), (200, id), "{reply:?}");
            first.get_or_insert_with(|| began.elapsed());
        }
        let (first, all) = (first.unwrap(), began.elapsed());
        println!(
            "{fault}: it says where it serves after {says_where:?}, the first answers after {first:?}, all after {all:?}"
        );
        assert!(all <= MOST, "{all:?}");

        let quotas = server.client().quotas("team:team-0").await.unwrap();
        let scripts = quotas.rules.iter().find(|rule| rule.rule == "team.scripts").unwrap();
        assert_eq!(scripts.limit, "321", "{fault}: what was set is kept, too");
        let (ok, detail) = check(&server, "in step").await;
        println!("{fault}: in step: {detail}");
        assert!(ok && age_ms(&detail) > 0, "{detail}");
        assert!(server.client().ready().await.unwrap().ready);
        assert!(!check(&server, "store").await.0);
        assert_eq!(count(&server, "mirror_served").await, 1);
        clear_failure(deploy(&server, &ids[0], "never").await);
        assert_eq!(answer(&server, &ids[0]).await, ids[0]);
        if fault == "cut" {
            server.kill();
        }
    }

    // Another server comes with the store, and what it deploys arrives.
    stage.proxy.set(Mode::Pass);
    let other = stage.server("two", &[]);
    until("the other serves all", PATIENCE, async || (answer(&other, &ids[0]).await == ids[0]).then_some(()))
        .await;
    deploy(&other, &ids[1], "meanwhile").await.unwrap();
    let took = deploys_again(&server, &ids[2], "back").await;
    let followed = answers(&server, &ids[1], "meanwhile", PATIENCE).await;
    answers(&other, &ids[2], "back", PATIENCE).await;
    println!("back: deploys after {took:?}, what the other deployed meanwhile {followed:?} later");
    let fresh = until("it is in step again", PATIENCE, async || {
        let (_, detail) = check(&server, "in step").await;
        (age_ms(&detail) < 10_000).then_some(detail)
    });
    println!("back: in step: {}", fresh.await.0);
    for id in &ids[3..] {
        assert_eq!(&answer(&server, id).await, id);
    }
    stage.passes_through_the_wire(&server).await;
}

/// The age in `compared with the store 123 ms ago`.
fn age_ms(detail: &str) -> u64 {
    detail.split_whitespace().find_map(|word| word.parse().ok()).unwrap_or_else(|| panic!("{detail}"))
}
