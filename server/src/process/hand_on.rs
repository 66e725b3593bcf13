//! Handing on: the warden becomes the program on the disk, and keeps its child, its sockets and its number.
//!
//! Invariant: descriptors are left open for the other program at the last moment, and closed to all children again
//! where it does not come to that.
//! Not here: when that happens (`warden`), the child (`warden::generation`).

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};

use super::doors::{self, Doors};
use super::warden::{HANDED, Handed};

/// Numbers that mean something to the program that this one becomes: of descriptors, and of the child.
#[derive(Debug, Serialize, Deserialize)]
struct Numbers {
    pid: i32,
    device: i32,
    admin: i32,
    orders: i32,
    told: i32,
    board: i32,
}

/// What the program that this process was before handed on, if there was one. To be called before the process has
/// descriptors of its own.
///
/// # Errors
/// It handed on something else.
pub fn taken() -> io::Result<Option<(Doors, Handed)>> {
    let Some(numbers) = std::env::var(HANDED).ok() else { return Ok(None) };
    let numbers: Numbers = serde_json::from_str(&numbers)?;
    doors::inherit()?;
    let socket = |number| doors::take(number).map(TcpListener::from);
    let doors = Doors { device: socket(numbers.device)?, admin: socket(numbers.admin)? };
    let child = Handed {
        pid: numbers.pid,
        orders: doors::take(numbers.orders)?,
        told: doors::take(numbers.told)?,
        board: doors::take(numbers.board)?,
    };
    Ok(Some((doors, child)))
}

/// Becomes this program, with the arguments that this one was given. Returns only when that failed.
pub fn become_program(program: &Path, doors: &Doors, child: &Handed) -> io::Error {
    let descriptors: [BorrowedFd<'_>; 5] = [
        doors.device.as_fd(),
        doors.admin.as_fd(),
        child.orders.as_fd(),
        child.told.as_fd(),
        child.board.as_fd(),
    ];
    let [device, admin, orders, told, board] = descriptors.map(|descriptor| descriptor.as_raw_fd());
    let numbers = Numbers { pid: child.pid, device, admin, orders, told, board };
    let numbers = match serde_json::to_string(&numbers) {
        Ok(numbers) => numbers,
        Err(error) => return error.into(),
    };
    let keep = |flags: FdFlags| descriptors.iter().try_for_each(|descriptor| fcntl_setfd(descriptor, flags));
    if let Err(error) = keep(FdFlags::empty()) {
        return error.into();
    }
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let error = command.args(arguments).env(HANDED, numbers).exec();
    // Each child is given what it needs, and nothing else.
    keep(FdFlags::CLOEXEC).map_or_else(io::Error::from, |()| error)
}
