//! The calendar of a simulation: what happens next.
//!
//! Invariant: things come out in the order of their times, and those of one time in the order in which they were
//! put in, so that a run is the same every time.
//! Not here: what happens.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use quotas::units::Moment;

/// What will happen, and when.
#[derive(Debug)]
pub struct Calendar<E> {
    coming: BinaryHeap<Reverse<Entry<E>>>,
    entries: u64,
}

#[derive(Debug)]
struct Entry<E> {
    at: Moment,
    number: u64,
    event: E,
}

impl<E> Calendar<E> {
    /// An empty one.
    pub fn new() -> Self {
        Self { coming: BinaryHeap::new(), entries: 0 }
    }

    /// Puts something in.
    pub fn put(&mut self, at: Moment, event: E) {
        self.entries += 1;
        self.coming.push(Reverse(Entry { at, number: self.entries, event }));
    }

    /// Takes out what comes next.
    pub fn next(&mut self) -> Option<(Moment, E)> {
        self.coming.pop().map(|Reverse(entry)| (entry.at, entry.event))
    }
}

impl<E> Entry<E> {
    fn place(&self) -> (Moment, u64) {
        (self.at, self.number)
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}
