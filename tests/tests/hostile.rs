//! Scripts that try to stall, starve or crash the server, one after the other, beside a neighbour that is
//! called all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use api::ClientError;
use tests::device::Device;
use tests::server::{Options, Server};

const CORPUS: &str = include_str!("../hostile/corpus.txt");
const DEADLINE: Duration = Duration::from_millis(300);
/// What a loaded machine may add to a call's way through two processes; the script's own time is bounded
/// by the server, which says how long it ran.
const WAY: Duration = Duration::from_millis(300);
/// What the neighbour may wait for one answer, nearly always and at the worst, on a loaded machine.
const WAITS: [Duration; 2] = [Duration::from_millis(50), Duration::from_secs(1)];

struct Case<'a> {
    name: &'a str,
    expected: Vec<&'a str>,
    source: &'a str,
}

fn corpus() -> Vec<Case<'static>> {
    CORPUS
        .split("\n=== ")
        .skip(1)
        .map(|section| {
            let (head, source) = section.split_once('\n').expect("a source under the name");
            let (name, expected) = head.split_once(": ").expect("what is expected");
            Case { name, expected: expected.split('|').collect(), source }
        })
        .collect()
}

fn fits(expected: &[&str], status: u16, code: &str) -> bool {
    expected.iter().any(|kind| match *kind {
        "time" => matches!(code, "fuel.exhausted" | "deadline.exceeded"),
        "memory" => {
            matches!(code, "memory.exhausted" | "depth.exceeded" | "fuel.exhausted" | "deadline.exceeded")
        }
        "error" => code == "script.failed",
        "returned" => code == "script.returned_error",
        "toolarge" => code == "response.too_large",
        "hostcalls" => code == "host_calls.exceeded",
        "ok" => status == 200,
        _ => false,
    })
}

/// A service that takes connections and never answers.
fn silent() -> std::net::SocketAddr {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = socket.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((connection, _)) = socket.accept() {
            held.push(connection);
        }
    });
    address
}

#[tokio::test]
async fn no_hostile_script_stalls_starves_or_crashes_its_neighbours() {
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let settings = [
        format!("service.silent.url=http://{}", silent()),
        "service.silent.timeout=10s".to_owned(),
        format!("service.gone.url=http://{gone}"),
    ];
    let arguments = settings.into_iter().flat_map(|setting| ["--set".to_owned(), setting]).collect();
    let server = Server::start_with(
        env!("CARGO_BIN_EXE_callboard-under-test"),
        Options { arguments, ..Options::default() },
    );
    let child = server.child_pid();
    server
        .deploy("good/neighbour", "pub fn main(request) { `fine` }")
        .await
        .expect("the neighbour is deployed");
    let device = Device::of(&server.device);

    let stop = Arc::new(AtomicBool::new(false));
    let neighbour = tokio::spawn({
        let (kept, base, stop) = (Device::of(&server.device), server.device.clone(), stop.clone());
        async move {
            let (mut wrong, mut waits) = (Vec::new(), Vec::new());
            while !stop.load(Ordering::Relaxed) {
                // On its own connection and on a new one in turn, so that every thread has to answer.
                let device = if waits.len() % 2 == 0 { kept.clone() } else { Device::of(&base) };
                let began = Instant::now();
                let reply = device.try_send("GET", "/good/neighbour", &[], Default::default()).await;
                waits.push(began.elapsed());
                if !matches!(&reply, Ok(reply) if reply.body == "fine") {
                    wrong.push(format!("{reply:?}"));
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (wrong, waits)
        }
    });

    let corpus = corpus();
    assert!(corpus.len() >= 80, "{} scripts", corpus.len());
    let (mut wrong, mut longest) = (Vec::new(), (Duration::ZERO, ""));
    for case in &corpus {
        let id = format!("hostile/{}", case.name);
        let manifest =
            "services = [\"silent\", \"gone\"]\n[endpoint.limits]\ndeadline = \"300ms\"\nfuel = 20_000_000\n";
        let deployed = server.deploy_with(&id, manifest, case.source).await;
        if case.expected == ["refused"] {
            match deployed {
                Err(ClientError::Problem(problem)) if !problem.diagnostics.is_empty() => {}
                other => wrong.push(format!("{}: not refused with a diagnostic: {other:?}", case.name)),
            }
            continue;
        }
        if let Err(refused) = deployed {
            wrong.push(format!("{}: was refused: {refused:?}", case.name));
            continue;
        }
        let began = Instant::now();
        let reply = device.get(&format!("/{id}")).await;
        let took = began.elapsed();
        if !fits(&case.expected, reply.status, &reply.code()) {
            wrong.push(format!("{}: {} {} {}", case.name, reply.status, reply.code(), reply.body));
        }
        longest = longest.max((took, case.name));
        if took > DEADLINE * 2 + WAY {
            wrong.push(format!("{}: took {took:?}", case.name));
        }
    }
    stop.store(true, Ordering::Relaxed);
    let (unanswered, mut waits) = neighbour.await.expect("the neighbour's device lives");
    waits.sort();
    let [nearly, worst] = [waits[waits.len() * 99 / 100], waits[waits.len() - 1]];
    println!("{} scripts; the longest took {longest:?}", corpus.len());
    println!("the neighbour: {} calls, p99 {nearly:?}, at the worst {worst:?}", waits.len());
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), corpus.len(), wrong.join("\n"));
    assert!(unanswered.is_empty(), "the neighbour: {}", unanswered.join("\n"));
    assert!(waits.len() > corpus.len(), "the neighbour was called all the while");
    assert!(nearly <= WAITS[0] && worst <= WAITS[1], "the neighbour waited {nearly:?}, and {worst:?}");
    assert_eq!(server.child_pid(), child, "the serving process was never replaced");
}
