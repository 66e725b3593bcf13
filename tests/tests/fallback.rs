//! Fallbacks: what devices get where an endpoint cannot answer, and who never gets it.

use api::SwitchRequest;
use bytes::Bytes;
use tests::device::{Device, Reply};
use tests::server::Server;

const SOURCE: &str = "
pub fn main(request) {
    if has(request, `fail`) {
        panic!(\"on purpose\");
    }
    if has(request, `spin`) {
        loop { }
    }
    `good ${request.query(`n`)}`
}

fn has(request, name) {
    `${request.query(name)}` == `yes`
}

pub fn simple(request) {
    if has(request, `twice`) {
        panic!(\"once more\");
    }
    if has(request, `long`) {
        loop { }
    }
    `simple ${request.query(`n`)} ${request.header(`x-device`)}`
}
";

async fn off(server: &Server, scope: &str) {
    let request = SwitchRequest::kill("a test");
    server.client().switch_off(scope, &request, false).await.expect("it is switched off");
}

/// How an answer is marked, and what it says.
fn read(reply: &Reply) -> (u16, String, String) {
    let says = if reply.status == 200 { reply.body.clone() } else { reply.code() };
    (reply.status, reply.header("callboard-fallback").to_owned(), says)
}

fn is(status: u16, fallback: &str, says: &str) -> (u16, String, String) {
    (status, fallback.to_owned(), says.to_owned())
}

#[tokio::test]
async fn a_script_that_fails_answers_by_its_own_fallback_once() {
    let server = Server::start(env!("CARGO_BIN_EXE_callboard-under-test"));
    let manifest = "fallback = \"main::simple\"\n";
    server.deploy_with("tv/home", manifest, SOURCE).await.unwrap();
    let device = Device::of(&server.device);
    assert_eq!(read(&device.get("/tv/home?n=1").await), is(200, "", "good 1"));
    let headers = [("x-device", "tv")];
    let failed = device.send("GET", "/tv/home?n=1&fail=yes", &headers, Bytes::new()).await;
    assert_eq!(read(&failed), is(200, "script; because=script.failed", "simple 1 tv"));
    assert_eq!(failed.header("callboard-revision"), "1");
    let late = read(&device.get("/tv/home?n=2&spin=yes").await);
    assert!(late.1.starts_with("script; because=") && late.2 == "simple 2 ", "{late:?}");
    // One that fails, or takes more than its small allowance, is not tried again.
    for more in ["twice", "long"] {
        let reply = device.get(&format!("/tv/home?fail=yes&{more}=yes")).await;
        assert_eq!(read(&reply), is(500, "", "script.failed"), "{more}");
    }
    // A script that was killed does not run, not even for this.
    off(&server, "endpoint:tv/home/main").await;
    assert_eq!(read(&device.get("/tv/home?n=1").await), is(503, "", "switch.off"));
}

#[tokio::test]
async fn the_last_good_answer_is_given_again_to_who_asks_for_the_same() {
    let server = Server::start(env!("CARGO_BIN_EXE_callboard-under-test"));
    server.deploy_with("tv/home", "last_good = \"5m\"\n", SOURCE).await.unwrap();
    let device = Device::of(&server.device);
    assert_eq!(read(&device.get("/tv/home?n=1").await), is(200, "", "good 1"));
    let with = |name, value| [(name, value)];
    device.send("GET", "/tv/home?n=2", &with("authorization", "Bearer mine"), Bytes::new()).await;
    device.send("GET", "/tv/home?n=3", &with("cookie", "mine=1"), Bytes::new()).await;
    off(&server, "team:tv").await;
    let again = device.get("/tv/home?n=1").await;
    assert_eq!(read(&again), is(200, "last-good; because=switch.off", "good 1"));
    assert!(again.header("age").parse::<u64>().is_ok_and(|age| age < 300), "{again:?}");
    assert_eq!(again.header("callboard-revision"), "1");
    // Who was answered so can still ask why, by the only id that the device has.
    let request = again.header("x-request-id");
    let why = server.client().decision(request).await.expect("the decision is found by the request's id");
    assert_eq!((why.rule.as_str(), why.request.as_deref()), ("switch", Some(request)));
    assert!(why.history.is_some_and(|history| history.count >= 1));
    // What was asked for with credentials is nobody else's, and theirs are not served from what is everybody's.
    for (path, headers) in [
        ("/tv/home?n=2", Vec::new()),
        ("/tv/home?n=3", Vec::new()),
        ("/tv/home?n=4", Vec::new()),
        ("/tv/home?n=1", with("authorization", "Bearer other").to_vec()),
        ("/tv/home?n=1", with("cookie", "other=1").to_vec()),
    ] {
        let reply = device.send("GET", path, &headers, Bytes::new()).await;
        assert_eq!(read(&reply), is(503, "", "switch.off"), "{path} {headers:?}");
    }
}

#[tokio::test]
async fn a_new_revision_that_fails_is_covered_by_the_good_answers_of_the_one_before() {
    let server = Server::start(env!("CARGO_BIN_EXE_callboard-under-test"));
    server.deploy_with("tv/home", "last_good = \"5m\"\n", SOURCE).await.unwrap();
    let device = Device::of(&server.device);
    device.get("/tv/home?n=1").await;
    let broken = "pub fn main(request) { panic!(\"broken\") }";
    server.deploy_with("tv/home", "last_good = \"5m\"\n", broken).await.unwrap();
    let covered = device.get("/tv/home?n=1").await;
    assert_eq!(read(&covered), is(200, "last-good; because=script.failed", "good 1"));
    assert_eq!(covered.header("callboard-revision"), "1", "it says whose answer it is");
    assert_eq!(read(&device.get("/tv/home?n=2").await), is(500, "", "script.failed"));
}
