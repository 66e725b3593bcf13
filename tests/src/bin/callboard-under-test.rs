//! The program, built beside the tests that start it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // What no script can do, for tests of what happens when one does.
    runtime::host::faults::arm();
    server::cli::main(std::env::args_os())
}
