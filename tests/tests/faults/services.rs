//! Services that misbehave, in every way that one over TCP and HTTP can: who asked is told clearly, and nobody else
//! notices.

use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::device::Device;
use tests::load::{Kind as Calls, Load};
use tests::wait::until;

use super::experiment::{Done, Experiment, HOLD};
use super::odd::{Then, Way};
use super::stage::{PATIENCE, PLENTY, Stage, ended_only, get};
use super::tally::Kind::{Availability, Isolation};

/// Devices that ask at the same time, and how often each.
const CALLERS: usize = 16;
/// A breaker opens after twenty tries, which may be the first of each caller and the second ones of so many.
const LEAST: usize = 20 - CALLERS;
const ASKS: usize = 3;
/// What a script is told once its team's breaker of the service is open, or as many ask as the service can take.
const PROTECTED: [&str; 2] = ["open", "limited"];
/// How many teams have asked; each attempt is a new one's, since breakers and limits are a team's own.
static TEAMS: AtomicUsize = AtomicUsize::new(0);

/// A way to misbehave: its name, the service, how it answers, and what the script may be told.
type Misbehaves = (&'static str, &'static str, Way, &'static [&'static str]);

const LIES: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nonly this";
const DRIBBLES: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz";
const TWICE: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil";
const GZIP: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 12\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03\0\0";
const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
const PIECE: &[u8] = b"10\r\n0123456789abcdef\r\n";
const WRONG_CHUNK: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n";
const HUGE: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n";
const BELOW_ZERO: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nok";
const MOVED: &[u8] = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 5\r\n\r\nmoved";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 3\r\n\r\nbad";
const NO_HTTP: &[u8] = b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03 220 ready\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\n";
const HEADER: &[u8] = b"x-flood: 0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\r\n";

/// What a script is told of who does not answer in time.
const LATE: &[&str] = &["timeout"];
/// … of who says what is no answer.
const BROKEN: &[&str] = &["unreachable"];
/// … of an answer that ends in the wrong place.
const CUT: &[&str] = &["protocol"];

const WAYS: &[Misbehaves] = &[
    ("a service is not there", "gone", Way::Fine, BROKEN),
    ("a service's connections are never taken", "full", Way::Fine, &["timeout", "unreachable"]),
    ("a service never answers", "odd", Way::Silent, LATE),
    ("a service closes and says nothing", "odd", Way::Closes, BROKEN),
    ("a service resets the connection in its answer", "odd", Way::Resets, &["protocol", "unreachable"]),
    ("a service says what is no HTTP", "odd", Way::Says(NO_HTTP, Then::Closes), BROKEN),
    ("a service says less than it promised", "odd", Way::Says(LIES, Then::Closes), CUT),
    ("a service promises more and waits", "odd", Way::Says(LIES, Then::Stays), LATE),
    ("a service dribbles", "odd", Way::Dribbles(DRIBBLES), LATE),
    ("a service's answer never ends", "odd", Way::Repeats(CHUNKED, PIECE), &["too_large"]),
    ("a service promises ten gigabytes", "odd", Way::Repeats(HUGE, PIECE), &["too_large"]),
    ("a service's chunk is no chunk", "odd", Way::Says(WRONG_CHUNK, Then::Stays), CUT),
    ("a service's length is below zero", "odd", Way::Says(BELOW_ZERO, Then::Stays), BROKEN),
    ("a service answers in gzip unasked", "odd", Way::Says(GZIP, Then::Stays), CUT),
    ("a service floods with headers", "odd", Way::Repeats(HEAD, HEADER), BROKEN),
    ("a service says 100 for ever", "odd", Way::Repeats(CONTINUE, CONTINUE), &["timeout", "unreachable"]),
    ("a service sends elsewhere", "odd", Way::Says(MOVED, Then::Stays), &["302 moved"]),
    ("a service fails", "odd", Way::Says(FAILED, Then::Stays), &["status"]),
    // What comes unasked is nobody's answer.
    ("a service answers twice", "odd", Way::Says(TWICE, Then::Stays), &["200 ok", "unreachable"]),
];

const ASKS_FOR: &str = r#"
    pub async fn main(request) {
        match callboard::service::get(request.query("of"), "/").await {
            Ok(answer) => `${answer.status()} ${answer.text()?}`,
            Err(error) => error.kind(),
        }
    }
"#;

pub fn all() -> Vec<Experiment> {
    let ways = WAYS.iter().map(|way| {
        let one = Experiment::of(way.0, Availability, move |stage| misbehaves(stage, way));
        // A flood keeps a processor busy at both of its ends, and here both ends share the machine.
        if matches!(way.2, Way::Repeats(..)) { one.holds_a_thread_up() } else { one }
    });
    let rest = [
        Experiment::of("a service comes and goes", Availability, flaps),
        Experiment::of("a service is ten times as slow", Isolation, slows),
    ];
    ways.chain(rest).collect()
}

/// Deploys who asks, as a team that has asked nothing yet.
async fn asker(stage: &Stage) -> String {
    let team = format!("asks{}", TEAMS.fetch_add(1, Ordering::Relaxed));
    let manifest = format!("services = [\"odd\", \"gone\", \"full\"]\n{PLENTY}");
    stage.deploy(&format!("{team}/asks"), &manifest, ASKS_FOR).await;
    team
}

/// What the team's script is told of a service.
async fn told(device: &Device, team: &str, of: &str) -> String {
    let reply = get(device, &format!("/{team}/asks?of={of}")).await;
    if reply.status == 200 { reply.body } else { format!("{} {}", reply.status, reply.code()) }
}

async fn misbehaves(stage: Rc<Stage>, (_, service, way, expected): &'static Misbehaves) -> Done {
    let team = asker(&stage).await;
    stage.odd.set(*way);
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (device, team) = (stage.device(), team.clone());
            tokio::task::spawn_local(async move {
                let mut all = Vec::new();
                for _ in 0..ASKS {
                    all.push(told(&device, &team, service).await);
                }
                all
            })
        })
        .collect();
    let mut all = Vec::new();
    for caller in callers {
        all.extend(caller.await.expect("a caller is answered"));
    }
    stage.odd.set(Way::Fine);
    let asked: Vec<_> = all.iter().filter(|told| !PROTECTED.contains(&told.as_str())).collect();
    assert!(asked.len() >= LEAST, "the first are asked: {all:?}");
    let strange: Vec<_> = asked.iter().filter(|told| !expected.contains(&told.as_str())).collect();
    assert!(strange.is_empty(), "of {} answers: {strange:?}, expected {expected:?}", asked.len());
    fine_again(&stage, &team).await;
    Ok(())
}

/// Whoever asks the service is answered, as soon as connections to what it was are gone and the breaker has tried it.
async fn fine_again(stage: &Stage, team: &str) {
    let device = stage.device();
    let (_, took) = until("the service is reached again", PATIENCE, async || {
        (told(&device, team, "odd").await == "200 ok").then_some(())
    })
    .await;
    assert!(took < Duration::from_secs(10), "it was reached again after {took:?}");
}

async fn flaps(stage: Rc<Stage>) -> Done {
    let team = asker(&stage).await;
    let path = format!("/{team}/asks?of=odd");
    stage.prove(&path).await;
    let load = Load::at_rates(&stage.server.device, vec![Calls::of(&path, 50.0)]);
    for _ in 0..5 {
        for way in [Way::Closes, Way::Fine] {
            stage.odd.set(way);
            tokio::time::sleep(HOLD / 5).await;
        }
    }
    // The script answers whatever the service does.
    ended_only(&load.end().await, &["200"]);
    fine_again(&stage, &team).await;
    Ok(())
}

async fn slows(stage: Rc<Stage>) -> Done {
    let team = asker(&stage).await;
    let path = format!("/{team}/asks?of=odd");
    stage.odd.set(Way::Slow(Duration::from_millis(15)));
    stage.prove(&path).await;
    let load = Load::at_rates(&stage.server.device, vec![Calls::of(&path, 100.0)]);
    stage.odd.set(Way::Slow(Duration::from_millis(150)));
    let calls = load.run_for(HOLD).await;
    stage.odd.set(Way::Fine);
    ended_only(&calls, &["200"]);
    assert!(
        calls.quantile(500) >= Duration::from_millis(150),
        "who asks it waits: {:?}",
        calls.quantile(500)
    );
    fine_again(&stage, &team).await;
    Ok(())
}
