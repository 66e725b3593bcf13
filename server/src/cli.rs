//! The command line: what a person types, and what comes of it.
//!
//! Invariant: data goes to standard output, everything else to standard error; a command ends with one of the
//! codes of [`Exit`]; a secret is never a flag's value.
//! Not here: how a server runs (`entry` says who does that), what crosses the wire (`api`).

mod arguments;
mod call;
mod check;
mod copy;
mod delete;
mod deploy;
mod dev;
mod drill;
pub mod entry;
mod exit;
mod init;
mod out;
mod person;
mod project;
mod quota;
mod rollback;
mod scripts;
mod server;
mod status;
mod switch;
mod token;
mod trail;
mod why;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::Parser;

pub use self::arguments::{Cli, Command};
pub use self::exit::{Exit, Failure};
pub use self::out::Out;

/// Runs the program with these arguments, and answers with its exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // Nobody is left to tell when this cannot be printed.
            let _ = error.print();
            return exit.into();
        }
    };
    if let Command::ForkServer { cpu, memory } = cli.command {
        // It and its children have codes of their own, which only the server reads.
        return entry::fork_server(cpu, memory);
    }
    let out = Out::new(&cli.output);
    let exit = dispatch(cli.command, &out).unwrap_or_else(|failure| {
        out.failed(&failure);
        failure.exit
    });
    exit.into()
}

fn dispatch(command: Command, out: &Out) -> Result<Exit, Failure> {
    match command {
        Command::Serve(arguments) if arguments.warm_only => server::warm(&arguments.serve, out),
        Command::Serve(arguments) => entry::serve(&arguments.serve.load()?),
        Command::Demo(arguments) => entry::demo(&arguments.load()?),
        Command::ServingChild(arguments) => entry::serving_child(arguments.load()?),
        Command::ForkServer { .. } => Err(Failure::usage("that is for the server alone")),
        Command::Config(arguments) => server::config(&arguments, out),
        Command::Upgrade(arguments) => wait(server::upgrade(&arguments, out)),
        Command::Store(arguments) => wait(server::store(&arguments, out)),
        Command::Init(arguments) => init::run(&arguments, out),
        Command::Check(arguments) => check::run(&arguments, out),
        Command::Dev(arguments) => wait(dev::run(&arguments, out)),
        Command::Deploy(arguments) => wait(deploy::run(&arguments, out)),
        Command::Rollback(arguments) => wait(rollback::run(&arguments, out)),
        Command::Delete(arguments) => wait(delete::run(&arguments, out)),
        Command::History(arguments) => wait(scripts::history(&arguments, out)),
        Command::Endpoints(arguments) => wait(scripts::endpoints(&arguments, out)),
        Command::Call(arguments) => wait(call::run(&arguments, out)),
        Command::Switch(arguments) => wait(switch::run(&arguments, out)),
        Command::Why(arguments) => wait(why::run(&arguments, out)),
        Command::Quota(arguments) => wait(quota::run(&arguments, out)),
        Command::Drill(arguments) => wait(drill::run(&arguments, out)),
        Command::Status(arguments) => wait(status::status(&arguments, out)),
        Command::Whoami(arguments) => wait(status::whoami(&arguments, out)),
        Command::Token(arguments) => wait(token::run(&arguments, out)),
    }
}

/// Waits for a command that speaks to a server, or for somebody to interrupt it.
fn wait(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::failed)?;
    let done = runtime.block_on(async {
        tokio::select! {
            biased;
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(Failure::failed)?;
                Ok(Exit::Interrupted)
            }
            done = command => done,
        }
    });
    // A thread that still looks up a name must not keep the program from ending.
    runtime.shutdown_background();
    done
}

#[cfg(test)]
mod tests;
