//! The arguments of every command.
//!
//! Not here: what the commands do with them.

mod operate;
mod project;
mod serve;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use self::operate::{DrillArguments, QuotaArguments, SwitchArguments, TokenArguments};
pub(super) use self::operate::{QuotaCommand, SwitchCommand, TokenCommand};
pub(super) use self::project::Until;
pub use self::project::{
    CallArguments, DeleteArguments, DeployArguments, DevArguments, EndpointsArguments, HistoryArguments,
    InitArguments, ProjectArguments, RollbackArguments, ScriptArguments,
};
pub(super) use self::serve::{CopyArguments, StoreCommand};
pub use self::serve::{ServeArguments, ServeCommandArguments, StoreArguments};

const EXIT_CODES: &str = "\
Exit codes:
  0    done
  1    the thing failed: a script did not compile, a test did not pass
  2    wrong usage
  3    refused: token, role, conflict, switch, quota
  4    the server was not reached
  5    a result that is not to be trusted
  130  interrupted

Environment:
  CALLBOARD_URL         the server's admin address
  CALLBOARD_TOKEN       the token to show it
  CALLBOARD_DEVICE_URL  the server's device address, for `call`
  NO_COLOR              no colour";

/// Scripts that compose the answers devices ask for, many teams on one server.
#[derive(Debug, Parser)]
#[command(name = "callboard", version, after_help = EXIT_CODES)]
#[command(propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub(super) output: OutputArguments,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// How to print.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub struct OutputArguments {
    /// Print objects for machines, one a line
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Print results only
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// When to use colour
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto", hide_possible_values = false)]
    pub(super) color: Colour,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Colour {
    Auto,
    Always,
    Never,
}

const UPGRADE: &str = "\
Put the new program where the old one is, and run this as the user that the server runs as,
with the same data directory. No call is broken off. Where the new program does not serve,
the old one goes on.";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a server
    Serve(ServeCommandArguments),
    /// Run a server with the examples and their stand-in services, ready to call
    Demo(ServeArguments),
    /// Write a starter project that runs as it stands
    Init(InitArguments),
    /// Compile a project here, and show what is wrong with it
    Check(ProjectArguments),
    /// Deploy a project again whenever its files change
    Dev(DevArguments),
    /// Upload a project and make it active: all of it or nothing
    Deploy(DeployArguments),
    /// Make an earlier revision active again
    Rollback(RollbackArguments),
    /// Take a script away: its endpoints answer no more, its revisions stay
    Delete(DeleteArguments),
    /// List the revisions of a script, newest first
    #[command(visible_alias = "log", aliases = ["versions", "releases"])]
    History(HistoryArguments),
    /// Call an endpoint as a device would
    Call(CallArguments),
    /// List what devices can call
    Endpoints(EndpointsArguments),
    /// Turn things off and on
    Switch(SwitchArguments),
    /// Try every kind of switch on a canary, and show what each does
    Drill(DrillArguments),
    /// Show and set what teams, endpoints and classes may use
    Quota(QuotaArguments),
    /// Show why a device got no answer
    Why(WhyArguments),
    /// Show whether the server is well
    Status(ServerArguments),
    /// Make, list and revoke tokens
    Token(TokenArguments),
    /// Show who the server takes you for
    Whoami(ServerArguments),
    /// Show the configuration and where each value came from
    Config(ServeArguments),
    /// Have the server go over to the program that is on the disk now
    #[command(after_help = UPGRADE)]
    Upgrade(ServeArguments),
    /// Look after the store
    Store(StoreArguments),
    /// Fork a compiler for each bundle that comes by standard input
    #[command(hide = true)]
    ForkServer {
        /// Processor time in seconds of each
        cpu: u64,
        /// Memory in bytes of each
        memory: u64,
    },
    /// Serve on the sockets of the parent
    #[command(hide = true)]
    ServingChild(ServeArguments),
}

/// Which decision.
#[derive(Debug, Clone, Args)]
pub struct WhyArguments {
    /// The id that the device was told: `decision` in the answer, or its `X-Request-Id`
    pub(super) id: String,
    #[command(flatten)]
    pub(super) server: ServerArguments,
}

/// Which server, and as whom.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub struct ServerArguments {
    /// The server's admin address
    #[arg(
        long,
        value_name = "URL",
        env = "CALLBOARD_URL",
        hide_env_values = true,
        default_value = api::DEFAULT_URL
    )]
    pub(super) url: api::BaseUrl,
    /// A file that holds the token; without it, the token is taken from CALLBOARD_TOKEN
    #[arg(long, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
}

/// A time such as `30m`.
fn time(text: &str) -> Result<Duration, String> {
    let time = crate::config::time_of(text);
    time.filter(|time| !time.is_zero())
        .ok_or_else(|| "it is not a time; write it like `30m` or `7d`".to_owned())
}
