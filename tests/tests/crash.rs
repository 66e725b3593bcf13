//! Crashes: what was acknowledged is there afterwards, nothing is there by half, and nobody is turned away who
//! can wait.

mod crash {
    pub mod ledger;
    pub mod look;
}

use std::cell::RefCell;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use api::SwitchRequest;
use crash::ledger::{Ledger, deploy_all};
use crash::look::{look_at_all, on_new_connections};
use rustix::process::Signal;
use tests::device::Device;
use tests::server::{Options, Server, runs, signal};
use tests::service::Service;
use tests::wait::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// How long anything may take that a loaded machine does.
const PATIENCE: Duration = Duration::from_secs(60);

/// Several compilations at once, so that a kill meets deploys at different stages.
fn options(directory: &tempfile::TempDir) -> Options {
    let arguments = ["--set", "compiler.at_once=3"].map(str::to_owned).to_vec();
    Options { arguments, data: Some(directory.path().join("data")), ..Options::default() }
}

#[tokio::test]
async fn an_acknowledged_deploy_survives_kill_9_and_no_half_one_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = RefCell::new(Ledger::of(200));
    // After so many deploys, and so far on the way to the next one.
    for (acknowledged, part) in [(20, 0.0), (48, 0.5), (77, 0.95), (104, 0.25), (140, 0.75), (172, 0.9)] {
        let mut server = Server::start_with(PROGRAM, options(&directory));
        look_at_all(&server, &ledger).await;
        let client = server.client();
        let began = (Instant::now(), ledger.borrow().acknowledged());
        let kill = async {
            until("deploys go on", PATIENCE * 3, async || {
                (ledger.borrow().acknowledged() >= acknowledged).then_some(())
            })
            .await;
            let made = ledger.borrow().acknowledged() - began.1;
            let between = began.0.elapsed() / u32::try_from(made.max(1)).unwrap();
            tokio::time::sleep(between.mul_f64(part)).await;
            ledger.borrow_mut().pause();
            server.kill();
        };
        // Those under way are waited for: an acknowledgement that was sent before the kill counts.
        tokio::join!(deploy_all(&client, &ledger, false), kill);
        let ledger = ledger.borrow();
        println!("killed after {} deploys, {} were under way", ledger.acknowledged(), ledger.under_way());
    }
    let server = Server::start_with(PROGRAM, options(&directory));
    look_at_all(&server, &ledger).await;
    deploy_all(&server.client(), &ledger, false).await;
    let stored = look_at_all(&server, &ledger).await;
    assert_eq!((ledger.borrow().acknowledged(), stored), (200, 200), "each was made once");
}

#[tokio::test]
async fn a_child_that_is_killed_is_replaced_and_nobody_is_refused_meanwhile() {
    let directory = tempfile::tempdir().unwrap();
    let ledger = RefCell::new(Ledger::of(80));
    let server = Server::start_with(PROGRAM, options(&directory));
    server.deploy("calm/lake", "pub fn main(request) { `calm` }").await.unwrap();
    let client = server.client();
    let kills = async {
        for acknowledged in [10, 25, 40, 60] {
            until("deploys go on", PATIENCE * 3, async || {
                (ledger.borrow().acknowledged() >= acknowledged).then_some(())
            })
            .await;
            let child = server.child_pid().expect("a child serves");
            signal(child, Signal::KILL);
            until("the child is gone", PATIENCE, async || (!runs(child)).then_some(())).await;
            // Nobody serves now: these wait for the next child, and each of them is answered.
            let began = Instant::now();
            for reply in on_new_connections(&server.device, "/calm/lake", 50).await {
                assert!(reply.ends_with("\r\n\r\ncalm"), "{reply}");
            }
            println!("50 connections waited {:?} for the next child", began.elapsed());
            let next = server.child_pid();
            assert!(next.is_some_and(|next| next != child), "another child serves");
        }
    };
    // Who deploys asks again, under the same key, as the command line's user would.
    tokio::join!(deploy_all(&client, &ledger, true), kills);
    let stored = look_at_all(&server, &ledger).await;
    assert_eq!((ledger.borrow().acknowledged(), stored), (80, 80), "each was made once");
    assert!(runs(server.pid()), "the warden is the same");
}

#[tokio::test]
async fn a_switch_that_was_acknowledged_before_kill_9_stands_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let mut server = Server::start_with(PROGRAM, options(&directory));
    server.deploy("tv/home", "pub fn main(request) { `home` }").await.unwrap();
    for scope in ["all", "team:tv", "script:tv/home", "endpoint:tv/home/main", "revision:tv/home@1"] {
        let request = SwitchRequest::kill("before the crash");
        server.client().switch_off(scope, &request, false).await.unwrap();
        server.kill();
        server = Server::start_with(PROGRAM, options(&directory));
        let reply = Device::of(&server.device).get("/tv/home").await;
        assert_eq!((reply.status, &*reply.code()), (503, "switch.off"), "{scope}: the first call of all");
        let off = server.client().switches().await.unwrap().items;
        assert_eq!(off.len(), 1, "{off:?}");
        assert_eq!((&*off[0].scope, &*off[0].reason), (scope, "before the crash"));

        server.client().switch_on(scope, None, false).await.unwrap();
        server.kill();
        server = Server::start_with(PROGRAM, options(&directory));
        let reply = Device::of(&server.device).get("/tv/home").await;
        assert_eq!((reply.status, &*reply.body), (200, "home"), "{scope}: turned on before the crash");
    }
}

#[tokio::test]
async fn of_two_servers_on_one_data_directory_the_second_says_who_is_there() {
    let server = Server::start(PROGRAM);
    server.deploy("tv/home", "pub fn main(request) { `home` }").await.unwrap();
    let mut second = Command::new(PROGRAM)
        .args(["serve", "--device", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (ended, _) = until("the second ends", PATIENCE, async || second.try_wait().unwrap()).await;
    let said = std::io::read_to_string(second.stderr.take().unwrap()).unwrap();
    assert!(!ended.success(), "{ended}: {said}");
    let file = server.data().join("callboard.redb");
    let locked = format!("{} is open in another process", file.display());
    assert!(said.contains(&locked) && said.contains("store.locked"), "{said}");
    assert_eq!(Device::of(&server.device).get("/tv/home").await.body, "home");
    server.deploy("tv/home", "pub fn main(request) { `still` }").await.unwrap();
    assert_eq!(Device::of(&server.device).get("/tv/home").await.body, "still");
}

/// The calls that are under way when a server is told to stop.
const UNDER_WAY: usize = 16;

async fn stop_under_load(drain: Duration, answers: bool) {
    let service = Service::silent();
    let mut arguments = service.arguments("behind");
    let drain_setting = format!("timeouts.drain={}s", drain.as_secs());
    let team = ["limits.team.rate=1000000/s", "limits.team.burst=1000000"];
    for setting in [&*drain_setting, "limits.ceiling.deadline=60s"].into_iter().chain(team) {
        arguments.extend(["--set", setting].map(str::to_owned));
    }
    let mut server = Server::start_with(PROGRAM, Options { arguments, ..Options::default() });
    let slow = "pub async fn main(request) { callboard::service::get(\"behind\", \"/\").await?.text() }";
    let manifest = "services = [\"behind\"]\n[endpoint.limits]\ndeadline = \"60s\"";
    server.deploy_with("tv/slow", manifest, slow).await.unwrap();
    let manifest = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000";
    server.deploy_with("tv/hello", manifest, "pub fn main(request) { `hello` }").await.unwrap();

    // Devices keep their connections; one that says nothing must not hold anybody up.
    let idle = Device::of(&server.device);
    assert_eq!(idle.get("/tv/hello").await.body, "hello");
    let calls = (0..UNDER_WAY).map(|_| {
        let device = Device::of(&server.device);
        tokio::spawn(async move { device.try_send("GET", "/tv/slow", &[], Default::default()).await })
    });
    let calls: Vec<_> = calls.collect();
    let others = (0..8).map(|_| {
        let device = Device::of(&server.device);
        tokio::spawn(async move {
            loop {
                match device.try_send("GET", "/tv/hello", &[], Default::default()).await {
                    Ok(reply) if reply.status == 200 && reply.body == "hello" => {}
                    Ok(reply) => return reply.code(),
                    Err(broken) => return format!("{broken:#}"),
                }
            }
        })
    });
    let others: Vec<_> = others.collect();
    until("all are under way", PATIENCE, async || (service.waiting() == UNDER_WAY).then_some(())).await;

    server.stop();
    let told = Instant::now();
    for other in others {
        assert_eq!(other.await.unwrap(), "node.draining", "who comes after is told so");
    }
    let reply = Device::of(&server.device).get("/tv/hello").await;
    assert_eq!((reply.status, &*reply.code()), (503, "node.draining"), "on a new connection, too");
    assert_eq!(service.waiting(), UNDER_WAY, "those that run go on");
    if answers {
        service.answer();
    }
    for call in calls {
        match call.await.unwrap() {
            Ok(reply) if answers => assert_eq!((reply.status, &*reply.body), (200, "ok")),
            Err(broken) if answers => panic!("a call under way was broken off: {broken:#}"),
            _ => {}
        }
    }
    // Where all calls have ended there is nothing to wait for.
    let limit = if answers { Duration::from_secs(6) } else { drain + Duration::from_secs(8) };
    let (ended, _) = until("the server ends", limit, async || server.ended()).await;
    println!("answers: {answers}: ended {:?} after it was told to, drain is {drain:?}", told.elapsed());
    assert!(ended.success(), "{ended}");
    drop(idle);
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_lets_running_calls_finish() {
    stop_under_load(Duration::from_secs(20), true).await;
}

#[tokio::test]
async fn a_server_that_is_told_to_stop_does_not_wait_for_ever() {
    stop_under_load(Duration::from_secs(2), false).await;
}
