//! A switch that is set on a node with ten times as much to do as it can: it is in force there at once, and on the
//! other nodes of the fleet soon. Three servers on one store, a real Cassandra.

use std::time::{Duration, Instant};

use api::SwitchRequest;
use tests::cassandra::Cassandra;
use tests::device::Device;
use tests::fleet;
use tests::load::{Kind, Load};
use tests::server::Server;
use tests::wait::{until, until_else};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
const PATIENCE: Duration = Duration::from_secs(30);
const FLIPS: usize = 10;
/// How soon a switch that was set is in force on the other nodes: the target, which half of them have to meet on a
/// machine that runs all of this at once.
const FOLLOWS: Duration = Duration::from_secs(2);
const LIMITS: &str = "priority = \"background\"\n[endpoint.limits]\nrate = \"1000000/s\"\nburst = 1000000\n\
                      concurrency = 100000\ndeadline = \"3s\"\nfuel = 50_000_000\n";

/// Limits that are in nobody's way.
const SETTINGS: [&str; 10] = [
    "limits.ceiling.rate=1000000/s",
    "limits.ceiling.burst=1000000",
    "limits.ceiling.concurrency=100000",
    "limits.ceiling.deadline=10s",
    "limits.team.rate=1000000/s",
    "limits.team.burst=1000000",
    "limits.team.concurrency=100000",
    "limits.node.concurrency=100000",
    "limits.client.rate=1000000/s",
    "limits.client.burst=1000000",
];

async fn answers(server: &Server, path: &str, status: u16) {
    let device = Device::of(&server.device);
    let look = async || (device.get(path).await.status == status).then_some(());
    until(&format!("{path} is answered with {status}"), PATIENCE, look).await;
}

#[tokio::test]
async fn a_switch_that_is_set_on_an_overloaded_node_is_soon_in_force_on_the_others() {
    let Some(cassandra) = Cassandra::start() else { return };
    let servers = fleet::three(PROGRAM, &cassandra, &SETTINGS);
    let busy = &servers[0];
    let heavy = "pub fn main(request) { let sum = 0; for i in 0..240000 { sum += i; } `${sum}` }";
    busy.deploy_with("tv/heavy", LIMITS, heavy).await.unwrap();
    busy.deploy_with("tv/light", "", "pub fn main(request) { `light` }").await.unwrap();
    for server in &servers {
        answers(server, "/tv/light", 200).await;
    }
    let time = Duration::from_secs(2);
    let can =
        Load::crowd(&busy.device, "/tv/heavy", 8).run_for(time).await.answered() as f64 / time.as_secs_f64();
    let load = Load::at_rates(&busy.device, vec![Kind::of("/tv/heavy", can * 10.0)]);
    answers(busy, "/tv/heavy", 503).await;

    let (mut here, mut elsewhere) = (Vec::new(), Vec::new());
    for _ in 0..FLIPS {
        let off = SwitchRequest::kill("a test");
        let asked = Instant::now();
        busy.client().switch_off("endpoint:tv/light/main", &off, false).await.expect("it is switched off");
        here.push(asked.elapsed());
        for server in &servers[1..] {
            answers(server, "/tv/light", 503).await;
        }
        elsewhere.push(asked.elapsed());
        // To let go needs the store, which may take longer here than a change may wait; the same again is the same.
        let on = async || busy.client().switch_on("endpoint:tv/light/main", None, false).await;
        until_else("it is on again", PATIENCE, on).await;
        for server in &servers[1..] {
            answers(server, "/tv/light", 200).await;
        }
    }
    let calls = load.end().await;
    println!("offered ten times the {can:.0}/s that it can do: {:?}", calls.outcomes());
    here.sort();
    elsewhere.sort();
    println!("in force on the node after p50 {:?}, at most {:?}", here[FLIPS / 2], here[FLIPS - 1]);
    println!("on the others after p50 {:?}, at most {:?}", elsewhere[FLIPS / 2], elsewhere[FLIPS - 1]);
    assert!(calls.success() < 0.6, "it had more to do than it can");
    assert!(elsewhere[FLIPS / 2] < FOLLOWS, "{elsewhere:?}");
}
