//! A server under test: a process with the addresses that it told, ended with its handle.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::cpu::{self, ProcessId};

/// The token of the measured server.
pub const TOKEN: &str = "a-token-for-benchmarks-only";
/// How long a server may take to start.
const START: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(5);

/// What is not to refuse a load that means to be the most that there can be. All rules are asked all the same.
pub const RAISED: [&str; 10] = [
    "limits.client.rate=1000000/s",
    "limits.client.burst=1000000",
    "limits.team.rate=1000000/s",
    "limits.team.burst=1000000",
    "limits.ceiling.rate=1000000/s",
    "limits.ceiling.burst=1000000",
    "limits.rate=1000000/s",
    "limits.burst=1000000",
    // A machine with other work may stop for longer than a device would wait.
    "limits.ceiling.deadline=10s",
    "limits.deadline=10s",
];

/// A server.
#[derive(Debug)]
pub struct Program {
    child: Child,
    /// Where it is called.
    pub device: String,
    /// Where it is operated, when it is callboard.
    pub admin: String,
    /// The process that serves.
    pub serving: ProcessId,
}

impl Program {
    /// Starts the services behind.
    ///
    /// # Errors
    /// It did not start.
    pub fn upstream(ours: &Path) -> anyhow::Result<Self> {
        Self::start(Command::new(ours).arg("upstream"), &["devices"]).context("starting the services")
    }

    /// Starts the jobs in plain Rust.
    ///
    /// # Errors
    /// It did not start.
    pub fn baseline(ours: &Path, upstream: &str) -> anyhow::Result<Self> {
        Self::start(Command::new(ours).args(["baseline", "--upstream", upstream]), &["devices"])
            .context("starting the baseline")
    }

    /// Starts the measured server with these settings beside [`RAISED`]. It keeps its data and its log in a directory.
    ///
    /// # Errors
    /// It did not start.
    pub fn callboard(
        program: &Path,
        directory: &Path,
        settings: impl IntoIterator<Item = String>,
    ) -> anyhow::Result<Self> {
        let log = directory.join("log");
        let mut command = Command::new(program);
        command
            .args(["serve", "--device", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(directory.join("data"));
        for setting in RAISED.map(str::to_owned).into_iter().chain(settings) {
            command.arg("--set").arg(setting);
        }
        // What is set for other servers of this machine is not meant for this one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"CALLBOARD_") {
                command.env_remove(name);
            }
        }
        command.env("CALLBOARD_ADMIN_TOKEN", TOKEN).stderr(File::create(&log)?);
        let told = || std::fs::read_to_string(&log).unwrap_or_default();
        let mut started = Self::start(&mut command, &["devices", "admin"])
            .with_context(|| format!("starting {}: {}", program.display(), told()))?;
        started.serving = cpu::child_of(ProcessId(started.child.id())).context("the warden has no child")?;
        Ok(started)
    }

    /// Starts a server that was told to listen there, and waits until it does.
    ///
    /// # Errors
    /// It did not start.
    pub fn listening(command: &mut Command, address: SocketAddr) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let (serving, device) = (ProcessId(child.id()), format!("http://{address}"));
        let mut started = Self { child, device, admin: String::new(), serving };
        let until = Instant::now() + START;
        while TcpStream::connect(address).is_err() {
            ensure!(started.child.try_wait()?.is_none(), "it ended");
            ensure!(Instant::now() < until, "it does not listen on {address}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Ok(started)
    }

    fn start(command: &mut Command, wanted: &[&str]) -> anyhow::Result<Self> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let serving = ProcessId(child.id());
        let mut started = Self { child, device: String::new(), admin: String::new(), serving };
        let output = BufReader::new(started.child.stdout.take().context("its output is piped")?);
        let (lines, told) = mpsc::channel();
        std::thread::spawn(move || {
            // What it says when nobody listens any more is read all the same, so that it never waits for us.
            output.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)));
        });
        let until = Instant::now() + START;
        while wanted.iter().any(|name| started.address(name).is_empty()) {
            let left = until.saturating_duration_since(Instant::now());
            let line = told.recv_timeout(left).context("it did not say where it serves")?;
            if let Some((name, address)) = line.trim().split_once(' ') {
                match name {
                    "devices" => started.device = address.trim().to_owned(),
                    "admin" => started.admin = address.trim().to_owned(),
                    _ => {}
                }
            }
        }
        ensure!(started.child.try_wait()?.is_none(), "it ended");
        Ok(started)
    }

    fn address(&self, name: &str) -> &str {
        if name == "admin" { &self.admin } else { &self.device }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let until = Instant::now() + STOP;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::park_timeout(Duration::from_millis(10));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
