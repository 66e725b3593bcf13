//! The listening sockets: bound once by the warden, inherited by every child.
//!
//! Invariant: a socket is never closed while the warden lives, so connections that wait in its backlog
//! survive a child that dies.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::sockopt;

/// The descriptor of the device door in a child.
pub const DEVICE_FD: i32 = 3;
/// The descriptor of the admin door in a child.
pub const ADMIN_FD: i32 = 4;
/// The descriptor of the flight board in a child.
pub const BOARD_FD: i32 = 5;

/// Both doors.
#[derive(Debug)]
pub struct Doors {
    /// For devices.
    pub device: TcpListener,
    /// For people and tools.
    pub admin: TcpListener,
}

/// Connections that may wait to be taken.
const BACKLOG: i32 = 2048;

impl Doors {
    /// Binds both.
    ///
    /// # Errors
    /// An address that cannot be bound, named.
    pub fn bind(device: SocketAddr, admin: SocketAddr) -> io::Result<Self> {
        Ok(Self { device: bind("device", device)?, admin: bind("admin", admin)? })
    }

    /// The doors that a warden handed over, and the descriptor of the flight board.
    ///
    /// # Errors
    /// There are none: the process was not started by a warden.
    pub fn inherited() -> io::Result<(Self, OwnedFd)> {
        inherit()?;
        let doors = Self { device: take(DEVICE_FD)?.into(), admin: take(ADMIN_FD)?.into() };
        Ok((doors, take(BOARD_FD)?))
    }

    /// Another handle of each, for a child.
    ///
    /// # Errors
    /// No more descriptors.
    pub fn for_child(&self) -> io::Result<[(OwnedFd, i32); 2]> {
        Ok([
            (self.device.as_fd().try_clone_to_owned()?, DEVICE_FD),
            (self.admin.as_fd().try_clone_to_owned()?, ADMIN_FD),
        ])
    }
}

fn bind(name: &str, address: SocketAddr) -> io::Result<TcpListener> {
    let said = |error: rustix::io::Errno| {
        let error = io::Error::from(error);
        let why = format!(
            "the {name} door cannot be bound to {address}: {error}; `--{name}` names another address"
        );
        io::Error::new(error.kind(), why)
    };
    let family =
        if address.is_ipv4() { rustix::net::AddressFamily::INET } else { rustix::net::AddressFamily::INET6 };
    let socket = rustix::net::socket_with(
        family,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(said)?;
    sockopt::set_socket_reuseaddr(&socket, true).map_err(said)?;
    rustix::net::bind(&socket, &address).map_err(said)?;
    rustix::net::listen(&socket, BACKLOG).map_err(said)?;
    Ok(TcpListener::from(socket))
}

/// From now on the descriptors that this process was started with can be taken by their numbers.
// Descriptors are numbers until somebody vouches for them.
#[allow(unsafe_code)]
pub(super) fn inherit() -> io::Result<()> {
    // SAFETY: called first in the life of a child, or of a warden's new program, before anything here owns a
    // descriptor above 2.
    unsafe { command_fds::inherited::init_inherited_fds() }.map_err(io::Error::other)
}

/// Takes one of them.
pub(super) fn take(number: i32) -> io::Result<OwnedFd> {
    command_fds::inherited::take_fd_ownership(number)
        .map_err(|error| io::Error::other(format!("a descriptor was not handed over: {error}")))
}
