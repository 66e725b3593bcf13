//! Progress: how far a node has come since its start, and when it last agreed with the store.
//!
//! Invariant: what was reached once is not taken back: a node that is loaded stays so, whatever the store does.
//! Not here: what is wrong with a single script ([`super::Shared::unserved`]).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use tokio::sync::watch;

use crate::who::unix_ms;

/// How far a node has come.
#[derive(Debug)]
pub struct Progress {
    loaded: AtomicBool,
    warmed: watch::Sender<bool>,
    /// When the store was last heard, in Unix milliseconds.
    in_step_ms: AtomicU64,
    missing: AtomicUsize,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            loaded: AtomicBool::new(false),
            warmed: watch::Sender::new(false),
            in_step_ms: AtomicU64::new(0),
            missing: AtomicUsize::new(0),
        }
    }
}

impl Progress {
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Ordering::Acquire)
    }

    pub(crate) fn set_loaded(&self) {
        self.loaded.store(true, Ordering::Release);
    }

    pub(crate) fn set_warmed(&self) {
        self.warmed.send_replace(true);
    }

    pub(super) async fn warmed(&self) {
        // The sender lives as long as this.
        let _ = self.warmed.subscribe().wait_for(|warmed| *warmed).await;
    }

    /// The node has just compared what it serves with the store.
    pub(crate) fn set_in_step(&self, at_ms: u64) {
        self.in_step_ms.fetch_max(at_ms, Ordering::AcqRel);
    }

    /// How long ago the node last compared what it serves with the store, in milliseconds; nothing when it
    /// never did.
    pub fn behind_ms(&self) -> Option<u64> {
        let at = self.in_step_ms.load(Ordering::Acquire);
        (at > 0).then(|| unix_ms().saturating_sub(at))
    }

    /// How many scripts are served that the store lacks without a mark that they were taken away.
    pub fn missing(&self) -> usize {
        self.missing.load(Ordering::Acquire)
    }

    /// Sets that number; answers what it was.
    pub(crate) fn set_missing(&self, missing: usize) -> usize {
        self.missing.swap(missing, Ordering::AcqRel)
    }
}
