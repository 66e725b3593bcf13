//! The warden: a process that crashes or hangs is replaced at once, whoever did it is named and set aside, and
//! everybody else is served.
//!
//! The faults are made by scripts with a module that only the program for tests has.

mod warden {
    pub mod load;
    pub mod upgrade;
}

use std::process::Command;
use std::time::{Duration, Instant};

use api::client::List;
use rustix::process::Signal;
use tests::device::Device;
use tests::server::{Options, Server, children, runs, signal};
use tests::wait::until;
use tokio::sync::RwLock;
use warden::load::Load;
use warden::upgrade::{OnDisk, upgrade};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// How long anything may take that a loaded machine does.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a machine is made busy.
const STARVED: Duration = Duration::from_secs(8);
/// How long it may take until the next process serves; on a quiet machine it is less than one second.
const REPLACED: Duration = Duration::from_secs(3);

/// One of these tests takes the machine's processors away from all others.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// What the servers are told.
fn options(settings: &[&str]) -> Options {
    let team =
        ["rate=1000000/s", "burst=1000000", "concurrency=2000"].map(|rule| format!("limits.team.{rule}"));
    let settings = team.iter().map(String::as_str).chain(settings.iter().copied());
    let arguments = settings.flat_map(|setting| ["--set", setting]).map(str::to_owned).collect();
    Options { arguments, ..Options::default() }
}

/// A server with a victim that everybody calls, and a culprit that does harm when it is told to.
async fn server(settings: &[&str]) -> Server {
    let server = Server::start_with(PROGRAM, options(settings));
    deploy_victim(&server).await;
    deploy_culprit(&server).await;
    server
}

async fn deploy_victim(server: &Server) {
    let plenty =
        "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000\nconcurrency = 1_000\ndeadline = \"10s\"";
    server.deploy_with("calm/lake", plenty, "pub fn main(request) { `calm` }").await.unwrap();
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
    let _shared = MACHINE.read().await;
    who_does_harm_is_named_and_set_aside("abort", "SIGABRT").await;
}

#[tokio::test]
async fn who_hangs_in_native_code_is_named_and_set_aside() {
    let _shared = MACHINE.read().await;
    who_does_harm_is_named_and_set_aside("hang", "hung").await;
}

#[tokio::test]
async fn who_waits_in_native_code_for_ever_is_named() {
    let _shared = MACHINE.read().await;
    let server = server(&["node.crashes=1"]).await;
    let replaced = harm(&server, "stuck").await;
    let reason = quarantine(&server).await.expect("it is set aside");
    println!("stuck: replaced after {replaced:.0?}: {reason}");
    assert!(reason.contains("got stuck"), "{reason}");
    assert!(replaced <= Duration::from_secs(2) + REPLACED, "{replaced:?}");
}

#[tokio::test]
async fn a_process_that_ends_by_itself_is_replaced_and_who_ran_is_suspected() {
    let _shared = MACHINE.read().await;
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
    let _shared = MACHINE.read().await;
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
    let _shared = MACHINE.read().await;
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

/// Processes that do nothing but use a processor, until they are dropped.
struct Busy(Vec<std::process::Child>);

impl Busy {
    fn start(count: usize) -> Self {
        let spin = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        Self((0..count).map(|_| spin()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

#[tokio::test]
async fn a_process_that_gets_no_processor_is_not_taken_for_one_that_hangs() {
    let _alone = MACHINE.write().await;
    // It gives way to all others, of which there are many.
    let program = OnDisk::new();
    program.replace_with(&format!("exec nice -n 10 {PROGRAM} \"$@\""));
    let server = program.start(options(&[]));
    deploy_victim(&server).await;
    let (child, device) = (server.child_pid().unwrap(), Device::of(&server.device));
    let busy = Busy::start(4 * std::thread::available_parallelism().unwrap().get());
    let (began, mut slowest) = (Instant::now(), Duration::ZERO);
    while began.elapsed() < STARVED {
        let called = Instant::now();
        // Late, or too late: nobody has promised more.
        let _ = device.try_send("GET", "/calm/lake", &[], Default::default()).await;
        slowest = slowest.max(called.elapsed());
    }
    drop(busy);
    println!("starved: the slowest call took {slowest:.0?}");
    assert_eq!(server.child_pid(), Some(child), "the same process serves");
    assert_eq!(device.get("/calm/lake").await.body, "calm");
}

/// How often the victim is called in a second while a server is upgraded.
const BUSY: u32 = 1_000;

#[tokio::test]
async fn an_upgrade_costs_no_call() {
    let _shared = MACHINE.read().await;
    let program = OnDisk::new();
    let server = program.start(options(&[]));
    deploy_victim(&server).await;
    for n in 0..20 {
        server.deploy(&format!("cold/s{n}"), "pub fn main(request) { `cold` }").await.unwrap();
    }
    let load = Load::start(&server.device, "/calm/lake", "calm", BUSY);
    load.goes_on(500).await;
    for round in 1..=2 {
        let child = server.child_pid().unwrap();
        program.replace_with_the_same();
        let began = Instant::now();
        let said = upgrade(&server).await;
        println!("upgrade {round} took {:.0?}: {}", began.elapsed(), String::from_utf8_lossy(&said.stdout));
        assert!(said.status.success(), "{said:?}");
        assert!(!runs(child), "the old process has ended");
        let is_new = |pid: u32| std::fs::read_link(format!("/proc/{pid}/exe")).unwrap() == program.path();
        assert!(is_new(server.child_pid().unwrap()), "the new program serves");
        // It goes over when it has answered.
        until("the warden is the new program", PATIENCE, async || is_new(server.pid()).then_some(())).await;
        let name = format!("cold/s{round}");
        server.deploy(&name, "pub fn main(request) { `warm` }").await.unwrap();
        assert_eq!(Device::of(&server.device).get(&format!("/{name}")).await.body, "warm");
    }
    assert_eq!(Device::of(&server.device).get("/cold/s19").await.body, "cold");
    let tally = load.end().await;
    println!("the victim: {tally:?}");
    assert_eq!((tally.refused, tally.failed), (0, 0), "{tally:?}");

    // The warden that took over watches its child as the one before did.
    let child = server.child_pid().unwrap();
    signal(child, Signal::KILL);
    assert_eq!(device_after(&server, child).await.get("/calm/lake").await.body, "calm");
}

#[tokio::test]
async fn a_program_that_fails_changes_nothing_and_the_command_says_why() {
    let _shared = MACHINE.read().await;
    let program = OnDisk::new();
    let server = program.start(options(&[]));
    deploy_victim(&server).await;
    let load = Load::start(&server.device, "/calm/lake", "calm", 200);
    let child = server.child_pid().unwrap();
    let ends = |why: &str| format!("echo waits; read begin; echo 'failed {why}'; exit 1");
    for (script, why) in [
        ("exit 7", "does not start: it ended (exit status: 7)"),
        ("echo failed nobody knows me; exit 1", "does not start: nobody knows me"),
        // Until here the old one still had its store; now it has let go of it.
        (&ends("the store is too old"), "does not serve: the store is too old"),
    ] {
        program.replace_with(script);
        let said = upgrade(&server).await;
        let told = String::from_utf8_lossy(&said.stderr).into_owned();
        assert_eq!(said.status.code(), Some(1), "{told}");
        assert!(told.contains(why) && told.contains("goes on as it was"), "{told}");
        assert_eq!(server.child_pid(), Some(child), "the same process serves");
        server.deploy("new/one", "pub fn main(request) { `stored` }").await.unwrap();
        assert_eq!(Device::of(&server.device).get("/new/one").await.body, "stored");
    }
    let tally = load.end().await;
    assert_eq!((tally.refused, tally.failed), (0, 0), "{tally:?}");

    program.replace_with_the_same();
    let said = upgrade(&server).await;
    assert!(said.status.success(), "{said:?}");
    assert_eq!(Device::of(&server.device).get("/new/one").await.body, "stored");
}

#[tokio::test]
async fn a_warden_that_is_process_1_of_a_container_leaves_no_dead_process_behind() {
    let _shared = MACHINE.read().await;
    let container =
        ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"];
    let through = container.map(str::to_owned).to_vec();
    let server = Server::start_with(PROGRAM, Options { through, ..options(&[]) });
    let warden = server.child_pid().unwrap();
    for round in 0..3 {
        // Whoever compiled it stays, and loses its parent.
        server.deploy(&format!("calm/pond{round}"), "pub fn main(request) { `calm` }").await.unwrap();
        let all = children(warden);
        let [child] = all[..] else { panic!("{all:?}") };
        assert_eq!(children(child).len(), 1, "it has a process that compiles");
        signal(child, Signal::KILL);
        until("another serves and nothing else is left", PATIENCE, async || {
            let device = Device::of(&server.device);
            let reply = device.try_send("GET", "/calm/pond0", &[], Default::default()).await;
            let is_served = reply.is_ok_and(|reply| reply.body == "calm");
            let next = children(warden);
            (is_served && next.len() == 1 && next != [child]).then_some(())
        })
        .await;
    }
    signal(warden, Signal::TERM);
    until("it stops", PATIENCE, async || (!runs(warden)).then_some(())).await;
}
