//! What only a store on a network can get wrong: setting up, and servers that go away.

use std::time::{Duration, Instant};

use actors::error::StoreError;
use actors::storage::{Committed, ContentHash, ContentKind, CqlConfig, Fingerprint, Scylla, Store};
use tests::cassandra::Cassandra;

use super::bench::{fresh, raw, run, within};
use super::records::{commit, script};

/// The schema's version that this program makes.
const WANTED: u32 = 4;

#[test]
fn a_keyspace_that_was_not_set_up_is_refused_with_the_command_that_helps() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let config = fresh(cassandra);
    run(async {
        let refused = Scylla::connect(config).await.err().unwrap();
        assert_eq!(refused, StoreError::Schema { found: 0, wanted: WANTED });
        assert!(refused.to_string().contains("callboard store migrate"));
    });
}

#[test]
fn a_keyspace_is_set_up_once_and_a_newer_one_is_left_alone() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let config = fresh(cassandra);
    let keyspace = &config.keyspace;
    run(async {
        Scylla::migrate(&config).await.unwrap();
        let store = Scylla::connect(config.clone()).await.unwrap();
        store.commit(&commit(&script("tv/home"), 0, 1)).await.unwrap();
        Scylla::migrate(&config).await.unwrap();
        assert_eq!(store.heads().await.unwrap().len(), 1);

        let session = raw(&config).await;
        let set = async |id: &str, version: u32| {
            let set = format!("UPDATE {keyspace}.schema_version SET version = {version} WHERE id = '{id}'");
            session.query_unpaged(set, ()).await.unwrap();
        };
        // A newer program only added something: this one goes on beside it.
        set("schema", WANTED + 1).await;
        let beside = Scylla::connect(config.clone()).await.unwrap();
        beside.commit(&commit(&script("tv/home"), 1, 2)).await.unwrap();
        Scylla::migrate(&config).await.unwrap();
        // A newer one still changed what was there: this one says so and does nothing.
        set("schema", WANTED + 2).await;
        set("oldest", WANTED + 1).await;
        let refused = StoreError::Schema { found: WANTED + 2, wanted: WANTED };
        assert_eq!(Scylla::connect(config.clone()).await.err(), Some(refused.clone()));
        assert!(refused.to_string().contains("use a newer program"), "{refused}");
        assert_eq!(Scylla::migrate(&config).await, Err(refused));
        if cassandra.is_given() {
            session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await.unwrap();
        }
    });
}

#[test]
fn a_keyspace_of_the_first_version_is_refused_until_it_is_migrated_and_keeps_what_it_has() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let config = fresh(cassandra);
    let keyspace = &config.keyspace;
    run(async {
        Scylla::migrate(&config).await.unwrap();
        let store = Scylla::connect(config.clone()).await.unwrap();
        store.commit(&commit(&script("tv/home"), 0, 1)).await.unwrap();
        drop(store);
        let session = raw(&config).await;
        for undo in [
            format!("DROP TABLE {keyspace}.nodes"),
            format!("DROP TABLE {keyspace}.leases"),
            format!("DROP TABLE {keyspace}.quotas"),
            format!("UPDATE {keyspace}.schema_version SET version = 1 WHERE id = 'schema'"),
        ] {
            session.query_unpaged(undo, ()).await.unwrap();
        }
        let refused = Scylla::connect(config.clone()).await.err();
        assert_eq!(refused, Some(StoreError::Schema { found: 1, wanted: WANTED }));
        Scylla::migrate(&config).await.unwrap();
        let store = Scylla::connect(config.clone()).await.unwrap();
        assert_eq!(store.heads().await.unwrap().len(), 1);
        assert_eq!(store.nodes().await, Ok(Vec::new()));
        if cassandra.is_given() {
            session.query_unpaged(format!("DROP KEYSPACE {keyspace}"), ()).await.unwrap();
        }
    });
}

#[test]
fn of_the_nodes_that_want_a_lease_one_has_it_until_it_gives_it_back_or_is_silent() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let config = fresh(cassandra);
    run(async {
        Scylla::migrate(&config).await.unwrap();
        let store = Scylla::connect(config.clone()).await.unwrap();
        let kind = ContentKind::Unit { fingerprint: Fingerprint::parse("one").unwrap() };
        let (key, long) = (ContentHash::of(b"unit"), Duration::from_secs(60));
        let lease = async |node: &str, time| store.lease(&kind, key, node, time).await.unwrap();
        assert!(lease("a", long).await && lease("a", long).await, "its own stays its own");
        assert!(!lease("b", long).await);
        store.release_lease(&kind, key, "b").await.unwrap();
        assert!(!lease("b", long).await, "another's cannot be given back");
        store.release_lease(&kind, key, "a").await.unwrap();
        assert!(lease("b", Duration::from_secs(1)).await);
        within("it expires", async || lease("a", long).await.then_some(())).await;
    });
}

#[test]
fn a_cluster_that_is_away_is_told_within_the_time() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = listener.local_addr().unwrap().to_string();
    // One refuses connections, the other takes them and says nothing.
    for host in ["127.0.0.1:1".to_owned(), silent] {
        let mut config = CqlConfig::new(vec![host], "callboard").unwrap();
        config.connect_timeout = Duration::from_secs(1);
        run(async {
            let began = Instant::now();
            let refused = Scylla::connect(config).await.err().unwrap();
            assert_eq!(refused.code(), "store.unavailable");
            assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
        });
    }
}

#[test]
fn a_store_outlives_its_server() {
    let Some(cassandra) = Cassandra::start() else { return };
    let mut config = fresh(&cassandra);
    let home = script("tv/home");
    run(async {
        Scylla::migrate(&config).await.unwrap();
        config.timeout = Duration::from_secs(1);
        let store = Scylla::connect(config.clone()).await.unwrap();
        let mut sent = Vec::new();
        let mut next = || {
            let commit = commit(&home, sent.len() as u64, sent.len() as u64 + 1);
            sent.push(commit.clone());
            commit
        };
        assert!(matches!(store.commit(&next()).await, Ok(Committed::Applied(_))));

        cassandra.kill();
        let interrupted = next();
        assert_eq!(store.commit(&interrupted).await.map_err(|error| error.code()), Err("store.unavailable"));
        assert!(store.ping().await.is_err());
        // Long enough away for attempts that grow rarer to have become rare.
        let down = Instant::now();
        while down.elapsed() < Duration::from_secs(8) {
            assert!(store.ping().await.is_err());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        cassandra.restart();
        let up = Instant::now();
        within("the store is back", async || store.ping().await.ok()).await;
        assert!(up.elapsed() < Duration::from_secs(5), "{:?}", up.elapsed());
        assert!(matches!(store.commit(&interrupted).await, Ok(Committed::Applied(_))));

        cassandra.pause();
        let began = Instant::now();
        let interrupted = next();
        let error = store.commit(&interrupted).await.err().unwrap();
        assert!(matches!(error.code(), "store.unavailable" | "store.unknown"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
        cassandra.resume();
        let settled = within("the outcome is known", async || store.commit(&interrupted).await.ok()).await;
        assert!(matches!(settled, Committed::Applied(_)), "{settled:?}");
        assert!(matches!(store.commit(&next()).await, Ok(Committed::Applied(_))));

        // A commit that is under way when the server dies is settled by the same id, whatever it was answered.
        let interrupted = next();
        let (answer, ()) = futures_util::join!(store.commit(&interrupted), async { cassandra.kill() });
        cassandra.restart();
        let settled = within("the outcome is known", async || store.commit(&interrupted).await.ok()).await;
        assert!(matches!(settled, Committed::Applied(_)), "{answer:?}, then {settled:?}");

        let mut history = store.audit(Some(&home), 100).await.unwrap();
        history.reverse();
        assert_eq!(history, sent.into_iter().map(|commit| commit.audit).collect::<Vec<_>>());
    });
}
