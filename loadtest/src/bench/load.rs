//! The load: a closed loop, so many connections that are kept and each call again when they were answered.
//!
//! Invariant: every answer is compared with the expected bytes, or at least with their number, where a server writes
//! JSON in an order that changes from one answer to the next; and all calls of a run have ended when the
//! processor time is read again, so that it is the time of exactly these calls.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use futures_util::future::try_join_all;
use hdrhistogram::Histogram;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cpu::{self, ProcessId};
use super::reply::{self, Reply};

/// How long is called before anything is counted.
const WARM_UP: Duration = Duration::from_millis(1_000);
/// An answer that takes longer fails the run.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is called and how.
#[derive(Debug)]
pub struct Load {
    address: SocketAddr,
    /// In turn, each connection beginning with another one.
    requests: Vec<String>,
    expected: String,
    /// Whether answers have to be the same to the byte, and not in length alone.
    exactly: bool,
    connections: usize,
    /// Whether it looks for answers all the time instead of sleeping until one comes.
    awake: bool,
}

/// What a run measured.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Calls that were answered as expected: all.
    pub requests: u64,
    /// How long it took.
    pub wall: Duration,
    /// The serving process's time on processors.
    pub cpu: Duration,
    /// Half of the answers came within.
    pub p50: Duration,
    /// Of a hundred, all but one.
    pub p99: Duration,
    /// The serving process's memory after it, in bytes.
    pub resident: u64,
}

impl Run {
    /// Requests in a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 / self.wall.as_secs_f64()
    }

    /// Microseconds of processor time for a request.
    pub fn cpu_each(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.requests as f64
    }

    /// How much of one processor the server used.
    pub fn busy(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64()
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, rate, cpu) = (self.requests, self.rate(), self.cpu_each());
        write!(
            f,
            "{requests:>8} requests  {rate:>8.0}/s  {cpu:>7.2} µs CPU each  p50 {:.2?}  p99 {:.2?}",
            self.p50, self.p99
        )
    }
}

impl Load {
    /// A load on paths of a server, `http://127.0.0.1:1234`, that expects what is answered to the first call, exactly or in
    /// length.
    ///
    /// # Errors
    /// That is no address, or `is_right` says that the answer is none.
    pub async fn new(
        server: &str,
        paths: &[&str],
        connections: usize,
        awake: bool,
        (exactly, is_right): (bool, impl FnOnce(&str) -> bool),
    ) -> anyhow::Result<Self> {
        let authority = server.strip_prefix("http://").unwrap_or(server);
        let address = authority.parse().with_context(|| format!("{server} is no address"))?;
        let request = |path: &&str| format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n\r\n");
        let requests: Vec<String> = paths.iter().map(request).collect();
        ensure!(!requests.is_empty(), "there is nothing to call");
        let expected = String::new();
        let mut load = Self { address, requests, expected, exactly, connections, awake };
        let (mut stream, mut read) = (load.connect().await?, Vec::new());
        let found = tokio::time::timeout(PATIENCE, load.ask(0, &mut stream, &mut read))
            .await
            .context("no answer")??;
        load.expected = String::from_utf8_lossy(&read[found.body..found.end]).into_owned();
        ensure!(
            found.status == 200 && is_right(&load.expected),
            "answered {} {}",
            found.status,
            load.expected
        );
        Ok(load)
    }

    /// Calls each path once, one after the other, and answers how long each took.
    ///
    /// # Errors
    /// A call was not answered as expected.
    pub async fn once(&self) -> anyhow::Result<Histogram<u64>> {
        let (mut stream, mut read, mut took) = (self.connect().await?, Vec::new(), histogram()?);
        for next in 0..self.requests.len() {
            let began = Instant::now();
            tokio::time::timeout(PATIENCE, self.call(next, &mut stream, &mut read))
                .await
                .context("no answer")??;
            took.saturating_record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(took)
    }

    /// Calls for a while that is not counted, and then for so long.
    ///
    /// # Errors
    /// A call was not answered as expected.
    pub async fn run_warm(&self, time: Duration, serving: ProcessId) -> anyhow::Result<Run> {
        self.run(WARM_UP, serving).await?;
        self.run(time, serving).await
    }

    /// Calls for so long, and then until the last call was answered.
    ///
    /// # Errors
    /// A call was not answered as expected.
    async fn run(&self, time: Duration, serving: ProcessId) -> anyhow::Result<Run> {
        let mut streams = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            streams.push(self.connect().await?);
        }
        let before = cpu::used(serving)?;
        let began = Instant::now();
        let calls = (0..).zip(&mut streams);
        let calls = try_join_all(calls.map(|(nth, stream)| self.connection(nth, stream, began + time)));
        let parts = tokio::select! {
            biased;
            parts = calls => parts?,
            () = stay_awake(), if self.awake => bail!("nobody sleeps for ever"),
        };
        let wall = began.elapsed();
        let cpu = cpu::used(serving)?.saturating_sub(before);
        let mut all = histogram()?;
        for part in &parts {
            all.add(part)?;
        }
        ensure!(!all.is_empty(), "nothing was called");
        let at = |quantile| Duration::from_nanos(all.value_at_quantile(quantile));
        let resident = cpu::resident(serving)?;
        Ok(Run { requests: all.len(), wall, cpu, p50: at(0.5), p99: at(0.99), resident })
    }

    async fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).await.context("connecting")?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn connection(
        &self,
        nth: usize,
        stream: &mut TcpStream,
        until: Instant,
    ) -> anyhow::Result<Histogram<u64>> {
        let mut took = histogram()?;
        let mut next = nth * self.requests.len() / self.connections;
        let mut read = Vec::with_capacity(16 * 1024);
        loop {
            let began = Instant::now();
            if began >= until {
                return Ok(took);
            }
            tokio::time::timeout(PATIENCE, self.call(next, stream, &mut read))
                .await
                .context("no answer")??;
            took.saturating_record(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX));
            next = (next + 1) % self.requests.len();
        }
    }

    async fn call(&self, next: usize, stream: &mut TcpStream, read: &mut Vec<u8>) -> anyhow::Result<()> {
        let found = self.ask(next, stream, read).await?;
        let body = &read[found.body..found.end];
        let expected = self.expected.as_bytes();
        let is_right = if self.exactly { body == expected } else { body.len() == expected.len() };
        if found.status != 200 || !is_right || found.end != read.len() {
            bail!("answered {} {}", found.status, String::from_utf8_lossy(body));
        }
        Ok(())
    }

    async fn ask(&self, next: usize, stream: &mut TcpStream, read: &mut Vec<u8>) -> anyhow::Result<Reply> {
        read.clear();
        stream.write_all(self.requests[next].as_bytes()).await?;
        loop {
            ensure!(stream.read_buf(read).await? > 0, "the server closed the connection");
            if let Some(found) = reply::find(read).map_err(anyhow::Error::msg)? {
                return Ok(found);
            }
        }
    }
}

/// Looks for answers again and again. Waking a thread that sleeps on another processor costs who writes to it some
/// microseconds, on a virtual machine above all; and a server that answers one by one would pay them for each answer,
/// where one that answers many at a time pays them once.
async fn stay_awake() {
    loop {
        tokio::task::yield_now().await;
    }
}

/// From a microsecond to the longest patience, three digits.
fn histogram() -> anyhow::Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1_000, 60_000_000_000, 3)?)
}
