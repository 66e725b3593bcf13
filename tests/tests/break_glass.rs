//! Breaking the glass: switches are set and released while devices keep every thread busy, and while the store is
//! down, too. What is not yet in the fleet says so.

mod switch {
    pub mod hammer;
}

use std::process::Command;
use std::time::{Duration, Instant};

use api::{ShedLevel, Spread, SwitchKind, SwitchRequest};
use switch::hammer::Hammer;
use tests::cassandra::Cassandra;
use tests::device::Device;
use tests::server::{Options, Server};
use tests::wait::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// Connections that call without a pause.
const CONNECTIONS: usize = 72;
/// How long a flip may take on a machine that tests and serves and hammers at the same time.
const FLIPS: Duration = Duration::from_secs(5);
const BACK: Duration = Duration::from_secs(60);
const PATH: &str = "/tv/busy";

const MANIFEST: &str =
    "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000\nconcurrency = 1000\ndeadline = \"10s\"\n";
/// Works for a while, so that the threads are never idle.
const BUSY: &str = "pub fn main(request) { let n = 0; while n < 2000 { n += 1; } `done` }";

fn start(more: Vec<String>, environment: Vec<(String, String)>) -> Server {
    let mut arguments = more;
    for setting in ["limits.team.rate=1000000/s", "limits.team.burst=1000000", "limits.team.concurrency=2000"]
    {
        arguments.extend(["--set", setting].map(str::to_owned));
    }
    Server::start_with(PROGRAM, Options { arguments, environment, ..Options::default() })
}

/// Sets and releases a switch of every kind under load, and tells how far each was.
async fn flips_under_load(server: &Server, spread: Spread) {
    let hammer = Hammer::start(&server.device, &[(PATH, CONNECTIONS)]);
    until("the hammer falls", BACK, async || (hammer.answered() >= 3).then_some(())).await;
    let client = server.client();
    let slowest = async |scope: &str, request: SwitchRequest| {
        let began = Instant::now();
        let answer = client.switch_off(scope, &request, false).await.unwrap();
        let set = began.elapsed();
        assert_eq!(answer.switch.unwrap().spread, Some(spread), "{scope} {:?}", request.kind);
        let listed = client.switches().await.unwrap().items;
        assert_eq!(listed[0].spread, Some(spread), "{listed:?}");
        // Long enough for every connection to meet it: one call of each may have been let in before.
        let met = hammer.answered() + 2;
        until("the hammer meets it", BACK, async || (hammer.answered() >= met).then_some(())).await;
        let began = Instant::now();
        client.release_switch(scope, request.kind.unwrap(), Some("enough"), false).await.unwrap();
        println!("{scope} {:?}: set after {set:?}, released after {:?}", request.kind, began.elapsed());
        set.max(began.elapsed())
    };
    for kind in SwitchKind::ALL {
        let request = SwitchRequest::of(*kind, "a test");
        let request = match kind {
            SwitchKind::Shed => SwitchRequest { level: Some(ShedLevel::Prefetch), ..request },
            // A script that never waits overlaps only with one on the other thread.
            SwitchKind::Cap => SwitchRequest { limit: Some(1), ..request },
            _ => request,
        };
        let took = slowest("team:tv", request).await;
        assert!(took <= FLIPS, "{kind}: {took:?}");
    }
    let calls = hammer.stop().await;
    for call in &calls {
        let is_refused = !call.code.is_empty();
        assert_eq!((call.path, call.status == 503), (PATH, is_refused), "{call:?}");
    }
    let longest = calls.iter().map(|call| call.answered - call.sent).max();
    println!("{} calls, the longest took {longest:?}", calls.len());
    let count = |wanted: &str| calls.iter().filter(|call| call.code == wanted).count();
    for code in ["switch.off", "switch.fallback", "switch.last_good", "switch.capped", ""] {
        println!("{} calls with the code `{code}`", count(code));
        assert!(count(code) > 0, "no call met `{code}`");
    }
}

#[tokio::test]
async fn a_switch_is_set_while_every_thread_is_busy() {
    let server = start(Vec::new(), Vec::new());
    server.deploy_with("tv/busy", MANIFEST, BUSY).await.unwrap();
    flips_under_load(&server, Spread::Fleet).await;
    assert_eq!(Device::of(&server.device).get(PATH).await.body, "done");
}

#[tokio::test]
async fn a_switch_is_set_while_the_store_is_down_and_says_that_it_holds_on_this_node_alone() {
    let Some(cassandra) = Cassandra::start() else { return };
    let store = format!("cql://{}/{}", cassandra.address(), cassandra.fresh_keyspace());
    let key = ("CALLBOARD_SIGNING_KEY".to_owned(), "5a".repeat(32));
    let migrate = ["store", "migrate", "--store", &store, "--set", "store.timeout=20s"];
    let migrated = Command::new(PROGRAM).args(migrate).env(&key.0, &key.1).output().unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    let server = start(vec!["--store".to_owned(), store], vec![key]);
    server.deploy_with("tv/busy", MANIFEST, BUSY).await.unwrap();
    cassandra.kill();
    flips_under_load(&server, Spread::Node).await;
    let freeze = SwitchRequest::of(SwitchKind::Freeze, "a test");
    let answer = server.client().switch_off("team:tv", &freeze, false).await.unwrap();
    assert_eq!(answer.switch.unwrap().spread, Some(Spread::Node));
    cassandra.restart();
    let ((), took) = until("the switch is in the store", BACK, async || {
        let listed = server.client().switches().await.unwrap().items;
        (listed.len() == 1 && listed[0].spread == Some(Spread::Fleet)).then_some(())
    })
    .await;
    println!("in the store {took:?} after that was back");
}
