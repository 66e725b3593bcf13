//! The kit: a node in a directory, scripts in a line, calls in a word.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use quotas::limits::Policy;
use quotas::scope::{EndpointId, RevisionNumber, Scope, ScriptId, ServiceName};
use quotas::switches::Effect;
use quotas::track::Paces;
use quotas::units::{Bytes as Size, InFlight};
use runtime::bundle::{Bundle, BundlePath};
use runtime::codec::SigningKeys;
use runtime::compile::{self, Compilation};
use runtime::compile_child::CompileError;
use runtime::host::request::Request;
use runtime::host::service::{Service, ServiceUrl};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::faulty::Faulty;
use crate::controller::{Deploy, Deployed};
use crate::drill::get::Get;
use crate::error::{ControlError, StoreError};
use crate::lane::{Incoming, Lane};
use crate::node::{Aftermath, Node, NodeConfig};
use crate::routes::{Found, Params};
use crate::storage::{Embedded, Store};
use crate::supervisor::{Flip, Flipped, Release};
use crate::units::Compile;
use crate::who::Who;

/// How long anything is waited for.
const LIMIT: Duration = Duration::from_secs(20);

/// Runs a test as the only one of its thread, in a system of its own. What it leaves behind is dropped as a
/// crash would drop it.
pub(super) fn system<T: Send + 'static, F: Future<Output = T>>(
    test: impl FnOnce() -> F + Send + 'static,
) -> T {
    let thread = std::thread::Builder::new().stack_size(64 << 20);
    let thread = thread.spawn(move || actix_rt::System::new().block_on(test())).unwrap();
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Waits until something is so.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    let end = Instant::now() + LIMIT;
    while !is_so().await {
        assert!(Instant::now() < end, "waited too long until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(super) fn ana() -> Who {
    Who { name: "ana".to_owned(), from: "127.0.0.1".to_owned(), request: "r1".to_owned() }
}

pub(super) fn script(text: &str) -> ScriptId {
    ScriptId::parse(text).unwrap()
}

pub(super) fn endpoint(text: &str) -> EndpointId {
    EndpointId::parse(text).unwrap()
}

pub(super) fn number(number: u64) -> RevisionNumber {
    RevisionNumber::new(number).unwrap()
}

/// A bundle of one file and endpoints of one line each: `"/path handler"`.
pub(super) fn bundle(id: &str, source: &str, endpoints: &[&str]) -> Bundle {
    let (team, name) = id.split_once('/').unwrap();
    let mut manifest = format!("team = \"{team}\"\nscript = \"{name}\"\n");
    for endpoint in endpoints {
        let (path, handler) = endpoint.split_once(' ').unwrap();
        manifest.push_str(&format!(
            "[[endpoint]]\npath = \"{path}\"\nhandler = \"main::{handler}\"\nservices = [\"slow\"]\n\
             [endpoint.limits]\ndeadline = \"10s\"\nfuel = 50_000_000\n"
        ));
    }
    let file = |path: &str, text: &str| (BundlePath::parse(path).unwrap(), Arc::from(text.as_bytes()));
    let files = BTreeMap::from([file("callboard.toml", &manifest), file("main.rn", source)]);
    Bundle::from_files(files).unwrap_or_else(|found| panic!("{}", found.render(false)))
}

/// A bundle with `/hello`, which answers this text.
pub(super) fn hello(text: &str) -> Bundle {
    bundle("tv/home", &format!("pub fn hello(request) {{ \"{text}\" }}"), &["/hello hello"])
}

/// A bundle with `/slow`, which waits for the slow service and then answers this text.
pub(super) fn slow(text: &str) -> Bundle {
    let source = format!(
        "pub async fn slow(request) {{ let answer = callboard::service::get(\"slow\", \"/\").await; \"{text}\" }}"
    );
    bundle("tv/home", &source, &["/slow slow"])
}

pub(super) fn deploy_of(bundle: Bundle) -> Deploy {
    let manifest = bundle.manifest();
    Deploy {
        who: ana(),
        script: ScriptId { team: manifest.team.clone(), script: manifest.script.clone() },
        bundle,
        message: String::new(),
        tag: None,
        activate: true,
        dry_run: false,
        idempotency_key: None,
    }
}

pub(super) async fn deploy(node: &Node, bundle: Bundle) -> Result<Deployed, ControlError> {
    node.controller().send(deploy_of(bundle)).await.unwrap()
}

pub(super) async fn off(node: &Node, scope: &str) -> Result<quotas::switches::Switch, ControlError> {
    set(node, scope, Effect::Kill).await.map(|flipped| flipped.switch)
}

/// A flip by ana, as most tests want it.
pub(super) fn flip(scope: &str, effect: Effect) -> Flip {
    Flip {
        who: ana(),
        bound: None,
        scope: Scope::parse(scope).unwrap(),
        effect,
        reason: "runaway".to_owned(),
        until_ms: None,
        observe: false,
        dry_run: false,
    }
}

pub(super) async fn set(node: &Node, scope: &str, effect: Effect) -> Result<Flipped, ControlError> {
    node.supervisor().send(flip(scope, effect)).await.unwrap()
}

pub(super) async fn on(node: &Node, scope: &str) -> Result<Option<quotas::switches::Switch>, ControlError> {
    let id = scope.parse().unwrap();
    node.supervisor()
        .send(Release { who: ana(), bound: None, id, of: None, reason: None, dry_run: false })
        .await
        .unwrap()
}

/// Calls a path: the text of the answer, or the code of why there is none.
pub(super) async fn get(lane: &Lane, path: &str) -> Result<String, &'static str> {
    thread_local!(static CLIENT: Cell<u64> = const { Cell::new(0) });
    let client = CLIENT.replace(CLIENT.get() + 1).to_le_bytes();
    let routes = lane.routes();
    let (entry, params) = match routes.find("GET", path) {
        Found::Route { entry, params } => (Arc::clone(entry), params),
        Found::None => return Err("route.unknown"),
        other => panic!("{other:?}"),
    };
    drop(routes);
    let incoming = incoming(path, params);
    let answered = lane.call(&entry, &client, incoming).await.map_err(|refusal| refusal.code.as_str())?;
    let response = answered.result.map_err(|failure| failure.code())?;
    Ok(String::from_utf8(response.body.to_vec()).unwrap())
}

/// What a call of a path brings.
pub(super) fn incoming(path: &str, params: Params) -> Incoming {
    Incoming {
        request: Request::new(Rc::new(Get(path.to_owned())), params, None, Bytes::new()),
        class: None,
        request_id: "r1".into(),
        hops: 0,
    }
}

/// Calls a path in the background.
pub(super) fn get_later(
    lane: &Lane,
    path: &'static str,
) -> actix_rt::task::JoinHandle<Result<String, &'static str>> {
    let lane = lane.clone();
    actix_rt::spawn(async move { get(&lane, path).await })
}

/// A service that answers when it is told to.
pub(super) struct Slow {
    listener: TcpListener,
    pub(super) service: Arc<Service>,
}

impl Slow {
    pub(super) async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: ServiceUrl = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let name = ServiceName::parse("slow").unwrap();
        let service = Service::new(name, url, LIMIT, InFlight::new(8).unwrap(), Size::mib(1));
        Self { listener, service: Arc::new(service) }
    }

    /// The next request, as soon as it is there.
    pub(super) async fn asked(&self) -> Asked {
        let (mut stream, _) = tokio::time::timeout(LIMIT, self.listener.accept()).await.unwrap().unwrap();
        let mut head = [0; 4096];
        assert!(stream.read(&mut head).await.unwrap() > 0);
        Asked(stream)
    }
}

/// A request that waits for its answer.
pub(super) struct Asked(TcpStream);

impl Asked {
    pub(super) async fn answer(mut self) {
        self.0
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}")
            .await
            .unwrap();
    }

    /// Waits until whoever asked has gone, long before the call's deadline would end it.
    pub(super) async fn given_up(mut self) {
        let read = tokio::time::timeout(LIMIT / 5, self.0.read(&mut [0; 16])).await.unwrap();
        assert!(matches!(read, Ok(0) | Err(_)));
    }
}

/// Compiles on a thread of its own.
struct OnThread;

#[async_trait]
impl Compile for OnThread {
    async fn compile(&self, bundle: &Bundle) -> Result<Compilation, CompileError> {
        let bundle = bundle.clone();
        let (done, result) = tokio::sync::oneshot::channel();
        let thread = std::thread::Builder::new().stack_size(compile::STACK);
        thread.spawn(move || done.send(compile::compile(&bundle)).is_ok()).unwrap();
        result.await.unwrap().map_err(CompileError::Source)
    }
}

/// A directory with a store, in which nodes start.
pub(super) struct Place {
    directory: PathBuf,
    pub(super) store: Arc<Faulty>,
    pub(super) service: Option<Arc<Service>>,
    pub(super) restarts: (u32, Duration),
}

impl Place {
    pub(super) async fn open(directory: &Path) -> Self {
        let store = loop {
            match Embedded::open(&directory.join("store")).await {
                Ok(store) => break store,
                // A system that ended a moment ago may still be closing it.
                Err(StoreError::Locked { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
                Err(error) => panic!("{error}"),
            }
        };
        let store = Arc::new(Faulty::new(store));
        Self { directory: directory.to_owned(), store, service: None, restarts: NodeConfig::RESTARTS }
    }

    pub(super) fn config(&self, name: &str) -> NodeConfig {
        NodeConfig {
            name: name.to_owned(),
            region: None,
            policy: Policy::default(),
            classes: Vec::new(),
            services: self.service.iter().map(|known| (known.name.clone(), Arc::clone(known))).collect(),
            keys: SigningKeys::new([7; 32], Vec::new()),
            compiler: Arc::new(OnThread),
            poll: Duration::from_millis(20),
            sweep: NodeConfig::SWEEP,
            journal: self.directory.join(name).join("switches"),
            cache: Size::mib(64),
            admin: String::new(),
            version: "1".to_owned(),
            peers: Arc::new(crate::fleet::Alone),
            broken_percent: NodeConfig::BROKEN_PERCENT,
            restarts: self.restarts,
            slow_threads: 0,
            paces: Paces::DEFAULT,
            good: Size::mib(1),
            rules: quotas::remedy::Rules::default(),
            shedding: quotas::pressure::Mode::Enforce,
            flight: None,
            aftermath: Aftermath::default(),
        }
    }

    pub(super) async fn node(&self, name: &str) -> Node {
        let store: Arc<dyn Store> = self.store.clone();
        Node::start(self.config(name), store).await.unwrap()
    }
}
