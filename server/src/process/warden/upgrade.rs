//! Upgrade: another child, from the program on the disk, takes over from the one that serves, and nobody notices.
//!
//! The next one starts and waits for the store; the old one lets go of it and serves devices from memory; the next
//! one is ready and takes connections from the same sockets; the old one marks its answers `Connection: close`, ends
//! its connections when they are idle, and itself. Envoy's hot restart is the model, without its shared memory.
//!
//! Invariant: at all times at least one of the two takes connections. Whatever goes wrong before the next one is
//! ready, the old one takes its store back and goes on.
//! Not here: what the children do for it (`child`), the warden becoming the new program (`serve`).

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::book::Book;
use super::generation::{Generation, Happened};
use super::{STOP_GRACE, Warden, now_ms};
use crate::process::talk::{Brief, Order, Told};

/// How long the next one may take to start, as far as it can without the store.
const START_WAIT: Duration = Duration::from_secs(10);
/// How long the old one may take to let go of the store, with the changes that are under way.
const LET_GO_WAIT: Duration = Duration::from_secs(30);
/// How long the next one may take until it serves.
const READY_WAIT: Duration = Duration::from_secs(60);
/// How long the old one may take to open its store again.
const TAKE_BACK_WAIT: Duration = Duration::from_secs(15);

impl Warden<'_> {
    /// Starts the program on the disk and has it take over.
    ///
    /// # Errors
    /// Why the old one goes on.
    pub(super) async fn upgrade(
        &mut self,
        old: &mut Generation,
        book: &mut Book,
        command: Command,
        program: &Path,
    ) -> Result<Generation, String> {
        let named = program.display();
        let mut next = Generation::start(command, self.doors)
            .map_err(|error| format!("{named} cannot be started: {error}"))?;
        let brief = Brief { takes_over: true, ..book.brief(now_ms()) };
        next.order(&Order::Begin(brief)).await;
        self.hears(&mut next, book, Told::Waits, START_WAIT)
            .await
            .map_err(|why| format!("{named} does not start: {why}"))?;
        old.order(&Order::LetGo).await;
        if let Err(why) = self.hears(old, book, Told::LetGo, LET_GO_WAIT).await {
            return Err(self.back(old, next, book, format!("the store is not free: {why}")).await);
        }
        if let Err(why) = self.hears(&mut next, book, Told::Ready, READY_WAIT).await {
            return Err(self.back(old, next, book, format!("{named} does not serve: {why}")).await);
        }
        Ok(next)
    }

    /// The next one does not come: the old one has everything back.
    async fn back(
        &mut self,
        old: &mut Generation,
        mut next: Generation,
        book: &mut Book,
        why: String,
    ) -> String {
        next.signal(Signal::KILL);
        // Only when it is gone is the store free.
        let _ = next.ended().await;
        old.order(&Order::TakeBack).await;
        match self.hears(old, book, Told::TookBack, TAKE_BACK_WAIT).await {
            Ok(()) => why,
            Err(lost) => {
                // Another one is started, as after any death.
                old.signal(Signal::KILL);
                format!("{why}; and the process before it could not go on: {lost}")
            }
        }
    }

    /// Waits until a child tells this.
    async fn hears(
        &mut self,
        child: &mut Generation,
        book: &mut Book,
        expected: Told,
        wait: Duration,
    ) -> Result<(), String> {
        let mut said = None;
        let heard = tokio::time::timeout(wait, async {
            loop {
                match child.happens().await {
                    Ok(Happened::Told(told)) if told == expected => {
                        self.hear(told, book);
                        return Ok(());
                    }
                    // One that cannot let go says so and lives.
                    Ok(Happened::Told(Told::Failed(why))) if expected == Told::LetGo => return Err(why),
                    Ok(Happened::Told(Told::Failed(why))) => said = Some(why),
                    Ok(Happened::Told(told)) => self.hear(told, book),
                    Ok(Happened::Ended(status)) => {
                        return Err(said.take().unwrap_or_else(|| format!("it ended ({status})")));
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
        });
        heard.await.unwrap_or_else(|_| Err(format!("not within {} s", wait.as_secs())))
    }

    /// Waits until the old one has finished what it had, or takes too long.
    ///
    /// # Errors
    /// How the next one ended meanwhile.
    pub(super) async fn retire(
        &mut self,
        mut old: Generation,
        next: &mut Generation,
        book: &mut Book,
    ) -> Result<(), String> {
        old.order(&Order::Retire).await;
        let until = Instant::now() + self.config.timeouts.drain + STOP_GRACE;
        loop {
            tokio::select! {
                _ = old.ended() => return Ok(()),
                happened = next.happens() => match happened {
                    Ok(Happened::Told(told)) => self.hear(told, book),
                    Ok(Happened::Ended(status)) => return Err(status.to_string()),
                    Err(error) => return Err(error.to_string()),
                },
                () = tokio::time::sleep_until(until.into()) => return Ok(()),
            }
        }
    }
}

/// The file that this program was started from, by the name that it was started by: a link that is pointed at
/// another build meanwhile leads to that.
pub fn on_disk() -> std::io::Result<PathBuf> {
    let exact = std::env::current_exe()?;
    let named = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    let named = match named.components().count() {
        0 | 1 => std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
            .map(|directory| directory.join(&named))
            .find(|path| path.is_file()),
        _ => std::path::absolute(&named).ok(),
    };
    let is_this = |path: &PathBuf| path.canonicalize().is_ok_and(|path| path == exact);
    Ok(named.filter(is_this).unwrap_or(exact))
}
