//! Generation: one child of the warden, from its start to its end.
//!
//! Invariant: a child does not outlive its handle: dropping that kills it and waits until it is gone.
//! Not here: when one is started or ended (`warden`).

use std::io;
use std::os::fd::OwnedFd;
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
    process: Process,
    /// Held open as long as we live: its end tells the child that we are gone.
    orders: pipe::Sender,
    told: Lines<BufReader<pipe::Receiver>>,
    told_all: bool,
    board: Arc<FlightBoard>,
    /// When it was started.
    pub began: Instant,
    killed_for_memory: Option<u64>,
}

/// The process itself, which ends with this.
#[derive(Debug)]
struct Process {
    pid: Pid,
    /// Comes when a child has ended, this one or another.
    some_ended: tokio::signal::unix::Signal,
    ended: Option<ExitStatus>,
    is_ours: bool,
}

/// What is left of a handle when the warden becomes another program: the child goes on.
#[derive(Debug)]
pub struct Handed {
    /// The child's number.
    pub pid: i32,
    /// Where it takes orders.
    pub orders: OwnedFd,
    /// Where it tells.
    pub told: OwnedFd,
    /// Its flight board.
    pub board: OwnedFd,
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
        let killed_for_memory = out_of_memory();
        let some_ended = signal(SignalKind::child())?;
        let child = command.spawn()?;
        let pid = Pid::from_child(&child);
        Ok(Self {
            process: Process { pid, some_ended, ended: None, is_ours: true },
            orders: pipe::Sender::from_owned_fd(orders.into())?,
            told: BufReader::new(pipe::Receiver::from_owned_fd(told.into())?).lines(),
            told_all: false,
            board,
            began: Instant::now(),
            killed_for_memory,
        })
    }

    /// The handle of a child that this process started when it was another program.
    ///
    /// # Errors
    /// What was handed on is not that.
    pub fn adopt(handed: Handed) -> io::Result<Self> {
        let pid = Pid::from_raw(handed.pid).ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self {
            process: Process { pid, some_ended: signal(SignalKind::child())?, ended: None, is_ours: true },
            orders: pipe::Sender::from_owned_fd(handed.orders)?,
            told: BufReader::new(pipe::Receiver::from_owned_fd(handed.told)?).lines(),
            told_all: false,
            board: Arc::new(FlightBoard::of(handed.board)?),
            began: Instant::now(),
            killed_for_memory: out_of_memory(),
        })
    }

    /// Gives up the handle without ending the child.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn hand_on(mut self) -> io::Result<Handed> {
        let board = self.board.descriptor()?;
        self.process.is_ours = false;
        Ok(Handed {
            pid: self.pid(),
            orders: self.orders.into_nonblocking_fd()?,
            told: self.told.into_inner().into_inner().into_nonblocking_fd()?,
            board,
        })
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.process.pid.as_raw_nonzero().get()
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
        let Self { process, told, told_all, .. } = self;
        tokio::select! {
            biased;
            told = next(told, told_all) => Ok(Happened::Told(told)),
            status = process.wait() => Ok(Happened::Ended(status?)),
        }
    }

    /// Waits until it has ended. May be dropped at any time.
    ///
    /// # Errors
    /// The system does not know it.
    pub async fn ended(&mut self) -> io::Result<ExitStatus> {
        self.process.wait().await
    }

    /// Sends it a signal. One that is gone does not get it.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// What it left behind.
    pub fn remains(&self) -> Remains {
        let (before, now) = (self.killed_for_memory, out_of_memory());
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

impl Process {
    async fn wait(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.ended {
                return Ok(status);
            }
            if let Some((_, status)) = waitpid(Some(self.pid), WaitOptions::NOHANG)? {
                self.ended = Some(ExitStatus::from_raw(status.as_raw()));
                continue;
            }
            self.some_ended.recv().await;
        }
    }

    fn signal(&self, signal: Signal) {
        if self.ended.is_none() {
            // Its number is its own until it was waited for.
            let _ = kill_process(self.pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_ours && self.ended.is_none() {
            self.signal(Signal::KILL);
            // A process that is killed is gone soon; who waited for it already has it.
            let _ = waitpid(Some(self.pid), WaitOptions::empty());
        }
    }
}

/// How often the system has ended a process for want of memory since it was started; nothing when it does not say.
fn out_of_memory() -> Option<u64> {
    let counts = std::fs::read_to_string("/proc/vmstat").ok()?;
    counts.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
}
