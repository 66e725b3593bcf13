//! Clients that misbehave: many at once, too much at once, and gone before their answer. Slow ones and those that are
//! ambiguous are `tests/doors.rs`.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tests::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::experiment::{Done, Experiment, HOLD};
use super::odd::Way;
use super::stage::{PATIENCE, PLENTY, Stage, descriptors, get, resident};
use super::tally::Kind::{Availability, Isolation};

/// Clients with a name of their own, and paths that nobody answers.
const MANY: usize = 20_000;
/// Connections on which they are sent.
const CONNECTIONS: usize = 20;
/// Connections that do nothing, and the addresses that they come from.
const IDLE: usize = 2_000;
const ADDRESSES: u8 = 4;
/// What the process may grow by for all those names, in MiB: the table of keys has 1, the rest is the allocator's.
const NAMES_MIB: u64 = 16;
/// Connections on which so many requests are sent at once, and what the process may grow by for them, in MiB.
const PIPELINES: usize = 8;
const PIPELINES_MIB: u64 = 64;
/// What a connection that does nothing may cost, in KiB; the target is 20.
const IDLE_KIB: u64 = 40;
/// How soon a server is through with who ended his half of the connection.
const THROUGH: Duration = Duration::from_secs(10);

pub fn all() -> Vec<Experiment> {
    vec![
        Experiment::of("20,000 clients invent their keys", Isolation, keys),
        Experiment::of("20,000 paths that nobody answers are called", Isolation, unknown_paths),
        Experiment::of("2,000 connections do nothing", Isolation, idle),
        Experiment::of("clients close their half", Availability, half_closed),
        Experiment::of("clients come and go without listening", Availability, churn),
        Experiment::of("heads are huge", Availability, huge_heads),
        Experiment::of("requests are pipelined and no answer is read", Isolation, pipelined),
        Experiment::of("bodies stop midway and their clients go", Availability, half_bodies),
        Experiment::of("clients go before their answer", Availability, gone),
        Experiment::of("2,300 endpoints are called", Isolation, many_endpoints),
    ]
}

async fn connect(stage: &Stage) -> TcpStream {
    TcpStream::connect(stage.door()).await.expect("the door takes connections")
}

/// Sends many requests over few connections, each when the one before was answered; how they were answered.
async fn ask(stage: &Stage, request: impl Fn(usize) -> (String, Option<String>)) -> BTreeMap<String, usize> {
    let each = MANY / CONNECTIONS;
    let work = (0..CONNECTIONS).map(|connection| {
        let requests: Vec<_> = (0..each).map(|n| request(connection * each + n)).collect();
        let device = stage.device();
        tokio::spawn(async move {
            let mut told = BTreeMap::new();
            for (path, key) in requests {
                let headers: Vec<(&str, &str)> = key.iter().map(|key| ("x-client", key.as_str())).collect();
                let reply = device.send("GET", &path, &headers, Default::default()).await;
                *told.entry(format!("{} {}", reply.status, reply.code())).or_insert(0) += 1;
            }
            told
        })
    });
    let mut all = BTreeMap::new();
    for one in work.collect::<Vec<_>>() {
        for (how, count) in one.await.expect("a client listens") {
            *all.entry(how).or_insert(0) += count;
        }
    }
    all
}

async fn keys(stage: Rc<Stage>) -> Done {
    stage.deploy("bad/open", PLENTY, "pub fn main(request) { `open` }").await;
    stage.prove("/bad/open").await;
    let before = resident(stage.child());
    let told = ask(&stage, |n| ("/bad/open".to_owned(), Some(format!("invented-{n}")))).await;
    let grown = resident(stage.child()).saturating_sub(before);
    let (answered, shed) = (told.get("200 ").unwrap_or(&0), told.get("503 pressure.shed").unwrap_or(&0));
    assert!(
        answered + shed == MANY && *answered > MANY * 9 / 10,
        "each is a client like any other: {told:?}"
    );
    assert!(grown <= NAMES_MIB, "it grew by {grown} MiB for {MANY} names");
    Ok(())
}

/// How many series there are to scrape.
async fn series(stage: &Stage) -> usize {
    let text = stage.server.client().metrics().await.expect("they are told");
    text.lines().filter(|line| !line.starts_with('#')).count()
}

async fn unknown_paths(stage: Rc<Stage>) -> Done {
    let (before, scraped) = (resident(stage.child()), series(&stage).await);
    let told = ask(&stage, |n| (format!("/bad/nowhere-{n}/x"), None)).await;
    let grown = resident(stage.child()).saturating_sub(before);
    assert_eq!(
        told,
        [("404 route.unknown".to_owned(), MANY)].into(),
        "each is told that nobody answers there"
    );
    assert!(grown <= NAMES_MIB, "it grew by {grown} MiB for {MANY} paths");
    let more = series(&stage).await.saturating_sub(scraped);
    assert!(more < 50, "{more} more series");
    Ok(())
}

async fn many_endpoints(stage: Rc<Stage>) -> Done {
    const SCRIPTS: usize = 9;
    const EACH: usize = 256;
    let device = stage.device();
    for script in 0..SCRIPTS {
        // Two teams, since one may not have so many.
        let id = format!("{}/s{script}", if script < 5 { "bad" } else { "worse" });
        let more: String = (1..EACH)
            .map(|n| {
                format!("[[endpoint]]\nname = \"e{n}\"\npath = \"/{id}/e{n}\"\nmethods = [\"GET\"]\nhandler = \"main::main\"\n")
            })
            .collect();
        stage.deploy(&id, &more, "pub fn main(request) { `one of many` }").await;
        assert_eq!(get(&device, &format!("/{id}")).await.body, "one of many");
        for n in 1..EACH {
            assert_eq!(get(&device, &format!("/{id}/e{n}")).await.body, "one of many");
        }
    }
    let text = stage.server.client().metrics().await.expect("they are told");
    let counted = text.lines().filter(|line| line.starts_with("callboard_calls_total{")).count();
    // Each lane counts 2,000 endpoints one by one; there are a few.
    assert!(text.contains("endpoint=\"_rest\""), "{counted} series, and none for the rest");
    Ok(())
}

async fn idle(stage: Rc<Stage>) -> Done {
    let child = stage.child();
    let (before, open) = (resident(child), descriptors(child));
    let mut held = Vec::new();
    for n in 0..IDLE {
        let socket = TcpSocket::new_v4().expect("a socket");
        let from = Ipv4Addr::new(127, 0, 0, 2 + u8::try_from(n % usize::from(ADDRESSES)).expect("a few"));
        socket.bind(SocketAddr::from((from, 0))).expect("an address of ours");
        held.push(socket.connect(stage.door()).await.expect("the door takes connections"));
    }
    until("all are let in", PATIENCE, async || (descriptors(child) >= open + IDLE as u64).then_some(()))
        .await;
    tokio::time::sleep(HOLD).await;
    let each = resident(child).saturating_sub(before) * 1_024 / IDLE as u64;
    drop(held);
    assert!(each <= IDLE_KIB, "{each} KiB for a connection that does nothing");
    until("all are let go", PATIENCE, async || (descriptors(child) <= open + 64).then_some(())).await;
    Ok(())
}

async fn half_closed(stage: Rc<Stage>) -> Done {
    let whole = "GET /calm/lake HTTP/1.1\r\nhost: x\r\n\r\n";
    let post = "POST /calm/lake HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\nhalf";
    let mut all = Vec::new();
    for _ in 0..50 {
        for said in ["", &whole[..20], whole, post] {
            let mut stream = connect(&stage).await;
            stream.write_all(said.as_bytes()).await.expect("it is taken");
            stream.shutdown().await.expect("a half can be closed");
            all.push((said.len(), stream));
        }
    }
    for (said, mut stream) in all {
        let mut heard = Vec::new();
        let ended = tokio::time::timeout(THROUGH, stream.read_to_end(&mut heard)).await;
        assert!(ended.is_ok(), "who said {said} bytes and no more is not let go");
        if said == whole.len() {
            assert!(
                heard.starts_with(b"HTTP/1.1 200 ") || heard.is_empty(),
                "{}",
                String::from_utf8_lossy(&heard)
            );
        }
    }
    Ok(())
}

async fn churn(stage: Rc<Stage>) -> Done {
    for n in 0..2_000 {
        let mut stream = connect(&stage).await;
        if n % 4 > 0 {
            // It goes without reading the answer, which then meets a connection that is gone.
            let _ = stream.write_all(b"GET /calm/lake HTTP/1.1\r\nhost: x\r\n\r\n").await;
        }
    }
    Ok(())
}

async fn huge_heads(stage: Rc<Stage>) -> Done {
    let head = format!("GET /calm/lake HTTP/1.1\r\nhost: x\r\nx-huge: {}\r\n\r\n", "a".repeat(200_000));
    let all: Vec<_> = (0..100)
        .map(|_| {
            let (door, head) = (stage.door(), head.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(door).await.expect("the door takes connections");
                // It may have heard enough before all was said.
                let _ = stream.write_all(head.as_bytes()).await;
                let mut heard = Vec::new();
                let ended = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
                (ended.is_ok(), String::from_utf8_lossy(&heard).into_owned())
            })
        })
        .collect();
    for one in all {
        let (ended, heard) = one.await.expect("a client listens");
        let told =
            heard.is_empty() || heard.starts_with("HTTP/1.1 431 ") || heard.starts_with("HTTP/1.1 400 ");
        assert!(ended && told, "ended: {ended}, {heard}");
    }
    Ok(())
}

async fn pipelined(stage: Rc<Stage>) -> Done {
    stage.deploy("bad/open", PLENTY, "pub fn main(request) { `open` }").await;
    stage.prove("/bad/open").await;
    let before = resident(stage.child());
    let heads = "GET /bad/open HTTP/1.1\r\nhost: x\r\n\r\n".repeat(MANY);
    let all: Vec<_> = (0..PIPELINES)
        .map(|_| {
            let (door, heads) = (stage.door(), heads.clone());
            tokio::spawn(async move {
                let mut stream = TcpStream::connect(door).await.expect("the door takes connections");
                // What the server does not take any more waits here, and not there.
                let _ = tokio::time::timeout(HOLD, stream.write_all(heads.as_bytes())).await;
                stream
            })
        })
        .collect();
    let mut held = Vec::new();
    for one in all {
        held.push(one.await.expect("a client asks"));
    }
    tokio::time::sleep(HOLD).await;
    let grown = resident(stage.child()).saturating_sub(before);
    drop(held);
    assert!(grown <= PIPELINES_MIB, "it grew by {grown} MiB for answers that nobody reads");
    Ok(())
}

async fn half_bodies(stage: Rc<Stage>) -> Done {
    stage.deploy("bad/taker", PLENTY, "pub fn main(request) { `${request.text()?.len()}` }").await;
    let head = format!(
        "POST /bad/taker HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\n{}",
        "a".repeat(50_000)
    );
    let mut all = Vec::new();
    for _ in 0..60 {
        let mut stream = connect(&stage).await;
        stream.write_all(head.as_bytes()).await.expect("half a body is taken");
        all.push(stream);
    }
    until("the halves are held", PATIENCE, async || {
        let held = stage.metric("callboard_held_bytes").await;
        held.is_ok_and(|held| held > 0.0).then_some(())
    })
    .await;
    drop(all);
    Ok(())
}

async fn gone(stage: Rc<Stage>) -> Done {
    let ask = "pub async fn main(request) { callboard::service::get(\"patient\", \"/\").await?.text() }";
    let manifest = format!("services = [\"patient\"]\n{PLENTY}");
    stage.deploy("bad/waits", &manifest, ask).await;
    stage.prove("/bad/waits").await;
    stage.odd.set(Way::Silent);
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut stream = connect(&stage).await;
        stream.write_all(b"GET /bad/waits HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a head is taken");
        all.push(stream);
    }
    until("all wait", PATIENCE, async || (stage.odd.waiting() == all.len()).then_some(())).await;
    drop(all);
    let (_, took) =
        until("their requests end", PATIENCE, async || (stage.odd.waiting() == 0).then_some(())).await;
    stage.odd.set(Way::Fine);
    assert!(took < Duration::from_secs(5), "requests to the service outlive who wanted them by {took:?}");
    Ok(())
}
