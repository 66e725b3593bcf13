//! Slot: one lane's place on the board.
//!
//! A sequence lock with one writer (H. Boehm, "Can seqlocks get along with programming language memory models?",
//! 2012, figure 6): the sequence is odd while the name is written, and a reader who finds it odd, or changed, says
//! so and does not try again. Taking a script off the thread is one store: the rest stays as it was.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

use quotas::scope::{EndpointId, NAME_MAX, RevisionNumber};
use rustix::time::ClockId;

use super::{FlightBoard, LaneSeen, Running};
use crate::who;

const AT_SEQUENCE: usize = 0;
const AT_THREAD: usize = 1;
const AT_TICKS: usize = 2;
/// The revision that runs, or [`NOTHING`].
const AT_REVISION: usize = 3;
const AT_SINCE: usize = 4;
const AT_LENGTH: usize = 5;
const AT_NAME: usize = 6;
const NAME_WORDS: usize = 24;
/// Words of a lane.
pub(super) const SLOT_WORDS: usize = 32;
const NOTHING: u64 = 0;

const _: () = assert!(AT_NAME + NAME_WORDS <= SLOT_WORDS && 3 * NAME_MAX + 2 <= NAME_WORDS * 8);

/// What stands on the board while an endpoint's script runs, made once for each revision.
#[derive(Debug)]
pub struct Label {
    revision: u64,
    length: u64,
    name: Box<[u64]>,
}

impl Label {
    /// The label of an endpoint's revision.
    pub(crate) fn of(endpoint: &EndpointId, revision: RevisionNumber) -> Self {
        let name = endpoint.to_string();
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        Self {
            revision: revision.get(),
            length: name.len() as u64,
            name: name.as_bytes().chunks(8).map(word).collect(),
        }
    }
}

/// A lane's own end of its place. The lane leaves the board when it is dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    board: Arc<FlightBoard>,
    number: usize,
}

impl Slot {
    pub(super) fn claim(board: Arc<FlightBoard>, number: usize) -> Self {
        let slot = Self { board, number };
        let thread = rustix::thread::gettid().as_raw_nonzero().get();
        slot.words()[AT_THREAD].store(u64::from(thread.unsigned_abs()), Ordering::Release);
        slot
    }

    fn words(&self) -> &[AtomicU64] {
        self.board.slot(self.number)
    }

    /// A sign of life.
    pub(crate) fn tick(&self) {
        let ticks = &self.words()[AT_TICKS];
        ticks.store(ticks.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }

    /// This script is on the thread until what this returns is dropped.
    pub(crate) fn mark(&self, label: &Label) -> Marking<'_> {
        let words = self.words();
        let sequence = words[AT_SEQUENCE].load(Ordering::Relaxed);
        words[AT_SEQUENCE].store(sequence.wrapping_add(1), Ordering::Relaxed);
        fence(Ordering::Release);
        for (place, word) in words[AT_NAME..].iter().zip(&label.name) {
            place.store(*word, Ordering::Relaxed);
        }
        words[AT_LENGTH].store(label.length, Ordering::Relaxed);
        words[AT_SINCE].store(now_ms(), Ordering::Relaxed);
        words[AT_REVISION].store(label.revision, Ordering::Relaxed);
        words[AT_SEQUENCE].store(sequence.wrapping_add(2), Ordering::Release);
        Marking(&words[AT_REVISION])
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.words()[AT_THREAD].store(0, Ordering::Release);
    }
}

/// A script is on the thread.
pub(crate) struct Marking<'a>(&'a AtomicU64);

impl Drop for Marking<'_> {
    fn drop(&mut self) {
        self.0.store(NOTHING, Ordering::Release);
    }
}

/// Milliseconds on a clock that all processes share and that costs next to nothing to read.
fn now_ms() -> u64 {
    who::ms(ClockId::MonotonicCoarse)
}

/// The lane at this place, if one is open there.
pub(super) fn read(words: &[AtomicU64]) -> Option<LaneSeen> {
    let thread =
        u32::try_from(words[AT_THREAD].load(Ordering::Acquire)).ok().filter(|thread| *thread != 0)?;
    let before = words[AT_SEQUENCE].load(Ordering::Acquire);
    let revision = words[AT_REVISION].load(Ordering::Acquire);
    let (since, length) = (words[AT_SINCE].load(Ordering::Relaxed), words[AT_LENGTH].load(Ordering::Relaxed));
    let name: Vec<u8> = words[AT_NAME..AT_NAME + NAME_WORDS]
        .iter()
        .flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes())
        .collect();
    fence(Ordering::Acquire);
    let after = words[AT_SEQUENCE].load(Ordering::Relaxed);
    let is_whole = before == after && before.is_multiple_of(2);
    let running = match RevisionNumber::new(revision) {
        None if is_whole => Running::Nothing,
        Some(revision) if is_whole => named(&name, length).map_or(Running::Torn, |endpoint| {
            let since = Duration::from_millis(now_ms().saturating_sub(since));
            Running::Script { endpoint, revision, since }
        }),
        _ => Running::Torn,
    };
    let progress = words[AT_TICKS].load(Ordering::Relaxed).wrapping_add(after);
    Some(LaneSeen { thread, progress, running })
}

fn named(name: &[u8], length: u64) -> Option<EndpointId> {
    let name = name.get(..usize::try_from(length).ok()?)?;
    EndpointId::parse(std::str::from_utf8(name).ok()?).ok()
}
