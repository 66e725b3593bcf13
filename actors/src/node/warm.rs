//! Warming: making sure after a start that every endpoint has a unit, and having some of them at hand.
//!
//! Invariant: of a fleet that starts a new build, one node compiles each unit and the others load it: whoever
//! has the lease compiles, and each node begins elsewhere. A node says that it is ready when every unit was
//! looked at and no more of them are missing than it may bear.
//! Not here: loading a unit that a call needs (`units`).

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use quotas::scope::ScriptId;

use super::Shared;
use crate::events::Event;
use crate::routes::EndpointEntry;
use crate::units::UnitFailure;

/// How many units are looked at once.
const AT_ONCE: usize = 8;
/// How many are decoded at once before anybody asks for them.
const DECODE_AT_ONCE: usize = 2;
/// How long to wait for what other nodes compile before looking again.
const OTHERS_WAIT: Duration = Duration::from_millis(200);
/// How long to wait before what failed is tried again.
const FAILED_WAIT: Duration = Duration::from_secs(10);

pub(crate) async fn warm(shared: Arc<Shared>, broken_percent: u8) {
    loop {
        let mut cold = cold(&shared);
        let all = cold.len();
        let mut failed = 0;
        while !cold.is_empty() {
            let looked: Vec<_> = stream::iter(cold)
                .map(|entry| {
                    let units = &shared.units;
                    async move { (units.ready(&entry.unit).await, entry) }
                })
                .buffer_unordered(AT_ONCE)
                .collect()
                .await;
            cold = Vec::new();
            for (ready, entry) in looked {
                match ready {
                    Ok(true) => {}
                    Ok(false) => cold.push(entry),
                    Err(failure) => {
                        failed += 1;
                        tell(&shared, &entry.id.script, &failure);
                    }
                }
            }
            if !cold.is_empty() {
                tokio::time::sleep(OTHERS_WAIT).await;
            }
        }
        shared.progress.set_warmed();
        if failed * 100 <= all * usize::from(broken_percent) {
            break;
        }
        tokio::time::sleep(FAILED_WAIT).await;
    }
    shared.progress.set_loaded();
    decode(&shared).await;
}

/// One endpoint of each bundle, in an order of this node's own.
fn cold(shared: &Shared) -> Vec<Arc<EndpointEntry>> {
    let mut bundles = HashMap::new();
    for entry in shared.routes.load().iter() {
        bundles.entry(*entry.bundle.as_bytes()).or_insert_with(|| Arc::clone(entry));
    }
    let mut cold: Vec<_> = bundles.into_iter().collect();
    cold.sort_by_cached_key(|(bundle, _)| {
        let mut hasher = blake3::Hasher::new();
        hasher.update(shared.name.as_bytes()).update(bundle);
        *hasher.finalize().as_bytes()
    });
    cold.into_iter().map(|(_, entry)| entry).collect()
}

fn tell(shared: &Shared, script: &ScriptId, failure: &UnitFailure) {
    let is_known = shared.unserved().get(script) == Some(failure);
    if !is_known {
        shared.not_served(script, failure);
        Event::ScriptRejected { script, code: failure.code, detail: &failure.detail }.tell();
    }
}

/// Loads units, so that few first calls find theirs cold: as many as are kept.
async fn decode(shared: &Shared) {
    let cold = cold(shared);
    let mut loads =
        stream::iter(&cold).map(|entry| shared.units.load(&entry.unit)).buffer_unordered(DECODE_AT_ONCE);
    // What failed was told before.
    while shared.units.has_room() && loads.next().await.is_some() {}
}
