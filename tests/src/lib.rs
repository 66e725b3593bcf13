//! The kit that the tests are written with.

pub mod cassandra;

pub mod cluster;

pub mod proxy;

pub mod server;

pub mod device;
pub mod fleet;
pub mod load;

pub mod service;

pub mod wait;
