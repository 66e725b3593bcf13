//! The warden: the parent process. It binds the sockets, starts the serving child with the stack that it needs,
//! and starts another one when that dies or hangs.
//!
//! Invariant: the warden runs no script, opens no store and reads no request, so that nothing that a team or a
//! device sends can reach it. Of a child it believes what stands on the flight board, and nothing else of what ran.
//! Not here: what the child does (`child`).

mod autopsy;
mod book;
mod generation;
mod hang;
mod threads;

use std::ffi::OsString;
use std::io;
use std::process::Command;
use std::time::{Duration, Instant};

use actors::verdicts::jittered;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::MissedTickBehavior;

use self::autopsy::{End, autopsy};
use self::book::Book;
use self::generation::{Generation, Happened};
use self::hang::{LOOK, Watch};
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
    Died(End),
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
        let mut stop =
            Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        let mut book = Book::open(&self.config.data, self.config.node.crashes);
        let (mut in_a_row, mut served) = (0, false);
        loop {
            let mut child = Generation::start(self.command(environment), self.doors)?;
            child.order(&Order::Begin(book.brief(now_ms()))).await;
            let ended = self.watch(&mut child, &mut stop, &mut book, &mut served).await?;
            let Ended::Died(end) = ended else { return Ok(()) };
            if !served {
                return Err(io::Error::other(match end {
                    End::Exit(status) => format!("the server could not start ({status})"),
                    End::Hung(..) => "the server could not start: it hung".to_owned(),
                }));
            }
            let said = book.take(&autopsy(end, &child.remains()), now_ms());
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
                () = stop.told() => return Ok(()),
            }
        }
    }

    fn command(&self, environment: &[(&str, &str)]) -> Command {
        let memory = self.config.limits.ceiling.allowance.memory.get();
        let stack = memory.saturating_mul(STACK_PER_BYTE).max(LEAST_STACK);
        let mut command = Command::new(MYSELF);
        command
            .args(&self.arguments)
            .env("RUST_MIN_STACK", stack.to_string())
            .envs(environment.iter().copied());
        command
    }

    async fn watch(
        &mut self,
        child: &mut Generation,
        stop: &mut Stop,
        book: &mut Book,
        served: &mut bool,
    ) -> io::Result<Ended> {
        let mut watch = Watch::default();
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                happened = child.happens() => match happened? {
                    Happened::Told(told) => {
                        *served |= told == Told::Ready;
                        self.hear(told, book);
                    }
                    Happened::Ended(status) => return Ok(Ended::Died(End::Exit(status))),
                },
                _ = looks.tick() => if let Some(end) = look(&mut watch, child) {
                    child.signal(Signal::KILL);
                    // What stands on the board is read when nothing of it runs any more.
                    child.ended().await?;
                    return Ok(Ended::Died(end));
                },
                () = stop.told() => return self.stop(child).await,
            }
        }
    }

    /// Takes what a child tells.
    fn hear(&mut self, told: Told, book: &mut Book) {
        match &told {
            Told::Ready => book.told(),
            Told::Lifted(endpoint) => book.lift(endpoint),
            Told::Failed(_) | Told::Token(_) => {}
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
    let (thread, hang, time) =
        watch.look(&lanes, |thread| threads::look(child.pid(), thread), Instant::now())?;
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
