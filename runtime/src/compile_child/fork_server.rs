//! The fork server: a process that waits with everything built, and forks itself for each bundle.
//!
//! To start a program for each costs ten times what compiling a small bundle does: it is loaded and relocated, builds
//! the engine, and touches all of that for the first time, most of it in the kernel, where nobody that serves can take
//! the processor back. The idea is that of the fork servers of fuzzers, and of Android's zygote.
//!
//! The server's orders come by a socket, each with two more: one to read the bundle from and write the answer to, and
//! one by which the server is told how the child ended. Where the server lets go of that, the child is killed; where
//! it lets go of the orders, this process ends and takes its children along.
//! Invariant: whenever it forks, this process has one thread; it never reads a byte of a bundle.
//! Not here: the server's side (`forks`), what a child does.

use std::collections::BTreeMap;
use std::io::{self, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, PidfdFlags, Resource, Signal, WaitOptions, setrlimit};

use super::{at_most, on_large_stack};
use crate::bundle::Bundle;
use crate::compile::compile;
use crate::slice;

/// How much lower a compiler's priority is than that of the threads that serve, in the steps of `nice`.
const NICE: i32 = 10;

/// What this process turned out to be.
pub(super) enum Role {
    /// The fork server, and the server has no more orders.
    Over,
    /// A child, with the socket of its bundle.
    Child(UnixStream),
}

/// A child that compiles.
struct Child {
    pid: Pid,
    /// Can be read when it ended.
    process: OwnedFd,
    /// Where the server waits for its end.
    end: UnixStream,
}

/// Forks a child for each order that comes by standard input, until there are no more.
///
/// # Errors
/// The system refused what this process cannot do without. A fork that it refuses ends that one order.
pub(super) fn serve() -> io::Result<Role> {
    let orders = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    bound_itself()?;
    warm_up();
    let mut children = Vec::new();
    loop {
        let ready = wait(&orders, &children)?;
        children.retain(|child: &Child| child.goes_on());
        if !ready {
            continue;
        }
        let Some((work, end)) = order(&orders)? else { return Ok(Role::Over) };
        match fork() {
            Ok(None) => {
                // The last of what is not a child's.
                rustix::stdio::dup2_stdin(&work)?;
                return Ok(Role::Child(work));
            }
            Ok(Some(pid)) => {
                children.push(Child {
                    pid,
                    process: rustix::process::pidfd_open(pid, PidfdFlags::empty())?,
                    end,
                });
            }
            // The server sees that nobody has the order any more.
            Err(_) => {}
        }
    }
}

/// What none of the children may do.
fn bound_itself() -> rustix::io::Result<()> {
    // Compiling is never as urgent as serving. A machine that does not allow this compiles all the same.
    let _ = rustix::process::setpriority_process(None, NICE);
    let _ = slice::ask_for(slice::BACKGROUND);
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
    let _ =
        on_large_stack(|| files.map(|files| Bundle::from_files(files).and_then(|bundle| compile(&bundle))));
}

/// Waits until a child ended, the server gave one up, or there is an order: then it is true.
fn wait(orders: &UnixStream, children: &[Child]) -> io::Result<bool> {
    let mut all = vec![PollFd::new(orders, PollFlags::IN)];
    for child in children {
        all.push(PollFd::new(&child.process, PollFlags::IN));
        all.push(PollFd::new(&child.end, PollFlags::empty()));
    }
    match poll(&mut all, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let given_up = all[1..].chunks(2).map(|of| !of[1].revents().is_empty());
    for (child, _) in children.iter().zip(given_up).filter(|(_, given_up)| *given_up) {
        // That it is ready to be waited for is told next.
        let _ = rustix::process::pidfd_send_signal(&child.process, Signal::KILL);
    }
    Ok(!all[0].revents().is_empty())
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
    // SAFETY: this process has one thread, so that no lock is held and nothing is half done in the copy.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

impl Child {
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
