//! The Rune engine: from script source to an answer, metered.
//!
//! Source to bytecode: [`bundle`] · [`nesting`] · [`instrument`] · [`compile`] (in a [`compile_child`]) ·
//! [`codec`] · [`unit`]. Bytecode to answer: [`run`], with what scripts reach in [`host`] and what it
//! costs in [`metered`] and [`fuel`]. [`processor`] is when the threads that do any of it get one.
//! Not here: teams, routes, databases, who may call.

pub mod bundle;

pub mod archive;

pub mod manifest;

pub mod route_pattern;

pub mod diagnostic;

pub mod nesting;

pub mod instrument;

pub mod compile;

pub mod compile_child;

pub mod codec;

pub mod cycles;
pub mod debug_table;

pub mod unit;

pub mod fuel;

pub mod metered;

pub mod weigh;

pub mod host;

pub mod run;

pub mod processor;

pub mod error;
