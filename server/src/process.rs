//! Processes: the warden, which holds the sockets, the child, which serves, and one that only warms a store.

pub mod child;
pub mod doors;
pub mod hand_on;
pub mod last_words;
mod panics;
pub mod talk;
pub mod warden;
pub mod warm;
