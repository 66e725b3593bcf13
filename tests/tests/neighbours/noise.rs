//! What noisy neighbours do, each as much as its team may.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tests::load::{Load, take_leftovers};
use tests::server::Server;
use tests::service::Service;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections of a crowd: as many calls of one endpoint as may be alive at one time.
const CROWD: usize = 64;

/// What the neighbours need.
pub struct Place {
    service: Service,
}

impl Place {
    pub fn open() -> Self {
        Self { service: Service::slow(Duration::ZERO) }
    }

    pub fn settings(&self) -> Vec<String> {
        vec![format!("service.near.url={}", self.service.url()), "service.near.timeout=5s".to_owned()]
    }
}

/// A kind of noise.
#[derive(Debug, Clone, Copy)]
pub enum Noise {
    Spin,
    Allocate,
    HostCalls,
    Sort,
    Deploys,
    Bombs,
    Answers,
}

/// Noise that goes on until it is ended.
pub enum Running {
    Calls(Load),
    Clients(std::thread::JoinHandle<()>, Arc<Count>, &'static str),
}

/// What clients did, and whether they are to end.
#[derive(Default)]
pub struct Count {
    ends: AtomicBool,
    done: AtomicUsize,
}

impl Count {
    fn goes_on(&self) -> bool {
        !self.ends.load(Ordering::Relaxed)
    }

    fn one(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

impl Running {
    /// Ends it; what it did.
    #[allow(clippy::disallowed_methods, reason = "a thread of the test, which ends with it")]
    pub async fn end(self) -> String {
        match self {
            Self::Calls(load) => {
                let outcomes = load.end().await.outcomes();
                let parts: Vec<_> =
                    outcomes.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
                parts.join(", ")
            }
            Self::Clients(thread, count, what) => {
                count.ends.store(true, Ordering::Relaxed);
                let ended =
                    tokio::task::spawn_blocking(move || thread.join()).await.expect("a thread to wait on");
                ended.expect("noise goes on");
                format!("{} {what}", count.done.load(Ordering::Relaxed))
            }
        }
    }
}

impl Noise {
    pub const ALL: [Self; 7] =
        [Self::Spin, Self::Allocate, Self::HostCalls, Self::Sort, Self::Deploys, Self::Bombs, Self::Answers];

    pub fn name(self) -> &'static str {
        match self {
            Self::Spin => "spins in a closure",
            Self::Allocate => "allocates to its limit",
            Self::HostCalls => "floods a service",
            Self::Sort => "sorts natively",
            Self::Deploys => "deploys all the time",
            Self::Bombs => "deploys compile bombs",
            Self::Answers => "answers a megabyte, read slowly",
        }
    }

    fn source(self) -> &'static str {
        match self {
            Self::Spin => "pub fn main(request) { let f = || loop { }; f() }",
            Self::Allocate => {
                "pub fn main(request) { let all = []; loop { let part = []; for i in 0..1000 { part.push(`text ${i}`); } \
                 all.push(part); } }"
            }
            Self::HostCalls => {
                "pub async fn main(request) { loop { let answer = callboard::service::get(\"near\", \"/\").await; } }"
            }
            Self::Sort => {
                "pub fn main(request) { let v = []; for i in 0..100_000 { v.push((i * 7919) % 100_003); } loop { v.sort(); \
                 for i in 0..v.len() { v[i] = (v[i] * 7919) % 100_003; } } }"
            }
            Self::Answers => {
                "pub fn main(request) { let text = `0123456789abcdef`; while text.len() < 500_000 { text = `${text}${text}`; } \
                 text }"
            }
            Self::Deploys | Self::Bombs => "pub fn main(request) { `small` }",
        }
    }

    /// Starts it.
    pub async fn start(self, server: &Server, _: &Place) -> Running {
        const LIMITS: &str = "services = [\"near\"]\n[endpoint.limits]\ndeadline = \"300ms\"\nfuel = 50_000_000\n\
                              memory = \"8MiB\"\n";
        let id = format!("noisy/{}", format!("{self:?}").to_lowercase());
        server.deploy_with(&id, LIMITS, self.source()).await.expect("the neighbour is deployed");
        match self {
            Self::Deploys => deploys(server, 4, ("stormy", "deploys"), |n| {
                format!("pub fn main(request) {{ `small {n}` }}")
            }),
            Self::Bombs => deploys(server, 8, ("bombers", "compile bombs"), bomb),
            Self::Answers => slow_readers(server, &format!("/{id}")),
            _ => Running::Calls(Load::crowd(&server.device, &format!("/{id}"), CROWD)),
        }
    }
}

/// Takes the compiler long, differently each time.
fn bomb(n: usize) -> String {
    let arms: String = (0..4_000).map(|arm| format!("{arm} => {},\n", arm + n)).collect();
    format!("pub fn main(request) {{ match request.path().len() {{ {arms} _ => 0 }} }}")
}

/// Clients on a thread of their own.
fn clients(
    what: &'static str,
    start: impl FnOnce(&mut JoinSet<()>, &Arc<Count>) + Send + 'static,
) -> Running {
    let count = Arc::new(Count::default());
    let there = Arc::clone(&count);
    let thread = std::thread::spawn(move || {
        take_leftovers();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut all = JoinSet::new();
            start(&mut all, &there);
            all.join_all().await;
        });
    });
    Running::Clients(thread, count, what)
}

/// So many at once, each as a team of its own: in thirty seconds one uses up what a team may deploy in an hour.
fn deploys(
    server: &Server,
    at_once: usize,
    (team, what): (&'static str, &'static str),
    source: fn(usize) -> String,
) -> Running {
    let client = server.client();
    clients(what, move |all, count| {
        for number in 0..at_once {
            let (client, count) = (client.clone(), Arc::clone(count));
            all.spawn(async move {
                let mut version = number * 1_000_000;
                while count.goes_on() {
                    version += 1;
                    let team = format!("{team}{number}");
                    let archive =
                        tests::server::bundle(&format!("{team}/storm"), "", &source(version)).to_archive();
                    let upload = api::client::Upload::default();
                    // Whether it is taken, too large, or told to wait: it was asked.
                    let _ = client.upload(&team, "storm", archive.into(), &upload).await;
                    count.one();
                }
            });
        }
    })
}

/// Ask for large answers and take them in small sips, each at a pace of its own.
fn slow_readers(server: &Server, path: &str) -> Running {
    let address: SocketAddr = server.device.trim_start_matches("http://").parse().expect("an address");
    let head = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    clients("large answers", move |all, count| {
        for number in 0..CROWD as u64 {
            let (head, count) = (head.clone(), Arc::clone(count));
            let pause = Duration::from_millis(12 + number % 17);
            all.spawn(async move {
                while count.goes_on() {
                    let Ok(mut stream) = TcpStream::connect(address).await else { continue };
                    if stream.write_all(head.as_bytes()).await.is_err() {
                        continue;
                    }
                    count.one();
                    let (mut sip, mut sips) = ([0; 1_024], 0);
                    while sips < 50 && count.goes_on() && matches!(stream.read(&mut sip).await, Ok(1..)) {
                        sips += 1;
                        tokio::time::sleep(pause).await;
                    }
                }
            });
        }
    })
}
