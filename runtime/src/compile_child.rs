//! Compiling in a child process: whatever a source does to the compiler, it costs that one deploy.
//!
//! The parent sends the bundle as an archive and reads the unit's parts or the diagnostics back. The
//! child bounds itself in its first lines, before it reads a byte: processor time, memory, no new files,
//! no core dump; it ends with its parent. The signing key never reaches it.
//! Not here: what is compiled and how (`compile`).

mod turns;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use self::turns::{NoPlace, Turns};
use crate::archive::ArchiveLimits;
use crate::bundle::Bundle;
use crate::codec::{self, Compiled};
use crate::compile::{Compilation, STACK, compile};
use crate::diagnostic::Diagnostics;

/// The largest answer of a child, in bytes: the largest unit, and as much again for what else it says.
const ANSWER_MAX: u64 = codec::LARGEST as u64 * 2;

/// How much lower a compiler's priority is than that of the threads that serve, in the steps of `nice`.
const NICE: i32 = 10;
/// How compilations are run and bounded.
#[derive(Debug, Clone)]
pub struct CompilerConfig {
    /// The program that runs [`child_main`], usually this one.
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
    /// The defaults, for a program that takes `argument` as the order to be the child.
    pub fn new(program: PathBuf, argument: &str) -> Self {
        Self {
            program,
            arguments: vec![argument.into()],
            environment: Vec::new(),
            wall: Duration::from_secs(10),
            cpu_seconds: 10,
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
    config: CompilerConfig,
    turns: Turns,
}

impl Compiler {
    /// A compiler with these bounds.
    pub fn new(config: CompilerConfig) -> Self {
        let turns = Turns::new(config.at_once, config.queue);
        Self { config, turns }
    }

    /// Compiles a bundle in a child process, in turn with others. `team` is whose turn it is.
    ///
    /// # Errors
    /// What is wrong with the source, or what became of the child.
    pub async fn compile(&self, team: &str, bundle: &Bundle) -> Result<Compilation, CompileError> {
        let mut turn = self.turns.enter(team)?;
        turn.come().await;
        let wall = self.config.wall;
        match tokio::time::timeout(wall, self.run(bundle)).await {
            Ok(result) => result,
            Err(_) => Err(CompileError::TooLong(wall)),
        }
    }

    async fn run(&self, bundle: &Bundle) -> Result<Compilation, CompileError> {
        let mut child = tokio::process::Command::new(&self.config.program)
            .args(&self.config.arguments)
            .arg(self.config.cpu_seconds.to_string())
            .arg(self.config.memory.to_string())
            .env_clear()
            .envs(self.config.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(CompileError::Child)?;
        let (Some(mut input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(CompileError::Child(std::io::ErrorKind::BrokenPipe.into()));
        };
        let archive = bundle.to_archive();
        let send = async {
            // A child that died early is told by its status below.
            let _ = input.write_all(&archive).await;
            drop(input);
        };
        let mut answer = Vec::new();
        let mut output = output.take(ANSWER_MAX + 1);
        let receive = output.read_to_end(&mut answer);
        let ((), received) = tokio::join!(send, receive);
        received.map_err(CompileError::Child)?;
        if answer.len() as u64 > ANSWER_MAX {
            // It would wait for ever to be read to its end.
            child.kill().await.map_err(CompileError::Child)?;
            return Err(CompileError::TooLarge);
        }
        let status = child.wait().await.map_err(CompileError::Child)?;
        if !status.success() {
            return Err(CompileError::Died(died(status)));
        }
        match rmp_serde::from_slice(&answer) {
            Ok(Answer::Compiled(compiled, _)) if compiled.is_too_large() => Err(CompileError::TooLarge),
            Ok(Answer::Compiled(compiled, warnings)) => Ok(Compilation { compiled, warnings }),
            Ok(Answer::Wrong(diagnostics)) => Err(CompileError::Source(diagnostics)),
            Err(error) => Err(CompileError::Died(format!("its answer cannot be read ({error})"))),
        }
    }
}

fn died(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status.signal() {
        Some(24 | 9) => "it used up its processor time or was killed".to_owned(),
        Some(6 | 11) => "it ran out of memory or stack".to_owned(),
        Some(signal) => format!("signal {signal}"),
        None => format!("exit status {}", status.code().unwrap_or(-1)),
    }
}

/// The child's whole life. `cpu_seconds` and `memory` are its own bounds.
pub fn child_main(cpu_seconds: u64, memory: u64) -> ExitCode {
    if bound_itself(cpu_seconds, memory).is_err() {
        return ExitCode::from(70);
    }
    let work = std::thread::Builder::new().stack_size(STACK).spawn(|| {
        let mut archive = Vec::new();
        std::io::stdin().take(ArchiveLimits::default().total.get() * 2).read_to_end(&mut archive)?;
        let answer = match Bundle::from_archive(&archive, &ArchiveLimits::default()) {
            Ok(bundle) => match compile(&bundle) {
                Ok(compilation) => Answer::Compiled(compilation.compiled, compilation.warnings),
                Err(diagnostics) => Answer::Wrong(diagnostics),
            },
            Err(diagnostics) => Answer::Wrong(diagnostics),
        };
        let answer = rmp_serde::to_vec(&answer).map_err(std::io::Error::other)?;
        let mut out = std::io::stdout().lock();
        out.write_all(&answer)?;
        out.flush()
    });
    match work.map(std::thread::JoinHandle::join) {
        Ok(Ok(Ok(()))) => ExitCode::SUCCESS,
        _ => ExitCode::from(71),
    }
}

fn bound_itself(cpu_seconds: u64, memory: u64) -> rustix::io::Result<()> {
    // Compiling is never as urgent as serving. A machine that does not allow this compiles all the same.
    let _ = rustix::process::setpriority_process(None, NICE);
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    rustix::thread::set_no_new_privs(true)?;
    let at_most = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    setrlimit(Resource::Core, at_most(0))?;
    setrlimit(Resource::Fsize, at_most(0))?;
    setrlimit(Resource::Cpu, at_most(cpu_seconds))?;
    setrlimit(Resource::As, at_most(memory))?;
    setrlimit(Resource::Nofile, at_most(3))
}

#[cfg(test)]
mod tests;
