//! Quarantine: an endpoint that harmed the node is set aside for a time.
//!
//! Invariant: a call sees either no quarantine or a whole one; where there is none, that costs one load.
//! A quarantine stands until it is lifted: time alone opens nothing.
//! Not here: who is to blame, and for how long (the supervisor decides).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::scope::RevisionNumber;

/// Why an endpoint is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// The revision that did the harm; a newer one starts clean. Without it, every revision is set aside.
    pub revision: Option<RevisionNumber>,
    /// Who decided it.
    pub by: Arc<str>,
    /// What happened.
    pub reason: Arc<str>,
    /// Since when, in milliseconds of wall-clock time.
    pub since: u64,
    /// Until when it is meant to last, in milliseconds of wall-clock time.
    pub until: Option<u64>,
}

/// Where an endpoint's quarantine is kept. The default is none.
#[derive(Debug, Default)]
pub struct QuarantineCell {
    /// Whom it stands against, so that a call of anybody else takes no lock.
    against: AtomicU64,
    what: Mutex<Option<Arc<Quarantine>>>,
}

/// No quarantine. Revisions count from one.
const NOBODY: u64 = 0;
/// Every revision. No script will have so many.
const EVERY_REVISION: u64 = u64::MAX;

impl QuarantineCell {
    /// Sets the endpoint aside; an earlier quarantine is replaced.
    pub fn set(&self, quarantine: Quarantine) {
        let against = quarantine.revision.map_or(EVERY_REVISION, RevisionNumber::get);
        self.replace(Some(Arc::new(quarantine)), against);
    }

    /// Ends the quarantine.
    pub fn lift(&self) {
        self.replace(None, NOBODY);
    }

    /// The quarantine, whatever revision it is about.
    pub fn get(&self) -> Option<Arc<Quarantine>> {
        self.what.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The quarantine that keeps this revision from running, if there is one.
    pub fn against(&self, revision: RevisionNumber) -> Option<Arc<Quarantine>> {
        let against = self.against.load(Ordering::Acquire);
        if against != EVERY_REVISION && against != revision.get() {
            return None;
        }
        // It may have been lifted or replaced since: what is read under the lock is what holds.
        self.get().filter(|quarantine| quarantine.revision.is_none_or(|set_aside| set_aside == revision))
    }

    fn replace(&self, quarantine: Option<Arc<Quarantine>>, against: u64) {
        let mut what = self.what.lock().unwrap_or_else(PoisonError::into_inner);
        *what = quarantine;
        self.against.store(against, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_revision_starts_clean() {
        let cell = QuarantineCell::default();
        let [seventh, eighth] = [7, 8].map(|number| RevisionNumber::new(number).unwrap());
        let quarantine = |revision| Quarantine {
            revision,
            by: "supervisor".into(),
            reason: "crashed twice".into(),
            since: 1,
            until: None,
        };
        let stands = || [seventh, eighth].map(|revision| cell.against(revision).is_some());
        assert_eq!(stands(), [false, false]);
        cell.set(quarantine(Some(seventh)));
        assert_eq!(stands(), [true, false]);
        cell.set(quarantine(None));
        assert_eq!(stands(), [true, true]);
        cell.lift();
        assert_eq!(stands(), [false, false]);
        assert_eq!(cell.get(), None);
    }
}
