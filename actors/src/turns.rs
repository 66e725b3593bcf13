//! Turns: for each key one at a time, for as long as anybody waits.
//!
//! Invariant: a key that nobody uses costs nothing.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::OwnedMutexGuard;

/// How many keys there may be before those are looked for that nobody uses.
const SWEEP_FROM: usize = 64;

/// Hands out turns.
#[derive(Debug)]
pub(crate) struct Turns<K> {
    keys: Mutex<HashMap<K, Weak<tokio::sync::Mutex<()>>>>,
}

/// A turn; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl<K> Default for Turns<K> {
    fn default() -> Self {
        Self { keys: Mutex::default() }
    }
}

impl<K: Hash + Eq + Clone> Turns<K> {
    /// Waits for the key's turn; first come, first served.
    pub(crate) async fn take(&self, key: &K) -> Turn {
        let queue = self.queue(key);
        Turn { _guard: queue.lock_owned().await }
    }

    fn queue(&self, key: &K) -> Arc<tokio::sync::Mutex<()>> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = keys.get(key).and_then(Weak::upgrade) {
            return queue;
        }
        if keys.len() >= SWEEP_FROM {
            keys.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::default();
        keys.insert(key.clone(), Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_held_by_one_at_a_time_and_forgotten_after() {
        actix_rt::System::new().block_on(async {
            let turns = Turns::default();
            let first = turns.take(&1).await;
            let other = turns.take(&2).await;
            let second = turns.take(&1);
            tokio::pin!(second);
            assert!(futures_util::poll!(&mut second).is_pending());
            drop(first);
            drop(second.await);
            drop(other);
            for key in 3..200 {
                drop(turns.take(&key).await);
            }
            assert!(turns.keys.lock().unwrap().len() <= SWEEP_FROM);
        });
    }
}
