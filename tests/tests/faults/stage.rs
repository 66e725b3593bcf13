//! Stage: a server, the victim that is called all the while, and a service that does what it is told.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use api::ClientError;
use api::SwitchRequest;
use tests::device::{Device, Reply};
use tests::load::{Calls, Kind, Load};
use tests::server::{Options, Server};

use super::odd::Odd;
use crate::PROGRAM;

/// How long anything may take that a loaded machine does.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often the victim is called in a second.
const RATE: f64 = 50.0;
/// Calls after which an endpoint has proved itself and is served where it stays.
const PROVES: usize = 30;
/// The victim, and what it asks for: nothing that anybody could take from it.
const VICTIM: &str = "/calm/lake";
pub const PLENTY: &str =
    "[endpoint.limits]\nrate = \"50000/s\"\nburst = 50_000\nconcurrency = 1_000\ndeadline = \"10s\"\n";
/// How an endpoint that is in nobody's way may be refused for what it does itself.
const PROTECTED: &[&str] = &["429 concurrency.exceeded", "429 rate.exceeded", "503 memory.exceeded"];
const SHED: &str = "503 pressure.shed";

/// Where experiments are done.
pub struct Stage {
    /// The server.
    pub server: Server,
    /// The service behind it, by the names `odd` (which is waited for 300 ms), and `patient` (which is waited for).
    pub odd: Odd,
    /// How many names were asked for.
    names: Cell<u32>,
    /// Ends with the stage: what holds the server's directory, where that is not its own.
    _under: Option<Box<dyn std::any::Any>>,
}

/// How a process is doing.
#[derive(Debug)]
pub struct Vitals {
    /// The process that serves.
    pub child: u32,
    /// Its open descriptors.
    descriptors: u64,
    /// Its memory, in MiB.
    resident: u64,
}

impl Vitals {
    /// Whether it has a quarter more than before, and more than a busy moment and what is kept of thousands of
    /// endpoints explain: of each, on every thread, how long its calls took.
    pub fn has_grown_since(&self, before: &Self) -> bool {
        let most = |before: u64, slack: u64| before + before / 4 + slack;
        self.descriptors > most(before.descriptors, 24) || self.resident > most(before.resident, 48)
    }
}

impl Stage {
    /// A server whose team limits are in nobody's way, with the victim.
    pub async fn open(settings: &[&str]) -> Rc<Self> {
        Self::open_with(PROGRAM, settings, Options::default(), None).await
    }

    /// The same from another program, and with what has to live as long as the server.
    pub async fn open_with(
        program: &str,
        settings: &[&str],
        mut options: Options,
        under: Option<Box<dyn std::any::Any>>,
    ) -> Rc<Self> {
        let odd = Odd::open();
        let own = odd.settings();
        let team =
            ["rate=1000000/s", "burst=1000000", "concurrency=2000"].map(|rule| format!("limits.team.{rule}"));
        let all = own.iter().chain(&team).map(String::as_str).chain(settings.iter().copied());
        options.arguments.extend(all.flat_map(|setting| ["--set", setting]).map(str::to_owned));
        options.through = before_others();
        let server = Server::start_with(program, options);
        let stage = Self { server, odd, names: Cell::new(0), _under: under };
        stage.deploy("calm/lake", PLENTY, "pub fn main(request) { `calm` }").await;
        stage.prove(VICTIM).await;
        Rc::new(stage)
    }

    /// The victim's calls, until they are ended.
    pub fn victim(&self) -> Load {
        Load::at_rates(&self.server.device, vec![Kind::of(VICTIM, RATE)])
    }

    /// Calls an endpoint until it is no newcomer any more.
    pub async fn prove(&self, path: &str) {
        let device = self.device();
        for _ in 0..PROVES {
            get(&device, path).await;
        }
    }

    /// What a device gets that does as it is told: where the node has too much to do, it comes again.
    pub async fn get(&self, path: &str) -> Reply {
        get(&self.device(), path).await
    }

    /// A name that none of the attempts before had.
    pub fn fresh(&self, name: &str) -> String {
        self.names.set(self.names.get() + 1);
        format!("{name}-{}", self.names.get())
    }

    /// A device.
    pub fn device(&self) -> Device {
        Device::of(&self.server.device)
    }

    /// So many connections that call without a pause.
    pub fn crowd(&self, path: &str, connections: usize) -> Load {
        Load::crowd(&self.server.device, path, connections)
    }

    /// Where devices connect.
    pub fn door(&self) -> SocketAddr {
        self.server.device.trim_start_matches("http://").parse().expect("an address")
    }

    /// Deploys a script that has to be taken.
    pub async fn deploy(&self, id: &str, manifest: &str, source: &str) {
        let deployed = self.server.deploy_with(id, manifest, source).await;
        deployed.unwrap_or_else(|refused| panic!("{id} is not taken: {refused:?}"));
    }

    /// Turns something off; the code of the problem, or `ok`.
    pub async fn off(&self, scope: &str) -> String {
        let request = SwitchRequest::kill("a fault");
        code(self.server.client().switch_off(scope, &request, false).await)
    }

    /// Turns it on again; the code of the problem, or `ok`.
    pub async fn on(&self, scope: &str) -> String {
        code(self.server.client().switch_on(scope, None, false).await)
    }

    /// A metric without labels.
    pub async fn metric(&self, name: &str) -> Result<f64, String> {
        let text = self.server.client().metrics().await.map_err(|error| error.to_string())?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.and_then(|value| value.parse().ok()).ok_or_else(|| format!("no {name}"))
    }

    /// Waits until no call is under way and none holds memory.
    pub async fn at_rest(&self, limit: Duration) -> Result<(), String> {
        let until = Instant::now() + limit;
        loop {
            let calls = self.metric("callboard_node_in_flight").await;
            let held = self.metric("callboard_held_bytes").await;
            if (&calls, &held) == (&Ok(0.0), &Ok(0.0)) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!(
                    "nobody calls, and {calls:?} calls are under way and hold {held:?} bytes"
                ));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The process that serves.
    pub fn child(&self) -> u32 {
        self.server.child_pid().expect("a child serves")
    }

    /// How it is doing. Waits for a child that serves.
    pub async fn vitals(&self) -> Vitals {
        let child = tests::wait::until("a child serves", PATIENCE, async || self.server.child_pid()).await.0;
        Vitals { child, descriptors: descriptors(child), resident: resident(child) }
    }
}

/// The same of any device.
pub async fn get(device: &Device, path: &str) -> Reply {
    let told = tests::wait::until("the node has time for a call", PATIENCE, async || {
        let reply = device.get(path).await;
        (reply.code() != "pressure.shed").then_some(reply)
    });
    told.await.0
}

/// Lets a server go before what else the machine does, where this program may say so: who starves it is to be the
/// fault and nobody else. Where it may not, the server runs all the same.
pub fn before_others() -> Vec<String> {
    ["nice", "-n", "-10"].map(str::to_owned).into()
}

/// The open descriptors of a process.
pub fn descriptors(process: u32) -> u64 {
    std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, |open| open.count() as u64)
}

/// The memory of a process, in MiB.
pub fn resident(process: u32) -> u64 {
    size(process, "VmRSS:") >> 20
}

/// One of the sizes that the system tells of a process, in bytes; nothing of one that is gone.
pub fn size(process: u32, what: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or(0) << 10
}

/// The code of a problem, or `ok`; who cannot be reached is `unreachable`.
pub fn code<T: std::fmt::Debug>(done: Result<T, ClientError>) -> String {
    match done {
        Ok(_) => "ok".to_owned(),
        Err(ClientError::Problem(problem)) => problem.code,
        Err(ClientError::Unreachable { .. }) => "unreachable".to_owned(),
        Err(other) => panic!("{other:?}"),
    }
}

/// Whether calls ended in these ways alone, or were given up by a node that they keep busy; and whether there were any.
///
/// # Panics
/// They did not.
pub fn ended_only(calls: &Calls, ways: &[&str]) {
    let outcomes = calls.outcomes();
    let strange: Vec<_> =
        outcomes.keys().filter(|way| !ways.contains(&way.as_str()) && *way != SHED).collect();
    assert!(strange.is_empty(), "calls ended as {strange:?}: {outcomes:?}");
    assert!(!outcomes.is_empty(), "nobody called");
}

/// The same of calls that may be refused for what they do; some have to end in these ways.
///
/// # Panics
/// They did not.
pub fn ended_or_refused(calls: &Calls, ways: &[&str]) {
    let all: Vec<_> = ways.iter().chain(PROTECTED).copied().collect();
    ended_only(calls, &all);
    let outcomes = calls.outcomes();
    assert!(ways.iter().any(|way| outcomes.contains_key(*way)), "none ended in {ways:?}: {outcomes:?}");
}
