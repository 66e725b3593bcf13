//! `simulate`: the rules that adapt by themselves, played against services and loads that are made up.
//!
//! Invariant: nothing is measured and no clock is read, so that a seed gives the same pictures every time.
//! What has to come out is asserted in the tests of `service` and `node`; the parameters of `quotas::gradient` and
//! `quotas::pressure` were chosen with them.
//! Not here: what a real server does under load (`bench`, and the tests of the tree).

mod calendar;

mod service;

mod scenes;

mod node;

mod days;

mod pictures;

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

/// What is played.
#[derive(Debug, Args)]
pub struct Options {
    /// Write a picture of each run into this directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// What chance follows from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Plays all scenes and days, prints what came of them, and draws them where that is asked for.
///
/// # Errors
/// A picture cannot be written.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if let Some(out) = &options.out {
        std::fs::create_dir_all(out).with_context(|| format!("cannot create {}", out.display()))?;
    }
    for picture in pictures::all(options.seed) {
        println!("{:<22} {}", picture.name, picture.found);
        if let Some(out) = &options.out {
            let path = out.join(picture.name).with_extension("svg");
            let svg = picture.chart.svg();
            std::fs::write(&path, svg).with_context(|| format!("cannot write {}", path.display()))?;
        }
    }
    Ok(())
}
