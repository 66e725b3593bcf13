//! From one process to the next: what it leaves, and what it takes with it.

use quotas::blame::Culprit;
use quotas::scope::RevisionNumber;
use tokio::sync::mpsc::unbounded_channel;

use super::kit::*;
use crate::lane::Lane;
use crate::node::{Aftermath, Death, Node, SetAside};
use crate::supervisor::Lift;
use crate::who::unix_ms;

#[test]
fn a_node_that_let_go_of_its_store_serves_from_memory_and_follows_the_next_ones_switches() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        deploy(&node, hello("one")).await.unwrap();
        node.shared().units.forget();
        let kept = node.let_go().await.unwrap();
        assert_eq!(kept.len(), 1);
        let lane = Lane::open(&node, 0);
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"), "nobody had called it");
        assert_eq!(deploy(&node, hello("two")).await.unwrap_err().code(), "store.unavailable");

        let next = Place::open(&path).await.node("a").await;
        node.follow_next();
        off(&next, "script:tv/home").await.unwrap();
        until("it is off here, too", || async { get(&lane, "/hello").await == Err("switch.off") }).await;
        assert_eq!(node.take_back().await.unwrap_err().code(), "store.locked", "there is a next one");
    });
}

#[test]
fn a_node_that_took_its_store_back_goes_on_as_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        deploy(&node, hello("one")).await.unwrap();
        drop(node.let_go().await.unwrap());
        node.take_back().await.unwrap();
        deploy(&node, hello("two")).await.unwrap();
        assert_eq!(get(&Lane::open(&node, 0), "/hello").await.as_deref(), Ok("two"));
    });
}

#[test]
fn what_was_set_aside_does_not_run_until_its_time_is_over_or_somebody_vouches_for_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let place = Place::open(&path).await;
        deploy(&place.node("a").await, hello("one")).await.unwrap();
        let (first, id) = (RevisionNumber::first(), endpoint("tv/home/hello"));
        let left = |revision, time_ms| SetAside {
            endpoint: endpoint("tv/home/hello"),
            revision,
            reason: "it crashed".to_owned(),
            since_ms: unix_ms(),
            until_ms: unix_ms() + time_ms,
            is_new: true,
        };
        let (lifted, mut are_lifted) = unbounded_channel();
        let culprit = Culprit { endpoint: id.clone(), revision: first };
        let death = Death { what: "SIGSEGV".to_owned(), culprit: Some(culprit) };
        let start = async |name: &str, set_aside| {
            let aftermath = Aftermath {
                deaths: vec![death.clone()],
                set_aside: vec![set_aside],
                lifted: Some(lifted.clone()),
            };
            let config = crate::node::NodeConfig { aftermath, ..place.config(name) };
            Node::start(config, place.store.clone()).await.unwrap()
        };
        let node = start("b", left(first, 3_600_000)).await;
        let lane = Lane::open(&node, 0);
        assert_eq!(get(&lane, "/hello").await, Err("quarantine.active"));
        until("both are in the audit", || async {
            let told = node.store().audit(None, 10).await.unwrap();
            let has = |what: &str, why: &str| {
                told.iter().any(|one| one.what == what && one.why.as_deref() == Some(why))
            };
            has("process.died", "SIGSEGV") && has("quarantine.on", "it crashed")
        })
        .await;
        let lift = Lift { who: ana(), endpoint: id.clone(), reason: None };
        node.supervisor().send(lift).await.unwrap().unwrap();
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
        assert_eq!(are_lifted.recv().await, Some(id), "the warden hears of it");

        let node = start("c", left(first, 300)).await;
        let lane = Lane::open(&node, 0);
        until("its time is over", || async { get(&lane, "/hello").await.as_deref() == Ok("one") }).await;

        let node = start("d", left(first.next(), 3_600_000)).await;
        let answer = get(&Lane::open(&node, 0), "/hello").await;
        assert_eq!(answer.as_deref(), Ok("one"), "another revision did it");
    });
}
