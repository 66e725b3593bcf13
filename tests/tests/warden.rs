//! The warden: a process that crashes or hangs is replaced at once, whoever did it is named and set aside, and
//! everybody else is served.
//!
//! The faults are made by scripts with a module that only the program for tests has.

mod warden {
    pub mod load;
}

use std::time::{Duration, Instant};

use api::client::List;
use rustix::process::Signal;
use tests::device::Device;
use tests::server::{Options, Server, runs, signal};
use tests::wait::until;
use warden::load::Load;

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// How long anything may take that a loaded machine does.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take until the next process serves; on a quiet machine it is less than one second.
const REPLACED: Duration = Duration::from_secs(3);

/// A server with a victim that everybody calls, and a culprit that does harm when it is told to.
async fn server(settings: &[&str]) -> Server {
    let team =
        ["rate=1000000/s", "burst=1000000", "concurrency=2000"].map(|rule| format!("limits.team.{rule}"));
    let settings = team.iter().map(String::as_str).chain(settings.iter().copied());
    let arguments = settings.flat_map(|setting| ["--set", setting]).map(str::to_owned).collect();
    let server = Server::start_with(PROGRAM, Options { arguments, ..Options::default() });
    let plenty = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000\nconcurrency = 1_000";
    server.deploy_with("calm/lake", plenty, "pub fn main(request) { `calm` }").await.unwrap();
    deploy_culprit(&server).await;
    server
}

async fn deploy_culprit(server: &Server) {
    let culprit = "pub fn main(request) {
        match request.query(\"do\") {
            \"abort\" => callboard::faults::abort(),
            \"exit\" => callboard::faults::exit(),
            \"hang\" => callboard::faults::hang(),
            \"stuck\" => callboard::faults::stuck(),
            _ => {}
        }
        `harmless`
    }";
    server.deploy("bad/apple", culprit).await.unwrap();
}

/// Does harm, and waits until another process serves; answers how long that took.
async fn harm(server: &Server, how: &str) -> Duration {
    let child = server.child_pid().expect("a child serves");
    let began = Instant::now();
    let device = Device::of(&server.device);
    let (path, lake) = (format!("/bad/apple?do={how}"), Device::of(&server.device));
    let call = device.try_send("GET", &path, &[], Default::default());
    let replaced = until("another process serves", PATIENCE, async || {
        let next = server.child_pid().filter(|next| *next != child)?;
        // A connection that waits in the backlog is answered by the next process.
        let reply = lake.try_send("GET", "/calm/lake", &[], Default::default()).await.ok()?;
        (reply.body == "calm" && runs(next)).then_some(())
    });
    let (harmed, _) = tokio::join!(call, replaced);
    assert!(harmed.is_err(), "{how}: the process is gone: {harmed:?}");
    began.elapsed()
}

/// Why the culprit is set aside, if it is.
async fn quarantine(server: &Server) -> Option<String> {
    let endpoint = server.client().endpoint("bad", "apple", "main").await.unwrap();
    endpoint.quarantine.map(|quarantine| quarantine.reason)
}

/// Whether the audit has an entry like this.
async fn is_in_audit(server: &Server, what: &str, subject: &str, why: &str) -> bool {
    let entries = server.client().audit(&List { limit: Some(100), ..List::default() }).await.unwrap().items;
    entries.iter().any(|entry| {
        let said = entry.why.as_deref().is_some_and(|said| said.contains(why));
        entry.what == what && entry.subject == subject && said
    })
}

async fn who_does_harm_is_named_and_set_aside(how: &str, said: &str) {
    let server = server(&[]).await;
    let load = Load::start(&server.device, "/calm/lake", "calm", 200);
    let device = Device::of(&server.device);
    let culprit = "endpoint:bad/apple/main";

    let first = harm(&server, how).await;
    assert_eq!(quarantine(&server).await, None, "once is no habit");
    assert_eq!(device.get("/bad/apple").await.body, "harmless");
    until("the audit names the culprit", PATIENCE, async || {
        is_in_audit(&server, "process.died", culprit, said).await.then_some(())
    })
    .await;

    let second = harm(&server, how).await;
    let reason = quarantine(&server).await.expect("it is set aside");
    assert!(reason.contains("2 times") && reason.matches(said).count() == 2, "{reason}");
    assert_eq!(device.get("/bad/apple").await.code(), "quarantine.active");
    until("the audit has the quarantine", PATIENCE, async || {
        is_in_audit(&server, "quarantine.on", culprit, "2 times").await.then_some(())
    })
    .await;

    // The next process knows of it, too, before it takes a call.
    let child = server.child_pid().unwrap();
    signal(child, Signal::KILL);
    assert_eq!(device_after(&server, child).await.get("/bad/apple").await.code(), "quarantine.active");

    // Who vouches for it is believed, also by the process after.
    server.client().lift_quarantine("bad", "apple", "main", Some("mended"), false).await.unwrap();
    assert_eq!(device_after(&server, child).await.get("/bad/apple").await.body, "harmless");
    let child = server.child_pid().unwrap();
    signal(child, Signal::KILL);
    assert_eq!(device_after(&server, child).await.get("/bad/apple").await.body, "harmless");

    println!("{how}: replaced after {first:.0?} and {second:.0?}");
    assert!(first <= REPLACED && second <= REPLACED, "{first:?}, {second:?}");
    nobody_was_refused(load).await;
}

/// The calls that were under way in a process that died are lost; nobody else's are.
async fn nobody_was_refused(load: Load) {
    load.goes_on(20).await;
    let before = load.tally().failed;
    load.goes_on(100).await;
    let tally = load.end().await;
    println!("the victim: {tally:?}");
    assert_eq!((tally.refused, tally.failed), (0, before), "{tally:?}");
    assert!(tally.gap <= REPLACED, "{tally:?}");
}

/// A device that calls when another child than this one serves.
async fn device_after(server: &Server, child: u32) -> Device {
    until("another process serves", PATIENCE, async || {
        server.child_pid().filter(|next| *next != child && !runs(child))
    })
    .await;
    Device::of(&server.device)
}

#[tokio::test]
async fn who_aborts_the_process_is_named_and_set_aside() {
    who_does_harm_is_named_and_set_aside("abort", "SIGABRT").await;
}

#[tokio::test]
async fn who_hangs_in_native_code_is_named_and_set_aside() {
    who_does_harm_is_named_and_set_aside("hang", "hung").await;
}

#[tokio::test]
async fn who_waits_in_native_code_for_ever_is_named() {
    let server = server(&["node.crashes=1"]).await;
    let replaced = harm(&server, "stuck").await;
    let reason = quarantine(&server).await.expect("it is set aside");
    println!("stuck: replaced after {replaced:.0?}: {reason}");
    assert!(reason.contains("got stuck"), "{reason}");
    assert!(replaced <= Duration::from_secs(2) + REPLACED, "{replaced:?}");
}

#[tokio::test]
async fn a_process_that_ends_by_itself_is_replaced_and_who_ran_is_suspected() {
    let server = server(&[]).await;
    let first = harm(&server, "exit").await;
    assert_eq!(quarantine(&server).await, None, "no suspect is set aside for one death");
    harm(&server, "exit").await;
    let reason = quarantine(&server).await.expect("it was there twice");
    println!("exit: replaced after {first:.0?}: {reason}");
    assert!(first <= REPLACED, "{first:?}");
    assert!(reason.contains("whenever the process died"), "{reason}");
    assert_eq!(Device::of(&server.device).get("/calm/lake").await.body, "calm");
}

#[tokio::test]
async fn a_process_that_is_killed_again_and_again_is_replaced_and_nobody_is_blamed() {
    let server = server(&[]).await;
    let load = Load::start(&server.device, "/calm/lake", "calm", 200);
    let mut took = Vec::new();
    for _ in 0..5 {
        let child = server.child_pid().expect("a child serves");
        let began = Instant::now();
        signal(child, Signal::KILL);
        let device = device_after(&server, child).await;
        assert_eq!(device.get("/calm/lake").await.body, "calm");
        took.push(began.elapsed());
    }
    println!("replaced after {took:.0?}");
    assert!(took[0] <= REPLACED, "{took:?}");
    nobody_was_refused(load).await;
    let endpoints = server.client().endpoints(&List::default()).await.unwrap().items;
    assert!(endpoints.iter().all(|endpoint| endpoint.quarantine.is_none()), "{endpoints:?}");
    until("the audit has it", PATIENCE, async || {
        is_in_audit(&server, "process.died", "all", "SIGKILL from outside").await.then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_process_that_is_stopped_is_replaced() {
    let server = server(&[]).await;
    let child = server.child_pid().expect("a child serves");
    let began = Instant::now();
    signal(child, Signal::STOP);
    let device = device_after(&server, child).await;
    assert_eq!(device.get("/calm/lake").await.body, "calm");
    println!("stopped: replaced after {:.0?}", began.elapsed());
    assert!(began.elapsed() <= Duration::from_secs(2) + REPLACED);
    assert_eq!(quarantine(&server).await, None);
}
