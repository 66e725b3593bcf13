//! A fleet: two servers on one store, a real Cassandra. What is done on one holds on the other, and a store that
//! is away takes nothing from what is served.

use std::process::Command;
use std::time::{Duration, Instant};

use api::{ClientError, DeployAnswer, Role, SwitchRequest, TokenMade, TokenRequest};
use tests::cassandra::Cassandra;
use tests::device::Device;
use tests::server::Server;
use tests::wait::{until, until_else};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// How soon the other node has to follow, and how much more a loaded machine may take.
const FOLLOWS: Duration = Duration::from_secs(2);
const MARGIN: Duration = Duration::from_secs(3);
/// How soon nodes know of each other.
const BEATS: Duration = Duration::from_secs(6);
/// How soon a deploy has to fail while the store is away.
const FAILS: Duration = Duration::from_secs(5);
/// How soon a deploy has to be taken again after the store is back.
const BACK: Duration = Duration::from_secs(30);

/// These tests count no calls.
const MANIFEST: &str = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000";

/// Two servers and the store that they share.
struct Fleet {
    cassandra: Cassandra,
    store: String,
    one: Server,
    two: Server,
}

impl Fleet {
    /// Nothing where there can be no Cassandra.
    fn start() -> Option<Self> {
        let cassandra = Cassandra::start()?;
        let store = format!("cql://{}/{}", cassandra.address(), cassandra.fresh_keyspace());
        let key = ("CALLBOARD_SIGNING_KEY".to_owned(), "5a".repeat(32));
        // Machines that test are slow at times to make tables.
        let migrate = ["store", "migrate", "--store", &store, "--set", "store.timeout=20s"];
        let migrated = Command::new(PROGRAM).args(migrate).env(&key.0, &key.1).output().unwrap();
        let said = String::from_utf8_lossy(&migrated.stderr);
        assert!(migrated.status.success(), "{}: {said}", migrated.status);
        let (one, two) = (server(&store, "one", &key.1), server(&store, "two", &key.1));
        Some(Self { cassandra, store, one, two })
    }

    fn both(&self) -> [(&'static str, &Server); 2] {
        [("one", &self.one), ("two", &self.two)]
    }
}

fn server(store: &str, name: &str, key: &str) -> Server {
    let settings = ["limits.team.rate=1000000/s", "limits.team.burst=1000000"];
    tests::fleet::member(PROGRAM, store, key, name, &settings)
}

/// Waits until a server says that so many others have another key than its own.
async fn has_another_key(server: &Server, others: usize) {
    let look = async || {
        let health = server.client().ready().await.ok()?;
        assert!(health.ready, "it serves all the same");
        let check = health.checks.into_iter().find(|check| check.name == "one key" && !check.ok)?;
        check.detail?.starts_with(&format!("{others} of the other nodes")).then_some(())
    };
    until("it is told that the keys differ", BEATS + MARGIN, look).await;
}

/// A server whose address leads to another one, as the presets do on two hosts: it is not taken for the one that
/// answers there.
async fn nobody_answers_for_another(fleet: &Fleet) {
    let Fleet { store, one, two, .. } = fleet;
    let url = format!("node.admin_url={}", one.admin);
    let lost = tests::fleet::member(PROGRAM, store, &"5a".repeat(32), "lost", &[&url]);
    let fails = async |server: &Server| {
        let checks = server.client().ready().await.ok()?.checks;
        checks.iter().any(|check| check.name == "own address" && !check.ok).then_some(())
    };
    for server in [one, &lost] {
        until("it is told that two are at one address", BEATS + MARGIN, async || fails(server).await).await;
    }
    assert_eq!(fails(two).await, None, "who has an address of its own is not blamed");
    for server in [one, two] {
        let answer = server.client().convergence("tv", "home", "main").await.unwrap();
        let node = answer.nodes.iter().find(|node| node.node == "lost").unwrap();
        let why = node.why.clone().unwrap_or_default();
        assert!(!answer.converged && why.contains("another node answers"), "{node:?}");
    }
}

/// Waits until a call of `/tv/home` is answered so; how long that took.
async fn answers(server: &Server, wanted: &str, limit: Duration) -> Duration {
    let device = Device::of(&server.device);
    let what = format!("{} answers {wanted}", server.device);
    let look = async || {
        let reply = device.get("/tv/home").await;
        let said = if reply.status == 200 { reply.body.clone() } else { reply.code() };
        // What was there before is answered until then, and nothing else.
        assert!(matches!(reply.status, 200 | 404 | 503), "{reply:?}");
        (said == wanted).then_some(())
    };
    until(&what, limit, look).await.1
}

async fn deploy(server: &Server, text: &str) -> Result<DeployAnswer, ClientError> {
    server.deploy_with("tv/home", MANIFEST, &format!("pub fn main(request) {{ `{text}` }}")).await
}

fn off() -> SwitchRequest {
    SwitchRequest::kill("a test")
}

async fn all_fine(server: &Server, body: &str, calls: usize) {
    let device = Device::of(&server.device);
    for _ in 0..calls {
        let reply = device.get("/tv/home").await;
        assert_eq!((reply.status, &*reply.body), (200, body));
    }
}

#[tokio::test]
async fn what_is_done_on_one_node_holds_on_the_other_and_a_store_that_is_away_takes_nothing() {
    let Some(fleet) = Fleet::start() else { return };
    follows(&fleet).await;
    let stranger = server(&fleet.store, "stranger", &"a5".repeat(32));
    has_another_key(&fleet.one, 1).await;
    has_another_key(&stranger, 2).await;
    drop(stranger);
    nobody_answers_for_another(&fleet).await;
    let served = "from two";
    let tokens = [made_on(&fleet.one).await, made_on(&fleet.one).await];
    let [kept, revoked] = &tokens;
    // Whatever became of the hint: who is not known is looked for in the store before they are refused.
    fleet.two.client_with(&revoked.secret).whoami().await.expect("it is known on the other node at once");
    // A store that has only just started may take longer than a change may wait; the same again is the same.
    let revoke = async || fleet.one.client().revoke_token(&revoked.token.id).await;
    until_else("the token is revoked", BACK, revoke).await;
    // Nobody shows either of them meanwhile: nodes learn of tokens without being asked.
    tokio::time::sleep(FOLLOWS + MARGIN).await;
    fleet.cassandra.kill();
    for (name, server) in fleet.both() {
        let who = server.client_with(&kept.secret).whoami().await;
        assert_eq!(who.expect(name).role, Role::Operator);
        match server.client_with(&revoked.secret).whoami().await {
            Err(ClientError::Problem(problem)) => assert_eq!(problem.code, "auth.invalid", "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    while_away(&fleet, served).await;
    fleet.cassandra.restart();
    after_it_is_back(&fleet).await;
}

async fn made_on(server: &Server) -> TokenMade {
    let wanted = TokenRequest { role: Role::Operator, team: None, note: "a test".to_owned(), expires: None };
    server.client().create_token(&wanted).await.unwrap()
}

async fn follows(fleet: &Fleet) {
    let Fleet { one, two, .. } = fleet;
    for (from, to, text) in [(one, two, "from one"), (two, one, "from two")] {
        deploy(from, text).await.unwrap();
        answers(from, text, Duration::ZERO).await;
        println!("a deploy is served by the other after {:?}", answers(to, text, FOLLOWS + MARGIN).await);
    }
    for (from, to, scope) in [(one, two, "script:tv/home"), (two, one, "all")] {
        from.client().switch_off(scope, &off(), false).await.unwrap();
        answers(from, "switch.off", Duration::ZERO).await;
        let took = answers(to, "switch.off", FOLLOWS + MARGIN).await;
        println!("{scope} is off on the other after {took:?}");
        // Whoever sees the switch may turn it on again.
        to.client().switch_on(scope, None, false).await.unwrap();
        answers(to, "from two", Duration::ZERO).await;
        println!("and on again after {:?}", answers(from, "from two", FOLLOWS + MARGIN).await);
    }
}

async fn while_away(fleet: &Fleet, served: &str) {
    for (name, server) in fleet.both() {
        all_fine(server, served, 100).await;
        let began = Instant::now();
        let refused = deploy(server, "never").await;
        let took = began.elapsed();
        match refused {
            Err(ClientError::Problem(problem)) => {
                println!("{name}: a deploy fails after {took:?}: {problem}");
                assert!(matches!(&*problem.code, "store.unavailable" | "store.unknown"), "{problem:?}");
                assert_eq!(problem.status, 503);
                assert!(problem.retry_after_ms.is_some(), "{problem:?}");
            }
            other => panic!("{other:?}"),
        }
        assert!(took <= FAILS, "{name}: failed after {took:?}");

        // The operator's brake needs no store.
        for scope in ["script:tv/home", "all"] {
            let began = Instant::now();
            server.client().switch_off(scope, &off(), false).await.unwrap();
            println!("{name}: {scope} is off after {:?}", began.elapsed());
            answers(server, "switch.off", Duration::ZERO).await;
            server.client().switch_on(scope, None, false).await.unwrap();
            answers(server, served, Duration::ZERO).await;
        }
        let ready = server.client().ready().await.unwrap();
        assert!(ready.ready, "{ready:?}");
        all_fine(server, served, 100).await;
    }
    // One stays off, and the other node is to hear of it when the store is back.
    fleet.one.client().switch_off("team:tv", &off(), false).await.unwrap();
    answers(&fleet.one, "switch.off", Duration::ZERO).await;
    all_fine(&fleet.two, served, 1).await;
}

async fn after_it_is_back(fleet: &Fleet) {
    let Fleet { one, two, .. } = fleet;
    println!("the switch reached the other after {:?}", answers(two, "switch.off", BACK).await);
    let (_, took) = until("the switch is turned on", BACK, async || {
        one.client().switch_on("team:tv", None, false).await.ok()
    })
    .await;
    println!("it is on again after {took:?}");
    let (deployed, took) =
        until("a deploy is taken again", BACK, async || match deploy(two, "back again").await {
            Ok(deployed) => Some(deployed),
            Err(ClientError::Problem(problem)) if problem.code.starts_with("store.") => None,
            Err(error) => panic!("{error:?}"),
        })
        .await;
    println!("revision {} is deployed after {took:?}", deployed.revision.number);
    for (name, server) in fleet.both() {
        println!("{name} serves it after {:?}", answers(server, "back again", FOLLOWS + MARGIN).await);
    }
    // What failed while the store was away left nothing behind.
    let history = one.client().revisions("tv", "home", &Default::default()).await.unwrap().items;
    let active: Vec<u64> = history.iter().filter(|revision| revision.active).map(|r| r.number).collect();
    assert_eq!(active, [deployed.revision.number]);
    assert_eq!(history.len() as u64, deployed.revision.number, "{history:?}");
}
