//! The arguments of what a team does with its scripts.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use quotas::scope::ScriptId;

use super::{ServerArguments, time};

/// Which project.
#[derive(Debug, Clone, Args)]
pub struct ProjectArguments {
    /// The project's directory
    #[arg(value_name = "DIR", default_value = ".")]
    pub(in crate::cli) directory: PathBuf,
}

/// What to start with.
#[derive(Debug, Clone, Args)]
pub struct InitArguments {
    /// The directory to write to
    #[arg(value_name = "DIR", default_value = ".")]
    pub(in crate::cli) directory: PathBuf,
    /// The team that owns the script
    #[arg(long, value_name = "NAME", default_value = "demo")]
    pub(in crate::cli) team: quotas::scope::TeamName,
    /// The script's name [default: the directory's]
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) script: Option<quotas::scope::ScriptName>,
}

/// How to deploy.
#[derive(Debug, Clone, Args)]
pub struct DeployArguments {
    #[command(flatten)]
    pub(in crate::cli) project: ProjectArguments,
    /// What to say about it in the history
    #[arg(long, short, value_name = "TEXT", default_value = "")]
    pub(in crate::cli) message: String,
    /// A name for the revision, a version for example
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) tag: Option<String>,
    /// Only show what it would do
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Only store it; what is active stays so
    #[arg(long)]
    pub(in crate::cli) no_activate: bool,
    /// Until where it has to serve before the command ends
    #[arg(long, value_name = "WHERE", default_value = "node")]
    pub(in crate::cli) wait: Until,
    /// How long to wait for that
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time)]
    pub(in crate::cli) timeout: Duration,
    #[command(flatten)]
    pub(in crate::cli) server: ServerArguments,
}

/// How far a change has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Until {
    /// The node that answers
    Node,
    /// All nodes
    All,
}

/// How to watch.
#[derive(Debug, Clone, Args)]
pub struct DevArguments {
    #[command(flatten)]
    pub(in crate::cli) project: ProjectArguments,
    #[command(flatten)]
    pub(in crate::cli) server: ServerArguments,
}

/// Which script: named, or that of a project.
#[derive(Debug, Clone, Args)]
pub struct ScriptArguments {
    /// The script, TEAM/SCRIPT [default: the one of the project here]
    #[arg(value_name = "SCRIPT")]
    pub(in crate::cli) script: Option<ScriptId>,
}

/// How to go about what cannot be taken back by a word.
#[derive(Debug, Clone, Args)]
pub struct ChangeArguments {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    pub(in crate::cli) reason: Option<String>,
    /// Only show what it would do
    #[arg(long)]
    pub(in crate::cli) dry_run: bool,
    /// Do not ask
    #[arg(long, short)]
    pub(in crate::cli) yes: bool,
}

/// Where to go back to.
#[derive(Debug, Clone, Args)]
pub struct RollbackArguments {
    #[command(flatten)]
    pub(in crate::cli) script: ScriptArguments,
    /// The revision [default: the one that answered before, not counting what was rolled back]
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::cli) to: Option<u64>,
    #[command(flatten)]
    pub(in crate::cli) change: ChangeArguments,
    #[command(flatten)]
    pub(in crate::cli) server: ServerArguments,
}

/// What to take away.
#[derive(Debug, Clone, Args)]
pub struct DeleteArguments {
    /// The script, TEAM/SCRIPT
    #[arg(value_name = "SCRIPT")]
    pub(in crate::cli) script: ScriptId,
    #[command(flatten)]
    pub(in crate::cli) change: ChangeArguments,
    #[command(flatten)]
    pub(in crate::cli) server: ServerArguments,
}

/// How much of the history.
#[derive(Debug, Clone, Args)]
pub struct HistoryArguments {
    #[command(flatten)]
    pub(in crate::cli) script: ScriptArguments,
    /// The most revisions
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(in crate::cli) limit: u32,
    #[command(flatten)]
    pub(in crate::cli) server: ServerArguments,
}

/// Whose endpoints.
#[derive(Debug, Clone, Args)]
pub struct EndpointsArguments {
    /// Only this team's
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) team: Option<quotas::scope::TeamName>,
    #[command(flatten)]
    pub(in crate::cli) server: ServerArguments,
}

/// What to call.
#[derive(Debug, Clone, Args)]
pub struct CallArguments {
    /// The method, where it is not GET, and the path with its query: `/hello?name=Ana`, `POST /items`
    #[arg(value_name = "METHOD? PATH", num_args = 1..=2, required = true)]
    pub(in crate::cli) target: Vec<String>,
    /// The body; `@FILE` for a file, `@-` for standard input
    #[arg(long, short, value_name = "TEXT")]
    pub(in crate::cli) data: Option<String>,
    /// A header, `name: value`
    #[arg(long, short = 'H', value_name = "HEADER")]
    pub(in crate::cli) header: Vec<String>,
    /// Show the status and the headers too
    #[arg(long, short)]
    pub(in crate::cli) include: bool,
    /// How long to wait for the answer
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time)]
    pub(in crate::cli) timeout: Duration,
    /// The server's device address
    #[arg(
        long,
        value_name = "URL",
        env = "CALLBOARD_DEVICE_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8080"
    )]
    pub(in crate::cli) device_url: api::BaseUrl,
}
