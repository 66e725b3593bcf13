//! Every kind of switch on a real server: what is refused and what is not, what who is refused is told, and that one
//! that observes refuses nobody.

use std::time::Duration;

use api::client::{Ask, List, Upload, Wait};
use api::{
    ActivateRequest, Client, ClientError, Problem, ShedLevel, Spread, Switch, SwitchKind, SwitchRequest,
    SwitchState,
};
use tests::device::{Device, Reply};
use tests::server::{Options, Server, bundle};
use tests::service::Service;
use tests::wait::until;

const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");
const PATIENCE: Duration = Duration::from_secs(30);

const LIMITS: &str =
    "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000\nconcurrency = 100\ndeadline = \"10s\"\n";
const BOARD: &str = r#"
    pub fn main(request) { "hello" }
    pub fn ahead(request) { "ahead" }
    pub async fn hangs(request) { callboard::service::get("silent", "/").await?.text() }
    pub async fn asks(request) {
        match callboard::service::get("silent", "/").await { Ok(_) => "ok", Err(error) => error.kind() }
    }
"#;

/// `/tv/board` for people, `/tv/board/ahead` for what is fetched ahead, and two that call a service.
fn manifest() -> String {
    let endpoint = |function: &str, more: &str| {
        format!(
            "[[endpoint]]\npath = \"/tv/board/{function}\"\nhandler = \"main::{function}\"\n{more}\n{LIMITS}"
        )
    };
    let silent = "services = [\"silent\"]";
    let [ahead, hangs, asks] = [("ahead", "priority = \"prefetch\""), ("hangs", silent), ("asks", silent)]
        .map(|(f, m)| endpoint(f, m));
    format!("{LIMITS}{ahead}{hangs}{asks}")
}

struct Place {
    server: Server,
    client: Client,
    device: Device,
    silent: Service,
}

impl Place {
    async fn open() -> Self {
        let silent = Service::silent();
        let mut arguments = silent.arguments("silent");
        for setting in
            ["node.name=TV-7", "node.region=eu", "limits.team.burst=100000", "limits.team.rate=100000/s"]
        {
            arguments.extend(["--set", setting].map(str::to_owned));
        }
        let server = Server::start_with(PROGRAM, Options { arguments, ..Options::default() });
        server.deploy_with("tv/board", &manifest(), BOARD).await.unwrap();
        server.deploy_with("radio/other", LIMITS, "pub fn main(request) { `other` }").await.unwrap();
        Self { client: server.client(), device: Device::of(&server.device), server, silent }
    }

    async fn set(&self, scope: &str, request: &SwitchRequest) -> Switch {
        let answer = self.client.switch_off(scope, request, false).await.unwrap();
        let switch = answer.switch.unwrap();
        // The store of a node that is alone is its own.
        assert_eq!((switch.spread, answer.kind), (Some(Spread::Fleet), switch.kind));
        switch
    }

    async fn release(&self, scope: &str, kind: SwitchKind) {
        self.client.release_switch(scope, kind, None, false).await.unwrap();
    }

    async fn answers(&self, path: &str, body: &str) {
        let reply = self.device.get(path).await;
        assert_eq!((reply.status, &*reply.body), (200, body), "{path}");
    }

    async fn get_as(&self, path: &str, priority: &str) -> Reply {
        self.device.send("GET", path, &[("callboard-priority", priority)], bytes::Bytes::new()).await
    }

    /// A call is refused with a code; what its owner finds out about it.
    async fn refused(&self, reply: Reply, code: &str) -> Problem {
        assert_eq!((reply.status, &*reply.code(), reply.header("callboard-refused")), (503, code, code));
        let told: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
        for hidden in ["by", "reason", "limit", "observed"] {
            assert!(told.get(hidden).is_none(), "a device is told `{hidden}`: {told}");
        }
        let decision = self.client.decision(told["decision"].as_str().unwrap()).await.unwrap();
        assert_eq!(decision.problem.code, code);
        assert_eq!(decision.problem.reason.as_deref(), Some("a test"));
        assert!(decision.problem.by.is_some() && decision.problem.advice.is_some());
        decision.problem
    }

    async fn hits(&self, scope: &str, kind: SwitchKind) -> u64 {
        let all = self.client.switches().await.unwrap().items;
        let found = all.iter().find(|switch| switch.scope == scope && switch.kind == kind);
        found.unwrap_or_else(|| panic!("{kind} {scope} is not in {all:?}")).hits.unwrap()
    }
}

fn of(kind: SwitchKind) -> SwitchRequest {
    let request = SwitchRequest::of(kind, "a test");
    match kind {
        SwitchKind::Shed => SwitchRequest { level: Some(ShedLevel::Prefetch), ..request },
        SwitchKind::Cap => SwitchRequest { limit: Some(2), ..request },
        _ => request,
    }
}

fn observed(kind: SwitchKind) -> SwitchRequest {
    SwitchRequest { state: SwitchState::Observe, ..of(kind) }
}

fn code<T>(done: Result<T, ClientError>) -> String {
    match done {
        Ok(_) => "ok".to_owned(),
        Err(ClientError::Problem(problem)) => problem.code,
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn every_kind_refuses_what_it_says_and_nothing_else() {
    let place = Place::open().await;
    kills(&place).await;
    freezes(&place).await;
    sheds(&place).await;
    leaves_to_a_fallback(&place).await;
    caps(&place).await;
    stand_beside_each_other(&place).await;
    makes_no_sense(&place).await;
    of_other_nodes(&place).await;
    of_a_service(&place).await;
    assert_eq!(place.client.switches().await.unwrap().items, []);
}

/// As it was asked for before there were kinds.
async fn kills(place: &Place) {
    let mut ask = Ask::new(http::Method::PUT, "/v1/switches/script:tv/board");
    ask.headers.insert("content-type", "application/json".parse().unwrap());
    ask.body = r#"{"state":"off","reason":"a test"}"#.into();
    let raw = place.client.raw(ask).await.unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&raw.body).unwrap();
    assert_eq!((raw.status.as_u16(), answer["switch"]["kind"].as_str()), (200, Some("kill")));
    place.refused(place.device.get("/tv/board").await, "switch.off").await;
    place.answers("/radio/other", "other").await;
    let on = Ask::new(http::Method::DELETE, "/v1/switches/script:tv/board");
    assert_eq!(place.client.raw(on).await.unwrap().status.as_u16(), 200);
    place.answers("/tv/board", "hello").await;
}

async fn freezes(place: &Place) {
    let (client, server) = (&place.client, &place.server);
    let manifest = manifest();
    let deploy = || server.deploy_with("tv/board", &manifest, BOARD);
    place.set("team:tv", &observed(SwitchKind::Freeze)).await;
    deploy().await.unwrap();
    assert_eq!(place.hits("team:tv", SwitchKind::Freeze).await, 1);
    place.set("team:tv", &of(SwitchKind::Freeze)).await;
    let refused = deploy().await.unwrap_err();
    let ClientError::Problem(problem) = refused else { panic!("{refused:?}") };
    assert_eq!(
        (problem.status, &*problem.code, problem.scope.as_deref()),
        (403, "deploy.frozen", Some("team:tv"))
    );
    assert_eq!(problem.reason.as_deref(), Some("a test"));
    assert!(problem.by.is_some() && problem.since.is_some());
    let first = ActivateRequest { revision: 1, reason: None };
    let back = client.activate("tv", "board", "*", &first, false, Wait::Node).await;
    assert_eq!(code(back), "deploy.frozen");
    assert_eq!(code(client.delete_script("tv", "board", "*", None, false).await), "deploy.frozen");
    let dry = Upload { dry_run: true, ..Upload::default() };
    let archive = bundle("tv/board", &manifest, BOARD).to_archive();
    assert_eq!(code(client.upload("tv", "board", archive.into(), &dry).await), "deploy.frozen");
    assert_eq!(place.hits("team:tv", SwitchKind::Freeze).await, 4);
    // Devices and other teams do not notice.
    place.answers("/tv/board", "hello").await;
    server.deploy_with("radio/other", LIMITS, "pub fn main(request) { `other` }").await.unwrap();
    place.release("team:tv", SwitchKind::Freeze).await;
    deploy().await.unwrap();
    assert_eq!(client.revisions("tv", "board", &List::default()).await.unwrap().items.len(), 3);
}

async fn sheds(place: &Place) {
    place.set("all", &of(SwitchKind::Shed)).await;
    place.answers("/tv/board", "hello").await;
    place.refused(place.device.get("/tv/board/ahead").await, "switch.shed").await;
    for lower in ["prefetch", "background"] {
        place.refused(place.get_as("/tv/board", lower).await, "switch.shed").await;
    }
    // A device may only lower, and what it says has to be a priority.
    assert_eq!(place.get_as("/tv/board/ahead", "user").await.status, 503);
    assert_eq!(place.get_as("/tv/board", "urgent").await.status, 200);
    place.set("all", &SwitchRequest { level: Some(ShedLevel::Background), ..of(SwitchKind::Shed) }).await;
    place.answers("/tv/board/ahead", "ahead").await;
    place.refused(place.get_as("/tv/board/ahead", "background").await, "switch.shed").await;
    place.release("all", SwitchKind::Shed).await;
}

async fn leaves_to_a_fallback(place: &Place) {
    for (kind, refused) in
        [(SwitchKind::Fallback, "switch.fallback"), (SwitchKind::LastGood, "switch.last_good")]
    {
        place.set("endpoint:tv/board/main", &of(kind)).await;
        let problem = place.refused(place.device.get("/tv/board").await, refused).await;
        assert_eq!(problem.scope.as_deref(), Some("endpoint:tv/board/main"));
        place.answers("/tv/board/ahead", "ahead").await;
        place.release("endpoint:tv/board/main", kind).await;
        place.answers("/tv/board", "hello").await;
    }
}

async fn caps(place: &Place) {
    const SCOPE: &str = "endpoint:tv/board/hangs";
    let hang = || {
        let device = Device::of(&place.server.device);
        tokio::spawn(async move { device.get("/tv/board/hangs").await })
    };
    for observe in [true, false] {
        let request = if observe { observed(SwitchKind::Cap) } else { of(SwitchKind::Cap) };
        place.silent.hold();
        place.set(SCOPE, &request).await;
        let mut hanging = vec![hang(), hang()];
        until("two hang", PATIENCE, async || (place.silent.waiting() == 2).then_some(())).await;
        if observe {
            hanging.push(hang());
            until("a third hangs", PATIENCE, async || (place.silent.waiting() == 3).then_some(())).await;
        } else {
            let problem = place.refused(place.device.get("/tv/board/hangs").await, "switch.capped").await;
            assert_eq!((problem.limit.as_deref(), problem.observed.as_deref()), (Some("2"), Some("2")));
            place.answers("/tv/board", "hello").await;
        }
        assert_eq!(place.hits(SCOPE, SwitchKind::Cap).await, 1);
        place.silent.answer();
        for call in hanging {
            assert_eq!(call.await.unwrap().status, 200);
        }
        // The places are free again.
        place.answers("/tv/board/hangs", "ok").await;
    }
    place.release(SCOPE, SwitchKind::Cap).await;
    let metrics = place.client.metrics().await.unwrap();
    for line in [
        "kind=\"cap\",state=\"off\"} 1",
        "kind=\"cap\",state=\"observe\"} 1",
        "kind=\"freeze\",state=\"off\"} 4",
    ] {
        let line = format!("callboard_switch_hits_total{{{line}");
        assert!(metrics.contains(&line), "{line} is not in {metrics}");
    }
}

async fn stand_beside_each_other(place: &Place) {
    let kill = place.set("team:tv", &of(SwitchKind::Kill)).await;
    let freeze = place.set("team:tv", &of(SwitchKind::Freeze)).await;
    let again = place.set("team:tv", &of(SwitchKind::Freeze)).await;
    assert_eq!(again.generation, freeze.generation + 1);
    let all = place.client.switches().await.unwrap().items;
    let known: Vec<_> = all.iter().map(|switch| (switch.kind, switch.generation)).collect();
    assert_eq!(known, [(SwitchKind::Kill, kill.generation), (SwitchKind::Freeze, again.generation)]);
    place.release("team:tv", SwitchKind::Kill).await;
    place.answers("/tv/board", "hello").await;
    assert_eq!(code(place.client.delete_script("tv", "board", "*", None, true).await), "deploy.frozen");
    place.release("team:tv", SwitchKind::Freeze).await;
    let gone = place.client.release_switch("team:tv", SwitchKind::Freeze, None, false).await;
    assert_eq!(code(gone), "switch.unknown");
}

async fn makes_no_sense(place: &Place) {
    let ask = async |scope: &str, request: SwitchRequest| {
        code(place.client.switch_off(scope, &request, false).await)
    };
    assert_eq!(ask("class:tv-2015", of(SwitchKind::Freeze)).await, "switch.misfit");
    assert_eq!(ask("service:silent", of(SwitchKind::Cap)).await, "switch.misfit");
    assert_eq!(ask("all", SwitchRequest { limit: None, ..of(SwitchKind::Cap) }).await, "request.invalid");
    assert_eq!(ask("all", SwitchRequest { limit: Some(0), ..of(SwitchKind::Cap) }).await, "request.invalid");
    assert_eq!(ask("all", SwitchRequest { level: None, ..of(SwitchKind::Shed) }).await, "request.invalid");
    assert_eq!(ask("all", SwitchRequest { limit: Some(3), ..of(SwitchKind::Kill) }).await, "request.invalid");
}

async fn of_other_nodes(place: &Place) {
    for (scope, here) in
        [("region:us", false), ("node:TV-8", false), ("region:eu", true), ("node:TV-7", true)]
    {
        place.set(scope, &of(SwitchKind::Kill)).await;
        let listed = place.client.switches().await.unwrap().items;
        assert_eq!((listed.len(), &*listed[0].scope, listed[0].here), (1, scope, Some(here)));
        match here {
            true => drop(place.refused(place.device.get("/tv/board").await, "switch.off").await),
            false => place.answers("/tv/board", "hello").await,
        }
        place.release(scope, SwitchKind::Kill).await;
        place.answers("/tv/board", "hello").await;
    }
}

async fn of_a_service(place: &Place) {
    place.set("service:silent", &observed(SwitchKind::Kill)).await;
    place.answers("/tv/board/asks", "ok").await;
    assert_eq!(place.hits("service:silent", SwitchKind::Kill).await, 1);
    place.set("service:silent", &of(SwitchKind::Kill)).await;
    place.answers("/tv/board/asks", "off").await;
    assert_eq!(place.hits("service:silent", SwitchKind::Kill).await, 1);
    place.release("service:silent", SwitchKind::Kill).await;
    place.answers("/tv/board/asks", "ok").await;
}

#[tokio::test]
async fn a_preview_says_how_many_calls_of_whom_it_would_touch() {
    let place = Place::open().await;
    place.silent.answer();
    for _ in 0..30 {
        place.answers("/tv/board", "hello").await;
    }
    for _ in 0..10 {
        place.answers("/tv/board/ahead", "ahead").await;
        place.answers("/radio/other", "other").await;
    }
    for _ in 0..3 {
        place.answers("/tv/board/asks", "ok").await;
    }
    let look = async |scope: &str, request: SwitchRequest| {
        let answer = place.client.switch_off(scope, &request, true).await.unwrap();
        assert!(answer.dry_run);
        let radius = answer.radius.unwrap();
        assert_eq!(radius.node, "TV-7");
        assert!(radius.window_s <= 300, "{radius:?}");
        (
            radius.calls,
            radius.endpoints,
            radius.teams,
            radius.top.first().map(|top| (top.endpoint.clone(), top.calls)),
        )
    };
    let main = || Some(("tv/board/main".to_owned(), 30));
    assert_eq!(look("all", of(SwitchKind::Kill)).await, (53, 5, 2, main()));
    assert_eq!(look("team:tv", of(SwitchKind::Cap)).await, (43, 4, 1, main()));
    assert_eq!(look("endpoint:tv/board/main", of(SwitchKind::Kill)).await, (30, 1, 1, main()));
    let ahead = Some(("tv/board/ahead".to_owned(), 10));
    assert_eq!(look("team:tv", of(SwitchKind::Shed)).await, (10, 4, 1, ahead));
    assert_eq!(look("all", of(SwitchKind::Freeze)).await, (0, 5, 2, None));
    let asks = Some(("tv/board/asks".to_owned(), 3));
    assert_eq!(look("service:silent", of(SwitchKind::Kill)).await, (3, 2, 1, asks));
    assert_eq!(look("node:TV-8", of(SwitchKind::Kill)).await, (0, 0, 0, None));
    place.answers("/tv/board", "hello").await;
    assert_eq!(place.client.switches().await.unwrap().items, []);
}

#[tokio::test]
async fn switches_of_every_kind_stand_after_kill_9() {
    let data = tempfile::tempdir().unwrap();
    let options = || Options { data: Some(data.path().to_owned()), ..Options::default() };
    let mut server = Server::start_with(PROGRAM, options());
    server.deploy_with("tv/board", LIMITS, "pub fn main(request) { `hello` }").await.unwrap();
    let kinds =
        [SwitchKind::Freeze, SwitchKind::Shed, SwitchKind::Fallback, SwitchKind::LastGood, SwitchKind::Cap];
    let shown = async |server: &Server| {
        let all = server.client().switches().await.unwrap().items;
        all.into_iter()
            .map(|switch| (switch.kind, switch.level, switch.limit, switch.generation))
            .collect::<Vec<_>>()
    };
    for kind in kinds {
        server.client().switch_off("team:tv", &of(kind), false).await.unwrap();
    }
    let before = shown(&server).await;
    assert_eq!(before.len(), kinds.len());
    server.kill();
    let server = Server::start_with(PROGRAM, options());
    assert_eq!(shown(&server).await, before);
    assert_eq!(Device::of(&server.device).get("/tv/board").await.code(), "switch.fallback");
    let frozen = server.deploy_with("tv/board", LIMITS, "pub fn main(request) { `new` }").await;
    assert_eq!(code(frozen), "deploy.frozen");
}
