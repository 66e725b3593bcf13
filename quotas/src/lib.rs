//! Quotas: who may run, how much, and why not.
//!
//! Read in this order: `units` and `scope` name things, `limits` says how much of them; `rate`, `client_keys`,
//! `budget`, `concurrency` and `memory` count, `rule` names what counts; `switches` and `quarantine` turn off, `track`
//! sets apart, `blame` says whom a crash sets aside, `remedy` what is done
//! about who presses a node, `priority` and `pressure` say which calls a node with too much to
//! do gives up; `guards` holds what is counted for whom, `admission` asks all of them, and `refusal` is its answer when
//! it is no. `setting` says what of it can be changed, `team` what a team may keep, `portion` which part of it each
//! node has. For the services behind, `gradient` finds how many requests they can take, `breaker` leaves alone one
//! that fails, and `retries` keeps second tries from adding to its trouble. `traffic` says how many calls there were, and
//! `nearest` which name somebody probably meant.
//!
//! Invariant: everything here is a synchronous decision over values that were handed in; the time is an
//! argument, and a call that is admitted costs no allocation.
//! Not here: clocks, files, actors, HTTP and its status codes, the text that crosses the wire.

pub mod units;

pub mod scope;

pub mod limits;

pub mod rate;

pub mod client_keys;

pub mod budget;

pub mod concurrency;

pub mod memory;

pub mod rule;

pub mod switches;

pub mod quarantine;

pub mod track;

pub mod blame;

pub mod remedy;

pub mod guards;

pub mod admission;

pub mod refusal;

pub mod priority;

pub mod pressure;

pub mod gradient;

pub mod breaker;

pub mod retries;

pub mod setting;

pub mod nearest;

pub mod team;

pub mod portion;

pub mod traffic;
