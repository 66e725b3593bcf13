//! HTTP: the two doors, one for devices and one for people and tools.
//!
//! Invariant: both doors answer a failure as the same problem; what a device is not told stays on the other.
//! Not here: sockets, threads and processes, what a call does.

pub mod problem;

pub mod auth;

pub mod manage;

pub mod probes;

pub mod device;

pub mod guard;

pub mod admin;

pub mod fleet;

mod connection;
