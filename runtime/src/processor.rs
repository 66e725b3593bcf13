//! Processor: when this process's threads get one, and how others find that out.
//!
//! Invariant: nothing here takes from anybody: threads ask for less than they have, or for the same at other times.

mod attributes;
pub mod leftovers;
pub mod slice;
pub mod threads;
