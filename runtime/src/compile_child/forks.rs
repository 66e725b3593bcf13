//! Forks: the server's side of a fork server.
//!
//! It is started when the first fork is asked for, and again when it is found gone.
//! Not here: what it does (`fork_server`).

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Pair;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::CompilerConfig;

/// Where forks come from.
#[derive(Debug)]
pub(super) struct Forks {
    config: CompilerConfig,
    running: Mutex<Option<Running>>,
}

/// A child of its own for one bundle. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Fork {
    /// Takes the bundle and gives the answer.
    pub(super) work: UnixStream,
    /// Tells that the child began, and its exit status when it ended; nothing when it was not to be had.
    pub(super) end: UnixStream,
}

#[derive(Debug)]
struct Running {
    orders: Pair,
    /// Kept so that it is ended and waited for.
    _process: Option<Child>,
}

impl Forks {
    /// Forks of a server that is started by this program with these arguments.
    pub(super) fn new(config: CompilerConfig) -> Self {
        Self { config, running: Mutex::default() }
    }

    /// One more.
    ///
    /// # Errors
    /// The fork server could not be started, or takes no more orders.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn fork(&self) -> io::Result<Fork> {
        let ((work, its_work), (end, its_end)) = (Pair::pair()?, Pair::pair()?);
        self.order([its_work, its_end])?;
        let ours = |socket: Pair| {
            socket.set_nonblocking(true)?;
            UnixStream::from_std(socket)
        };
        Ok(Fork { work: ours(work)?, end: ours(end)? })
    }

    /// Ends the fork server, and with it whatever it forked: it answers no more.
    pub(super) fn give_up(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn order(&self, sockets: [Pair; 2]) -> io::Result<()> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        match running.as_ref().map(|running| running.order(&sockets)) {
            Some(Ok(())) => return Ok(()),
            Some(Err(error)) if !is_gone(&error) => return Err(error),
            Some(Err(_)) => tracing::warn!("the process that compiles was gone and is started again"),
            None => {}
        }
        running.insert(self.start()?).order(&sockets)
    }

    fn start(&self) -> io::Result<Running> {
        let CompilerConfig { program, arguments, environment, cpu_seconds, memory, .. } = &self.config;
        let (orders, its_orders) = Pair::pair()?;
        let process = Command::new(program)
            .args(arguments)
            .arg(cpu_seconds.to_string())
            .arg(memory.to_string())
            .env_clear()
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::from(OwnedFd::from(its_orders)))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        Ok(Running { orders, _process: Some(process) })
    }
}

impl Running {
    fn order(&self, sockets: &[Pair; 2]) -> io::Result<()> {
        let sockets = [sockets[0].as_fd(), sockets[1].as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !control.push(SendAncillaryMessage::ScmRights(&sockets)) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        // A fork server that does not take its orders is none that this thread should wait for.
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.orders, &[IoSlice::new(&[0])], &mut control, flags)?;
        Ok(())
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

#[cfg(test)]
impl Forks {
    /// Forks of a fork server that somebody else plays, who gets its end of the orders.
    pub(super) fn played() -> (Self, Pair) {
        let (orders, its_orders) = Pair::pair().expect("a pair of sockets");
        let forks = Self::new(CompilerConfig::new("/nowhere".into(), ""));
        *forks.running.lock().unwrap() = Some(Running { orders, _process: None });
        (forks, its_orders)
    }
}
