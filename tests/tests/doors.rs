//! The doors against clients that speak slowly, ambiguously or with evil intent, over sockets of their own.

mod doors {
    pub mod colliding;
    pub mod slow;
    pub mod smuggled;
    pub mod wire;
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use doors::slow::{self, Ending};
use doors::wire::{Wire, address_of, answers};
use doors::{colliding, smuggled};
use tests::device::Device;
use tests::server::{Options, Server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// What a loaded machine may add to the time at which a bound is seen to.
const MARGIN: Duration = Duration::from_secs(4);

fn start(settings: &[&str]) -> Server {
    let arguments = settings.iter().flat_map(|setting| ["--set".to_owned(), (*setting).to_owned()]).collect();
    Server::start_with(PROGRAM, Options { arguments, ..Options::default() })
}

/// Calls the neighbour, on the connection that it keeps and on a new one in turn; says how long each took.
async fn call(server: &Server, until: impl Fn(usize) -> bool) -> Vec<Duration> {
    let kept = Device::of(&server.device);
    let mut took = Vec::new();
    while !until(took.len()) {
        let device = if took.len().is_multiple_of(2) { kept.clone() } else { Device::of(&server.device) };
        let began = Instant::now();
        let reply = device.get("/good/hello").await;
        took.push(began.elapsed());
        if reply.status != 200 {
            let problem: serde_json::Value = serde_json::from_str(&reply.body).expect("a problem");
            let why = server.client().decision(problem["decision"].as_str().unwrap_or_default()).await;
            panic!("call {} was answered {}: {why:#?}", took.len(), reply.body);
        }
        assert_eq!(reply.body, "Hello", "call {}", took.len());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    took
}

fn p99(took: &mut [Duration]) -> Duration {
    took.sort();
    took[took.len() * 99 / 100]
}

#[tokio::test]
async fn slow_connections_cost_their_neighbours_nothing_and_are_closed_in_time() {
    let server = start(&[
        "timeouts.head=2s",
        "timeouts.idle=4s",
        "timeouts.body=3s",
        "timeouts.connections_per_address=10000",
        // So that the slow are let in and closed for being slow, not for being many.
        "limits.team.concurrency=2000",
        "limits.ceiling.concurrency=2000",
        "limits.team.rate=50000/s",
        "limits.team.burst=50000",
        "limits.rate=50000/s",
        "limits.burst=5000",
    ]);
    let child = server.child_pid();
    // The bodies hold a thousand places, and those who ask a whole question first come beside them.
    let many = "[endpoint.limits]\nconcurrency = 2_000\n";
    server.deploy("good/hello", "pub fn main(request) { `Hello` }").await.expect("the neighbour is deployed");
    server.deploy_with("slow/taker", many, slow::TAKER).await.expect("the taker is deployed");
    server
        .deploy_with("big/answer", slow::LARGE_LIMITS, slow::LARGE)
        .await
        .expect("the large one is deployed");
    let whole = Device::of(&server.device).get("/big/answer").await;
    assert_eq!((whole.status, whole.body.len()), (200, slow::LARGE_BYTES));

    let calm = p99(&mut call(&server, |calls| calls == 300).await);

    // The slow live on a thread of their own, so that it is the server that is measured and not the test.
    let is_over = Arc::new(AtomicBool::new(false));
    let address = address_of(&server.device);
    let crowd = std::thread::spawn({
        let is_over = Arc::clone(&is_over);
        move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let endings = runtime.block_on(slow::crowd(address));
            is_over.store(true, Ordering::Relaxed);
            endings
        }
    });
    let operator = async {
        let (client, mut asked) = (server.client(), 0);
        while !is_over.load(Ordering::Relaxed) {
            let began = Instant::now();
            client.live().await.expect("the admin door lives");
            client.whoami().await.expect("the admin door answers");
            assert!(began.elapsed() < MARGIN, "the admin door took {:?}", began.elapsed());
            asked += 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        asked
    };
    let (mut took, asked) = tokio::join!(call(&server, |_| is_over.load(Ordering::Relaxed)), operator);
    let endings = crowd.join().expect("the crowd ended");

    println!("calm p99 {calm:?}, among the slow {:?} of {} calls", p99(&mut took), took.len());
    assert!(asked >= 20, "the admin door was asked {asked} times");
    assert!(took.len() >= 100, "the neighbour was called {} times", took.len());
    assert!(p99(&mut took) <= 10 * calm + Duration::from_millis(50), "{:?} against {calm:?}", p99(&mut took));
    let wrong: Vec<String> = endings.iter().filter_map(Ending::fault).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        endings.len(),
        wrong[..wrong.len().min(20)].join("\n")
    );
    for (kind, count) in slow::CROWD {
        let lives = endings.iter().filter(|ending| ending.kind == kind).map(|ending| ending.lived);
        println!("{kind:?}: {:?} to {:?}", lives.clone().min(), lives.clone().max());
        assert_eq!(lives.count(), count, "{kind:?}");
    }
    assert_eq!(Device::of(&server.device).post("/slow/taker", "12345").await.body, "5", "the taker goes on");
    assert_eq!(server.child_pid(), child, "the serving process was never replaced");
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_another_address_has_its_own() {
    const PLACES: usize = 20;
    let server = start(&["timeouts.connections_per_address=20"]);
    server.deploy("good/hello", "pub fn main(request) { `Hello` }").await.expect("it is deployed");
    let address = address_of(&server.device);
    let hello = b"GET /good/hello HTTP/1.1\r\nHost: x\r\n\r\n";

    let mut held = Vec::new();
    for _ in 0..PLACES {
        let mut wire = Wire::connect(address).await;
        wire.send(hello).await.expect("it is let in");
        assert_eq!(wire.one_answer().await.expect("it is answered").status, 200);
        held.push(wire);
    }
    for place in 0..PLACES {
        let began = Instant::now();
        let mut wire = Wire::connect(address).await;
        // It may be closed before anything can be said.
        let _ = wire.send(hello).await;
        let heard = wire.until_closed(MARGIN).await.expect("one too many is closed");
        assert!(heard.is_empty(), "{place}: {}", String::from_utf8_lossy(&heard));
        assert!(began.elapsed() < Duration::from_secs(1), "{place} was closed after {:?}", began.elapsed());
    }
    let other = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0);
    let mut stranger = Wire::connect_from(other, address).await;
    stranger.send(hello).await.expect("another address is let in");
    assert_eq!(stranger.one_answer().await.expect("it is answered").status, 200);
    server.client().whoami().await.expect("the admin door answers");

    for wire in &mut held {
        wire.send(hello).await.expect("who was there first stays");
        assert_eq!(wire.one_answer().await.expect("it is answered").status, 200);
    }
    drop(held.pop());
    let until = Instant::now() + MARGIN;
    loop {
        let mut wire = Wire::connect(address).await;
        let _ = wire.send(hello).await;
        if wire.one_answer().await.is_some_and(|answer| answer.status == 200) {
            break;
        }
        assert!(Instant::now() < until, "a place that was given back is taken again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn no_request_hides_in_another() {
    let server = start(&["timeouts.head=2s", "timeouts.idle=2s", "timeouts.body=2s"]);
    server.deploy("good/hello", "pub fn main(request) { `Hello` }").await.expect("it is deployed");
    server.deploy("good/echo", "pub fn main(request) { request.text()? }").await.expect("it is deployed");
    let hidden = format!("pub fn main(request) {{ `{}` }}", smuggled::MARK);
    server.deploy("good/hidden", &hidden).await.expect("it is deployed");
    let address = address_of(&server.device);

    // What is looked for is found where it is asked for openly.
    let heard = smuggled::say(address, smuggled::OPEN.as_bytes()).await;
    let open = answers(&heard).expect("two answers");
    assert_eq!(open.iter().map(|answer| answer.status).collect::<Vec<_>>(), [200, 200]);
    assert_eq!(open[1].body, smuggled::MARK);

    let mut wrong = Vec::new();
    for case in smuggled::cases() {
        let heard = smuggled::say(address, &case.bytes).await;
        let text = String::from_utf8_lossy(&heard);
        match answers(&heard) {
            Ok(answers) => {
                let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
                if answers.len() != 1 || !statuses.iter().all(|status| case.expected.contains(status)) {
                    wrong.push(format!("{}: {statuses:?}, expected {:?}: {text}", case.name, case.expected));
                }
            }
            Err(why) => wrong.push(format!("{}: {why}: {text}", case.name)),
        }
        if text.contains(smuggled::MARK) {
            wrong.push(format!("{}: the hidden request was answered: {text}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(Device::of(&server.device).get("/good/hello").await.body, "Hello");
}

#[tokio::test]
async fn who_asks_much_at_once_and_listens_is_answered_all_of_it_in_order() {
    const ASKED: usize = 3_000;

    let server = start(&["limits.team.rate=100000/s", "limits.team.burst=100000"]);
    let limits = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000\n";
    let main = "pub fn main(request) { `${request.query(\"n\")} ${request.text()?.len()}` }";
    server.deploy_with("good/count", limits, main).await.expect("it is deployed");
    let (mut all, mut expected) = (String::new(), Vec::new());
    for n in 0..ASKED {
        // None, some that come with their head and some that do not, and of both kinds.
        let body = "b".repeat([0, 10, 1_000, 9_000, 40_000][n % 5 * usize::from(n % 3 > 0)]);
        let end = if n + 1 == ASKED { "Connection: close\r\n" } else { "" };
        let said = match n % 3 {
            0 => format!("{end}\r\n"),
            1 => format!("Content-Length: {}\r\n{end}\r\n{body}", body.len()),
            _ if body.is_empty() => format!("Transfer-Encoding: chunked\r\n{end}\r\n0\r\n\r\n"),
            _ => {
                let chunk = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
                format!("Transfer-Encoding: chunked\r\n{end}\r\n{chunk}")
            }
        };
        let method = if n % 3 == 0 { "GET" } else { "POST" };
        all.push_str(&format!("{method} /good/count?n={n} HTTP/1.1\r\nHost: x\r\n{said}"));
        expected.push(format!("{n} {}", body.len()));
    }
    let wire = Wire::connect(address_of(&server.device)).await;
    let heard = wire.say_and_hear(all.as_bytes(), 10 * MARGIN).await.expect("all is taken and answered");
    let answers = answers(&heard).expect("answers alone");
    let bodies: Vec<String> = answers.into_iter().map(|answer| answer.body).collect();
    assert_eq!(bodies, expected);
}

#[tokio::test]
async fn who_is_refused_again_and_again_is_heard_less_often_until_a_call_is_let_in() {
    const PAUSE: Duration = Duration::from_millis(50);
    const AT_ONCE: u32 = 64;
    const PAUSES: u32 = 20;

    let server = start(&[]);
    server.deploy("good/hello", "pub fn main(request) { `Hello` }").await.expect("it is deployed");
    let (hasty, other) = (Device::of(&server.device), Device::of(&server.device));
    for _ in 0..AT_ONCE {
        let reply = hasty.get("/nowhere").await;
        assert_eq!((reply.status, reply.header("callboard-paused")), (404, ""));
    }
    let began = Instant::now();
    for _ in 0..=PAUSES {
        let asked = Instant::now();
        let reply = hasty.get("/nowhere").await;
        assert_eq!((reply.code().as_str(), reply.header("callboard-paused")), ("route.unknown", "50"));
        assert!(asked.elapsed() < PAUSE + MARGIN, "it is told, and not left to wait");
        assert_eq!(other.get("/good/hello").await.body, "Hello", "another connection goes on");
    }
    // The pause after the last one is not waited for.
    assert!(began.elapsed() >= PAUSES * PAUSE, "{:?}", began.elapsed());

    assert_eq!(hasty.get("/good/hello").await.body, "Hello");
    assert_eq!(hasty.get("/nowhere").await.header("callboard-paused"), "", "one call is enough");
    let metrics = server.client().metrics().await.expect("metrics");
    let line = metrics.lines().find(|line| line.starts_with("callboard_pauses_total ")).expect("a line");
    let count: u32 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).expect("a count");
    assert_eq!(count, PAUSES + 1);
}

#[tokio::test]
async fn keys_that_collide_under_a_hash_without_a_key_cost_what_others_cost() {
    const RUNS: usize = 15;

    let (ordinary, evil) = (colliding::ordinary(), colliding::colliding());
    colliding::check(&ordinary, &evil);

    let server = start(&[]);
    let limits =
        "[endpoint.limits]\nbody = \"8MiB\"\nmemory = \"16MiB\"\nfuel = 50_000_000\ndeadline = \"10s\"\n";
    let main = "pub fn main(request) { let object = request.json()?.value(); `${object.len()}` }";
    server.deploy_with("good/keys", limits, main).await.expect("it is deployed");
    let device = Device::of(&server.device);
    let bodies = [&ordinary, &evil].map(|keys| colliding::object(keys));
    let mut took = [Vec::new(), Vec::new()];
    for run in 0..=RUNS {
        for (body, took) in bodies.iter().zip(&mut took) {
            let began = Instant::now();
            let reply = device.post("/good/keys", body.clone()).await;
            let time = began.elapsed();
            assert_eq!((reply.status, reply.body), (200, colliding::KEYS.to_string()));
            // The first of each warms up.
            if run > 0 {
                took.push(time);
            }
        }
    }
    let [ordinary, evil] = took.map(|mut took| {
        took.sort();
        took[RUNS / 2]
    });
    println!("ordinary keys {ordinary:?}, colliding keys {evil:?}");
    assert!(evil <= 3 * ordinary, "{evil:?} against {ordinary:?}");
}

#[tokio::test]
async fn empty_lines_before_a_head_are_nothing_and_who_sends_nothing_else_is_let_go_of() {
    let server = start(&[]);
    server.deploy("good/hello", "pub fn main(request) { `Hello` }").await.expect("it is deployed");
    server
        .deploy("good/size", "pub fn main(request) { `${request.text()?.len()}` }")
        .await
        .expect("it is deployed");
    let address = address_of(&server.device);
    let get = "GET /good/hello HTTP/1.1\r\nHost: x\r\n\r\n";

    let mut wire = Wire::connect(address).await;
    for said in [format!("\r\n\n\r\n{get}\r\n\r\n{get}"), "\r\n".to_owned(), "\n".to_owned(), get.to_owned()]
    {
        wire.send(said.as_bytes()).await.expect("it is taken");
    }
    for _ in 0..3 {
        assert_eq!(wire.one_answer().await.map(|answer| answer.body).as_deref(), Some("Hello"));
    }

    // actix would look through all of them again for each that comes.
    let mut wire = Wire::connect(address).await;
    // The server may be through before all was said.
    let _ = wire.send("\r\n".repeat(60_000).as_bytes()).await;
    assert_eq!(
        wire.until_closed(MARGIN).await.as_deref(),
        Some(&b""[..]),
        "long before it is idle for too long"
    );

    // In a body they are bytes like others.
    let lines = "\r\n".repeat(200_000);
    let head =
        "POST /good/size HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    let chunked = format!("{head}{:x}\r\n{lines}\r\n0\r\n\r\n", lines.len());
    let heard =
        Wire::connect(address).await.say_and_hear(chunked.as_bytes(), MARGIN).await.expect("an answer");
    let answer = answers(&heard).expect("an answer").remove(0);
    assert_eq!((answer.status, answer.body.as_str()), (200, "400000"));
}

#[tokio::test]
async fn nothing_is_upgraded_and_the_end_of_the_connection_is_announced() {
    let server = start(&[]);
    server.deploy("good/hello", "pub fn main(request) { `Hello` }").await.expect("it is deployed");
    let address = address_of(&server.device);
    let ask = async |method: &str, rest: &str| {
        let said = format!("{method} /good/hello HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n{rest}");
        let mut wire = Wire::connect(address).await;
        wire.send(said.as_bytes()).await.expect("it is taken");
        let heard = wire.until_closed(MARGIN).await.expect("the connection ends");
        (answers(&heard).expect("one answer"), String::from_utf8_lossy(&heard).to_lowercase())
    };
    for (method, rest, status) in [
        ("GET", "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 200),
        ("GET", "Upgrade: websocket\r\n\r\nGET /good/hello HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        ("POST", "Upgrade: websocket\r\nContent-Length: 3\r\n\r\nabc", 400),
    ] {
        let (answers, heard) = ask(method, rest).await;
        let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(statuses, [status], "{heard}");
        assert!(heard.contains("\r\nconnection: close\r\n"), "{heard}");
    }
}
