//! A fleet of three servers on one real Cassandra, at scale: deploys from everywhere at once, how soon they are
//! everywhere, and the start of a build that finds no bytecode.

mod fleet_scale {
    pub mod seed;
}

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::client::{List, Upload};
use api::{ClientError, DeployAnswer, SwitchRequest};
use fleet_scale::seed::seed;
use futures_util::future::join_all;
use tests::cassandra::Cassandra;
use tests::device::Device;
use tests::server::{Options, Server, bundle};
use tests::wait::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
const KEY: (&str, &str) =
    ("CALLBOARD_SIGNING_KEY", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a");
/// How long anything may take that a loaded machine does.
const PATIENCE: Duration = Duration::from_secs(180);
const LIMITS: &str = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000";

fn migrated(cassandra: &Cassandra) -> String {
    let store = format!("cql://{}/{}", cassandra.address(), cassandra.fresh_keyspace());
    let migrate = ["store", "migrate", "--store", &store, "--set", "store.timeout=20s"];
    let migrated = Command::new(PROGRAM).args(migrate).env(KEY.0, KEY.1).output().unwrap();
    assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    store
}

fn server(store: &str, name: &str, settings: &[&str]) -> Server {
    let name = format!("node.name={name}");
    let mut arguments = vec!["--store".to_owned(), store.to_owned()];
    let all = ["limits.team.rate=1000000/s", "limits.team.burst=1000000", "store.timeout=10s"];
    for setting in [&*name].into_iter().chain(all).chain(settings.iter().copied()) {
        arguments.extend(["--set", setting].map(str::to_owned));
    }
    let environment = vec![(KEY.0.to_owned(), KEY.1.to_owned())];
    Server::start_with(PROGRAM, Options { arguments, environment, ..Options::default() })
}

/// Starts three at once.
fn three(store: &str, settings: &'static [&'static str]) -> Vec<Server> {
    let start = |name: &'static str| {
        let store = store.to_owned();
        std::thread::spawn(move || server(&store, name, settings))
    };
    ["one", "two", "three"].map(start).into_iter().map(|started| started.join().unwrap()).collect()
}

/// A counter or gauge of a server's metrics.
async fn metric(server: &Server, name: &str) -> f64 {
    let metrics = server.client().metrics().await.unwrap();
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
}

async fn all_know_each_other(servers: &[Server]) {
    for server in servers {
        until("the nodes know each other", PATIENCE, async || {
            (metric(server, "callboard_nodes").await == 3.0).then_some(())
        })
        .await;
    }
}

async fn deploy(
    server: &Server,
    id: &str,
    said: &str,
    wait: api::client::Wait,
) -> Result<DeployAnswer, ClientError> {
    let (team, script) = id.split_once('/').unwrap();
    let archive = bundle(id, LIMITS, &format!("pub fn main(request) {{ `{said}` }}")).to_archive();
    let upload =
        Upload { message: said.to_owned(), wait, timeout: Some("20s".to_owned()), ..Upload::default() };
    server.client().upload(team, script, archive.into(), &upload).await
}

fn percentiles(took: &mut [Duration]) -> (Duration, Duration) {
    took.sort();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

/// Deploys through one node and measures when the two others answer it.
async fn propagation(servers: &[Server], id: &str, deploys: usize) -> (Duration, Duration) {
    let devices: Vec<Device> = servers.iter().map(|server| Device::of(&server.device)).collect();
    let mut took = Vec::new();
    for number in 0..deploys {
        let from = number % 3;
        let said = format!("{id} {number}");
        deploy(&servers[from], id, &said, api::client::Wait::Node).await.unwrap();
        let began = Instant::now();
        let others = devices.iter().enumerate().filter(|(at, _)| *at != from).map(|(_, device)| {
            let said = &said;
            async move {
                until("the other node serves it", PATIENCE, async || {
                    (device.get(&format!("/{id}")).await.body == *said).then_some(())
                })
                .await;
                began.elapsed()
            }
        });
        took.extend(join_all(others).await);
    }
    percentiles(&mut took)
}

/// Flips a switch on one node and measures when the two others refuse; then releases it.
async fn switched(servers: &[Server], id: &str, flips: usize) -> (Duration, Duration) {
    let (scope, path) = (format!("script:{id}"), format!("/{id}"));
    let devices: Vec<Device> = servers.iter().map(|server| Device::of(&server.device)).collect();
    let all = async |status: u16| {
        let each = devices.iter().map(|device| async {
            until("a node follows", PATIENCE, async || {
                (device.get(&path).await.status == status).then_some(Instant::now())
            })
            .await
            .0
        });
        join_all(each).await
    };
    let mut took = Vec::new();
    for number in 0..flips {
        let from = number % 3;
        let client = servers[from].client();
        client.switch_off(&scope, &SwitchRequest::kill("a test"), false).await.unwrap();
        let acknowledged = Instant::now();
        let refused = all(503).await.into_iter().enumerate().filter(|(at, _)| *at != from);
        took.extend(refused.map(|(_, at)| at.saturating_duration_since(acknowledged)));
        client.switch_on(&scope, None, false).await.unwrap();
        all(200).await;
    }
    percentiles(&mut took)
}

#[tokio::test]
async fn deploys_from_everywhere_at_once_lose_nothing_and_are_everywhere_soon() {
    const DEPLOYS: usize = 1_000;
    const SCRIPTS: usize = 50;
    let Some(cassandra) = Cassandra::shared() else { return };
    let store = migrated(cassandra);
    let servers = Arc::new(three(&store, &[]));
    all_know_each_other(&servers).await;

    // Three clients, each at a node of its own, on the same scripts.
    let clients = (0..3).map(|client| {
        let servers = Arc::clone(&servers);
        tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for number in (client..DEPLOYS).step_by(3) {
                let (id, said) = (format!("tv/s{}", number / 3 % SCRIPTS), format!("deploy {number}"));
                loop {
                    match deploy(&servers[client], &id, &said, api::client::Wait::Node).await {
                        Ok(answer) => {
                            acknowledged.push((id, answer.revision.number, said));
                            break;
                        }
                        // Another won again and again; nothing of this one is stored.
                        Err(ClientError::Problem(problem)) if problem.code == "deploy.conflict" => {}
                        Err(error) => panic!("{id} {said}: {error}"),
                    }
                }
            }
            acknowledged
        })
    });
    let began = Instant::now();
    let acknowledged: Vec<_> = join_all(clients).await.into_iter().flat_map(Result::unwrap).collect();
    println!("{DEPLOYS} deploys from 3 clients on {SCRIPTS} scripts in {:?}", began.elapsed());

    let mut wanted: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    for (id, number, said) in acknowledged {
        let lost = wanted.entry(id.clone()).or_default().insert(number, said.clone());
        assert_eq!(lost, None, "{id}@{number} was acknowledged twice");
    }
    assert_eq!(wanted.len(), SCRIPTS);
    for (id, wanted) in &wanted {
        let (team, script) = id.split_once('/').unwrap();
        let list = List { limit: Some(100), ..List::default() };
        let history = servers[0].client().revisions(team, script, &list).await.unwrap().items;
        let found: BTreeMap<u64, String> =
            history.into_iter().map(|revision| (revision.number, revision.message)).collect();
        assert_eq!(found, *wanted, "{id}");
        for server in servers.iter() {
            until("all nodes converge", PATIENCE, async || {
                let found = server.client().convergence(team, script, "main").await.unwrap();
                assert_eq!(found.nodes.len(), 3, "{found:?}");
                found.converged.then_some(())
            })
            .await;
            let newest = wanted.last_key_value().unwrap().1;
            assert_eq!(Device::of(&server.device).get(&format!("/{id}")).await.body, *newest);
        }
    }

    let (p50, p99) = propagation(&servers, "tv/hinted", 50).await;
    println!("with hints a deploy is on the other nodes after p50 {p50:?}, p99 {p99:?}");
    assert!(p50 <= Duration::from_millis(500), "{p50:?}");
    let answer = deploy(&servers[1], "tv/waited", "waited", api::client::Wait::All).await.unwrap();
    assert!(answer.converged);
    for server in servers.iter() {
        assert_eq!(Device::of(&server.device).get("/tv/waited").await.body, "waited");
    }
    let (p50, p99) = switched(&servers, "tv/waited", 15).await;
    println!("a switch is in force on the other nodes after p50 {p50:?}, p99 {p99:?}");
    // The target is two seconds.
    assert!(p99 <= Duration::from_secs(10), "{p99:?}");
}

#[tokio::test]
async fn the_poll_alone_is_enough_and_a_node_that_cannot_be_asked_is_named() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let store = migrated(cassandra);
    // Nobody listens there.
    let servers = three(&store, &["node.admin_url=http://127.0.0.1:9"]);
    all_know_each_other(&servers).await;
    let (p50, p99) = propagation(&servers, "tv/polled", 30).await;
    println!("by the poll alone a deploy is on the other nodes after p50 {p50:?}, p99 {p99:?}");
    assert!(p99 <= Duration::from_secs(5), "{p99:?}");
    let answer = deploy(&servers[0], "tv/polled", "x", api::client::Wait::Node).await.unwrap();
    assert!(answer.converged, "on the node that answers");
    let found = servers[0].client().convergence("tv", "polled", "main").await.unwrap();
    let states: Vec<_> = found.nodes.iter().map(|node| (&*node.node, node.state.as_str())).collect();
    assert_eq!(states[0], ("one", "converged"));
    assert_eq!(states[1..].iter().filter(|(_, state)| *state == "unreachable").count(), 2, "{found:?}");
    assert!(!found.converged && found.nodes[1].why.is_some());
}

#[tokio::test]
async fn of_a_new_build_each_unit_is_compiled_once_and_the_next_start_only_loads() {
    const SCRIPTS: usize = 1_000;
    let Some(cassandra) = Cassandra::shared() else { return };
    let store = migrated(cassandra);
    // One of them does not compile on this build; the others are no worse for it.
    seed(&store, SCRIPTS).await;

    let ready = async |servers: &[Server]| {
        for server in servers {
            until("it is ready", PATIENCE * 2, async || {
                server.client().ready().await.is_ok_and(|health| health.ready).then_some(())
            })
            .await;
        }
    };
    let began = Instant::now();
    let mut servers = three(&store, &["compiler.at_once=1"]);
    ready(&servers).await;
    let compiling = began.elapsed();
    let mut compiled = Vec::new();
    for server in &servers {
        compiled.push(metric(server, "callboard_events_total{event=\"unit_recompiled\"}").await);
    }
    println!(
        "{SCRIPTS} scripts without bytecode: three nodes are ready after {compiling:?}, compiled {compiled:?}"
    );
    assert_eq!(compiled.iter().sum::<f64>(), (SCRIPTS - 1) as f64, "each once: {compiled:?}");
    assert!(compiled.iter().all(|compiled| *compiled >= 50.0), "all took their part: {compiled:?}");
    for server in &servers {
        assert_eq!(metric(server, "callboard_unserved").await, 1.0);
        let device = Device::of(&server.device);
        assert_eq!(device.get("/seed/s7").await.body, "script 7");
        let broken = device.get("/seed/s0").await;
        assert_eq!((broken.status, broken.code().is_empty()), (503, false), "{broken:?}");
    }
    servers.iter_mut().for_each(Server::kill);
    drop(servers);

    let began = Instant::now();
    let servers = three(&store, &["compiler.at_once=1"]);
    ready(&servers).await;
    let loading = began.elapsed();
    println!(
        "with all of it stored they are ready after {loading:?}, {:.1} times sooner",
        compiling.div_duration_f64(loading)
    );
    for server in &servers {
        assert_eq!(metric(server, "callboard_events_total{event=\"unit_recompiled\"}").await, 0.0);
    }
    assert!(loading * 2 < compiling, "{loading:?} against {compiling:?}");
}

#[tokio::test]
async fn a_store_is_warmed_before_a_roll_out_by_a_program_that_serves_nothing() {
    const SCRIPTS: usize = 20;
    let Some(cassandra) = Cassandra::shared() else { return };
    let store = migrated(cassandra);
    seed(&store, SCRIPTS).await;
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let warm = async |more: &[&str]| {
        let mut command = tokio::process::Command::new(PROGRAM);
        command.args(["serve", "--warm-only", "--json", "--store", &store, "--data"]).arg(&data).args(more);
        let output = command.env(KEY.0, KEY.1).output().await.unwrap();
        // The first line is the result; a failure follows it.
        let said = String::from_utf8(output.stdout).unwrap();
        let said: serde_json::Value = serde_json::from_str(said.lines().next().unwrap_or_default()).unwrap();
        (output.status.code(), said)
    };
    let (ended, said) = warm(&[]).await;
    assert_eq!(
        (ended, &said["compiled"], &said["ready"]),
        (Some(0), &(SCRIPTS - 1).into(), &true.into()),
        "{said}"
    );
    let failed = said["failed"].as_array().unwrap();
    assert_eq!((failed.len(), failed[0]["script"].as_str()), (1, Some("seed/s0")), "{said}");
    // The delivery pipeline is stopped when more are broken than may be.
    let (ended, said) = warm(&["--set", "node.broken_percent=0"]).await;
    assert_eq!((ended, &said["compiled"]), (Some(1), &0.into()), "{said}");
    let server = server(&store, "after", &[]);
    until("it is ready", PATIENCE, async || {
        server.client().ready().await.is_ok_and(|health| health.ready).then_some(())
    })
    .await;
    assert_eq!(metric(&server, "callboard_events_total{event=\"unit_recompiled\"}").await, 0.0);
    assert_eq!(server.client().nodes().await.unwrap().items.len(), 1, "the warmer was no node");
    assert_eq!(Device::of(&server.device).get("/seed/s7").await.body, "script 7");
}
