//! Warming a store for a new build: whatever it lacks is compiled and stored, and nothing is served.
//!
//! Invariant: it opens no door, is no node to the others, and leaves the data directory alone but for the
//! signing key, so that it runs beside a server.
//! Not here: compiling (`runtime`), whose turn it is (`actors::node`).

use std::time::{Duration, Instant};

use actors::node::Node;
use quotas::scope::ScriptId;

use super::child::{node_config, open_shared};
use crate::config::Config;

/// What was made.
#[derive(Debug)]
pub struct Warmed {
    /// Endpoints that are served.
    pub endpoints: usize,
    /// Units that were compiled here.
    pub compiled: u64,
    /// The scripts that have no unit, and why.
    pub failed: Vec<(ScriptId, String)>,
    /// Whether so few failed that a node of this build would be ready.
    pub ready: bool,
    /// How long it took.
    pub took: Duration,
}

/// Compiles and stores what this build lacks.
///
/// # Errors
/// The store does not answer, or is not for this program.
pub fn run(config: &Config) -> anyhow::Result<Warmed> {
    actix_rt::System::new().block_on(async {
        let started = Instant::now();
        let store = open_shared(config).await?;
        // The switches of this directory are a server's, which may be running.
        let aside = std::env::temp_dir().join(format!("callboard-warm-{}", std::process::id()));
        std::fs::create_dir_all(&aside)?;
        let mut node_config = node_config(config)?;
        node_config.journal = aside.join("switches.journal");
        let warmed = warm(config, node_config, store, started).await;
        std::fs::remove_dir_all(&aside)?;
        warmed
    })
}

async fn warm(
    config: &Config,
    node_config: actors::node::NodeConfig,
    store: std::sync::Arc<dyn actors::storage::Store>,
    started: Instant,
) -> anyhow::Result<Warmed> {
    // Without the store there is nothing that could be made.
    store.ping().await?;
    let node = Node::start(node_config, store).await?;
    node.warmed().await;
    let shared = node.shared();
    let failed: Vec<_> =
        shared.unserved().iter().map(|(script, failure)| (script.clone(), failure.to_string())).collect();
    let endpoints = shared.routes.load().len();
    let scripts: std::collections::BTreeSet<_> =
        shared.routes.load().iter().map(|entry| entry.id.script.clone()).collect();
    let compiled = actors::events::counts().find(|(name, _)| *name == "unit recompiled");
    Ok(Warmed {
        endpoints,
        compiled: compiled.map_or(0, |(_, count)| count),
        ready: failed.len() * 100 <= scripts.len() * usize::from(config.node.broken_percent),
        failed,
        took: started.elapsed(),
    })
}
