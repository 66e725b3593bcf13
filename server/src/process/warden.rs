//! The warden: the parent process. It binds the sockets, starts the serving child with the stack that it needs,
//! and starts another one when that dies or hangs.
//!
//! Invariant: the warden runs no script, opens no store and reads no request, so that nothing that a team or a
//! device sends can reach it. Of a child it believes what stands on the flight board, and nothing else of what ran.
//! Not here: what the child does (`child`).

mod autopsy;
mod book;
pub mod control;
mod generation;
mod hang;
mod orphans;
mod upgrade;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use actors::verdicts::jittered;
use runtime::processor::threads;
use rustix::process::{Pid, Signal};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use self::autopsy::{End, autopsy};
use self::book::Book;
use self::control::{Control, Request};
pub use self::generation::Handed;
use self::generation::{Generation, Happened};
use self::hang::{LOOK, Watch};
pub use self::upgrade::on_disk;
use super::doors::Doors;
use super::talk::{Order, Told};
use crate::config::Config;

/// How much stack every thread of the child has for each byte of the largest memory limit: with it, no
/// script can nest values deeper than native code can follow. Only reserved, never filled.
const STACK_PER_BYTE: u64 = 16;
/// The least stack of the child's threads, in bytes.
const LEAST_STACK: u64 = 256 * 1024 * 1024;
/// The pause before another child is started after the second death in a row; doubled with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause before another child is started.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A death after so long is not one in a row.
const SETTLED: Duration = Duration::from_secs(30);
/// How much longer than its own drain a child may take to stop.
const STOP_GRACE: Duration = Duration::from_secs(5);
/// This program as it runs, whatever has become of its file.
const MYSELF: &str = "/proc/self/exe";
/// The variable by which a warden that becomes another program tells it what it has; it is for no child.
pub const HANDED: &str = "WARDEN_HANDED";

/// How children are started.
pub struct Warden<'a> {
    /// The configuration; the child reads its own from the same sources.
    pub config: &'a Config,
    /// The sockets.
    pub doors: &'a Doors,
    /// The child's arguments.
    pub arguments: Vec<OsString>,
    /// The file to upgrade from; nothing where that is not possible.
    pub program: Option<PathBuf>,
    /// Called for what a child tells.
    pub told: &'a mut dyn FnMut(Told),
}

enum Ended {
    Stopped,
    Died(End),
    Asked(Request),
}

/// What a warden has besides its child.
struct Desk {
    stop: Stop,
    book: Book,
    control: Control,
    served: bool,
}

/// The signals that tell a warden to stop.
struct Stop {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

impl Stop {
    async fn told(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Warden<'_> {
    /// Keeps a child serving until it is told to stop, or until one of the program on the disk serves: then that
    /// is what this returns, for the warden to become that program, too. `adopted` serves already.
    ///
    /// # Errors
    /// No child can be started, or the first one ended before it served.
    pub async fn run(self, adopted: Option<Handed>) -> io::Result<Option<Handed>> {
        self.run_with(adopted, &[]).await
    }

    /// The same, with variables that only the child is given.
    ///
    /// # Errors
    /// As [`Warden::run`].
    pub async fn run_with(
        mut self,
        adopted: Option<Handed>,
        environment: &[(&str, &str)],
    ) -> io::Result<Option<Handed>> {
        let stop =
            Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        let book = Book::open(&self.config.data, self.config.node.crashes);
        let mut desk = Desk { stop, book, control: Control::closed(), served: adopted.is_some() };
        let (mut in_a_row, mut next) = (0, adopted.map(Generation::adopt).transpose()?);
        if next.is_some() {
            self.listen(&mut desk);
        }
        loop {
            let mut child = match next.take() {
                Some(child) => child,
                None => {
                    let mut child =
                        Generation::start(self.command(MYSELF.as_ref(), environment), self.doors)?;
                    child.order(&Order::Begin(desk.book.brief(now_ms()))).await;
                    child
                }
            };
            let end = match self.watch(&mut child, &mut desk).await? {
                Ended::Stopped => return Ok(None),
                Ended::Died(end) => end,
                Ended::Asked(request) => match self.replace(child, &mut desk, environment, request).await {
                    Ok(mut replaced) => tokio::select! {
                        biased;
                        // Whoever said so meanwhile is not forgotten with this program.
                        () = desk.stop.told() => return self.stop(&mut replaced).await.map(|_| None),
                        () = std::future::ready(()) => return replaced.hand_on().map(Some),
                    },
                    Err(goes_on) => {
                        next = Some(goes_on);
                        continue;
                    }
                },
            };
            if !desk.served {
                return Err(io::Error::other(match end {
                    End::Exit(status) => format!("the server could not start ({status})"),
                    End::Hung(..) => "the server could not start: it hung".to_owned(),
                }));
            }
            let said = desk.book.take(&autopsy(end, &child.remains()), now_ms());
            in_a_row = if child.began.elapsed() > SETTLED { 0 } else { in_a_row };
            let pause = pause(in_a_row, u64::from(child.began.elapsed().subsec_nanos()));
            in_a_row += 1;
            tracing::error!(
                said,
                pause_ms = pause.as_millis(),
                "the serving process died, another is started"
            );
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = desk.stop.told() => return Ok(None),
            }
        }
    }

    /// Has a child of the program on the disk take over; otherwise the old one goes on.
    async fn replace(
        &mut self,
        mut old: Generation,
        desk: &mut Desk,
        environment: &[(&str, &str)],
        request: Request,
    ) -> Result<Generation, Generation> {
        let Some(program) = self.program.clone() else { return Err(old) };
        let began = Instant::now();
        let command = self.command(&program, environment);
        match self.upgrade(&mut old, &mut desk.book, command, &program).await {
            Ok(mut next) => {
                if let Err(status) = self.retire(old, &mut next, &mut desk.book).await {
                    let why = format!("{} served and ended soon after ({status})", program.display());
                    request.answer(false, why).await;
                    // Replaced like any other that dies.
                    return Err(next);
                }
                let took = began.elapsed();
                tracing::info!(program = %program.display(), pid = next.pid(), ?took, "upgraded");
                let message =
                    format!("{} serves, as process {}, after {took:.1?}", program.display(), next.pid());
                request.answer(true, message).await;
                Ok(next)
            }
            Err(why) => {
                tracing::error!(why, "not upgraded");
                request.answer(false, why).await;
                Err(old)
            }
        }
    }

    /// Lets itself be told to upgrade, where it can be.
    fn listen(&self, desk: &mut Desk) {
        if self.program.is_some() {
            desk.control.open(&self.config.data);
        }
    }

    fn command(&self, program: &Path, environment: &[(&str, &str)]) -> Command {
        let memory = self.config.limits.ceiling.allowance.memory.get();
        let stack = memory.saturating_mul(STACK_PER_BYTE).max(LEAST_STACK);
        let mut command = Command::new(program);
        if let Some(name) = std::env::args_os().next() {
            command.arg0(name);
        }
        command
            .args(&self.arguments)
            .env_remove(HANDED)
            .env("RUST_MIN_STACK", stack.to_string())
            .envs(environment.iter().copied());
        command
    }

    async fn watch(&mut self, child: &mut Generation, desk: &mut Desk) -> io::Result<Ended> {
        let mut watch = Watch::default();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                happened = child.happens() => match happened? {
                    Happened::Told(told) => {
                        if told == Told::Ready {
                            desk.served = true;
                            self.listen(desk);
                        }
                        self.hear(told, &mut desk.book);
                    }
                    Happened::Ended(status) => return Ok(Ended::Died(End::Exit(status))),
                },
                _ = looks.tick() => {
                    orphans::bury(child.pid());
                    if let Some(end) = look(&mut watch, child) {
                        child.signal(Signal::KILL);
                        // What stands on the board is read when nothing of it runs any more.
                        child.ended().await?;
                        return Ok(Ended::Died(end));
                    }
                },
                request = desk.control.next() => return Ok(Ended::Asked(request)),
                () = desk.stop.told() => return self.stop(child).await,
            }
        }
    }

    /// Takes what a child tells.
    fn hear(&mut self, told: Told, book: &mut Book) {
        match &told {
            Told::Ready => book.told(),
            Told::Lifted(endpoint) => book.lift(endpoint),
            _ => {}
        }
        (self.told)(told);
    }

    /// Asks the child to finish what it has, and ends it when it takes too long.
    async fn stop(&self, child: &mut Generation) -> io::Result<Ended> {
        child.signal(Signal::TERM);
        let patience = self.config.timeouts.drain + STOP_GRACE;
        if tokio::time::timeout(patience, child.ended()).await.is_err() {
            child.signal(Signal::KILL);
            child.ended().await?;
        }
        Ok(Ended::Stopped)
    }
}

/// Whether a lane of the child hangs.
fn look(watch: &mut Watch, child: &Generation) -> Option<End> {
    let lanes: Vec<(u32, u64)> =
        child.board().lanes().iter().map(|lane| (lane.thread, lane.progress)).collect();
    let of_child =
        |thread: u32| threads::look(Pid::from_raw(child.pid())?, Pid::from_raw(thread.cast_signed())?);
    let (thread, hang, time) = watch.look(&lanes, of_child, Instant::now())?;
    Some(End::Hung(thread, hang, time))
}

/// How long to wait before the next child after so many deaths in a row before this one.
fn pause(before: u32, chance: u64) -> Duration {
    match before {
        0 => Duration::ZERO,
        1.. => {
            let doubled = FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(before - 1));
            jittered(doubled.min(LONGEST_PAUSE), chance)
        }
    }
}

/// The wall clock, in Unix milliseconds.
fn now_ms() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_death_costs_no_pause_and_later_ones_up_to_five_seconds() {
        for (before, about) in [(0, 0), (1, 100), (2, 200), (3, 400), (6, 3_200), (7, 5_000), (99, 5_000)] {
            for chance in [0, 200, 400] {
                let pause = u64::try_from(pause(before, chance).as_millis()).unwrap();
                assert!((about * 4 / 5..=about * 6 / 5).contains(&pause), "{before}: {pause}");
            }
        }
    }
}
