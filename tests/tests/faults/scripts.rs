//! Scripts that take all that they can get, many at once. What each may take alone is `tests/hostile.rs`.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tests::load::Load;
use tests::wait::until;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::experiment::{Done, Experiment, HOLD};
use super::odd::Way;
use super::stage::{PATIENCE, Stage, ended_or_refused, resident};
use super::tally::Kind::{Availability, Isolation};

/// As many as may be alive at one time.
const CROWD: usize = 64;
const DEADLINE: Duration = Duration::from_millis(300);
/// What a loaded machine adds to a call.
const LATE: Duration = Duration::from_secs(3);
const LIMITS: &str = "services = [\"odd\", \"patient\"]\n[endpoint.limits]\ndeadline = \"300ms\"\n\
                      fuel = 50_000_000\nmemory = \"8MiB\"\n";
/// What all calls together may hold, in MiB, half as much again for what the allocator keeps.
const MEMORY: u64 = CROWD as u64 * 8 * 3 / 2;

pub fn all() -> Vec<Experiment> {
    vec![
        Experiment::of("scripts spin in a closure, 64 at once", Availability, spin),
        Experiment::of("scripts allocate to their limit, 64 at once", Isolation, allocate),
        Experiment::of("what scripts make holds itself", Isolation, tie),
        Experiment::of("scripts recurse without end, 64 at once", Availability, recurse),
        Experiment::of("futures never end", Availability, wait_for_ever),
        Experiment::of("scripts flood a service", Isolation, flood),
        Experiment::of("large answers are not read", Isolation, unread),
        Experiment::of("a fallback fails, too", Availability, fallback_fails),
    ]
}

async fn spin(stage: Rc<Stage>) -> Done {
    stage.deploy("bad/spin", LIMITS, "pub fn main(request) { let f = || loop { }; f() }").await;
    let calls = stage.crowd("/bad/spin", CROWD).run_for(HOLD).await;
    ended_or_refused(&calls, &["504 deadline.exceeded", "500 fuel.exhausted"]);
    Ok(())
}

async fn recurse(stage: Rc<Stage>) -> Done {
    stage.deploy("bad/deep", LIMITS, "fn f(n) { f(n + 1) + 1 } pub fn main(request) { `${f(0)}` }").await;
    let calls = stage.crowd("/bad/deep", CROWD).run_for(HOLD).await;
    let ends = ["500 memory.exhausted", "504 deadline.exceeded", "500 depth.exceeded", "500 script.failed"];
    ended_or_refused(&calls, &ends);
    Ok(())
}

/// Watches the memory of the serving process while there is a load; the most that it was above the beginning.
async fn grows(stage: &Stage, load: Load, time: Duration) -> (tests::load::Calls, u64) {
    let (child, began) = (stage.child(), Instant::now());
    let (before, mut most) = (resident(child), 0);
    while began.elapsed() < time {
        most = most.max(resident(child).saturating_sub(before));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    (load.end().await, most)
}

async fn allocate(stage: Rc<Stage>) -> Done {
    let source = "pub fn main(request) { let all = []; loop { let part = []; \
                  for i in 0..1000 { part.push(`text ${i}`); } all.push(part); } }";
    stage.deploy("bad/hoard", LIMITS, source).await;
    let (calls, grown) = grows(&stage, stage.crowd("/bad/hoard", CROWD), HOLD).await;
    ended_or_refused(&calls, &["500 memory.exhausted", "504 deadline.exceeded", "500 fuel.exhausted"]);
    assert!(grown <= MEMORY, "{grown} MiB more, of {MEMORY}");
    Ok(())
}

/// Without an end to cycles each call leaves two megabytes behind, and nothing tells whose they are.
async fn tie(stage: Rc<Stage>) -> Done {
    let source = "pub fn main(request) { let text = \"x\"; for i in 0..21 { text = text + text; } \
                  let all = [text]; all.push(all); `tied` }";
    stage.deploy("bad/ties", LIMITS, source).await;
    let (calls, grown) = grows(&stage, stage.crowd("/bad/ties", CROWD), HOLD * 2).await;
    ended_or_refused(&calls, &["200", "504 deadline.exceeded"]);
    assert!(calls.0.len() as u64 * 2 > MEMORY, "{} calls are too few to tell", calls.0.len());
    assert!(grown <= MEMORY, "{grown} MiB more, of {MEMORY}, after {} calls", calls.0.len());
    Ok(())
}

async fn wait_for_ever(stage: Rc<Stage>) -> Done {
    let get = "callboard::service::get(\"patient\", \"/\")";
    let source =
        format!("pub async fn main(request) {{ std::future::join(({get}, {get}, {get})).await; `never` }}");
    stage.deploy("bad/waits", LIMITS, &source).await;
    stage.odd.set(Way::Silent);
    let calls = stage.crowd("/bad/waits", CROWD / 2).run_for(HOLD).await;
    let left = until("the service sees that nobody waits", PATIENCE, async || {
        (stage.odd.waiting() == 0).then_some(())
    });
    let (_, took) = left.await;
    stage.odd.set(Way::Fine);
    // Once the breaker of the service is open nobody waits for it.
    ended_or_refused(&calls, &["504 deadline.exceeded", "200"]);
    let late: Vec<_> = calls.0.iter().filter(|call| call.took > DEADLINE * 2 + LATE).collect();
    assert!(late.is_empty(), "{late:?}");
    assert!(took < LATE, "requests to the service outlive their calls by {took:?}");
    Ok(())
}

async fn flood(stage: Rc<Stage>) -> Done {
    let get = "callboard::service::get(\"odd\", \"/\")";
    let eight = [get; 8].join(", ");
    let source = format!(
        "pub async fn main(request) {{ for n in 0..1_250 {{ std::future::join(({eight})).await; }} `all` }}"
    );
    stage.deploy("bad/flood", LIMITS, &source).await;
    stage.odd.set(Way::Fine);
    let calls = stage.crowd("/bad/flood", CROWD / 2).run_for(HOLD).await;
    ended_or_refused(&calls, &["500 host_calls.exceeded", "504 deadline.exceeded"]);
    // One team may have half of the service's 64. Some of those are seen for a moment longer than they are there.
    assert!(stage.odd.most() <= 64, "{} requests reached the service at one time", stage.odd.most());
    Ok(())
}

async fn unread(stage: Rc<Stage>) -> Done {
    let limits =
        "[endpoint.limits]\nresponse = \"8MiB\"\nmemory = \"16MiB\"\nfuel = 50_000_000\ndeadline = \"10s\"\n";
    let source = "pub fn main(request) { let text = \"0123456789abcdef\"; \
                  for _ in 0..18 { text = `${text}${text}`; } text }";
    stage.deploy("bad/large", limits, source).await;
    let (child, door) = (stage.child(), stage.door());
    let before = resident(child);
    let mut readers = Vec::new();
    for _ in 0..CROWD {
        let mut reader = TcpStream::connect(door).await.expect("the door takes connections");
        reader.write_all(b"GET /bad/large HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("a head is taken");
        readers.push(reader);
    }
    let (began, mut most) = (Instant::now(), 0);
    while began.elapsed() < HOLD {
        most = most.max(resident(child).saturating_sub(before));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let held = stage.metric("callboard_held_bytes").await;
    assert!(held.as_ref().is_ok_and(|held| *held > 0.0), "answers that are not read are held: {held:?}");
    drop(readers);
    assert!(most <= MEMORY * 2, "{most} MiB more, of {} that the calls may hold", MEMORY * 2);
    Ok(())
}

async fn fallback_fails(stage: Rc<Stage>) -> Done {
    let manifest = format!("fallback = \"main::simple\"\n{LIMITS}");
    let source = "pub fn main(request) { panic!(\"on purpose\") } pub fn simple(request) { loop { } }";
    stage.deploy("bad/twice", &manifest, source).await;
    let calls = stage.crowd("/bad/twice", CROWD / 4).run_for(HOLD).await;
    ended_or_refused(&calls, &["500 script.failed", "503 quarantine.active"]);
    Ok(())
}
