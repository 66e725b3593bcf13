//! The warden: the parent process. It binds the sockets, starts the serving child with the stack that it
//! needs, and starts another one when that dies.
//!
//! Invariant: the warden runs no script, opens no store and reads no request, so that nothing that a team
//! or a device sends can reach it.
//! Not here: what the child does (`child`).

use std::ffi::OsString;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::doors::Doors;
use crate::config::Config;

/// How much stack every thread of the child has for each byte of the largest memory limit: with it, no
/// script can nest values deeper than native code can follow. Only reserved, never filled.
const STACK_PER_BYTE: u64 = 16;
/// The least stack of the child's threads, in bytes.
const LEAST_STACK: u64 = 256 * 1024 * 1024;
/// The longest pause before another child is started.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A child that lived so long had no trouble starting.
const SETTLED: Duration = Duration::from_secs(30);
/// How much longer than its own drain a child may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);

/// What a child tells its warden, a line each on its standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// It serves.
    Ready,
    /// It made the first admin token, which is shown once.
    Token(String),
}

impl Told {
    /// The line.
    pub fn line(&self) -> String {
        match self {
            Self::Ready => "ready".to_owned(),
            Self::Token(token) => format!("token {token}"),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ') {
            None if line == "ready" => Some(Self::Ready),
            Some(("token", token)) => Some(Self::Token(token.to_owned())),
            _ => None,
        }
    }
}

/// How children are started.
pub struct Warden<'a> {
    /// The configuration; the child reads its own from the same sources.
    pub config: &'a Config,
    /// The sockets.
    pub doors: &'a Doors,
    /// The child's arguments.
    pub arguments: Vec<OsString>,
    /// Called for what a child tells.
    pub told: &'a mut dyn FnMut(Told),
}

enum Ended {
    Stopped,
    Died(ExitStatus),
}

impl Warden<'_> {
    /// Keeps a child serving until it is told to stop.
    ///
    /// # Errors
    /// No child can be started, or the first one ended before it served.
    pub async fn run(self) -> io::Result<()> {
        self.run_with(&[]).await
    }

    /// The same, with variables that only the child is given.
    ///
    /// # Errors
    /// As [`Warden::run`].
    pub async fn run_with(mut self, environment: &[(&str, &str)]) -> io::Result<()> {
        let mut stop = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut pause = Duration::ZERO;
        let mut served = false;
        loop {
            let began = Instant::now();
            let mut child = self.start(environment)?;
            // Held open as long as we live: its end tells the child that we are gone. Waiting would close it.
            let _lifeline = child.stdin.take();
            let ended = self.watch(&mut child, &mut stop, &mut interrupt, &mut served).await?;
            let Ended::Died(status) = ended else { return Ok(()) };
            if !served {
                return Err(io::Error::other(format!("the server could not start ({status})")));
            }
            pause = if began.elapsed() > SETTLED {
                Duration::ZERO
            } else {
                (pause * 2).clamp(Duration::from_millis(100), LONGEST_PAUSE)
            };
            tracing::error!(%status, pause_ms = pause.as_millis(), "the serving process died, another is started");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.recv() => return Ok(()),
                _ = interrupt.recv() => return Ok(()),
            }
        }
    }

    fn start(&self, environment: &[(&str, &str)]) -> io::Result<Child> {
        let memory = self.config.limits.ceiling.allowance.memory.get();
        let stack = memory.saturating_mul(STACK_PER_BYTE).max(LEAST_STACK);
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(&self.arguments)
            .env("RUST_MIN_STACK", stack.to_string())
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true);
        let mappings = self
            .doors
            .for_child()?
            .into_iter()
            .map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd })
            .collect();
        command.as_std_mut().fd_mappings(mappings).map_err(io::Error::other)?;
        command.spawn()
    }

    async fn watch(
        &mut self,
        child: &mut Child,
        stop: &mut tokio::signal::unix::Signal,
        interrupt: &mut tokio::signal::unix::Signal,
        served: &mut bool,
    ) -> io::Result<Ended> {
        let output = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let mut lines = BufReader::new(output).lines();
        let mut open = true;
        loop {
            tokio::select! {
                line = lines.next_line(), if open => match line {
                    Ok(Some(line)) => if let Some(told) = Told::parse(&line) {
                        *served |= told == Told::Ready;
                        (self.told)(told);
                    },
                    _ => open = false,
                },
                status = child.wait() => return status.map(Ended::Died),
                _ = stop.recv() => return self.stop(child).await,
                _ = interrupt.recv() => return self.stop(child).await,
            }
        }
    }

    /// Asks the child to finish what it has, and ends it when it takes too long.
    async fn stop(&self, child: &mut Child) -> io::Result<Ended> {
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).unwrap_or(0))) {
            kill_process(pid, Signal::TERM)?;
        }
        let patience = self.config.timeouts.drain + STOP_GRACE;
        if tokio::time::timeout(patience, child.wait()).await.is_err() {
            child.kill().await?;
        }
        Ok(Ended::Stopped)
    }
}
