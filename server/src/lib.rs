//! The program `callboard`: its two HTTP doors, its processes and its command line.

pub mod config;

pub mod cli;

pub mod serve;

pub mod process;

pub mod http;

pub mod demo;

/// The allocator of every program that serves.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
