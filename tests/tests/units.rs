//! A unit that was loaded from the store answers as the fresh one did, and is not compiled again.

use std::collections::BTreeMap;

use tests::device::Device;
use tests::server::{Options, Server};

const CORPUS: &str = include_str!("../harmless/corpus.txt");
const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");

fn corpus() -> impl Iterator<Item = (&'static str, &'static str)> {
    CORPUS.split("\n=== ").skip(1).map(|section| section.split_once('\n').expect("a source under the name"))
}

async fn answers(server: &Server) -> BTreeMap<String, String> {
    let device = Device::of(&server.device);
    let mut answers = BTreeMap::new();
    let examples = ["/hello?name=TV", "/tv/home/ada", "/tv/home/nobody"].map(str::to_owned);
    let paths = corpus().map(|(name, _)| format!("/harmless/{name}?name=TV")).chain(examples);
    for path in paths {
        let reply = device.get(&path).await;
        answers.insert(path, format!("{} {} {}", reply.status, reply.header("content-type"), reply.body));
    }
    let posted = device.post("/phone/playback/eve", r#"{"title":"t1","seconds":95}"#).await;
    answers.insert("post".to_owned(), format!("{} {}", posted.status, posted.body));
    let refused = device.post("/phone/playback/eve", r#"{"title":1}"#).await;
    answers.insert("post refused".to_owned(), format!("{} {}", refused.status, refused.body));
    answers
}

/// How often a counter of events stands, from the metrics.
async fn counted(server: &Server, event: &str) -> u64 {
    let metrics = server.client().metrics().await.expect("the metrics");
    let line =
        metrics.lines().find(|line| line.starts_with("callboard_events_total") && line.contains(event));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}

#[tokio::test]
async fn a_loaded_unit_answers_as_the_fresh_one() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = Options { demo: true, data: Some(directory.path().join("data")), ..Options::default() };

    let fresh = {
        let server = Server::start_with(PROGRAM, options.clone());
        for (name, source) in corpus() {
            let id = format!("harmless/{name}");
            server.deploy(&id, source).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        answers(&server).await
    };
    for (path, answer) in &fresh {
        let fine = ["200", "201", "204", "400", "404"].iter().any(|status| answer.starts_with(status));
        assert!(fine, "{path}: {answer}");
    }

    let server = Server::start_with(PROGRAM, options);
    let loaded = answers(&server).await;
    assert_eq!(loaded, fresh);
    assert_eq!(counted(&server, "unit_recompiled").await, 0, "no unit was compiled again");
}
