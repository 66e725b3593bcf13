//! The arguments of what runs a server or looks after its store.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What a server is told.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeArguments {
    /// The configuration file [env: CALLBOARD_CONFIG]
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) config: Option<PathBuf>,
    /// The directory of the embedded store [default: callboard-data]
    #[arg(long, value_name = "DIR")]
    pub(in crate::cli) data: Option<String>,
    /// A store that nodes share, cql://host,host/keyspace
    #[arg(long, value_name = "URL")]
    pub(in crate::cli) store: Option<String>,
    /// Where devices call; port 0 picks a free one [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub(in crate::cli) device: Option<String>,
    /// Where people and tools call; port 0 picks a free one [default: 127.0.0.1:8081]
    #[arg(long, value_name = "ADDR")]
    pub(in crate::cli) admin: Option<String>,
    /// Any other key of the configuration
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_and_value)]
    pub(in crate::cli) set: Vec<(String, String)>,
}

/// How to serve.
#[derive(Debug, Clone, Default, Args)]
pub struct ServeCommandArguments {
    #[command(flatten)]
    pub(in crate::cli) serve: ServeArguments,
    /// Only compile and store what this build lacks, then end: a step before a roll-out
    #[arg(long)]
    pub(in crate::cli) warm_only: bool,
}

/// What to do with the store.
#[derive(Debug, Clone, Args)]
pub struct StoreArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: StoreCommand,
}

/// What to do with the store.
#[derive(Debug, Clone, Subcommand)]
pub(in crate::cli) enum StoreCommand {
    /// Make a shared store's tables, or bring them up to this program
    Migrate(ServeArguments),
    /// Copy everything but tokens to a file
    Export(CopyArguments),
    /// Take a copy: what is there already stays, what went another way is refused
    Import(CopyArguments),
}

/// Which file, and which store.
#[derive(Debug, Clone, Args)]
pub struct CopyArguments {
    /// The file, a tar compressed with zstd
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) serve: ServeArguments,
}

/// `KEY=VALUE`.
fn key_and_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it like `limits.rate=100/s`")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
