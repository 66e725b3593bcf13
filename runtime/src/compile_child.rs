//! Compiling in a child process: whatever a source does to the compiler, it costs that one deploy.
//!
//! The server sends the bundle as an archive and reads the unit's parts or the diagnostics back. Each bundle has a
//! process of its own, which a [`fork_server`] makes of itself: it has everything built, and the server has no
//! program to start. The child bounds itself in its first lines, before it reads a byte: processor time, memory, no
//! new files, no core dump; it ends with its parent. The signing key never reaches it.
//! Not here: what is compiled and how (`compile`).

mod fork_server;
mod forks;
mod turns;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::process::{ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::fork_server::Role;
use self::forks::{Fork, Forks};
use self::turns::{NoPlace, Turns};
use crate::archive::ArchiveLimits;
use crate::bundle::Bundle;
use crate::codec::{self, Compiled};
use crate::compile::{Compilation, STACK, compile};
use crate::diagnostic::Diagnostics;
use crate::processor::give_way::Reminder;
use crate::processor::leftovers;

/// The largest answer of a child, in bytes: the largest unit, and as much again for what else it says.
const ANSWER_MAX: u64 = codec::LARGEST as u64 * 2;

/// How long a fork may take; it takes a millisecond where the machine has time for it.
const PROMPT: Duration = Duration::from_secs(2);

/// How compilations are run and bounded.
#[derive(Debug, Clone)]
pub struct CompilerConfig {
    /// The program that runs [`fork_server_main`], usually this one.
    pub program: PathBuf,
    /// What makes it do so.
    pub arguments: Vec<OsString>,
    /// All that its environment holds.
    pub environment: Vec<(String, String)>,
    /// How long a compilation may take.
    pub wall: Duration,
    /// How much processor time it may take, in whole seconds.
    pub cpu_seconds: u64,
    /// How much memory it may map, in bytes; the stack of 256 MiB is part of it.
    pub memory: u64,
    /// How many may run at once. Of several, the last free one is kept for whoever runs none.
    pub at_once: usize,
    /// How many may wait for their turn; a quarter of them of one's own.
    pub queue: usize,
}

impl CompilerConfig {
    /// The defaults, for a program that takes `argument` as the order to be the fork server.
    pub fn new(program: PathBuf, argument: &str) -> Self {
        Self {
            program,
            arguments: vec![argument.into()],
            environment: Vec::new(),
            wall: Duration::from_secs(8),
            cpu_seconds: 8,
            memory: 1024 * 1024 * 1024,
            at_once: std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
            queue: 256,
        }
    }
}

/// Why a bundle was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Its source is wrong.
    #[error("the script does not compile")]
    Source(Diagnostics),
    /// Too many others wait.
    #[error("{0} compilations are waiting already")]
    Busy(usize),
    /// Too many of the same team wait.
    #[error("{0} compilations of this team are waiting already")]
    OwnBusy(usize),
    /// It took too long.
    #[error("the compiler did not end within {} s", .0.as_secs())]
    TooLong(Duration),
    /// What it compiles to is too large.
    #[error("what the script compiles to is larger than allowed: {} bytes at most", codec::LARGEST)]
    TooLarge,
    /// The compiler died of it: too much memory, too much processor time, or a crash.
    #[error("the compiler was stopped by this script: {0}")]
    Died(String),
    /// The child could not be started or spoken to.
    #[error("the compiler could not be run")]
    Child(#[source] std::io::Error),
}

impl CompileError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source(_) => "script.invalid",
            Self::Busy(_) | Self::OwnBusy(_) => "compiler.busy",
            Self::TooLong(_) => "compiler.timeout",
            Self::TooLarge => "compiler.too_large",
            Self::Died(_) => "compiler.died",
            Self::Child(_) => "compiler.unavailable",
        }
    }
}

#[derive(Serialize, Deserialize)]
enum Answer {
    Compiled(Compiled, Diagnostics),
    Wrong(Diagnostics),
}

impl From<NoPlace> for CompileError {
    fn from(full: NoPlace) -> Self {
        match full {
            NoPlace::All(waiting) => Self::Busy(waiting),
            NoPlace::Own(waiting) => Self::OwnBusy(waiting),
        }
    }
}

/// Runs compilations, so many at once.
#[derive(Debug)]
pub struct Compiler {
    wall: Duration,
    /// How long a fork may take.
    prompt: Duration,
    forks: Forks,
    turns: Turns,
}

impl Compiler {
    /// A compiler with these bounds. Its process is started when the first bundle comes.
    pub fn new(config: CompilerConfig) -> Self {
        let (wall, turns) = (config.wall, Turns::new(config.at_once, config.queue));
        Self { wall, prompt: PROMPT, forks: Forks::new(config), turns }
    }

    /// Compiles a bundle in a child process, in turn with others. `team` is whose turn it is.
    ///
    /// # Errors
    /// What is wrong with the source, or what became of the child.
    pub async fn compile(&self, team: &str, bundle: &Bundle) -> Result<Compilation, CompileError> {
        self.compile_timed(team, bundle).await.0
    }

    /// The same, and how long it ran: the wait for its turn is not its own.
    pub async fn compile_timed(
        &self,
        team: &str,
        bundle: &Bundle,
    ) -> (Result<Compilation, CompileError>, Duration) {
        let mut turn = match self.turns.enter(team) {
            Ok(turn) => turn,
            Err(full) => return (Err(full.into()), Duration::ZERO),
        };
        turn.come().await;
        let began = Instant::now();
        let done = tokio::time::timeout(self.wall, self.run(bundle)).await;
        (done.unwrap_or(Err(CompileError::TooLong(self.wall))), began.elapsed())
    }

    /// Dropping this ends the child. A fork server that died or hangs is nothing that the bundle did: it is tried
    /// once more.
    async fn run(&self, bundle: &Bundle) -> Result<Compilation, CompileError> {
        let archive = bundle.to_archive();
        match self.attempt(&archive).await {
            Err(CompileError::Child(error)) => {
                tracing::warn!(%error, "the process that forks compilers was given up, another is started");
                self.attempt(&archive).await
            }
            done => done,
        }
    }

    /// Has a fork compile the bundle, and gives up a fork server that does not do its part.
    async fn attempt(&self, archive: &[u8]) -> Result<Compilation, CompileError> {
        let mut fork = self.forks.fork().map_err(CompileError::Child)?;
        let done = self.ask(&mut fork, archive).await;
        if let Err(CompileError::Child(_)) = done {
            self.forks.give_up(&fork.of);
        }
        done
    }

    async fn ask(&self, fork: &mut Fork, archive: &[u8]) -> Result<Compilation, CompileError> {
        let Fork { work, end, .. } = fork;
        match tokio::time::timeout(self.prompt, end.read_u8()).await {
            Ok(began) => began.map_err(CompileError::Child)?,
            Err(_) => return Err(CompileError::Child(std::io::ErrorKind::TimedOut.into())),
        };
        let (output, mut input) = work.split();
        let send = async {
            // A child that died early is told by its status below.
            let _ = input.write_all(archive).await;
            let _ = input.shutdown().await;
        };
        let mut answer = Vec::new();
        let mut output = output.take(ANSWER_MAX + 1);
        let receive = output.read_to_end(&mut answer);
        // A child that died with a part of the bundle unread resets the connection.
        let ((), received) = tokio::join!(send, receive);
        if answer.len() as u64 > ANSWER_MAX {
            return Err(CompileError::TooLarge);
        }
        let status = ExitStatus::from_raw(end.read_i32().await.map_err(CompileError::Child)?);
        if !status.success() {
            return Err(CompileError::Died(died(status)));
        }
        received.map_err(CompileError::Child)?;
        match rmp_serde::from_slice(&answer) {
            Ok(Answer::Compiled(compiled, _)) if compiled.is_too_large() => Err(CompileError::TooLarge),
            Ok(Answer::Compiled(compiled, warnings)) => Ok(Compilation { compiled, warnings }),
            Ok(Answer::Wrong(diagnostics)) => Err(CompileError::Source(diagnostics)),
            Err(error) => Err(CompileError::Died(format!("its answer cannot be read ({error})"))),
        }
    }
}

fn died(status: ExitStatus) -> String {
    match status.signal() {
        Some(24 | 9) => "it used up its processor time or was killed".to_owned(),
        Some(6 | 11) => "it ran out of memory or stack".to_owned(),
        Some(signal) => format!("signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or(-1)),
    }
}

/// The fork server's whole life, and that of each child that it becomes. `cpu_seconds` and `memory` are a child's
/// bounds.
pub fn fork_server_main(cpu_seconds: u64, memory: u64) -> ExitCode {
    // A child is a copy of the one thread that forks, and so that thread's stack is the compiler's.
    let served = on_large_stack(|| match fork_server::serve() {
        Ok(Role::Over) => true,
        // What waits for this thread is in the process that forked, not in this one.
        Ok(Role::Child(work, parent)) => std::process::exit(child_main(&work, parent, cpu_seconds, memory)),
        Err(_) => false,
    });
    if served == Some(true) { ExitCode::SUCCESS } else { ExitCode::from(72) }
}

/// The child's whole life, and its exit status.
fn child_main(work: &UnixStream, parent: Pid, cpu_seconds: u64, memory: u64) -> i32 {
    // A parent that went before the child could ask to go with it is seen now.
    if bound_itself(work, cpu_seconds, memory).is_err() || rustix::process::getppid() != Some(parent) {
        return 70;
    }
    // A system that refuses lets others in by itself, if late.
    let reminder = leftovers::is_open().then(|| Reminder::new().ok()).flatten();
    let _reminded = reminder.as_ref().map(Reminder::remind);
    // A panic would end its only thread, and the process as if all were well.
    match std::panic::catch_unwind(AssertUnwindSafe(|| answer(work))) {
        Ok(Ok(())) => 0,
        _ => 71,
    }
}

fn answer(mut work: &UnixStream) -> std::io::Result<()> {
    let mut archive = Vec::new();
    work.take(ArchiveLimits::default().total.get() * 2).read_to_end(&mut archive)?;
    let answer = match Bundle::from_archive(&archive, &ArchiveLimits::default()) {
        Ok(bundle) => match compile(&bundle) {
            Ok(compilation) => Answer::Compiled(compilation.compiled, compilation.warnings),
            Err(diagnostics) => Answer::Wrong(diagnostics),
        },
        Err(diagnostics) => Answer::Wrong(diagnostics),
    };
    let answer = rmp_serde::to_vec(&answer).map_err(std::io::Error::other)?;
    work.write_all(&answer)
}

/// Does work that nests as deep as sources may; nothing when it could not be begun or ended in a panic.
fn on_large_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, work).ok()?.join().ok()
    })
}

/// What a child may take. Its low priority and what it may not do at all it has from the fork server.
fn bound_itself(work: &UnixStream, cpu_seconds: u64, memory: u64) -> rustix::io::Result<()> {
    // The orders are the last that it has of what is not a child's.
    rustix::stdio::dup2_stdin(work)?;
    leftovers::take();
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    setrlimit(Resource::Cpu, at_most(cpu_seconds))?;
    setrlimit(Resource::As, at_most(memory))?;
    setrlimit(Resource::Nofile, at_most(3))
}

fn at_most(limit: u64) -> Rlimit {
    Rlimit { current: Some(limit), maximum: Some(limit) }
}

#[cfg(test)]
mod tests;
