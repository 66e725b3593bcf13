//! Closing: a door tells its connections that it is about to shut.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether a door is about to shut. Its clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Closing(Arc<AtomicBool>);

impl Closing {
    /// From now on connections are let go: one that is quiet is closed, the others with their next answer.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether that has begun.
    pub fn has_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
