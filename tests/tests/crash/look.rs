//! Looking at a server after a crash: its histories, its audit, its endpoints, against what is known.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use api::ClientError;
use api::client::List;
use futures_util::future::join_all;
use tests::device::Device;
use tests::server::Server;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::ledger::{Ledger, SCRIPTS, TEAM, answer_of, script_of, source_of};

/// How long a connection may wait for its answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds everything that is stored and served against the ledger; answers how many revisions there are.
pub async fn look_at_all(server: &Server, ledger: &RefCell<Ledger>) -> usize {
    let ledger = ledger.borrow().clone();
    let device = Device::of(&server.device);
    let mut stored = 0;
    for script in 0..SCRIPTS {
        stored += look_at(server, &device, &ledger, script).await;
    }
    stored
}

async fn look_at(server: &Server, device: &Device, ledger: &Ledger, script: usize) -> usize {
    let client = server.client();
    let name = script_of(script);
    let known: BTreeMap<u64, usize> =
        ledger.of_script(script).map(|(deploy, revision)| (revision, deploy)).collect();
    let list = List { limit: Some(100), ..List::default() };
    let history = match client.revisions(TEAM, &name, &list).await {
        Ok(history) => history.items,
        Err(ClientError::Problem(problem)) if problem.code == "script.unknown" => Vec::new(),
        Err(error) => panic!("{name}: {error:?}"),
    };

    // Each revision is one deploy that was sent, whole, and none of them is there twice.
    let mut made: BTreeMap<u64, usize> = BTreeMap::new();
    for revision in &history {
        let deploy: usize = revision.message.parse().expect("the message is the deploy's number");
        assert_eq!(script_of(deploy), name);
        let told = ledger.revision(deploy);
        assert!(
            told == Some(revision.number) || (told.is_none() && ledger.is_under_way(deploy)),
            "{name}@{} is deploy {deploy}, which was told to be {told:?}",
            revision.number
        );
        let source = client.file(TEAM, &name, revision.number, "main.rn").await.unwrap();
        assert_eq!(&source[..], source_of(deploy).as_bytes(), "{name}@{}", revision.number);
        made.insert(revision.number, deploy);
    }
    let numbers: Vec<u64> = made.keys().copied().collect();
    assert_eq!(numbers, (1..=history.len() as u64).collect::<Vec<_>>(), "{name}: the chain is whole");
    let mut deploys: Vec<usize> = made.values().copied().collect();
    deploys.sort_unstable();
    deploys.dedup();
    assert_eq!(deploys.len(), history.len(), "{name}: a deploy is there twice: {made:?}");
    for (revision, deploy) in &known {
        assert_eq!(made.get(revision), Some(deploy), "{name}@{revision} was acknowledged");
    }

    // The audit tells of exactly these.
    let list = List { script: Some(format!("{TEAM}/{name}")), limit: Some(100), ..List::default() };
    let audit = if history.is_empty() { Vec::new() } else { client.audit(&list).await.unwrap().items };
    let told = audit.iter().filter(|entry| entry.what == "revision.deploy").count();
    assert_eq!(told, history.len(), "{name}: {audit:?}");

    // Both endpoints answer the newest revision, or there are none.
    for path in [format!("/{TEAM}/{name}"), format!("/{TEAM}/{name}/twin")] {
        let reply = device.get(&path).await;
        match made.last_key_value() {
            Some((revision, deploy)) => {
                assert_eq!((reply.status, &reply.body), (200, &answer_of(*deploy)), "{path}");
                assert_eq!(reply.header("callboard-revision"), revision.to_string(), "{path}");
            }
            None => assert_eq!(reply.code(), "route.unknown", "{path}"),
        }
    }
    let active = if history.is_empty() { None } else { client.active(TEAM, &name).await.unwrap().active };
    assert_eq!(active, numbers.last().copied(), "{name}");
    history.len()
}

/// Calls an endpoint on so many connections of their own at once; answers all that came on each.
pub async fn on_new_connections(base: &str, path: &str, count: usize) -> Vec<String> {
    let address = base.strip_prefix("http://").expect("an address");
    let call = || async {
        let mut connection = TcpStream::connect(address).await.expect("the socket is open");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.expect("it takes a request");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.expect("it is not broken off");
        answer
    };
    let calls = join_all((0..count).map(|_| call()));
    tokio::time::timeout(PATIENCE, calls).await.expect("all are answered")
}
