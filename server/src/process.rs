//! Processes: the warden, which holds the sockets, and the child, which serves.

pub mod child;
pub mod doors;
pub mod warden;
