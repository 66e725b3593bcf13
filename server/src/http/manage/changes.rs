//! Changes: whether the admin door lets changes through, and how many are under way.
//!
//! Invariant: when closing has returned, no change is under way and none begins until it is opened again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use api::Problem;

/// When to come back to a door that is closed.
const BACK_AFTER_MS: u64 = 1_000;
/// How often is looked whether changes are under way.
const LOOK: Duration = Duration::from_millis(5);

/// The gate of a door. Its clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Changes(Arc<Gate>);

#[derive(Debug, Default)]
struct Gate {
    closed: AtomicBool,
    under_way: AtomicUsize,
}

/// A change that is under way.
#[derive(Debug)]
pub(super) struct UnderWay(Arc<Gate>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Changes {
    /// Begins a change, or says when to come back.
    pub(super) fn begin(&self) -> Result<UnderWay, Box<Problem>> {
        // Counted before it looks, so that whoever closes sees one or the other.
        self.0.under_way.fetch_add(1, Ordering::SeqCst);
        let change = UnderWay(Arc::clone(&self.0));
        if self.0.closed.load(Ordering::SeqCst) {
            let problem = Problem::of("node.upgrading", "changes are taken again in a moment");
            return Err(Box::new(Problem { retry_after_ms: Some(BACK_AFTER_MS), ..problem }));
        }
        Ok(change)
    }

    /// Lets no change begin any more, and waits for those under way, so long at most; whether all have ended.
    pub async fn close(&self, wait: Duration) -> bool {
        self.0.closed.store(true, Ordering::SeqCst);
        let until = Instant::now() + wait;
        while self.0.under_way.load(Ordering::SeqCst) > 0 {
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }

    /// Lets changes begin again.
    pub fn open(&self) {
        self.0.closed.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_gate_waits_for_those_under_way_and_lets_nobody_begin() {
        let changes = Changes::default();
        let change = changes.begin().unwrap();
        assert!(!changes.close(Duration::ZERO).await, "one is under way");
        let refused = changes.begin().unwrap_err();
        assert_eq!((&*refused.code, refused.retry_after_ms), ("node.upgrading", Some(1_000)));
        let (closed, ()) = tokio::join!(changes.close(Duration::from_secs(60)), async { drop(change) });
        assert!(closed);
        changes.open();
        assert!(changes.begin().is_ok());
    }
}
