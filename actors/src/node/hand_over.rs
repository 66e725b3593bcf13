//! Handing over: the node goes on answering calls while the next process takes what only one can have.
//!
//! Invariant: what was acknowledged before is with the next process; what a device calls is answered from memory
//! meanwhile. Nothing may be changed here until the node has taken it all back.
//! Not here: keeping changes out (the admin door), sockets and connections.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use runtime::unit::Unit;

use super::Node;
use crate::error::StoreError;
use crate::supervisor::follow;

/// How long units are brought into memory.
const LOAD_WAIT: Duration = Duration::from_secs(5);
/// How many are, at most: an endpoint beyond them that nobody called lately has to wait for the next process.
const UNITS_MAX: usize = 20_000;

/// The units of all endpoints, kept in memory.
pub struct InMemory(Vec<Arc<Unit>>);

impl InMemory {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Node {
    /// Lets go of the store and of the journal of switches. What this returns keeps the units in memory.
    ///
    /// # Errors
    /// The store is still being used; nothing has changed then.
    pub async fn let_go(&self) -> Result<InMemory, StoreError> {
        let mut kept = InMemory(Vec::new());
        // What was loaded until the time is over stays loaded.
        let _ = tokio::time::timeout(LOAD_WAIT, self.load_all(&mut kept)).await;
        self.store.let_go().await?;
        Ok(kept)
    }

    async fn load_all(&self, kept: &mut InMemory) {
        let routes = self.shared.routes.load_full();
        let mut seen = HashSet::new();
        for entry in routes.iter().filter(|entry| seen.insert(entry.bundle)).take(UNITS_MAX) {
            // One that cannot be loaded now could not be called before either.
            kept.0.extend(self.shared.units.load(&entry.unit).await.ok());
        }
    }

    /// Takes back what it let go of.
    ///
    /// # Errors
    /// Another process has it.
    pub async fn take_back(&self) -> Result<(), StoreError> {
        self.store.take_back().await
    }

    /// The next process serves: what it switches holds here, too, until this one ends.
    pub fn follow_next(&self) {
        actix_rt::spawn(follow(self.supervisor.clone(), self.journal.clone()));
    }
}
