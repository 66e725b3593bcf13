//! Failures: what fails is refused alone, by name.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quotas::scope::RevisionNumber;
use quotas::units::Bytes;

use super::kit::*;
use crate::events;
use crate::lane::Lane;
use crate::supervisor::{Lift, MemoryLeft};

fn count(name: &str) -> u64 {
    events::counts().find(|(known, _)| *known == name).unwrap().1
}

#[test]
fn an_endpoint_whose_actors_keep_failing_is_set_aside_until_it_is_lifted() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let mut place = Place::open(&path).await;
        place.restarts = (2, Duration::from_secs(60));
        let node = place.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, hello("one")).await.unwrap();
        let id = endpoint("tv/home/hello");
        for _ in 0..3 {
            // An actor that failed is made anew, and the call does not notice.
            assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
            lane.fail(&id).await;
        }
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
        until("it is set aside", || async { get(&lane, "/hello").await == Err("quarantine.active") }).await;
        let lift = |id| Lift { who: ana(), endpoint: id, reason: Some("mended".to_owned()) };
        let unknown = node.supervisor().send(lift(endpoint("tv/home/none"))).await.unwrap();
        assert_eq!(unknown.unwrap_err().code(), "endpoint.unknown");
        node.supervisor().send(lift(id)).await.unwrap().unwrap();
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
        until("both are in the audit", || async {
            let told = node.store().audit(None, 10).await.unwrap();
            let has = |what: &str, who: &str, why: &str| {
                told.iter().any(|one| {
                    one.what == what
                        && one.who == who
                        && one.why.as_deref().is_some_and(|said| said.contains(why))
                })
            };
            has("quarantine.on", "a", "more than 2 times") && has("quarantine.off", "ana", "mended")
        })
        .await;
    });
}

#[test]
fn a_revision_whose_calls_leave_memory_behind_is_set_aside() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, hello("one")).await.unwrap();
        let left = |revision: u64, bytes| MemoryLeft {
            endpoint: endpoint("tv/home/hello"),
            revision: RevisionNumber::new(revision).unwrap(),
            bytes,
        };
        let before = count("memory left behind");
        node.supervisor().send(left(1, Bytes::mib(40))).await.unwrap();
        assert!(count("memory left behind") > before);
        deploy(&node, hello("two")).await.unwrap();
        node.supervisor().send(left(2, Bytes::mib(40))).await.unwrap();
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("two"), "a new revision starts clean");
        node.supervisor().send(left(2, Bytes::mib(24))).await.unwrap();
        assert_eq!(get(&lane, "/hello").await, Err("quarantine.active"));
        deploy(&node, hello("three")).await.unwrap();
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("three"));
    });
}

#[test]
fn a_stored_unit_that_is_not_whole_is_compiled_anew() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let place = Place::open(&path).await;
        let one = place.node("a").await;
        deploy(&one, hello("one")).await.unwrap();
        place.store.flips.store(true, Ordering::SeqCst);
        let (rejected, compiled) = (count("unit rejected"), count("unit recompiled"));
        let other = place.node("b").await;
        let lane = Lane::open(&other, 0);
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
        assert!(count("unit rejected") > rejected && count("unit recompiled") > compiled);
        other.shared().units.forget();
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
    });
}

#[test]
fn a_script_that_fails_is_told_by_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        let source = "pub fn broken(request) { panic!(\"no\") }\npub fn sorry(request) { Err(\"no\") }";
        deploy(&node, bundle("tv/home", source, &["/broken broken", "/sorry sorry"])).await.unwrap();
        assert_eq!(get(&lane, "/broken").await, Err("script.failed"));
        assert_eq!(get(&lane, "/sorry").await, Err("script.returned_error"));
        let stats = node.shared().lanes.snapshot().await;
        assert_eq!(stats.iter().map(|stats| stats.total()).collect::<Vec<_>>(), [1, 1]);
    });
}

#[test]
fn a_node_that_drains_lets_nobody_in() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, hello("one")).await.unwrap();
        node.drain().await;
        assert_eq!(get(&lane, "/hello").await, Err("node.draining"));
    });
}
