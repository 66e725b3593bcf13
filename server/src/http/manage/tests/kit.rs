//! The kit: a door on a free port, with tokens of several kinds and a client for each.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actors::node::{Aftermath, Node, NodeConfig};
use actors::storage::{Embedded, Store};
use actors::who::Who;
use api::client::{Ask, Raw};
use api::{Client, Role};
use async_trait::async_trait;
use bytes::Bytes;
use quotas::limits::Policy;
use quotas::units::Bytes as Size;
use runtime::bundle::{Bundle, BundlePath};
use runtime::codec::SigningKeys;
use runtime::compile::{self, Compilation};
use runtime::compile_child::CompileError;
use serde_json::Value;

use crate::config::{Config, Secret, Sources};
use crate::http::admin;
use crate::http::auth::{Tokens, Wanted};
use crate::http::fleet::FleetTokens;
use crate::http::guard::Closing;
use crate::http::manage::AdminDoor;

/// The token of the configuration.
pub(super) const ADMIN: &str = "a token that was chosen by hand";

/// Compiles on a thread of its own.
struct OnThread;

#[async_trait]
impl actors::units::Compile for OnThread {
    async fn compile(&self, bundle: &Bundle) -> Result<Compilation, CompileError> {
        let bundle = bundle.clone();
        let (done, result) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().stack_size(compile::STACK);
        thread.spawn(move || done.send(compile::compile(&bundle)).is_ok()).unwrap();
        result.await.unwrap().map_err(CompileError::Source)
    }
}

/// A door in its own system.
pub(super) struct Kit {
    pub(super) node: Node,
    pub(super) tokens: Arc<Tokens>,
    url: String,
}

/// Runs a test against a door.
pub(super) fn with_door<F: Future<Output = ()>>(test: impl FnOnce(Kit) -> F + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let thread = thread.spawn(move || {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().to_owned();
        actix_rt::System::new().block_on(async move { test(Kit::open(path).await).await });
    });
    thread.unwrap().join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Waits until something is so.
pub(super) async fn until(what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A node of its own in a directory.
async fn node(directory: PathBuf) -> Node {
    let store: Arc<dyn Store> = Arc::new(Embedded::open(&directory.join("store")).await.unwrap());
    let config = NodeConfig {
        name: "a".to_owned(),
        region: None,
        policy: Policy::default(),
        classes: Vec::new(),
        services: BTreeMap::new(),
        keys: SigningKeys::new([7; 32], Vec::new()),
        compiler: Arc::new(OnThread),
        poll: Duration::from_millis(20),
        sweep: NodeConfig::SWEEP,
        journal: directory.join("switches"),
        cache: Size::mib(64),
        admin: String::new(),
        version: "1".to_owned(),
        peers: Arc::new(actors::fleet::Alone),
        broken_percent: NodeConfig::BROKEN_PERCENT,
        restarts: NodeConfig::RESTARTS,
        slow_threads: 0,
        paces: quotas::track::Paces::DEFAULT,
        good: Size::mib(1),
        rules: quotas::remedy::Rules::default(),
        shedding: quotas::pressure::Mode::Enforce,
        flight: None,
        aftermath: Aftermath::default(),
    };
    Node::start(config, store).await.unwrap()
}

impl Kit {
    async fn open(directory: PathBuf) -> Self {
        let node = node(directory).await;
        let admin = Secret::new(ADMIN.to_owned());
        let (tokens, made) = Tokens::bootstrap(&node, Some(&admin)).await.unwrap();
        assert!(made.is_none());
        let (tokens, config) = (Arc::new(tokens), Arc::new(Config::load(&Sources::default()).unwrap()));
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", socket.local_addr().unwrap());
        let door = AdminDoor::new(
            node.clone(),
            Arc::clone(&config),
            Arc::clone(&tokens),
            Arc::new(FleetTokens::of(&[7; 32], &[])),
        );
        actix_rt::spawn(admin::serve(socket, door, &config, Closing::default()).unwrap());
        Self { node, tokens, url }
    }

    /// A client with this token.
    pub(super) fn client(&self, token: &str) -> Client {
        Client::new(self.url.parse().unwrap()).with_token(token).unwrap()
    }

    /// A client of the configured admin.
    pub(super) fn admin(&self) -> Client {
        self.client(ADMIN)
    }

    /// A client without a token.
    pub(super) fn nobody(&self) -> Client {
        Client::new(self.url.parse().unwrap())
    }

    /// A client with a new token.
    pub(super) async fn with_role(&self, role: Role, team: Option<&str>) -> Client {
        let team = team.map(|team| team.parse().unwrap());
        let wanted = Wanted { role, team, note: format!("{role} of a test"), expires_ms: None };
        let (_, secret) = self.tokens.create(wanted, &Who::node("test")).await.unwrap();
        self.client(secret.reveal())
    }
}

/// The files of a script with one endpoint of its own, as an archive.
pub(super) fn archive(id: &str, text: &str) -> Bytes {
    pack(id, &format!("/{id}/hello"), text)
}

/// The same with its endpoint at this path.
pub(super) fn archive_at(id: &str, path: &str) -> Bytes {
    pack(id, path, "one")
}

fn pack(id: &str, path: &str, text: &str) -> Bytes {
    let (team, script) = id.split_once('/').unwrap();
    let manifest = format!(
        "team = \"{team}\"\nscript = \"{script}\"\n[[endpoint]]\npath = \"{path}\"\nhandler = \"main::hello\"\n"
    );
    let source = format!("pub fn hello(request) {{ \"{text}\" }}");
    let file = |path: &str, text: &str| (BundlePath::parse(path).unwrap(), Arc::from(text.as_bytes()));
    let files = BTreeMap::from([file("callboard.toml", &manifest), file("main.rn", &source)]);
    Bundle::from_files(files).unwrap().to_archive().into()
}

/// A request in one line: `PUT /v1/…`, with headers.
pub(super) fn ask(line: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Ask {
    let (method, path) = line.split_once(' ').unwrap();
    let mut ask = Ask::new(method.parse().unwrap(), path);
    for (name, value) in headers {
        ask.headers.append(
            http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
            http::HeaderValue::from_str(value).unwrap(),
        );
    }
    ask.body = body.into();
    ask
}

pub(super) fn value(raw: &Raw) -> Value {
    serde_json::from_slice(&raw.body).unwrap_or(Value::Null)
}

/// The status and the code of an answer; the code is empty for a success.
pub(super) fn outcome(raw: &Raw) -> (u16, String) {
    (raw.status.as_u16(), value(raw)["code"].as_str().unwrap_or_default().to_owned())
}
