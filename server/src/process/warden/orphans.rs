//! Orphans: processes that a child left behind, where nobody but the warden can wait for them.
//!
//! Invariant: the child itself is never waited for here, so that what it ended with is not lost.
//! Not here: ending anything. What a child started ends with it, by itself.
//!
//! In a container the warden is process 1, and whatever loses its parent becomes a child of it: the processes that
//! compile, when the one that serves is replaced. Without somebody who waits for them they would stand in the system's
//! table for ever.

use nix::sys::wait::{Id, WaitPidFlag, waitid, waitpid};
use nix::unistd::Pid;

/// Waits for all that have ended, but for the child. Those behind a child that ended itself come later.
pub fn bury(child: i32) {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    let ended = || waitid(Id::All, look).ok()?.pid().filter(|ended| *ended != Pid::from_raw(child));
    while let Some(orphan) = ended() {
        if waitpid(orphan, Some(WaitPidFlag::WNOHANG)).is_err() {
            return;
        }
    }
}
