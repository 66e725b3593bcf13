//! Quotas of a fleet: three servers on one store, a real Cassandra. What is set on one holds on all, what a node has
//! of a rate follows the traffic, and all together admit no more than is stated.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::{QuotaChange, QuotaRequest, QuotaRule};
use tests::cassandra::Cassandra;
use tests::device::Device;
use tests::fleet;
use tests::server::Server;
use tests::wait::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
const PATIENCE: Duration = Duration::from_secs(30);
const ENDPOINT: &str = "endpoint:tv/home/main";
const RATE: f64 = 60.0;
const BURST: f64 = 6.0;

async fn rate(server: &Server) -> QuotaRule {
    let state = server.client().quotas(ENDPOINT).await.unwrap();
    state.rules.into_iter().find(|rule| rule.rule == "rate.endpoint").unwrap()
}

/// What a node has of the rate, in calls a second.
fn here(rule: &QuotaRule) -> f64 {
    rule.here.as_ref().unwrap_or(&rule.limit).trim_end_matches("/s").parse().unwrap()
}

/// Calls a server from several connections until it is told to stop; when each call was admitted.
async fn hammer(server: &Server, stop: &Arc<AtomicBool>) -> Vec<tokio::task::JoinHandle<Vec<Instant>>> {
    let device = Device::of(&server.device);
    let one = |_| {
        let (device, stop) = (device.clone(), Arc::clone(stop));
        tokio::spawn(async move {
            let mut admitted = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                let reply = device.get("/tv/home").await;
                match reply.status {
                    200 => admitted.push(Instant::now()),
                    429 => tokio::time::sleep(Duration::from_millis(5)).await,
                    other => panic!("{other}: {}", reply.body),
                }
            }
            admitted
        })
    };
    (0..3).map(one).collect()
}

/// Sends the traffic to these servers for so long; when calls were admitted.
async fn load(servers: &[&Server], time: Duration) -> Vec<Instant> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = Vec::new();
    for server in servers {
        callers.extend(hammer(server, &stop).await);
    }
    tokio::time::sleep(time).await;
    stop.store(true, Ordering::Relaxed);
    let mut admitted = Vec::new();
    for caller in callers {
        admitted.extend(caller.await.unwrap());
    }
    admitted
}

#[tokio::test]
async fn three_servers_share_a_rate_that_was_set_on_one_of_them() {
    let Some(cassandra) = Cassandra::start() else { return };
    let servers = fleet::three(PROGRAM, &cassandra, &[]);
    let wide = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000";
    servers[0].deploy_with("tv/home", wide, "pub fn main(request) { `home` }").await.unwrap();
    let change = |name: &str, limit: String| QuotaChange {
        name: name.to_owned(),
        limit: Some(limit),
        soft_percent: None,
        mode: None,
    };
    let rules = vec![change("rate", format!("{RATE}/s")), change("burst", BURST.to_string())];
    let request = QuotaRequest { rules, reason: "a test".to_owned(), until: None };
    for server in &servers {
        let device = Device::of(&server.device);
        until("it serves the endpoint", PATIENCE, async || {
            (device.get("/tv/home").await.status == 200).then_some(())
        })
        .await;
    }
    servers[1].client().set_quotas(ENDPOINT, "*", &request, false).await.unwrap();
    for server in &servers {
        let holds = async || (rate(server).await.limit == "60/s").then_some(());
        let (_, took) = until("it holds on every node", PATIENCE, holds).await;
        println!("set on one, it holds on {} after {took:?}", server.admin);
    }
    for server in &servers {
        let shared = async || Some(here(&rate(server).await)).filter(|here| *here <= RATE / 2.0);
        until("the nodes know of each other", PATIENCE, shared).await;
    }

    // All traffic on the first, then on the other two.
    let mut admitted = load(&[&servers[0]], Duration::from_secs(12)).await;
    let of_first = here(&rate(&servers[0]).await);
    let before = admitted.len();
    admitted.extend(load(&[&servers[1], &servers[2]], Duration::from_secs(12)).await);
    admitted.sort();
    let last = *admitted.last().unwrap();
    let parts =
        [here(&rate(&servers[0]).await), here(&rate(&servers[1]).await), here(&rate(&servers[2]).await)];
    println!("the first had {of_first}/s of {RATE}/s with all the traffic, then all have {parts:?}");
    assert!(of_first > RATE * 0.6, "its part follows the traffic: {of_first}");
    assert!(parts[0] < RATE * 0.3 && parts[1] > RATE * 0.25, "{parts:?}");

    let mut worst = f64::MIN;
    for (first, begins) in admitted.iter().enumerate() {
        for seconds in [1.0, 2.0, 5.0, 10.0] {
            let within =
                admitted[first..].partition_point(|at| (*at - *begins).as_secs_f64() < seconds) as f64;
            let most = RATE * seconds * 1.5 + 3.0 * (BURST + 1.0);
            assert!(within <= most, "{within} in {seconds} s, and at most {most}");
            worst = worst.max((within - 3.0 * (BURST + 1.0)) / (RATE * seconds) - 1.0);
        }
    }
    let steady = admitted.iter().filter(|at| last - **at < Duration::from_secs(5)).count() as f64 / 5.0;
    println!(
        "{before} and then {} calls admitted; the error at its worst {worst:.3}, steady {steady}/s",
        admitted.len() - before
    );
}

#[tokio::test]
async fn why_a_call_was_refused_is_told_by_whichever_server_is_asked_and_only_to_its_team() {
    let Some(cassandra) = Cassandra::start() else { return };
    let servers = fleet::three(PROGRAM, &cassandra, &[]);
    servers[0].deploy("tv/home", "pub fn main(request) { panic!(\"on purpose\") }").await.unwrap();
    let (reply, _) = until("the third serves it", PATIENCE, async || {
        Some(Device::of(&servers[2].device).get("/tv/home").await).filter(|reply| reply.status == 500)
    })
    .await;
    let id = reply.header("x-request-id");
    let token = |team: &str| api::TokenRequest {
        role: api::Role::Viewer,
        team: Some(team.to_owned()),
        note: String::new(),
        expires: None,
    };
    let (tv, radio) = (
        servers[0].client().create_token(&token("tv")).await.unwrap().secret,
        servers[0].client().create_token(&token("radio")).await.unwrap().secret,
    );
    // The others are known from the first beat on.
    let (found, _) =
        until("the first finds it", PATIENCE, async || servers[0].client_with(&tv).decision(id).await.ok())
            .await;
    assert_eq!((found.rule.as_str(), found.endpoint.as_deref()), ("script.failed", Some("tv/home/main")));
    assert!(found.problem.detail.as_deref().is_some_and(|detail| detail.contains("main.rn:1")), "{found:?}");
    let stranger = servers[0].client_with(&radio).decision(id).await;
    assert!(format!("{stranger:?}").contains("decision.unknown"), "{stranger:?}");
    let nothing = servers[0].client().decision("../../v1/tokens").await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn a_team_that_asks_one_server_after_the_other_has_no_more_deploys_than_it_may() {
    let Some(cassandra) = Cassandra::start() else { return };
    let servers = fleet::three(PROGRAM, &cassandra, &["quota.team.deploys_hour=3"]);
    let hour = async |server: &Server| {
        // A server that heard of no script of the team knows of no quotas of it either.
        let state = server.client().quotas("team:tv").await.ok()?;
        state.rules.into_iter().find(|rule| rule.rule == "team.deploys_hour").map(|rule| rule.used)
    };
    let main = |answer: &str| format!("pub fn main(request) {{ `{answer}` }}");
    servers[0].deploy("tv/home", &main("one")).await.unwrap();
    for server in &servers {
        until("it heard of the script", PATIENCE, async || (hour(server).await == Some(1)).then_some(()))
            .await;
    }
    // One that did not look in between counts both.
    servers[0].deploy("tv/home", &main("two")).await.unwrap();
    servers[0].deploy("tv/home", &main("three")).await.unwrap();
    for server in &servers {
        until("it heard of all three", PATIENCE, async || (hour(server).await == Some(3)).then_some(()))
            .await;
        let refused = server.deploy("tv/last", &main("four")).await;
        assert!(format!("{refused:?}").contains("team.deploys_hour"), "{refused:?}");
        server.deploy("radio/home", &main("others may")).await.unwrap();
    }
}
