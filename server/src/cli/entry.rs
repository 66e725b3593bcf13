//! The doors to what runs: each command that runs something is one function here.

use std::process::ExitCode;

use runtime::compile_child::fork_server_main;

use super::exit::{Exit, Failure};
use crate::config::Config;
use crate::process::child;
use crate::process::doors::Doors;
use crate::process::talk::Told;
use crate::process::warm::{self, Warmed};
use crate::serve;

/// Runs a server until it is told to stop.
///
/// # Errors
/// It cannot start.
pub fn serve(config: &Config) -> Result<Exit, Failure> {
    done(serve::run(config))
}

/// Compiles and stores what this build lacks.
///
/// # Errors
/// The store does not answer, or is not for this program.
pub fn warm(config: &Config) -> Result<Warmed, Failure> {
    let _log = serve::start_log();
    warm::run(config).map_err(|error| Failure::failed(format_args!("{error:#}")))
}

/// Runs a server with the examples until it is told to stop.
///
/// # Errors
/// It cannot start.
pub fn demo(config: &Config) -> Result<Exit, Failure> {
    done(serve::run_demo(config))
}

/// Serves on the sockets of the parent, as its child.
///
/// # Errors
/// It cannot start.
pub fn serving_child(config: Config) -> Result<Exit, Failure> {
    let (doors, board) = match Doors::inherited() {
        Ok(handed) => handed,
        Err(error) => return Err(Failure::failed(error)),
    };
    let _log = serve::start_log();
    let ended = done(child::run(config, doors, board));
    if let Err(failure) = &ended {
        // A warden that is gone needs to know no more.
        let _ = Told::Failed(failure.to_string()).tell();
    }
    ended
}

fn done(ended: anyhow::Result<()>) -> Result<Exit, Failure> {
    ended.map(|()| Exit::Done).map_err(|error| Failure::failed(format_args!("{error:#}")))
}

/// Forks compilers for a server.
pub fn fork_server(cpu_seconds: u64, memory: u64) -> ExitCode {
    fork_server_main(cpu_seconds, memory)
}
