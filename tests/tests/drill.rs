//! Drills: every kind of switch is tried on a server that serves, and nothing of it is left.

use std::process::{Command, Output};

use api::{DrillRequest, SwitchKind, SwitchRequest};
use tests::device::Device;
use tests::server::{Server, TOKEN};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");

fn drill(server: &Server, more: &[&str]) -> Output {
    let arguments = ["drill", "--url", &server.admin].into_iter().chain(more.iter().copied());
    Command::new(PROGRAM).args(arguments).env("CALLBOARD_TOKEN", TOKEN).output().unwrap()
}

#[tokio::test]
async fn a_drill_tries_every_kind_and_leaves_nothing() {
    let server = Server::start(PROGRAM);
    server.deploy("tv/home", "pub fn main(request) { `home` }").await.unwrap();
    let client = server.client();
    for endpoint in [None, Some("tv/home/main".to_owned())] {
        let answer = client.drill(&DrillRequest { endpoint }).await.unwrap();
        assert!(answer.ok, "{answer:?}");
        for kind in SwitchKind::ALL {
            let rows = answer.rows.iter().filter(|row| row.kind == *kind).count();
            assert_eq!(rows, 2, "refusing and observing: {answer:?}");
        }
        assert_eq!(client.switches().await.unwrap().items, []);
        let endpoints = client.endpoints(&Default::default()).await.unwrap().items;
        assert_eq!(endpoints.iter().map(|endpoint| &*endpoint.id).collect::<Vec<_>>(), ["tv/home/main"]);
    }
    let done = drill(&server, &[]);
    let said = String::from_utf8_lossy(&done.stdout);
    assert_eq!(done.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&done.stderr));
    for kind in SwitchKind::ALL {
        assert!(said.contains(kind.as_str()), "{kind} is not in {said}");
    }
    assert_eq!(Device::of(&server.device).get("/tv/home").await.body, "home");
}

#[tokio::test]
async fn a_drill_that_fails_says_where_and_cleans_up_after_itself() {
    let server = Server::start(PROGRAM);
    server.deploy("tv/home", "pub fn main(request) { `home` }").await.unwrap();
    let client = server.client();
    // Somebody's own switch: the drill must neither replace nor release it.
    let own = SwitchRequest { limit: Some(7), ..SwitchRequest::of(SwitchKind::Cap, "my own") };
    client.switch_off("endpoint:tv/home/main", &own, false).await.unwrap();
    let failed = drill(&server, &["--endpoint", "tv/home/main", "--json"]);
    assert_eq!(failed.status.code(), Some(1), "{failed:?}");
    // The result is an object on a line of its own, and so is the failure after it.
    let result = failed.stdout.split(|byte| *byte == b'\n').next().unwrap();
    let told: api::DrillAnswer = serde_json::from_slice(result).unwrap();
    for row in &told.rows {
        assert_eq!(row.ok, row.kind != SwitchKind::Cap, "{row:?}");
        assert_eq!(row.ok, row.fault.is_none());
    }
    let left = client.switches().await.unwrap().items;
    assert_eq!((left.len(), &*left[0].reason, left[0].limit), (1, "my own", Some(7)));
    // A canary that is killed from above fails every row, and no switch of the drill stays.
    client.switch_off("team:tv", &SwitchRequest::kill("my own"), false).await.unwrap();
    let answer = client.drill(&DrillRequest { endpoint: Some("tv/home/main".to_owned()) }).await.unwrap();
    assert!(!answer.ok && answer.rows.iter().all(|row| !row.ok), "{answer:?}");
    assert_eq!(client.switches().await.unwrap().items.len(), 2);
    for (endpoint, code) in [("tv/home/none", 1), ("no endpoint", 2)] {
        assert_eq!(drill(&server, &["--endpoint", endpoint]).status.code(), Some(code), "{endpoint}");
    }
}
