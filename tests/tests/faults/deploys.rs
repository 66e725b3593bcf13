//! Deploys that break off, collide, and whose compiler is killed: what was acknowledged is there, and nothing is there
//! by half.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use api::client::{List, Upload, Wait};
use api::{ActivateRequest, Client, ClientError, DeployAnswer};
use runtime::processor::threads;
use rustix::process::Signal;
use tests::server::{TOKEN, bundle, children, process, signal};
use tests::wait::until;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use super::experiment::{Done, Experiment, HOLD};
use super::stage::{PATIENCE, PLENTY, Stage, code, ended_only};
use super::tally::Kind::{Availability, Blame, Data};

/// Who deploy the same script at the same time.
const DEPLOYERS: usize = 50;
/// Changes of the active revision at the same time.
const ROLLBACKS: usize = 40;
/// What a deploy may be told that was not done.
const NOT_DONE: &[&str] = &["deploy.conflict", "compiler.busy", "store.unavailable"];

pub fn all() -> Vec<Experiment> {
    vec![
        Experiment::of("uploads break off half way", Data, broken_off),
        Experiment::of("clients go before the answer to their deploy", Data, unheard),
        Experiment::of("fifty deploy the same script", Data, collide),
        Experiment::of("revisions are rolled back and forth", Data, rollbacks),
        Experiment::of("the compiler is killed", Blame, compiler_killed),
        Experiment::of(
            "the process that forks compilers is killed, and hangs",
            Availability,
            fork_server_killed,
        ),
        Experiment::of(
            "a script is taken away and deployed again while it is called",
            Availability,
            comes_and_goes,
        ),
    ]
}

fn says(text: &str) -> String {
    format!("pub fn main(request) {{ `{text}` }}")
}

fn archive(id: &str, text: &str) -> Vec<u8> {
    bundle(id, PLENTY, &says(text)).to_archive()
}

async fn deploy(client: Client, script: String, text: String) -> Result<DeployAnswer, ClientError> {
    let archive = archive(&format!("bad/{script}"), &text);
    client.upload("bad", &script, archive.into(), &Upload { message: text, ..Upload::default() }).await
}

/// The numbers and messages of a script's revisions, the oldest first, and the one that is active.
async fn history(stage: &Stage, script: &str) -> (Vec<(u64, String)>, Option<u64>) {
    let list = List { limit: Some(200), ..List::default() };
    let all = stage.server.client().revisions("bad", script, &list).await.expect("the history").items;
    let active: Vec<u64> = all.iter().filter(|one| one.active).map(|one| one.number).collect();
    assert!(active.len() <= 1, "{all:?}");
    let mut all: Vec<_> = all.into_iter().map(|one| (one.number, one.message)).collect();
    all.sort();
    (all, active.first().copied())
}

/// The head of an upload, and its body.
fn upload(stage: &Stage, script: &str, key: &str) -> (String, Vec<u8>) {
    let body = archive(&format!("bad/{script}"), script);
    let host = stage.server.admin.trim_start_matches("http://");
    let head = format!(
        "POST /v1/scripts/bad/{script}/revisions HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {TOKEN}\r\n\
         content-type: application/x-tar\r\nidempotency-key: {key}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head, body)
}

async fn connect(stage: &Stage) -> TcpStream {
    let address = stage.server.admin.trim_start_matches("http://");
    TcpStream::connect(address).await.expect("the admin door takes connections")
}

async fn broken_off(stage: Rc<Stage>) -> Done {
    let script = stage.fresh("broken");
    let (head, body) = upload(&stage, &script, &script);
    for n in 0..20 {
        let mut connection = connect(&stage).await;
        connection.write_all(head.as_bytes()).await.expect("a head is taken");
        connection.write_all(&body[..body.len() * n / 20]).await.expect("a part is taken");
        connection.flush().await.expect("it is sent");
    }
    // The places of those that are gone are free again.
    let (made, _) = until("a whole one is taken", PATIENCE, async || {
        match deploy(stage.server.client(), script.clone(), "whole".to_owned()).await {
            Ok(made) => Some(made),
            Err(refused) => {
                assert_eq!(code::<()>(Err(refused)), "compiler.busy");
                None
            }
        }
    })
    .await;
    assert_eq!(made.revision.number, 1, "of the others nothing was made");
    assert_eq!(stage.get(&format!("/bad/{script}")).await.body, "whole");
    Ok(())
}

async fn unheard(stage: Rc<Stage>) -> Done {
    for n in 0..10 {
        let script = stage.fresh("unheard");
        let key = format!("key-{script}");
        let (head, body) = upload(&stage, &script, &key);
        let mut connection = connect(&stage).await;
        connection.write_all(head.as_bytes()).await.expect("a head is taken");
        connection.write_all(&body).await.expect("a body is taken");
        // It goes at another time in each round: while the deploy is read, compiled, stored, or when it is done.
        tokio::time::sleep(Duration::from_millis(n * 15)).await;
        drop(connection);
        // Who asks again under the same key is told what became of it, and it is done once.
        let upload = Upload { idempotency_key: Some(key), ..Upload::default() };
        let (made, _) = until("it is known what became of it", PATIENCE, async || {
            let archive = archive(&format!("bad/{script}"), &script);
            match stage.server.client().upload("bad", &script, archive.into(), &upload).await {
                Ok(made) => Some(made),
                Err(refused) => {
                    let code = code::<()>(Err(refused));
                    assert!(["idempotency.running", "compiler.busy"].contains(&&*code), "{script}: {code}");
                    None
                }
            }
        })
        .await;
        assert_eq!(made.revision.number, 1, "{script}");
        assert_eq!(history(&stage, &script).await.0.len(), 1, "{script} was deployed once");
        assert_eq!(stage.get(&format!("/bad/{script}")).await.body, script);
    }
    Ok(())
}

async fn collide(stage: Rc<Stage>) -> Done {
    let script = stage.fresh("shared");
    let all: Vec<_> = (0..DEPLOYERS)
        .map(|n| tokio::spawn(deploy(stage.server.client(), script.clone(), format!("by {n}"))))
        .collect();
    let mut acknowledged = BTreeSet::new();
    for (n, one) in all.into_iter().enumerate() {
        match one.await.expect("it is answered") {
            Ok(made) => {
                assert!(
                    acknowledged.insert((made.revision.number, format!("by {n}"))),
                    "a number was given twice"
                );
            }
            Err(refused) => {
                let code = code::<()>(Err(refused));
                assert!(NOT_DONE.contains(&code.as_str()), "{n}: {code}");
            }
        }
    }
    let (history, active) = history(&stage, &script).await;
    let numbers: Vec<u64> = history.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, (1..=history.len() as u64).collect::<Vec<_>>(), "it is a chain");
    assert_eq!(
        history.iter().cloned().collect::<BTreeSet<_>>(),
        acknowledged,
        "what was acknowledged is there, and no more"
    );
    let served = stage.get(&format!("/bad/{script}")).await;
    let (_, text) = history.iter().find(|(number, _)| Some(*number) == active).expect("one is active");
    assert_eq!((&served.body, active), (text, numbers.last().copied()), "the last one answers");
    Ok(())
}

async fn rollbacks(stage: Rc<Stage>) -> Done {
    for text in ["first", "second"] {
        let made = deploy(stage.server.client(), "torn".to_owned(), text.to_owned()).await;
        made.expect("it is deployed");
    }
    stage.prove("/bad/torn").await;
    let load = stage.crowd("/bad/torn", 4);
    let all: Vec<_> = (0..ROLLBACKS)
        .map(|n| {
            let (client, revision) = (stage.server.client(), 1 + n as u64 % 2);
            tokio::spawn(async move {
                let request = ActivateRequest { revision, reason: None };
                (revision, client.activate("bad", "torn", "*", &request, false, Wait::Node).await)
            })
        })
        .collect();
    let mut done = 0;
    for one in all {
        match one.await.expect("it is answered") {
            (revision, Ok(activated)) => {
                assert_eq!(activated.head.active, Some(revision));
                done += 1;
            }
            (_, Err(refused)) => {
                let code = code::<()>(Err(refused));
                assert!(NOT_DONE.contains(&code.as_str()), "{code}");
            }
        }
    }
    assert!(done > 0, "none of {ROLLBACKS} was done");
    let calls = load.run_for(HOLD / 4).await;
    ended_only(&calls, &["200"]);
    let (history, active) = history(&stage, "torn").await;
    let served = stage.get("/bad/torn").await;
    let (_, text) = history.iter().find(|(number, _)| Some(*number) == active).expect("one is active");
    assert_eq!(
        (&served.body, served.header("callboard-revision")),
        (text, &*active.unwrap_or(0).to_string())
    );
    Ok(())
}

/// Takes the compiler long.
fn slow() -> String {
    let arms: String = (0..4_000).map(|n| format!("{n} => {n},\n")).collect();
    format!("pub fn main(request) {{ match request.path().len() {{ {arms} _ => 0 }} }}")
}

/// The processes that compile for this one: what its fork server forked.
fn compilers(server: u32) -> Vec<u32> {
    children(server).into_iter().flat_map(children).collect()
}

/// Whether it is at its work.
fn compiles(compiler: u32) -> bool {
    let Some(compiler) = process(compiler) else { return false };
    let threads = threads::of(compiler);
    let used = threads.iter().filter_map(|thread| threads::look(compiler, *thread)).map(|thread| thread.used);
    let is_at_work = used.sum::<Duration>() >= Duration::from_millis(50);
    // The end of several, of low priority, keeps the kernel busy for as long as others leave them no time.
    assert!(!is_at_work || threads.len() <= 1, "a compiler is one thread: {threads:?}");
    is_at_work
}

/// Deploys what takes the compiler long, does that to the process that is found meanwhile, and answers what became
/// of the deploy.
async fn while_it_compiles(stage: &Stage, script: &str, victim: fn(u32) -> Vec<u32>) -> String {
    let (client, id) = (stage.server.client(), script.to_owned());
    let deploy = tokio::spawn(async move {
        let archive = bundle(&format!("bad/{id}"), PLENTY, &slow()).to_archive();
        client.upload("bad", &id, archive.into(), &Upload::default()).await
    });
    let child = stage.child();
    until("it compiles", PATIENCE, async || compiles(*compilers(child).first()?).then_some(())).await;
    signal(victim(child)[0], Signal::KILL);
    code(deploy.await.expect("it is answered"))
}

/// The next one is taken as if nothing had been.
async fn goes_on(stage: &Stage, script: &str) {
    assert_eq!(stage.get(&format!("/bad/{script}")).await.code(), "route.unknown");
    let made = deploy(stage.server.client(), script.to_owned(), "after".to_owned()).await;
    assert_eq!(made.expect("the next one is taken").revision.number, 1);
    assert_eq!(stage.get(&format!("/bad/{script}")).await.body, "after");
}

async fn compiler_killed(stage: Rc<Stage>) -> Done {
    let script = stage.fresh("slow");
    for round in 0..3 {
        assert_eq!(while_it_compiles(&stage, &script, compilers).await, "compiler.died", "{round}");
    }
    goes_on(&stage, &script).await;
    Ok(())
}

async fn fork_server_killed(stage: Rc<Stage>) -> Done {
    let child = stage.child();
    for round in 0..3 {
        // It is tried once more, by another.
        let done = while_it_compiles(&stage, &stage.fresh("forked"), children).await;
        assert_eq!(done, "ok", "{round}");
    }
    for fault in [Signal::KILL, Signal::STOP] {
        let forks = children(child);
        assert_eq!(forks.len(), 1, "there is one at a time");
        // Nobody asks it for anything now.
        signal(forks[0], fault);
        goes_on(&stage, &stage.fresh("later")).await;
        assert!(!children(child).contains(&forks[0]), "it was ended and waited for");
    }
    Ok(())
}

async fn comes_and_goes(stage: Rc<Stage>) -> Done {
    let client = stage.server.client();
    deploy(client.clone(), "here".to_owned(), "here".to_owned()).await.expect("it is deployed");
    stage.prove("/bad/here").await;
    let load = stage.crowd("/bad/here", 4);
    for round in 0..5 {
        client.delete_script("bad", "here", "*", None, false).await.expect("it is taken away");
        assert_eq!(stage.get("/bad/here").await.code(), "route.unknown", "{round}");
        let text = format!("here {round}");
        deploy(client.clone(), "here".to_owned(), text.clone()).await.expect("it is deployed again");
        assert_eq!(stage.get("/bad/here").await.body, text);
    }
    ended_only(&load.run_for(HOLD / 4).await, &["200", "404 route.unknown"]);
    Ok(())
}
