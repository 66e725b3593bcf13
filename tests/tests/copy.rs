//! A copy of a store: from the embedded one into a real Cassandra and back, with everything in it but secrets.

use std::path::Path;
use std::process::{Command, Output};

use api::client::List;
use api::{ActivateRequest, QuotaChange, QuotaRequest, SwitchKind, SwitchRequest};
use tests::cassandra::Cassandra;
use tests::device::Device;
use tests::server::{Options, Server};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
const KEY: (&str, &str) =
    ("CALLBOARD_SIGNING_KEY", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a");

fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).env(KEY.0, KEY.1).env("NO_COLOR", "1").output().unwrap()
}

fn done(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Everything that people can read of scripts and switches, but for when it was copied.
async fn state(server: &Server) -> Vec<String> {
    let client = server.client();
    let mut state = Vec::new();
    for script in ["tv/home", "tv/gone", "radio/list"] {
        let (team, name) = script.split_once('/').unwrap();
        let list = List { limit: Some(100), ..List::default() };
        for revision in client.revisions(team, name, &list).await.unwrap().items {
            let source = client.file(team, name, revision.number, "main.rn").await.unwrap();
            state.push(format!("{revision:?} {}", String::from_utf8_lossy(&source)));
        }
        state.push(format!("{:?}", client.active(team, name).await.unwrap()));
        let audit = List { script: Some(script.to_owned()), limit: Some(100), ..List::default() };
        for entry in client.audit(&audit).await.unwrap().items {
            state.push(format!(
                "{} {} {:?} {:?} {}",
                entry.what, entry.who, entry.why, entry.at, entry.subject
            ));
        }
    }
    for switch in client.switches().await.unwrap().items {
        let (kind, limit) = (switch.kind, switch.limit);
        state.push(format!(
            "{kind} {limit:?} {} {} {} {}",
            switch.scope, switch.reason, switch.by, switch.generation
        ));
    }
    state
}

async fn answers(server: &Server) {
    let device = Device::of(&server.device);
    assert_eq!(device.get("/tv/home").await.body, "one");
    assert_eq!(device.get("/tv/gone").await.code(), "route.unknown");
    assert_eq!(device.get("/radio/list").await.code(), "switch.off");
}

fn on(directory: &Path, store: Option<&str>) -> Server {
    let arguments = store.map(|store| vec!["--store".to_owned(), store.to_owned()]).unwrap_or_default();
    let environment = vec![(KEY.0.to_owned(), KEY.1.to_owned())];
    Server::start_with(
        PROGRAM,
        Options { arguments, environment, data: Some(directory.to_owned()), ..Options::default() },
    )
}

#[tokio::test]
async fn a_store_is_copied_whole_from_one_backend_to_the_other_and_back() {
    let Some(cassandra) = Cassandra::shared() else { return };
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let text = |name: &str| at(name).to_str().unwrap().to_owned();

    let mut first = on(&at("first"), None);
    for source in ["pub fn main(request) { `one` }", "pub fn main(request) { `two` }"] {
        first.deploy("tv/home", source).await.unwrap();
        first.deploy("tv/gone", source).await.unwrap();
    }
    first.deploy("radio/list", "pub fn main(request) { `list` }").await.unwrap();
    let client = first.client();
    let back = ActivateRequest { revision: 1, reason: Some("two was wrong".to_owned()) };
    client.activate("tv", "home", "*", &back, false, api::client::Wait::Node).await.unwrap();
    client.delete_script("tv", "gone", "*", Some("no more"), false).await.unwrap();
    let off = SwitchRequest::kill("a test");
    client.switch_off("script:radio/list", &off, false).await.unwrap();
    let cap = SwitchRequest { limit: Some(5), ..SwitchRequest::of(SwitchKind::Cap, "a test") };
    client.switch_off("team:tv", &cap, false).await.unwrap();
    let rate = QuotaChange {
        name: "rate".to_owned(),
        limit: Some("77/s".to_owned()),
        soft_percent: None,
        mode: None,
    };
    let quota = QuotaRequest { rules: vec![rate], reason: "a test".to_owned(), until: None };
    client.set_quotas("team:tv", "*", &quota, false).await.unwrap();
    answers(&first).await;
    let wanted = state(&first).await;
    assert!(wanted.len() > 15, "{wanted:#?}");

    // A store in use is not read by halves.
    let refused = run(&["store", "export", &text("x"), "--data", &text("first")]);
    assert!(!refused.status.success() && String::from_utf8_lossy(&refused.stderr).contains("store.locked"));
    first.kill();

    let store = format!("cql://{}/{}", cassandra.address(), cassandra.fresh_keyspace());
    done(&["store", "export", &text("one.tar.zst"), "--data", &text("first")]);
    done(&["store", "migrate", "--store", &store, "--set", "store.timeout=20s"]);
    let said = done(&["store", "import", &text("one.tar.zst"), "--store", &store, "--json"]);
    assert!(said.contains("\"scripts\":3") && said.contains("\"refused\":[]"), "{said}");
    // Once more changes nothing.
    let again = done(&["store", "import", &text("one.tar.zst"), "--store", &store, "--json"]);
    assert!(again.contains("\"steps\":0"), "{again}");
    let mut second = on(&at("second"), Some(&store));
    answers(&second).await;
    assert_eq!(state(&second).await, wanted);
    second.kill();

    done(&["store", "export", &text("two.tar.zst"), "--store", &store]);
    done(&["store", "import", &text("two.tar.zst"), "--data", &text("third")]);
    let third = on(&at("third"), None);
    answers(&third).await;
    assert_eq!(state(&third).await, wanted);
    // It is a store like any other: histories go on where they were.
    let deployed = third.deploy("tv/home", "pub fn main(request) { `one` }").await.unwrap();
    assert_eq!(deployed.revision.number, 3);
    drop(third);

    // A script that went another way meanwhile is refused by name, and the others are taken.
    let refused = run(&["store", "import", &text("one.tar.zst"), "--data", &text("third")]);
    assert!(refused.status.success(), "what is there already and more is no other way");
    let fourth = on(&at("fourth"), None);
    fourth.deploy("tv/home", "pub fn main(request) { `mine` }").await.unwrap();
    drop(fourth);
    let refused = run(&["store", "import", &text("one.tar.zst"), "--data", &text("fourth")]);
    let said = String::from_utf8_lossy(&refused.stdout);
    assert!(!refused.status.success() && said.contains("tv/home: its step 1 is another one here"), "{said}");
}

#[test]
fn what_is_no_copy_is_refused_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(at("text"), "no copy").unwrap();
    for file in [at("text"), at("missing")] {
        let refused = run(&["store", "import", &file, "--data", &at("data")]);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(&file), "{said}");
    }
}
