//! Forks: the server's side of a fork server.
//!
//! It is started when a fork is asked for and none runs.
//!
//! Invariant: whoever gives a fork server up ends the one that they had a fork of, never one that was started since.
//! Not here: what it does (`fork_server`), when it is given up.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as Pair;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

use super::CompilerConfig;

/// Where forks come from.
#[derive(Debug)]
pub(super) struct Forks {
    config: CompilerConfig,
    running: Mutex<Option<Arc<ForkServer>>>,
}

/// A child of its own for one bundle. It is killed when this is dropped.
#[derive(Debug)]
pub(super) struct Fork {
    /// Takes the bundle and gives the answer.
    pub(super) work: UnixStream,
    /// Tells that the child began, and its exit status when it ended; nothing when it was not to be had.
    pub(super) end: UnixStream,
    /// Whose child it is.
    pub(super) of: Arc<ForkServer>,
}

/// One that runs.
#[derive(Debug)]
pub(super) struct ForkServer {
    orders: Pair,
    /// Kept so that it is ended and waited for.
    process: Mutex<Option<Child>>,
}

impl Forks {
    /// Forks of a server that is started by this program with these arguments.
    pub(super) fn new(config: CompilerConfig) -> Self {
        Self { config, running: Mutex::default() }
    }

    /// One more.
    ///
    /// # Errors
    /// The fork server could not be started, or takes no more orders and was given up.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub(super) fn fork(&self) -> io::Result<Fork> {
        let ((work, its_work), (end, its_end)) = (Pair::pair()?, Pair::pair()?);
        let of = self.running()?;
        of.order(&[its_work, its_end]).inspect_err(|_| self.give_up(&of))?;
        let ours = |socket: Pair| {
            socket.set_nonblocking(true)?;
            UnixStream::from_std(socket)
        };
        Ok(Fork { work: ours(work)?, end: ours(end)?, of })
    }

    /// Ends a fork server, and with it whatever it forked: it answers no more.
    pub(super) fn give_up(&self, given_up: &Arc<ForkServer>) {
        self.lock().take_if(|running| Arc::ptr_eq(running, given_up));
        // Others may still have forks of it.
        given_up.process.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn running(&self) -> io::Result<Arc<ForkServer>> {
        let mut running = self.lock();
        match &*running {
            Some(running) => Ok(Arc::clone(running)),
            None => Ok(Arc::clone(running.insert(Arc::new(self.start()?)))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<ForkServer>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start(&self) -> io::Result<ForkServer> {
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
        Ok(ForkServer { orders, process: Mutex::new(Some(process)) })
    }
}

impl ForkServer {
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

#[cfg(test)]
impl Forks {
    /// Forks of a fork server that somebody else plays, who gets its end of the orders; no other can be started.
    pub(super) fn played() -> (Self, Pair) {
        let forks = Self::new(CompilerConfig::new("/nowhere".into(), ""));
        let orders = forks.play();
        (forks, orders)
    }

    /// Has somebody play the fork server from now on.
    pub(super) fn play(&self) -> Pair {
        let (orders, its_orders) = Pair::pair().expect("a pair of sockets");
        *self.lock() = Some(Arc::new(ForkServer { orders, process: Mutex::default() }));
        its_orders
    }
}
