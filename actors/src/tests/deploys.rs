//! Deploys: what is acknowledged answers, and nothing else changes.

use std::sync::atomic::Ordering;

use quotas::scope::ScriptId;

use super::kit::*;
use crate::controller::{Activate, Delete, Deploy, Endpoints, Heads, OneRevision};
use crate::error::ControlError;
use crate::lane::Lane;

fn code<T>(done: &Result<T, ControlError>) -> &'static str {
    done.as_ref().err().map_or("ok", ControlError::code)
}

#[test]
fn what_was_deployed_answers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        assert_eq!(get(&lane, "/hello").await, Err("route.unknown"));
        let deployed = deploy(&node, hello("one")).await.unwrap();
        assert_eq!((deployed.revision.number, deployed.head.seq), (number(1), 1));
        assert_eq!(deployed.endpoints, [endpoint("tv/home/hello")]);
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
        deploy(&node, hello("two")).await.unwrap();
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("two"));
        let stats = node.shared().lanes.snapshot().await;
        assert_eq!((stats.len(), stats[0].outcomes["ok"], stats[0].in_flight), (1, 2, 0));
        let one = OneRevision { script: script("tv/home"), number: number(1) };
        let (revision, files) = node.controller().send(one).await.unwrap().unwrap();
        assert_eq!((revision.by.as_str(), files.len()), ("ana", 2));
    });
}

#[test]
fn a_node_that_starts_again_serves_what_was_served() {
    let directory = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let path = directory.path().to_owned();
        system(|| async move {
            let node = Place::open(&path).await.node("a").await;
            let lane = Lane::open(&node, 0);
            if node.controller().send(Heads).await.unwrap().is_empty() {
                deploy(&node, hello("one")).await.unwrap();
            }
            assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
        });
    }
}

#[test]
fn a_call_that_waits_ends_on_the_unit_that_it_began_with() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let behind = Slow::open().await;
        let mut place = Place::open(&path).await;
        place.service = Some(behind.service.clone());
        let node = place.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, slow("old")).await.unwrap();
        let old = get_later(&lane, "/slow");
        let old_asked = behind.asked().await;
        deploy(&node, slow("new")).await.unwrap();
        let new = get_later(&lane, "/slow");
        behind.asked().await.answer().await;
        assert_eq!(new.await.unwrap().as_deref(), Ok("new"));
        old_asked.answer().await;
        assert_eq!(old.await.unwrap().as_deref(), Ok("old"));
    });
}

#[test]
fn a_call_that_nobody_waits_for_is_dropped_and_gives_its_place_back() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let behind = Slow::open().await;
        let mut place = Place::open(&path).await;
        place.service = Some(behind.service.clone());
        let node = place.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, slow("old")).await.unwrap();
        let call = get_later(&lane, "/slow");
        let asked = behind.asked().await;
        assert_eq!(node.shared().node.gate.in_flight(), 1);
        call.abort();
        asked.given_up().await;
        until("the place is free", || async { node.shared().node.gate.in_flight() == 0 }).await;
        let counted = node.shared().lanes.snapshot().await;
        assert!(counted.iter().all(|stats| stats.in_flight == 0));
    });
}

#[test]
fn a_crowd_that_meets_a_cold_endpoint_is_answered() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, hello("one")).await.unwrap();
        let calls = (0..40).map(|_| get(&lane, "/hello"));
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| answer.as_deref() == Ok("one")), "{answers:?}");
    });
}

#[test]
fn a_route_belongs_to_one_script() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let source = "pub fn f(request) { \"f\" }";
        deploy(&node, bundle("tv/home", source, &["/a/{x} f"])).await.unwrap();
        let check = async |id: &str, endpoint: &str, expected: &str| {
            let done = deploy(&node, bundle(id, source, &[endpoint])).await;
            assert_eq!(code(&done), expected, "{id} {endpoint}");
            if let Err(ControlError::RouteConflict { owner, .. }) = done {
                assert_eq!(owner, Some(script("tv/home")));
            }
        };
        check("tv/other", "/a/{y} f", "route.conflict").await;
        check("radio/home", "/a/{y} f", "route.conflict").await;
        check("radio/home", "/a/b f", "route.conflict").await;
        check("radio/home", "/b f", "ok").await;
        // Within a team the more specific one answers.
        check("tv/other", "/a/b f", "ok").await;
        // A route that its script gave up is free.
        check("tv/home", "/c f", "ok").await;
        check("radio/other", "/a/c f", "ok").await;
    });
}

#[test]
fn a_lost_race_is_run_again_unless_the_caller_said_where_the_script_stands() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let place = Place::open(&path).await;
        let node = place.node("a").await;
        deploy(&node, hello("one")).await.unwrap();
        place.store.rivals.store(2, Ordering::SeqCst);
        let deployed = deploy(&node, hello("two")).await.unwrap();
        assert_eq!((deployed.revision.number, deployed.head.seq), (number(2), 4));
        place.store.rivals.store(u32::MAX, Ordering::SeqCst);
        assert_eq!(code(&deploy(&node, hello("three")).await), "deploy.conflict");
        place.store.rivals.store(0, Ordering::SeqCst);
        let back = |expected| Activate {
            who: ana(),
            script: script("tv/home"),
            revision: number(1),
            expected,
            dry_run: false,
            reason: Some("two is wrong".to_owned()),
        };
        let stale = node.controller().send(back(Some(4))).await.unwrap();
        let Err(ControlError::DeployConflict { present }) = stale else { panic!("{stale:?}") };
        assert_eq!(present.active, Some(number(2)));
        place.store.rivals.store(1, Ordering::SeqCst);
        assert_eq!(code(&node.controller().send(back(Some(present.seq))).await.unwrap()), "deploy.conflict");
        let activated = node.controller().send(back(None)).await.unwrap().unwrap();
        assert_eq!(activated.head.active, Some(number(1)));
        assert_eq!(get(&Lane::open(&node, 0), "/hello").await.as_deref(), Ok("one"));
    });
}

#[test]
fn the_same_key_is_the_same_deploy() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let keyed = |text| Deploy { idempotency_key: Some("k".to_owned()), ..deploy_of(hello(text)) };
        let first = node.controller().send(keyed("one")).await.unwrap().unwrap();
        let again = node.controller().send(keyed("one")).await.unwrap().unwrap();
        assert_eq!((first.repeated, again.repeated), (false, true));
        assert_eq!((first.revision, first.head), (again.revision, again.head));
        assert_eq!(code(&node.controller().send(keyed("two")).await.unwrap()), "idempotency.mismatch");
    });
}

#[test]
fn a_dry_run_says_what_would_be_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        deploy(&node, hello("one")).await.unwrap();
        let other = bundle("tv/home", "pub fn other(request) { 1 }", &["/other other"]);
        let dry = Deploy { dry_run: true, ..deploy_of(other) };
        let would = node.controller().send(dry).await.unwrap().unwrap();
        assert_eq!((would.revision.number, would.head.seq), (number(2), 2));
        assert_eq!(would.endpoints, [endpoint("tv/home/other")]);
        assert_eq!(would.removed, [endpoint("tv/home/hello")]);
        assert_eq!(get(&lane, "/other").await, Err("route.unknown"));
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
        let stored = Deploy { activate: false, ..deploy_of(hello("two")) };
        let stored = node.controller().send(stored).await.unwrap().unwrap();
        assert_eq!((stored.head.active, stored.head.latest), (Some(number(1)), Some(number(2))));
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("one"));
    });
}

#[test]
fn a_wrong_script_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let wrong = bundle("tv/home", "pub fn hello(request) { let }", &["/hello hello"]);
        assert_eq!(code(&deploy(&node, wrong).await), "script.invalid");
        let strange = Deploy { script: script("tv/other"), ..deploy_of(hello("one")) };
        assert_eq!(code(&node.controller().send(strange).await.unwrap()), "team.mismatch");
        assert!(node.controller().send(Heads).await.unwrap().is_empty());
    });
}

#[test]
fn a_script_that_was_taken_away_answers_no_more_and_keeps_its_history() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let lane = Lane::open(&node, 0);
        let delete = || {
            let reason = Some("no more".to_owned());
            Delete { who: ana(), script: script("tv/home"), expected: None, dry_run: false, reason }
        };
        assert_eq!(code(&node.controller().send(delete()).await.unwrap()), "script.unknown");
        deploy(&node, hello("one")).await.unwrap();
        let gone = node.controller().send(delete()).await.unwrap().unwrap();
        assert_eq!(gone.removed, [endpoint("tv/home/hello")]);
        let told = node.store().audit(None, 1).await.unwrap();
        assert_eq!((&*told[0].what, told[0].why.as_deref()), ("script.delete", Some("no more")));
        assert_eq!(get(&lane, "/hello").await, Err("route.unknown"));
        assert_eq!(code(&node.controller().send(delete()).await.unwrap()), "script.unknown");
        assert_eq!(deploy(&node, hello("two")).await.unwrap().revision.number, number(2));
        assert_eq!(get(&lane, "/hello").await.as_deref(), Ok("two"));
    });
}

#[test]
fn two_nodes_on_one_store_come_to_serve_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let place = Place::open(&path).await;
        let (one, other) = (place.node("a").await, place.node("b").await);
        let there = Lane::open(&other, 0);
        deploy(&one, hello("one")).await.unwrap();
        until("b serves it", || async { get(&there, "/hello").await.as_deref() == Ok("one") }).await;
        off(&one, "team:tv").await.unwrap();
        until("b refuses it", || async { get(&there, "/hello").await == Err("switch.off") }).await;
        on(&one, "team:tv").await.unwrap();
        until("b serves it again", || async { get(&there, "/hello").await.is_ok() }).await;
        // What happens while the store is away from one of them is found afterwards.
        place.store.down.store(true, Ordering::SeqCst);
        assert_eq!(get(&there, "/hello").await.as_deref(), Ok("one"));
        assert_eq!(code(&deploy(&one, hello("two")).await), "store.unavailable");
        place.store.down.store(false, Ordering::SeqCst);
        deploy(&one, hello("two")).await.unwrap();
        until("b serves the second", || async { get(&there, "/hello").await.as_deref() == Ok("two") }).await;
        let listed = Endpoints { team: None, after: None, limit: 10 };
        let listed = other.controller().send(listed).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].revision, listed[0].problem.as_deref()), (Some(number(2)), None));
        let _: Vec<(ScriptId, _)> = other.controller().send(Heads).await.unwrap();
    });
}

#[test]
fn of_two_teams_that_would_answer_the_same_path_and_ask_at_once_one_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    system(|| async move {
        let node = Place::open(&path).await.node("a").await;
        let source = "pub fn f(request) { 1 }";
        let shapes =
            [("/a/{x}", "/a/lit"), ("/b/{r*}", "/b/c/d"), ("/c/{x}/b", "/c/a/{y}"), ("/d/{x}", "/d/{y}")];
        for (nth, (one, other)) in shapes.into_iter().enumerate() {
            let of = |team: &str, path: &str| {
                deploy(&node, bundle(&format!("{team}/s{nth}"), source, &[&format!("{path} f")]))
            };
            let done = futures_util::future::join(of("tv", one), of("radio", other)).await;
            let mut codes = [code(&done.0), code(&done.1)];
            // Who was let in may come again, and who was refused is so again.
            assert_eq!([code(&of("tv", one).await), code(&of("radio", other).await)], codes);
            codes.sort_unstable();
            assert_eq!(codes, ["ok", "route.conflict"], "{one} and {other}");
        }
        // Within a team they may.
        let of = |script: &str, path: &str| deploy(&node, bundle(script, source, &[&format!("{path} f")]));
        let done = futures_util::future::join(of("tv/e1", "/e/{x}"), of("tv/e2", "/e/lit")).await;
        assert_eq!([code(&done.0), code(&done.1)], ["ok", "ok"]);
    });
}
