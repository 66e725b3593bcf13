//! Quotas: who may run, how much, and why not.
//!
//! Read in this order: `units` and `scope` name things, `limits` says how much of them, `rate`, `client_keys`
//! and `concurrency` count, `switches` and `quarantine` turn off, `guards` holds what is counted for whom,
//! `admission` asks all of them, and `refusal` is its answer when it is no. `priority` says how important a call is,
//! `traffic` how many there were.
//!
//! Invariant: everything here is a synchronous decision over values that were handed in; the time is an
//! argument, and a call that is admitted costs no allocation.
//! Not here: clocks, files, actors, HTTP and its status codes, the text that crosses the wire.

pub mod units;

pub mod scope;

pub mod limits;

pub mod rate;

pub mod client_keys;

pub mod concurrency;

pub mod switches;

pub mod quarantine;

pub mod guards;

pub mod admission;

pub mod refusal;

pub mod priority;

pub mod traffic;
