//! Switches: off at once and for good, on again only when that is recorded.

use std::sync::atomic::Ordering;
use std::time::Duration;

use quotas::scope::{Scope, TeamName};
use quotas::switches::{Effect, SwitchId};

use super::kit::*;
use crate::lane::{CallFailure, Lane};
use crate::storage::Store;
use crate::supervisor::{Flip, Switches};
use crate::who::unix_ms;

#[test]
fn a_kill_stops_new_calls_and_those_that_wait() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let behind = Slow::open().await;
        let mut place = Place::open(&path).await;
        place.service = Some(behind.service.clone());
        let node = place.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, slow("x")).await.unwrap();
        let call = get_later(&lane, "/slow");
        let asked = behind.asked().await;
        off(&node, "script:tv/home").await.unwrap();
        assert_eq!(call.await.unwrap(), Err("switch.killed"));
        asked.given_up().await;
        assert_eq!(get(&lane, "/slow").await, Err("switch.off"));
        on(&node, "script:tv/home").await.unwrap().unwrap();
        let call = get_later(&lane, "/slow");
        behind.asked().await.answer().await;
        assert_eq!(call.await.unwrap().as_deref(), Ok("x"));
    });
}

#[test]
fn a_kill_stops_a_call_that_never_waits() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        deploy(&node, bundle("tv/home", "pub fn spin(request) { loop {} }", &["/spin spin"])).await.unwrap();
        let worker = actix_rt::Arbiter::new();
        let (done, outcome) = tokio::sync::oneshot::channel();
        let there = node.clone();
        worker.spawn_fn(move || {
            actix_rt::spawn(async move {
                let lane = Lane::open(&there, 0);
                let _ = done.send(get(&lane, "/spin").await);
            });
        });
        until("it runs", || async { node.shared().node.gate.in_flight() == 1 }).await;
        off(&node, "endpoint:tv/home/spin").await.unwrap();
        let outcome = outcome.await.unwrap();
        assert!(outcome == Err("switch.killed") || outcome == Err("switch.off"), "{outcome:?}");
        worker.stop();
    });
}

#[test]
fn a_call_that_was_let_in_before_a_kill_does_not_begin_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, hello("one")).await.unwrap();
        let routes = node.shared().routes.load_full();
        let entry = routes.endpoint(&endpoint("tv/home/hello")).unwrap();
        let admitted = lane.admit(entry, None, None, b"c").unwrap();
        off(&node, "all").await.unwrap();
        let answered = lane.run(entry, admitted, incoming("/hello", Vec::new()), None).await;
        assert_eq!(answered.result.unwrap_err().code(), "switch.off");
        assert_eq!(node.shared().node.gate.in_flight(), 1);
        drop(answered.kept);
        assert_eq!(node.shared().node.gate.in_flight(), 0);
        let refusal = *lane.admit(entry, None, None, b"c").unwrap_err();
        lane.remember("d1".to_owned(), &"r1".into(), &entry.id, refusal.clone());
        let decision = node.shared().lanes.decision("d1").await;
        assert_eq!(
            decision.map(|(decision, _)| decision.failure),
            Some(CallFailure::Refused(Box::new(refusal)))
        );
        assert_eq!(node.shared().lanes.decision("d2").await, None);
    });
}

#[test]
fn an_acknowledged_switch_survives_a_crash_with_the_store_down() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let place = Place::open(&path).await;
        let node = place.node("a").await;
        deploy(&node, hello("one")).await.unwrap();
        place.store.down.store(true, Ordering::SeqCst);
        off(&node, "team:tv").await.unwrap();
    });
    let path = directory.path().to_owned();
    system(|| async move {
        let place = Place::open(&path).await;
        place.store.down.store(true, Ordering::SeqCst);
        let node = place.node("a").await;
        assert!(!node.shared().is_loaded());
        let scope = Scope::parse("team:tv").unwrap();
        let known = node.shared().board.load_full();
        let switch = known.get(&SwitchId::kill(scope.clone())).unwrap();
        assert_eq!((&*switch.by, &*switch.reason), ("ana", "runaway"));
        // It may be in the store, so the store has to hear of its end first.
        assert_eq!(on(&node, "team:tv").await.unwrap_err().code(), "store.unavailable");
        place.store.down.store(false, Ordering::SeqCst);
        until("the store has it", || async {
            place.store.switches().await.unwrap().iter().any(|row| row.off && row.scope == scope)
        })
        .await;
        let lane = Lane::open(&node, 0);
        until("the heads are loaded", || async { node.shared().is_loaded() }).await;
        until("the script is known", || async { get(&lane, "/hello").await == Err("switch.off") }).await;
        on(&node, "team:tv").await.unwrap().unwrap();
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
    });
}

#[test]
fn a_switch_that_the_store_never_had_can_be_released_without_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let place = Place::open(&path).await;
        let node = place.node("a").await;
        place.store.down.store(true, Ordering::SeqCst);
        off(&node, "team:tv").await.unwrap();
        assert_eq!(node.supervisor().send(Switches).await.unwrap().len(), 1);
        on(&node, "team:tv").await.unwrap().unwrap();
        assert_eq!(on(&node, "team:tv").await.unwrap(), None);
        assert!(node.shared().board.load().is_empty());
        place.store.down.store(false, Ordering::SeqCst);
        until("the store has the release", || async {
            place.store.switches().await.unwrap().iter().any(|row| !row.off && row.generation == 2)
        })
        .await;
    });
}

#[test]
fn who_is_bound_to_a_team_flips_no_faster_than_the_store_takes_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let place = Place::open(&path).await;
        let node = place.node("a").await;
        place.store.down.store(true, Ordering::SeqCst);
        let tv = TeamName::parse("tv").unwrap();
        let flip = |n: u32, bound| {
            let flip = flip(&format!("script:tv/s{n}"), Effect::Kill);
            node.supervisor().send(Flip { bound, ..flip })
        };
        for n in 0..100 {
            flip(n, Some(tv.clone())).await.unwrap().unwrap();
        }
        let refused = flip(0, Some(tv.clone())).await.unwrap();
        assert_eq!(refused.unwrap_err().code(), "store.unavailable");
        flip(7, None).await.unwrap().unwrap();
        place.store.down.store(false, Ordering::SeqCst);
        until("the store has caught up", || async { flip(7, Some(tv.clone())).await.unwrap().is_ok() }).await;
    });
}

#[test]
fn a_switch_ends_when_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, hello("one")).await.unwrap();
        let flip =
            |until_ms, dry_run| Flip { until_ms: Some(until_ms), dry_run, ..flip("all", Effect::Kill) };
        let past = node.supervisor().send(flip(unix_ms() - 1, false)).await.unwrap();
        assert_eq!(past.unwrap_err().code(), "switch.past");
        let dry = node.supervisor().send(flip(unix_ms() + 60_000, true)).await.unwrap().unwrap();
        assert_eq!(dry.switch.generation, 1);
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
        node.supervisor().send(flip(unix_ms() + 300, false)).await.unwrap().unwrap();
        assert_eq!(get(&lane, "/hello").await, Err("switch.off"));
        until("it is on again", || async { get(&lane, "/hello").await.is_ok() }).await;
        let entries = node.store().audit(None, 10).await.unwrap();
        assert!(entries.iter().any(|entry| entry.who == "expiry" && entry.what == "switch.on"));
    });
}

#[test]
fn a_service_that_is_off_is_not_called() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let behind = Slow::open().await;
        let mut place = Place::open(&path).await;
        place.service = Some(behind.service.clone());
        let node = place.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, slow("x")).await.unwrap();
        off(&node, "service:slow").await.unwrap();
        let answer = tokio::time::timeout(Duration::from_secs(5), get(&lane, "/slow")).await.unwrap();
        assert_eq!(answer.as_deref(), Ok("x"));
        on(&node, "service:slow").await.unwrap();
        assert!(behind.service.switch.load().is_none());
    });
}
