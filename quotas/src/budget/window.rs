//! A sliding window: how much was used lately, in words that all threads share without a lock.
//!
//! Invariant: what counts at a time is at least all that was charged within the window's length before it, and at
//! most that and one slot more; a charge is one exchange of one word, so that none is lost.
//! Not here: limits.
//!
//! Time is cut into slots. One word holds the slot of the last charge and the total since the beginning; beside it
//! stands, for each of the last slots, the total at its beginning: its mark. What counts is the total less the mark
//! of the slot that is a window's length back. Who charges the first of a slot writes its mark first, and then the
//! word. A mark is written once: whoever comes second leaves it. It can be too low, when a charge of the slot
//! before came in between, which then counts a slot longer; it is never too high, because a total that a mark is
//! taken from was read together with an earlier slot.
//!
//! The marks are made by the first charge: of a hundred thousand endpoints most are not called today, and a window
//! that nobody charged has nothing to remember.
//!
//! Slots and totals are numbers modulo a power of two: 26 and 38 bits for a minute, 20 and 44 for an hour, 16 and 48
//! for a day. A window that nobody charged for two years may misread its age once.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Length;
use crate::units::Moment;

/// Slots to a window.
const SLOTS: u64 = 24;
/// Marks that are kept: those of a window and some more, for readers that are late. A power of two, so that a
/// slot's place is the same when its number has wrapped.
const MARKS: usize = 32;

/// The window.
#[derive(Debug)]
pub(super) struct Window {
    length: Length,
    /// The slot of the last charge and the total; zero before the first.
    word: AtomicU64,
    marks: OnceLock<Box<[AtomicU64; MARKS]>>,
}

/// How the words of a window are laid out.
#[derive(Clone, Copy)]
struct Layout {
    /// The bits of a total; the rest are those of a slot.
    bits: u32,
    slot_nanos: u64,
}

impl Layout {
    const fn of(length: Length) -> Self {
        let bits = match length {
            Length::Minute => 38,
            Length::Hour => 44,
            Length::Day => 48,
        };
        Self { bits, slot_nanos: length.seconds() as u64 * 1_000_000_000 / SLOTS }
    }

    const fn slot_mask(self) -> u64 {
        (1 << (64 - self.bits)) - 1
    }

    fn total_mask(self) -> u64 {
        (1 << self.bits) - 1
    }

    /// Divides by constants: this is done for every budget of every call.
    fn slot_at(length: Length, now: Moment) -> u64 {
        const MINUTE: Layout = Layout::of(Length::Minute);
        const HOUR: Layout = Layout::of(Length::Hour);
        const DAY: Layout = Layout::of(Length::Day);
        match length {
            Length::Minute => (now.nanos() / MINUTE.slot_nanos) & MINUTE.slot_mask(),
            Length::Hour => (now.nanos() / HOUR.slot_nanos) & HOUR.slot_mask(),
            Length::Day => (now.nanos() / DAY.slot_nanos) & DAY.slot_mask(),
        }
    }

    fn pack(self, slot: u64, total: u64) -> u64 {
        ((slot & self.slot_mask()) << self.bits) | (total & self.total_mask())
    }

    fn slot(self, word: u64) -> u64 {
        word >> self.bits
    }

    /// From one total to a later one.
    fn between(self, earlier: u64, later: u64) -> u64 {
        later.wrapping_sub(earlier) & self.total_mask()
    }

    /// How many slots lie from one to another; nothing when that one comes before.
    fn ahead(self, from: u64, to: u64) -> Option<u64> {
        let ahead = to.wrapping_sub(from) & self.slot_mask();
        (ahead <= self.slot_mask() / 2).then_some(ahead)
    }

    fn before(self, slot: u64, count: u64) -> u64 {
        slot.wrapping_sub(count) & self.slot_mask()
    }
}

/// The window as it is at one time.
#[derive(Clone, Copy)]
struct View {
    word: u64,
    /// The slot of now, or of the last charge where that is later.
    at: u64,
    used: u64,
}

impl Window {
    pub(super) fn new(length: Length) -> Self {
        Self { length, word: AtomicU64::new(0), marks: OnceLock::new() }
    }

    /// The most that a window can count.
    pub(super) const fn capacity(length: Length) -> u64 {
        (1 << Layout::of(length).bits) - 1
    }

    pub(super) fn length(&self) -> Length {
        self.length
    }

    pub(super) fn used(&self, now: Moment) -> u64 {
        self.view(now).used
    }

    /// Charges so much; answers what is used with it.
    pub(super) fn charge(&self, amount: u64, now: Moment) -> u64 {
        self.charge_below(u64::MAX, amount, now).unwrap_or_else(|used| used)
    }

    /// Charges so much where less than the limit is used; answers what is used with it, or what is used.
    pub(super) fn charge_below(&self, limit: u64, amount: u64, now: Moment) -> Result<u64, u64> {
        let layout = Layout::of(self.length);
        loop {
            let View { word, at, used } = self.view(now);
            if used >= limit {
                return Err(used);
            }
            // A counter that is full counts no further: it is far beyond any limit.
            let amount = amount.min(Self::capacity(self.length) - 1 - used);
            if layout.slot(word) != at || word == 0 {
                self.mark(word, at);
            }
            // The first total is one, so that no word in use is zero.
            let next = layout.pack(at, word.max(1).wrapping_add(amount));
            if self.word.compare_exchange(word, next, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                return Ok(used + amount);
            }
        }
    }

    /// The time until less than so much counts, if nothing is charged.
    pub(super) fn below_after(&self, limit: u64, now: Moment) -> Duration {
        let layout = Layout::of(self.length);
        let View { word, at, used } = self.view(now);
        if used < limit {
            return Duration::ZERO;
        }
        let ahead = layout.ahead(Layout::slot_at(self.length, now), at).unwrap_or(0);
        let frees = |slots: &u64| {
            let first = layout.before(at.wrapping_add(*slots), SLOTS);
            layout.ahead(first, layout.slot(word)).is_none() || self.since(word, first) < limit
        };
        let slots = (1..=SLOTS).find(frees).unwrap_or(SLOTS + 1);
        let slot = now.nanos() / layout.slot_nanos + ahead + slots;
        Moment::from_nanos(slot.saturating_mul(layout.slot_nanos)).since(now)
    }

    fn marks(&self) -> &[AtomicU64; MARKS] {
        self.marks.get_or_init(|| Box::new([const { AtomicU64::new(0) }; MARKS]))
    }

    fn view(&self, now: Moment) -> View {
        let layout = Layout::of(self.length);
        let mut at = Layout::slot_at(self.length, now);
        loop {
            let word = self.word.load(Ordering::Acquire);
            if word == 0 {
                return View { word, at, used: 0 };
            }
            let last = layout.slot(word);
            if layout.ahead(at, last).is_some() {
                at = last;
            }
            let first = layout.before(at, SLOTS);
            if layout.ahead(first, last).is_none() {
                return View { word, at, used: 0 };
            }
            let mark = self.marks()[place(first)].load(Ordering::Acquire);
            if layout.slot(mark) == first {
                return View { word, at, used: layout.between(mark, word) };
            }
            // Another thread is so far ahead that it took the place for a later slot: time has gone on.
            at = layout.slot(mark);
        }
    }

    /// What was charged since a slot that is among those that are marked.
    fn since(&self, word: u64, first: u64) -> u64 {
        let layout = Layout::of(self.length);
        let mark = self.marks()[place(first)].load(Ordering::Acquire);
        if layout.slot(mark) == first { layout.between(mark, word) } else { 0 }
    }

    /// Marks the slots that have begun since the last charge, as far as they can be asked for.
    fn mark(&self, word: u64, at: u64) {
        let layout = Layout::of(self.length);
        let gone = if word == 0 { None } else { layout.ahead(layout.slot(word), at) };
        let new = gone.map_or(SLOTS + 1, |gone| gone.min(SLOTS + 1));
        for back in (0..new).rev() {
            let slot = layout.before(at, back);
            let (place, mark) = (&self.marks()[place(slot)], layout.pack(slot, word.max(1)));
            let mut known = place.load(Ordering::Acquire);
            while known == 0 || layout.ahead(slot, layout.slot(known)).is_none() {
                match place.compare_exchange_weak(known, mark, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => break,
                    Err(now) => known = now,
                }
            }
        }
    }
}

fn place(slot: u64) -> usize {
    // The cast keeps the low bits, and no more than five are needed.
    slot as usize % MARKS
}
