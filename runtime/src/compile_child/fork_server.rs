//! The fork server: a process that waits with everything built, and forks itself for each bundle.
//!
//! To start a program for each costs ten times what compiling a small bundle does: it is loaded and relocated, builds
//! the engine, and touches all of that for the first time, most of it in the kernel, where nobody that serves can take
//! the processor back. The idea is that of the fork servers of fuzzers, and of Android's zygote.
//!
//! The server's orders come by a socket, each with two more: one to read the bundle from and write the answer to, and
//! one by which the server is told that the child began, and how it ended. Where the server lets go of that, the child
//! is killed; where it lets go of the orders, this process ends and takes its children along.
//!
//! A child has one thread. Two would be dismantled one after the other when it ends, and this process would wait for
//! both in the kernel, busily where anybody had looked at them in `/proc`: for as long as the machine leaves nothing to
//! a thread that takes what is left over (`processor::leftovers`).
//! Invariant: whenever it forks, nobody else runs in this process but who waits for this thread's end; it never reads a
//! byte of a bundle.
//! Not here: the server's side (`forks`), what a child does.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, PidfdFlags, Resource, Signal, WaitOptions, setrlimit};

use super::at_most;
use crate::bundle::Bundle;
use crate::compile::compile;
use crate::processor::leftovers::{self, LOOK, Minded};

/// When to look at the children again, unless something happens before.
const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: LOOK.subsec_nanos() as i64 };

/// What the server is told first of a child.
pub(super) const BEGAN: u8 = 1;

/// What this process turned out to be.
pub(super) enum Role {
    /// The fork server, and the server has no more orders.
    Over,
    /// A child of this process, with the socket of its bundle.
    Child(UnixStream, Pid),
}

/// A child that compiles.
struct Child {
    pid: Pid,
    /// Can be read when it ended.
    process: OwnedFd,
    /// Where the server waits for its end.
    end: UnixStream,
    /// The server does not wait any more, and it was killed.
    is_given_up: bool,
    /// Its thread.
    minded: Minded,
}

/// Forks a child for each order that comes by standard input, until there are no more.
///
/// # Errors
/// The system refused what this process cannot do without. A fork that it refuses ends that one order.
pub(super) fn serve() -> io::Result<Role> {
    let orders = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    bound_itself()?;
    warm_up();
    let (this, mut children) = (rustix::process::getpid(), Vec::new());
    loop {
        let ready = wait(&orders, &mut children)?;
        children.retain(|child: &Child| child.goes_on());
        if !ready {
            continue;
        }
        let Some((work, end)) = order(&orders)? else { return Ok(Role::Over) };
        match fork() {
            Ok(None) => return Ok(Role::Child(work, this)),
            Ok(Some(pid)) => children.extend(Child::of(pid, end)),
            // The server sees that nobody has the order any more.
            Err(_) => {}
        }
    }
}

/// What none of the children may do.
fn bound_itself() -> rustix::io::Result<()> {
    // Compiling is never as urgent as serving. A machine that does not allow this compiles all the same.
    let _ = leftovers::lower();
    // A child does not find that out for itself: it has no time for it.
    leftovers::is_open();
    rustix::thread::set_no_new_privs(true)?;
    setrlimit(Resource::Core, at_most(0))?;
    setrlimit(Resource::Fsize, at_most(0))
}

/// Compiles something small, so that no child is the first to need what all of them do.
fn warm_up() {
    const MANIFEST: &[u8] =
        b"team = \"a\"\nscript = \"a\"\n[[endpoint]]\npath = \"/\"\nhandler = \"main::main\"\n";
    const SOURCE: &[u8] = b"pub async fn main(request) { let list = [1, `${request.path()}`]; #{ list } }";
    let files = [("callboard.toml", MANIFEST), ("main.rn", SOURCE)];
    let files: Option<BTreeMap<_, _>> =
        files.into_iter().map(|(path, text)| Some((path.parse().ok()?, text.into()))).collect();
    // Children do without it where it fails.
    let _ = files.map(|files| Bundle::from_files(files).and_then(|bundle| compile(&bundle)));
}

/// Waits until a child ended, the server gave one up, or there is an order: then it is true.
fn wait(orders: &UnixStream, children: &mut [Child]) -> io::Result<bool> {
    let mut all = vec![PollFd::new(orders, PollFlags::IN)];
    all.extend(children.iter().map(|child| PollFd::new(&child.process, PollFlags::IN)));
    let waited_for = children.iter().filter(|child| !child.is_given_up);
    all.extend(waited_for.map(|child| PollFd::new(&child.end, PollFlags::empty())));
    let look = (!children.is_empty() && leftovers::is_open()).then_some(&SOON);
    match poll(&mut all, look) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let is_ready: Vec<bool> = all.iter().map(|one| !one.revents().is_empty()).collect();
    let ends = &is_ready[1 + children.len()..];
    let waited_for = children.iter_mut().filter(|child| !child.is_given_up);
    for (child, _) in waited_for.zip(ends).filter(|(_, is_closed)| **is_closed) {
        child.give_up();
    }
    if look.is_some() {
        let now = Instant::now();
        children.iter_mut().for_each(|child| child.minded.look(now));
    }
    Ok(is_ready[0])
}

/// The next order: the sockets of the bundle and of the end.
pub(super) fn order(orders: &UnixStream) -> io::Result<Option<(UnixStream, UnixStream)>> {
    let (mut byte, mut space) = ([0], [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))]);
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = recvmsg(orders, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if message.bytes == 0 {
        return Ok(None);
    }
    let mut sockets = control.drain().flat_map(|part| match part {
        RecvAncillaryMessage::ScmRights(sockets) => sockets.map(UnixStream::from).collect(),
        _ => Vec::new(),
    });
    match (sockets.next(), sockets.next()) {
        (Some(work), Some(end)) => Ok(Some((work, end))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Makes a second process of this one; nothing in the new one.
#[allow(unsafe_code)]
fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: the other thread waits for this one's end, so that no lock is held and nothing is half done in the copy.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

impl Child {
    /// The server is told that it began. None where it cannot be watched; then it is ended.
    fn of(pid: Pid, mut end: UnixStream) -> Option<Self> {
        match rustix::process::pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => {
                // A server that is not there any more is seen to be gone.
                let _ = end.write_all(&[BEGAN]);
                Some(Self { pid, process, end, is_given_up: false, minded: Minded::new(pid, pid) })
            }
            Err(_) => {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
                let _ = rustix::process::waitpid(Some(pid), WaitOptions::empty());
                None
            }
        }
    }

    fn give_up(&mut self) {
        self.is_given_up = true;
        // Until it is gone it is waited for as any other.
        let _ = rustix::process::pidfd_send_signal(&self.process, Signal::KILL);
    }

    /// False when it ended; then the server was told how.
    fn goes_on(&self) -> bool {
        match rustix::process::waitpid(Some(self.pid), WaitOptions::NOHANG) {
            Ok(None) => true,
            Ok(Some((_, status))) => {
                // A server that is not there any more needs not be told.
                let _ = (&self.end).write_all(&status.as_raw().to_be_bytes());
                false
            }
            Err(_) => false,
        }
    }
}
