//! Queue: how much of what was said the system still keeps for the other end.

use std::os::fd::AsRawFd;

use actix_rt::net::TcpStream;

/// How many bytes were written to this connection that the other end has not acknowledged; none where the system does
/// not say.
#[allow(unsafe_code)]
pub(super) fn queued(io: &TcpStream) -> u64 {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the descriptor is open as long as the stream is borrowed, and this request writes one int.
    let done = unsafe { libc::ioctl(io.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    if done == 0 { u64::try_from(bytes).unwrap_or(0) } else { 0 }
}
