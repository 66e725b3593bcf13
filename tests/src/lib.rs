//! The kit that the tests are written with.

pub mod cassandra;

pub mod server;

pub mod device;
