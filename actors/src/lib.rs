//! Actors: the state of a node and who owns it.
//!
//! A device's request: [`routes`] → [`lane`] (admission) → [`endpoint`] on the same thread → `runtime::run`. A
//! deploy: [`controller`] → [`units`] (compiler, codec) → [`storage`] → [`controller`]. A switch:
//! [`supervisor`] → board → [`journal`] → answer → [`storage`]. What other nodes did comes by [`watch`].
//!
//! Invariant: each snapshot that threads share has one writer; mailboxes are bounded and answered.
//! Not here: HTTP, the shapes that cross the wire, what a rule decides (`quotas`), how a script runs
//! (`runtime`).

pub mod node;

pub mod who;

pub mod routes;

pub mod lane;

pub mod endpoint;

pub mod flight;

pub mod controller;

pub mod supervisor;

pub mod keeper;

pub mod verdicts;

pub mod journal;

pub mod units;

pub mod watch;

pub mod storage;

pub mod events;
pub mod fleet;

pub mod metrics;

pub mod traffic;

pub mod drill;

pub mod error;

pub mod blocking;

mod turns;

mod vital;

#[cfg(test)]
mod tests;
