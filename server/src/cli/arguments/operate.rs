//! The arguments of what an operator does with a server.

use std::time::Duration;

use clap::{Args, Subcommand};
use quotas::scope::{EndpointId, Scope};

use super::{ServerArguments, time};

/// What to do with switches.
#[derive(Debug, Clone, Args)]
pub struct SwitchArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: SwitchCommand,
}

const SCOPES: &str = "\
A scope is one of:
  all                     everything that runs
  team:tv                 all of a team
  script:tv/home          all endpoints of a script
  endpoint:tv/home/home   one endpoint
  revision:tv/home@7      one revision of a script
  class:tv-2015           all calls of a class of devices
  service:catalog         all calls that scripts make to a service
  region:eu-west-1        everything on the nodes of a region
  node:tv-7.example       everything on one node

A kind is one of:
  kill       calls are refused, and those that run are stopped (switch.off)
  freeze     scripts are not changed: no deploy, no rollback (deploy.frozen); of all, a team, a script
  shed       calls of --priority and of those below it are refused (switch.shed)
  fallback   calls do not run; a script's fallback answers (switch.fallback)
  last-good  calls do not run; the last good answer is given (switch.last_good)
  cap        at most --calls are alive at one time, on each node (switch.capped)
A scope can have one of each. A service can only be killed.";

/// What to do with switches.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum SwitchCommand {
    /// Turn something off, freeze or bound it; in force when the command ends
    #[command(after_help = SCOPES)]
    Off {
        /// What to turn off
        scope: Scope,
        /// Why; everyone who is refused can find it
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// What kind of switch
        #[arg(long, value_name = "KIND", default_value = "kill")]
        kind: api::SwitchKind,
        /// For shed: prefetch (and the background with it), or the background alone
        #[arg(long, value_name = "LEVEL", required_if_eq("kind", "shed"))]
        priority: Option<api::ShedLevel>,
        /// For cap: how many calls may be alive at one time
        #[arg(long, value_name = "N", required_if_eq("kind", "cap"))]
        calls: Option<u32>,
        /// For how long [default: until somebody turns it on]
        #[arg(long = "for", value_name = "TIME", value_parser = time)]
        duration: Option<Duration>,
        /// Only count what would be refused
        #[arg(long)]
        observe: bool,
        /// Only show what it would do, and which calls of the last minutes it would touch
        #[arg(long)]
        dry_run: bool,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Turn it on again
    #[command(after_help = SCOPES)]
    On {
        /// What to turn on
        scope: Scope,
        /// Which of its switches
        #[arg(long, value_name = "KIND", default_value = "kill")]
        kind: api::SwitchKind,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Only show what it would do
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// List all switches, with what they refused on this node
    List {
        #[command(flatten)]
        server: ServerArguments,
    },
}

/// What to do with quotas.
#[derive(Debug, Clone, Args)]
pub struct QuotaArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: QuotaCommand,
}

const QUOTAS: &str = "\
A scope is one of:
  all                     each client (client-rate, client-burst) and the node (concurrency)
  team:tv                 all of a team
  endpoint:tv/home/home   one endpoint
  class:tv-2015           all calls of a class of devices

A quota is written NAME=LIMIT. Calls: rate=500/s burst=50 concurrency=64. Budgets, of a minute
and a day: fuel-minute fuel-day host-calls-minute host-calls-day bytes-minute bytes-day, and
requests-day; write 5e9, or 8GiB for bytes. What a team keeps and does: endpoints scripts
revisions deploys-hour compile-hour (seconds) unit-bytes. What was used stays used.";

/// What to do with quotas.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum QuotaCommand {
    /// Show what a scope may use, where that comes from, and what is used on the node that answers
    #[command(after_help = QUOTAS)]
    Show {
        /// Whose quotas
        scope: Scope,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Set quotas of a scope; in force on the node when the command ends, and on the others soon after
    #[command(after_help = QUOTAS)]
    Set {
        /// Whose quotas
        scope: Scope,
        /// What to set; a NAME alone keeps its limit
        #[arg(required = true, value_name = "NAME=LIMIT")]
        quotas: Vec<String>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// For how long; then what was set before is in force again [default: until somebody sets it anew]
        #[arg(long = "for", value_name = "TIME", value_parser = time)]
        duration: Option<Duration>,
        /// From how many percent of a budget on callers are warned
        #[arg(long, value_name = "PERCENT")]
        soft: Option<u32>,
        /// Only count what would be refused; the limit that was in force refuses nothing meanwhile
        #[arg(long)]
        observe: bool,
        /// Only show what it would do
        #[arg(long)]
        dry_run: bool,
        /// Do not ask before limits that refuse now come to observe only
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// List all that is set of any scope
    List {
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Take back all that was set of a scope
    #[command(after_help = QUOTAS)]
    Reset {
        /// Whose quotas
        scope: Scope,
        /// Why, for the audit
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        /// Only show what it would do
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        server: ServerArguments,
    },
}

/// What to drill on.
#[derive(Debug, Clone, Args)]
pub struct DrillArguments {
    /// An endpoint, team/script/name, that answers a GET without parameters [default: a script that is deployed
    /// for the drill and taken away]
    #[arg(long, value_name = "ENDPOINT")]
    pub(in crate::cli) endpoint: Option<EndpointId>,
    #[command(flatten)]
    pub(in crate::cli) server: ServerArguments,
}

/// What to do with tokens.
#[derive(Debug, Clone, Args)]
pub struct TokenArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: TokenCommand,
}

/// What to do with tokens.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum TokenCommand {
    /// Make a token; its secret is printed this once
    Create {
        /// What it allows: viewer, deployer, operator or admin
        #[arg(long, value_name = "ROLE")]
        role: api::Role,
        /// The team it is bound to [default: all teams]
        #[arg(long, value_name = "NAME")]
        team: Option<quotas::scope::TeamName>,
        /// What it is for
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
        /// When it ends, counted from now [default: never]
        #[arg(long, value_name = "TIME", value_parser = time)]
        expires: Option<Duration>,
        #[command(flatten)]
        server: ServerArguments,
    },
    /// List all tokens, without their secrets
    List {
        #[command(flatten)]
        server: ServerArguments,
    },
    /// Revoke a token for good
    Revoke {
        /// The token's id
        id: String,
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        server: ServerArguments,
    },
}
