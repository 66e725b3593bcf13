//! Flight board: what each lane is running right now, in memory that outlives the process.
//!
//! A warden makes the board and hands it to its child; both map it. When the child has died or hangs, the warden
//! still reads there what ran where.
//!
//! Invariant: a lane is written by its own thread only, and what is read is whole or is told to be torn. A script
//! stands on the board while it is on its thread, and not while it waits.
//! Not here: who looks and what follows from it (the program's warden), what blame is (`quotas::blame`).

mod marked;
mod slot;
mod words;

use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use quotas::scope::{EndpointId, RevisionNumber};

pub(crate) use self::marked::Marked;
pub(crate) use self::slot::{Label, Slot};
use self::slot::{SLOT_WORDS, read};
use self::words::Words;

/// How many lanes have a place: more than `node.workers` may be.
const SLOTS: usize = 1_280;
/// Words before the first lane's.
const HEAD_WORDS: usize = 8;
/// The board's layout, so that a program does not misread another's.
const LAYOUT: u64 = u64::from_be_bytes(*b"flight01");

const AT_LAYOUT: usize = 0;
const AT_CLAIMED: usize = 1;
const AT_CRASHED: usize = 2;
const AT_SIGNAL: usize = 3;

/// The board.
#[derive(Debug)]
pub struct FlightBoard {
    words: Words,
}

/// A lane as somebody else sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneSeen {
    /// The thread's id.
    pub thread: u32,
    /// Moves whenever the lane does something: it ticks, or turns to another script.
    pub progress: u64,
    /// What is on the thread.
    pub running: Running,
}

/// What is on a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Running {
    /// No script.
    Nothing,
    /// A script.
    Script {
        /// Its endpoint.
        endpoint: EndpointId,
        /// Its revision.
        revision: RevisionNumber,
        /// For how long it has had the thread, within some milliseconds.
        since: Duration,
    },
    /// The lane was just writing, or ended while it did.
    Torn,
}

impl FlightBoard {
    /// A new board.
    ///
    /// # Errors
    /// No memory or no descriptor is left.
    pub fn new() -> io::Result<Self> {
        let words = Words::new(HEAD_WORDS + SLOTS * SLOT_WORDS)?;
        words.at(AT_LAYOUT).store(LAYOUT, Ordering::Release);
        Ok(Self { words })
    }

    /// The board behind a descriptor that was handed over.
    ///
    /// # Errors
    /// It is none, or one of another layout.
    pub fn of(descriptor: OwnedFd) -> io::Result<Self> {
        let words = Words::of(descriptor, HEAD_WORDS + SLOTS * SLOT_WORDS)?;
        if words.at(AT_LAYOUT).load(Ordering::Acquire) != LAYOUT {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the flight board has another layout"));
        }
        Ok(Self { words })
    }

    /// Another handle of its memory, to be handed over.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        self.words.descriptor().as_fd().try_clone_to_owned()
    }

    /// A place for the lane of the calling thread; nothing when all are taken.
    pub(crate) fn claim(self: &Arc<Self>) -> Option<Slot> {
        let number = self.words.at(AT_CLAIMED).fetch_add(1, Ordering::Relaxed);
        let number = usize::try_from(number).ok().filter(|number| *number < SLOTS)?;
        Some(Slot::claim(Arc::clone(self), number))
    }

    /// Notes on which thread the process is about to crash; the first note stays. Safe to call in a signal handler:
    /// it takes no lock and no memory.
    pub fn note_crash(&self, thread: u32, signal: NonZeroU32) {
        let (crashed, order) = (self.words.at(AT_CRASHED), Ordering::AcqRel);
        if crashed.compare_exchange(0, u64::from(thread), order, Ordering::Relaxed).is_ok() {
            self.words.at(AT_SIGNAL).store(u64::from(signal.get()), Ordering::Release);
        }
    }

    /// On which thread the process crashed, if one noted it.
    pub fn crashed(&self) -> Option<u32> {
        let thread = self.words.at(AT_CRASHED).load(Ordering::Acquire);
        u32::try_from(thread).ok().filter(|thread| *thread != 0)
    }

    /// All lanes that are open.
    pub fn lanes(&self) -> Vec<LaneSeen> {
        let claimed = self.words.at(AT_CLAIMED).load(Ordering::Acquire);
        let claimed = usize::try_from(claimed).unwrap_or(SLOTS).min(SLOTS);
        (0..claimed).filter_map(|number| read(self.slot(number))).collect()
    }

    fn slot(&self, number: usize) -> &[std::sync::atomic::AtomicU64] {
        self.words.range(HEAD_WORDS + number * SLOT_WORDS, SLOT_WORDS)
    }
}

#[cfg(test)]
mod tests;
