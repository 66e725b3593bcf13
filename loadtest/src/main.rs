//! The program `loadtest`: plays load against a server and tells what came of it, what callboard costs beside plain
//! Rust that does the same jobs, and how the rules behave that adapt by themselves.
//!
//! Invariant: it knows the server only from outside, as a process that it starts and an address that it
//! calls. Not here: tests of what is right (`tests`).

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod plan;

mod run;

mod tally;

mod results;

mod ceiling;

mod merge;

mod compare;

mod chance;

mod bench;

mod baseline;

mod upstream;

mod serving;

mod simulate;

mod whatif;

/// Measures callboard.
#[derive(Debug, Parser)]
#[command(name = "loadtest", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a plan against a server
    ///
    /// Exit codes: 0 all thresholds held, 1 one was missed, 2 the plan or an option is wrong, 3 something else failed,
    /// 4 the server was not reached, 5 this program did not keep up and the run says nothing.
    Run(run::Options),
    /// Ask one path at one rate, without a plan
    Get(run::GetOptions),
    /// Find how much load this machine makes before the load test itself is what is slow
    Ceiling(ceiling::Options),
    /// Put the results of several processes together that played parts of one plan
    Merge(merge::Options),
    /// Tell whether two runs differ by more than chance
    ///
    /// Exit codes: 0 no difference is shown, or B is better; 1 B is worse; 2 a file is wrong.
    Compare(compare::Options),
    /// Compare a server with plain actix-web, job by job. It needs the programs as a release builds them:
    ///
    ///   cargo build --release --workspace --bins
    ///   target/release/loadtest bench
    #[command(verbatim_doc_comment)]
    Bench(bench::Options),
    /// The same beside nginx with Lua, workerd, deno and bun, as far as they are installed
    ///
    ///   npm install --no-package-lock --prefix loadtest/peers
    ///   apt-get install nginx-light libnginx-mod-http-lua lua-cjson
    ///   target/release/loadtest peers
    #[command(verbatim_doc_comment)]
    Peers(bench::PeersOptions),
    /// Measure what a node costs as its endpoints, teams, rules and threads become more
    Scale(bench::ScaleOptions),
    /// Deploy many endpoints to a server, which then answer at /many/sN/eN
    Fill(bench::FillOptions),
    /// Play recorded arrivals against other quotas: who would have been refused, when, by which rule
    ///
    /// Exit codes: 0 nobody was, 1 somebody was, 2 a file is wrong.
    Whatif(whatif::Options),
    /// Play the rules that adapt by themselves against made-up services and loads
    Simulate(simulate::Options),
    /// The same jobs in plain Rust, which `bench` starts
    #[command(hide = true)]
    Baseline(baseline::Options),
    /// The services behind, which `bench` starts
    #[command(hide = true)]
    Upstream,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => return run::run(&options),
        Command::Get(options) => return run::get(&options),
        Command::Ceiling(options) => return ceiling::run(&options),
        Command::Merge(options) => return merge::run(&options),
        Command::Compare(options) => return compare::run(&options),
        Command::Whatif(options) => return whatif::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Peers(options) => bench::run_peers(&options),
        Command::Fill(options) => bench::fill(&options),
        Command::Scale(options) => bench::run_scale(&options),
        Command::Simulate(options) => simulate::run(&options),
        Command::Baseline(options) => baseline::run(&options),
        Command::Upstream => upstream::run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
