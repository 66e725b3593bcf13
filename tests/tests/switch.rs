//! The kill switch under load: what is turned off stops at once, for calls that come and for those that run, and
//! nothing else stops.

mod switch {
    pub mod hammer;
}

use std::time::{Duration, Instant};

use api::{Client, SwitchRequest};
use switch::hammer::{Call, Hammer};
use tests::device::{Device, Reply};
use tests::server::{Options, Server};
use tests::service::Service;
use tests::wait::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// How long after the answer to a flip a call may still be let in.
const LET_IN: Duration = Duration::from_millis(50);
/// How long after the answer to a flip a call may still run.
const RUNS: Duration = Duration::from_millis(500);
/// How long anything may take that a loaded machine does.
const PATIENCE: Duration = Duration::from_secs(60);
/// The connections that call without a pause: each script's.
const HELLO: usize = 30;
const WAITS: usize = 30;
const OTHER: usize = 4;
/// The calls that wait for a service that does not answer.
const HANGING: usize = 8;

const HELLO_PATH: &str = "/tv/board";
const WAITS_PATH: &str = "/tv/board/waits";
const HANGS_PATH: &str = "/tv/board/hangs";
const OTHER_PATH: &str = "/radio/other";

const BOARD: &str = r#"
    use callboard::service;
    pub fn main(request) { "hello" }
    pub async fn waits(request) { service::get("slow", "/").await?.text() }
    pub async fn hangs(request) { service::get("silent", "/").await?.text() }
"#;

/// As much as the ceilings allow.
const LIMITS: &str = "rate = \"50000/s\"\nburst = 50_000\nconcurrency = 1000\ndeadline = \"10s\"";

fn manifest() -> String {
    let endpoint = |path: &str, service: &str, function: &str| {
        format!(
            "[[endpoint]]\npath = \"{path}\"\nmethods = [\"GET\"]\nhandler = \"main::{function}\"\n\
             services = [\"{service}\"]\n[endpoint.limits]\n{LIMITS}\n"
        )
    };
    let (waits, hangs) = (endpoint(WAITS_PATH, "slow", "waits"), endpoint(HANGS_PATH, "silent", "hangs"));
    format!("[endpoint.limits]\n{LIMITS}\n{waits}{hangs}")
}

/// A server whose team limits are in nobody's way.
fn start(slow: &Service, silent: &Service) -> Server {
    let mut arguments = slow.arguments("slow");
    arguments.extend(silent.arguments("silent"));
    let settings = [
        "limits.team.rate=1000000/s",
        "limits.team.burst=1000000",
        "limits.team.concurrency=2000",
        "limits.ceiling.fuel=10_000_000_000",
    ];
    arguments.extend(settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting.to_owned()]));
    Server::start_with(PROGRAM, Options { arguments, ..Options::default() })
}

/// Turns something off from a thread of its own, so that the clock is read when the answer comes and not when a
/// busy thread looks at it. When it was asked for, and when it was answered.
async fn turn_off(client: Client, scope: &str) -> (Instant, Instant) {
    let scope = scope.to_owned();
    let (done, flipped) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let request = SwitchRequest::kill("a test");
        runtime.block_on(async {
            // The connection is there already, as an operator's tool has it.
            client.version().await.unwrap();
            let asked = Instant::now();
            client.switch_off(&scope, &request, false).await.unwrap();
            let _ = done.send((asked, Instant::now()));
        });
    });
    flipped.await.expect("the switch is turned off")
}

struct Case {
    scope: &'static str,
    touches: &'static [&'static str],
}

const BOARDS: &[&str] = &[HELLO_PATH, WAITS_PATH, HANGS_PATH];

const CASES: &[Case] = &[
    Case { scope: "all", touches: &[HELLO_PATH, WAITS_PATH, HANGS_PATH, OTHER_PATH] },
    Case { scope: "team:tv", touches: BOARDS },
    Case { scope: "script:tv/board", touches: BOARDS },
    Case { scope: "revision:tv/board@1", touches: BOARDS },
    Case { scope: "endpoint:tv/board/main", touches: &[HELLO_PATH] },
    Case { scope: "endpoint:tv/board/waits", touches: &[WAITS_PATH] },
    Case { scope: "endpoint:tv/board/hangs", touches: &[HANGS_PATH] },
];

#[tokio::test]
async fn a_flipped_switch_lets_no_call_in_after_50_ms_and_ends_those_that_run() {
    let (slow, silent) = (Service::slow(Duration::from_millis(20)), Service::silent());
    let server = start(&slow, &silent);
    server.deploy_with("tv/board", &manifest(), BOARD).await.unwrap();
    let other = format!("[endpoint.limits]\n{LIMITS}");
    server.deploy_with("radio/other", &other, "pub fn main(request) { `other` }").await.unwrap();
    for case in CASES {
        check(&server, &silent, case).await;
    }
}

async fn check(server: &Server, silent: &Service, case: &Case) {
    let Case { scope, touches } = case;
    let touched = |path: &str| touches.contains(&path);
    let hammer =
        Hammer::start(&server.device, &[(HELLO_PATH, HELLO), (WAITS_PATH, WAITS), (OTHER_PATH, OTHER)]);
    silent.hold();
    let hanging: Vec<_> = (0..HANGING).map(|_| hang(Device::of(&server.device))).collect();
    until("the calls hang", PATIENCE, async || (silent.waiting() == HANGING).then_some(())).await;
    until("the hammer falls", PATIENCE, async || (hammer.answered() >= 10).then_some(())).await;

    let (asked, answered) = turn_off(server.client(), scope).await;
    // Calls go on to come for well longer than any may be let in.
    tokio::time::sleep(LET_IN * 6).await;
    let calls = hammer.stop().await;

    let mut last_let_in = asked;
    for path in [HELLO_PATH, WAITS_PATH, OTHER_PATH] {
        let on_path: Vec<&Call> = calls.iter().filter(|call| call.path == path).collect();
        let before = on_path.iter().filter(|call| call.answered < asked && call.status == 200).count();
        let after = on_path.iter().filter(|call| call.sent > answered + LET_IN).count();
        assert!(before > 0 && after > 0, "{scope} {path}: {before} calls before, {after} after");
        for call in on_path {
            let is_known = match &*call.code {
                "" => call.status == 200,
                // A call that was stopped had been let in.
                "switch.off" | "switch.killed" => {
                    touched(path) && call.status == 503 && call.answered >= asked
                }
                _ => false,
            };
            assert!(is_known, "{scope}: {call:?}");
            let let_in = call.code != "switch.off";
            if touched(path) && let_in {
                let late = call.sent.saturating_duration_since(answered);
                assert!(late <= LET_IN, "{scope}: let in {late:?} after the answer: {call:?}");
                assert!(call.answered <= answered + RUNS, "{scope}: still ran: {call:?}");
                last_let_in = last_let_in.max(call.sent);
            }
        }
    }
    println!(
        "{scope}: {} calls; answered {:?} after it was asked; the last call let in was sent {:?} after that and {:?} before",
        calls.len(),
        answered.saturating_duration_since(asked),
        last_let_in.saturating_duration_since(answered),
        answered.saturating_duration_since(last_let_in),
    );

    if !touched(HANGS_PATH) {
        assert_eq!(silent.waiting(), HANGING, "{scope}: they are not meant");
        silent.answer();
    }
    for call in hanging {
        let (reply, ended) = call.await.unwrap();
        if touched(HANGS_PATH) {
            assert_eq!((reply.status, &*reply.code()), (503, "switch.killed"), "{scope}");
            let after = ended.saturating_duration_since(answered);
            assert!(ended >= asked && after <= RUNS, "{scope}: ended {after:?} after the answer");
        } else {
            assert_eq!((reply.status, &*reply.body), (200, "ok"), "{scope}");
        }
    }

    server.client().switch_on(scope, Some("enough"), false).await.unwrap();
    silent.answer();
    let device = Device::of(&server.device);
    for (path, body) in [(HELLO_PATH, "hello"), (WAITS_PATH, "ok"), (HANGS_PATH, "ok"), (OTHER_PATH, "other")]
    {
        let reply = device.get(path).await;
        assert_eq!((reply.status, &*reply.body), (200, body), "{scope}: {path} is on again");
    }
}

/// A call to the endpoint that waits for a silent service, and when it ended.
fn hang(device: Device) -> tokio::task::JoinHandle<(Reply, Instant)> {
    tokio::spawn(async move {
        let reply = device.get(HANGS_PATH).await;
        (reply, Instant::now())
    })
}

#[tokio::test]
async fn a_script_that_never_waits_is_ended_too() {
    const SPINNING: usize = 4;
    let silent = Service::silent();
    let server = start(&silent, &silent);
    let spin = "pub async fn main(request) { callboard::service::get(\"silent\", \"/\").await?; loop {} }";
    let manifest = format!("services = [\"silent\"]\n[endpoint.limits]\nfuel = 10_000_000_000\n{LIMITS}");
    server.deploy_with("tv/spin", &manifest, spin).await.unwrap();
    let spinning: Vec<_> = (0..SPINNING)
        .map(|_| {
            let device = Device::of(&server.device);
            tokio::spawn(async move { (device.get("/tv/spin").await, Instant::now()) })
        })
        .collect();
    until("all are there", PATIENCE, async || (silent.waiting() == SPINNING).then_some(())).await;
    silent.answer();
    until("all go on", PATIENCE, async || (silent.waiting() == 0).then_some(())).await;
    let (asked, answered) = turn_off(server.client(), "script:tv/spin").await;
    for call in spinning {
        let (reply, ended) = call.await.unwrap();
        let after = ended.saturating_duration_since(answered);
        println!("answered {:?} after it was asked, ended {after:?} after that", answered - asked);
        assert_eq!((reply.status, &*reply.code()), (503, "switch.killed"));
        assert!(after <= RUNS, "ended {after:?} after the answer");
    }
}
