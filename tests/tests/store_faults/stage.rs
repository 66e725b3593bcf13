//! The stage of each test: a keyspace, a wire before its node, and servers that know only the wire.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use api::client::Upload;
use api::{ClientError, DeployAnswer, Problem, SwitchRequest};
use runtime::bundle::Bundle;
use tests::cassandra::Cassandra;
use tests::device::Device;
use tests::proxy::Proxy;
use tests::server::{Options, Server, bundle};
use tests::wait::until;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
/// How long anything may take that a loaded machine does.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How soon a change has to be everywhere; a loaded machine may take longer.
pub const FOLLOWS: Duration = Duration::from_secs(5);

/// These tests count no calls.
const MANIFEST: &str = "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000";

/// A keyspace and the way to it.
pub struct Stage<'a> {
    pub cassandra: &'a Cassandra,
    pub proxy: Proxy,
    pub keyspace: String,
    directory: tempfile::TempDir,
}

impl<'a> Stage<'a> {
    pub fn on(cassandra: &'a Cassandra) -> Self {
        let proxy = Proxy::before(cassandra);
        let keyspace = cassandra.fresh_keyspace();
        let directory = tempfile::tempdir().unwrap();
        let stage = Self { cassandra, proxy, keyspace, directory };
        // Machines that test are slow at times to make tables.
        let patience = ["--set", "store.timeout=20s", "--set", "store.connect_timeout=20s"];
        let migrate = ["store", "migrate", "--store", &stage.store()];
        let migrated = Command::new(PROGRAM).args(migrate).args(patience).envs([key()]).output().unwrap();
        let said = String::from_utf8_lossy(&migrated.stderr);
        assert!(migrated.status.success(), "{}: {said}", migrated.status);
        stage
    }

    fn store(&self) -> String {
        format!("cql://{}/{}", self.proxy.address(), self.keyspace)
    }

    /// The data of a server, the same when it is started again.
    pub fn data(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The log of a server, of all its starts.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.directory.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    pub fn server(&self, name: &str, settings: &[&str]) -> Server {
        let mut arguments = vec!["--store".to_owned(), self.store()];
        let name_is = format!("node.name={name}");
        let more = [&name_is, "limits.team.rate=1000000/s", "limits.team.burst=1000000"];
        for setting in more.iter().chain(settings) {
            arguments.extend(["--set", setting].map(str::to_owned));
        }
        let options = Options {
            arguments,
            data: Some(self.data(name)),
            environment: vec![key()],
            log: Some(self.directory.path().join(format!("{name}.log"))),
            ..Options::default()
        };
        Server::start_with(PROGRAM, options)
    }

    /// A session of the driver's that goes round the wire, to do what no server does.
    pub async fn session(&self) -> scylla::client::session::Session {
        let builder = scylla::client::session_builder::SessionBuilder::new();
        builder
            .known_nodes([self.cassandra.address()])
            .use_keyspace(&self.keyspace, false)
            .build()
            .await
            .unwrap()
    }

    /// Every connection of a server to the node, the one that the driver controls with too, has to be one that the
    /// wire's modes are done to. After a fault each comes back in its own time.
    pub async fn passes_through_the_wire(&self, server: &Server) {
        let pid = server.child_pid().unwrap();
        let (through, _) = until("pool and control connection are there", PATIENCE, async || {
            let (through, round) = self.proxy.connections_of(pid);
            assert_eq!(round, 0, "{through} pass through the wire, {round} go round it");
            (through >= 2).then_some(through)
        })
        .await;
        println!("{through} connections pass through the wire, none goes round it");
        assert!(self.proxy.connections() >= through && self.proxy.asked() > 0);
    }
}

/// What all servers on one store have in common.
fn key() -> (String, String) {
    ("CALLBOARD_SIGNING_KEY".to_owned(), "5a".repeat(32))
}

/// The source of a script that answers a text.
fn says(text: &str) -> String {
    format!("pub fn main(request) {{ `{text}` }}")
}

/// The files that [`deploy`] sends.
pub fn files(id: &str, text: &str) -> Bundle {
    bundle(id, MANIFEST, &says(text))
}

/// Deploys a script that answers a text, which is its message too.
pub async fn deploy(server: &Server, id: &str, text: &str) -> Result<DeployAnswer, ClientError> {
    deploy_as(server, id, text, None).await
}

pub async fn deploy_as(
    server: &Server,
    id: &str,
    text: &str,
    key: Option<&str>,
) -> Result<DeployAnswer, ClientError> {
    upload(server, id, MANIFEST, text, key).await
}

/// The same with a manifest of one's own after the line of the endpoint.
pub async fn upload(
    server: &Server,
    id: &str,
    manifest: &str,
    text: &str,
    key: Option<&str>,
) -> Result<DeployAnswer, ClientError> {
    upload_files(server, id, &bundle(id, manifest, &says(text)), text, key).await
}

/// The same with files of one's own.
pub async fn upload_files(
    server: &Server,
    id: &str,
    files: &Bundle,
    message: &str,
    key: Option<&str>,
) -> Result<DeployAnswer, ClientError> {
    let (team, script) = id.split_once('/').unwrap();
    let idempotency_key = key.map(str::to_owned);
    let upload = Upload { message: message.to_owned(), idempotency_key, ..Upload::default() };
    server.client().upload(team, script, files.to_archive().into(), &upload).await
}

/// The store could not do it, and the answer says so as the contract has it.
pub fn clear_failure(refused: Result<DeployAnswer, ClientError>) -> Problem {
    match refused {
        Err(ClientError::Problem(problem)) => {
            assert!(matches!(&*problem.code, "store.unavailable" | "store.unknown"), "{problem:?}");
            assert_eq!(problem.status, 503, "{problem:?}");
            *problem
        }
        other => panic!("{other:?}"),
    }
}

/// Deploys until the store takes it; how long that took.
pub async fn deploys_again(server: &Server, id: &str, text: &str) -> Duration {
    let look = async || match deploy(server, id, text).await {
        Ok(_) => Some(()),
        refused => {
            clear_failure(refused);
            None
        }
    };
    until("a deploy is taken again", PATIENCE, look).await.1
}

/// What a script answers, or the code of the problem.
pub async fn answer(server: &Server, id: &str) -> String {
    let reply = Device::of(&server.device).get(&format!("/{id}")).await;
    if reply.status == 200 { reply.body } else { reply.code() }
}

/// Waits until a script answers this; how long that took.
pub async fn answers(server: &Server, id: &str, wanted: &str, limit: Duration) -> Duration {
    let what = format!("{id} answers {wanted}");
    until(&what, limit, async || (answer(server, id).await == wanted).then_some(())).await.1
}

pub fn off() -> SwitchRequest {
    SwitchRequest::kill("a test")
}

/// Turns a scope off and on again; how long each took.
pub async fn off_and_on(server: &Server, scope: &str) -> (Duration, Duration) {
    let began = Instant::now();
    server.client().switch_off(scope, &off(), false).await.unwrap();
    let turned_off = began.elapsed();
    let (_, turned_on) = until("the switch is turned on", PATIENCE, async || {
        server.client().switch_on(scope, None, false).await.ok()
    })
    .await;
    (turned_off, turned_on)
}

/// How often an event happened on a server since its start.
pub async fn count(server: &Server, event: &str) -> u64 {
    let metrics = server.client().metrics().await.unwrap();
    let line = format!("callboard_events_total{{event=\"{event}\"}} ");
    let value = metrics.lines().find_map(|found| found.strip_prefix(&line));
    value.unwrap_or_else(|| panic!("no {event} in {metrics}")).parse().unwrap()
}

/// Whether a check of `/readyz?verbose` is fine, and what it says.
pub async fn check(server: &Server, name: &str) -> (bool, String) {
    let health = server.client().ready().await.unwrap();
    let check = health.checks.into_iter().find(|check| check.name == name).unwrap();
    (check.ok, check.detail.unwrap_or_default())
}

/// The history of a script, the oldest first: its numbers are a chain, and one revision is active.
pub async fn history(server: &Server, id: &str) -> Vec<api::Revision> {
    let (team, script) = id.split_once('/').unwrap();
    let mut all = server.client().revisions(team, script, &Default::default()).await.unwrap().items;
    all.reverse();
    let numbers: Vec<u64> = all.iter().map(|revision| revision.number).collect();
    assert_eq!(numbers, (1..=all.len() as u64).collect::<Vec<_>>(), "{all:?}");
    assert_eq!(all.iter().filter(|revision| revision.active).count(), 1, "{all:?}");
    all
}

/// How large a directory's files are and when one was last written.
pub fn written(directory: &Path) -> Option<std::time::SystemTime> {
    let files = std::fs::read_dir(directory).ok()?.filter_map(Result::ok);
    let newest = |path: PathBuf| match path.is_dir() {
        true => written(&path),
        false => path.metadata().and_then(|about| about.modified()).ok(),
    };
    files.filter_map(|file| newest(file.path())).max()
}
