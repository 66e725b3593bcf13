//! Faults of a shared store: a real Cassandra that dies, hangs, is slow, is cut off, loses an answer, loses its rows
//! or garbles them, under servers that real devices call.
//!
//! What is served goes on, what was acknowledged is there, and what could not be done is said.

#[path = "store_faults/stage.rs"]
mod stage;

#[path = "store_faults/load.rs"]
mod load;

#[path = "store_faults/away.rs"]
mod away;

#[path = "store_faults/lost_answers.rs"]
mod lost_answers;

#[path = "store_faults/crashes.rs"]
mod crashes;

#[path = "store_faults/cold_start.rs"]
mod cold_start;

#[path = "store_faults/emptied.rs"]
mod emptied;

#[path = "store_faults/garbled.rs"]
mod garbled;
