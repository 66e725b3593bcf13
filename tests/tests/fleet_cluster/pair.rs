//! Two servers of one fleet, and what was acknowledged to whoever deployed on them.

use std::process::Command;
use std::time::{Duration, Instant};

use api::client::{List, Upload};
use api::{ClientError, SwitchRequest};
use tests::device::Device;
use tests::fleet::KEY;
use tests::server::{Server, bundle};
use tests::wait::{until, until_else};

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// These tests count no calls.
const LIMITS: &str = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000";

/// Sets up a keyspace, or tells what the program said.
pub fn set_up(store: &str, replication: &str, settings: &[&str]) -> Result<(), String> {
    let replication = format!("store.replication={replication}");
    // Machines that test are slow at times to make tables.
    let all = ["store.timeout=20s", "store.connect_timeout=20s", &replication];
    let mut command = Command::new(PROGRAM);
    command.args(["store", "migrate", "--store", store]).env("CALLBOARD_SIGNING_KEY", KEY);
    for setting in all.into_iter().chain(settings.iter().copied()) {
        command.args(["--set", setting]);
    }
    let done = command.output().expect("the program starts");
    if done.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&done.stderr).into_owned()) }
}

/// Starts a server on a shared store.
pub fn server(store: &str, name: &str, settings: &[&str]) -> Server {
    let all = [&["limits.team.rate=1000000/s", "limits.team.burst=1000000"], settings].concat();
    tests::fleet::member(PROGRAM, store, KEY, name, &all)
}

/// Two servers that serve `/tv/home`.
pub struct Pair {
    /// The servers.
    pub servers: [Server; 2],
    /// How many deploys were sent.
    sent: u64,
    /// What was acknowledged: the revision and what it answers.
    acknowledged: Vec<(u64, String)>,
}

impl Pair {
    /// Starts both, each on its own view of the store.
    pub fn start(stores: [&str; 2], settings: &[&[&str]; 2]) -> Self {
        let servers = [server(stores[0], "one", settings[0]), server(stores[1], "two", settings[1])];
        Self { servers, sent: 0, acknowledged: Vec::new() }
    }

    /// Deploys what was never deployed before.
    pub async fn deploy(&mut self, at: usize) -> Result<(), ClientError> {
        let said = format!("deploy {}", self.sent);
        self.sent += 1;
        let archive = bundle("tv/home", LIMITS, &format!("pub fn main(request) {{ `{said}` }}")).to_archive();
        let upload = Upload { message: said.clone(), ..Upload::default() };
        let answer = self.servers[at].client().upload("tv", "home", archive.into(), &upload).await?;
        self.acknowledged.push((answer.revision.number, said));
        Ok(())
    }

    /// Deploys until it is taken; how many were not, and how long that took.
    pub async fn deploy_until_taken(&mut self, at: usize, limit: Duration) -> (usize, Duration) {
        let mut failed = 0;
        let (_, took) = until("a deploy is taken", limit, async || match self.deploy(at).await {
            Ok(()) => Some(()),
            Err(ClientError::Problem(problem)) if problem.code.starts_with("store.") => {
                failed += 1;
                println!("server {at}: not taken: {problem}");
                None
            }
            Err(error) => panic!("{error:?}"),
        })
        .await;
        (failed, took)
    }

    /// A deploy fails clearly and in time; what is said, and after how long.
    pub async fn deploy_is_refused(&mut self, at: usize, limit: Duration) -> String {
        let began = Instant::now();
        let refused = self.deploy(at).await;
        let took = began.elapsed();
        let Err(ClientError::Problem(problem)) = refused else { panic!("{refused:?}") };
        assert!(matches!(&*problem.code, "store.unavailable" | "store.unknown"), "{problem:?}");
        assert_eq!(problem.status, 503);
        assert!(problem.retry_after_ms.is_some(), "{problem:?}");
        assert!(took <= limit, "it failed after {took:?}");
        format!("{} after {took:?}: {problem}", problem.code)
    }

    /// A switch of another script is in force at once, and is taken back at once.
    pub async fn switches_work(&self, at: usize) {
        let off = SwitchRequest::kill("a test");
        let began = Instant::now();
        let client = self.servers[at].client();
        client.switch_off("script:tv/other", &off, false).await.expect("the brake needs no store");
        println!("server {at}: a switch is off after {:?}", began.elapsed());
        client.switch_on("script:tv/other", None, false).await.expect("nor does letting go");
    }

    /// What a device is answered.
    pub async fn answer(&self, at: usize) -> String {
        Device::of(&self.servers[at].device).get("/tv/home").await.body
    }

    /// What was acknowledged last.
    pub fn newest(&self) -> String {
        self.acknowledged.iter().max().expect("something was deployed").1.clone()
    }

    /// Waits until both servers answer what was deployed last, and say that they agree.
    pub async fn both_serve_the_newest(&self, limit: Duration) {
        let newest = self.newest();
        for at in [0, 1] {
            let what = format!("server {at} answers {newest}");
            let answered = async || {
                let answer = self.answer(at).await;
                if answer == newest { Ok(()) } else { Err(answer) }
            };
            until_else(&what, limit, answered).await;
        }
        for (at, server) in self.servers.iter().enumerate() {
            let agree = async || {
                let found = server.client().convergence("tv", "home", "main").await;
                match found {
                    Ok(found) if found.converged && found.nodes.len() == 2 => Ok(()),
                    other => Err(other),
                }
            };
            until_else(&format!("server {at} says that both agree"), limit, agree).await;
        }
    }

    /// Waits until the history is the same on both; nothing of it that was acknowledged is missing.
    pub async fn both_have_all_that_was_acknowledged(&self, limit: Duration) {
        let agree = async || match (self.history(0).await, self.history(1).await) {
            (Ok(one), Ok(two)) if one == two => Ok(one),
            other => Err(other),
        };
        let (histories, _) = until_else("the histories agree", limit, agree).await;
        for acknowledged in &self.acknowledged {
            assert!(histories.contains(acknowledged), "{acknowledged:?} is missing in {histories:?}");
        }
        println!(
            "{} deploys acknowledged of {}, {} stored",
            self.acknowledged.len(),
            self.sent,
            histories.len()
        );
    }

    async fn history(&self, at: usize) -> Result<Vec<(u64, String)>, ClientError> {
        let list = List { limit: Some(100), ..List::default() };
        let found = self.servers[at].client().revisions("tv", "home", &list).await?.items;
        Ok(found.into_iter().map(|revision| (revision.number, revision.message)).collect())
    }
}
