//! The program, built beside the tests that start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::cli::main(std::env::args_os())
}
