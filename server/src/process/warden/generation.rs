//! Generation: one child of the warden, from its start to its end.
//!
//! Invariant: a child does not outlive its handle: dropping that kills it and waits until it is gone.
//! Not here: when one is started or ended (`warden`).

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

use actors::flight::FlightBoard;
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::unix::pipe;
use tokio::signal::unix::{SignalKind, signal};

use super::super::doors::{BOARD_FD, Doors};
use super::super::talk::{Order, Told};
use super::autopsy::Remains;
use super::threads;

/// What happens with a child.
#[derive(Debug)]
pub enum Happened {
    /// It tells something.
    Told(Told),
    /// It has ended.
    Ended(ExitStatus),
}

/// A child.
#[derive(Debug)]
pub struct Generation {
    pid: Pid,
    /// Comes when a child has ended, this one or another.
    some_ended: tokio::signal::unix::Signal,
    /// Held open as long as we live: its end tells the child that we are gone.
    orders: pipe::Sender,
    told: Lines<BufReader<pipe::Receiver>>,
    told_all: bool,
    board: Arc<FlightBoard>,
    /// When it was started.
    pub began: Instant,
    killed_for_memory: Option<u64>,
    ended: Option<ExitStatus>,
}

impl Generation {
    /// Starts a child that is given the doors and a board.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(mut command: Command, doors: &Doors) -> io::Result<Self> {
        let board = Arc::new(FlightBoard::new()?);
        let (input, orders) = io::pipe()?;
        let (told, output) = io::pipe()?;
        let mappings = doors.for_child()?.into_iter().chain([(board.descriptor()?, BOARD_FD)]);
        let mappings = mappings.map(|(parent_fd, child_fd)| FdMapping { parent_fd, child_fd }).collect();
        command.stdin(input).stdout(output).stderr(Stdio::inherit());
        command.fd_mappings(mappings).map_err(io::Error::other)?;
        let killed_for_memory = threads::out_of_memory();
        let some_ended = signal(SignalKind::child())?;
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            pid,
            some_ended,
            orders: pipe::Sender::from_owned_fd(orders.into())?,
            told: BufReader::new(pipe::Receiver::from_owned_fd(told.into())?).lines(),
            told_all: false,
            board,
            began: Instant::now(),
            killed_for_memory,
            ended: None,
        })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Its board.
    pub fn board(&self) -> &FlightBoard {
        &self.board
    }

    /// Gives an order. A child that is gone does not hear it.
    pub async fn order(&mut self, order: &Order) {
        let _ = self.orders.write_all(order.line().as_bytes()).await;
    }

    /// What happens next: it tells something, or it has ended. May be dropped at any time.
    ///
    /// # Errors
    /// The system does not know it.
    pub async fn happens(&mut self) -> io::Result<Happened> {
        let Self { pid, some_ended, told, told_all, ended, .. } = self;
        tokio::select! {
            biased;
            told = next(told, told_all) => Ok(Happened::Told(told)),
            status = wait(*pid, some_ended, ended) => Ok(Happened::Ended(status?)),
        }
    }

    /// Waits until it has ended. May be dropped at any time.
    ///
    /// # Errors
    /// The system does not know it.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        wait(self.pid, &mut self.some_ended, &mut self.ended).await
    }

    /// Sends it a signal. One that is gone does not get it.
    pub fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            // Its number is its own until it was waited for.
            let _ = kill_process(self.pid, signal);
        }
    }

    /// What it left behind.
    pub fn remains(&self) -> Remains {
        let (before, now) = (self.killed_for_memory, threads::out_of_memory());
        Remains {
            lanes: self.board.lanes(),
            crashed: self.board.crashed(),
            // Where the system does not say, it may be so.
            out_of_memory: before.is_none() || before != now,
        }
    }
}

/// What it tells next; does not answer any more when it says nothing more.
async fn next(lines: &mut Lines<BufReader<pipe::Receiver>>, told_all: &mut bool) -> Told {
    loop {
        if *told_all {
            std::future::pending::<()>().await;
        }
        match lines.next_line().await {
            Ok(Some(line)) => {
                if let Some(told) = Told::parse(&line) {
                    return told;
                }
            }
            _ => *told_all = true,
        }
    }
}

async fn wait(
    pid: Pid,
    some_ended: &mut tokio::signal::unix::Signal,
    ended: &mut Option<ExitStatus>,
) -> io::Result<ExitStatus> {
    loop {
        if let Some(status) = *ended {
            return Ok(status);
        }
        if let Some((_, status)) = waitpid(Some(pid), WaitOptions::NOHANG)? {
            *ended = Some(ExitStatus::from_raw(status.as_raw()));
            continue;
        }
        some_ended.recv().await;
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.signal(Signal::KILL);
            // A process that is killed is gone soon; who waited for it already has it.
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}
