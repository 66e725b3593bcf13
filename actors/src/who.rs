//! Who asks for a change, and what the history says about it.
//!
//! Invariant: a change that reaches the store carries one of these.
//! Not here: tokens and roles.

use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use crate::storage::AuditEntry;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    /// Their name.
    pub name: String,
    /// The address they came from.
    pub from: String,
    /// The id of their request.
    pub request: String,
}

impl Who {
    /// The node itself, for what nobody asked for: the end of a switch's time, a quarantine.
    pub fn node(name: &str) -> Self {
        Self { name: name.to_owned(), from: "node".to_owned(), request: String::new() }
    }

    /// The history's entry for something that they do now.
    pub fn entry(&self, what: &str, subject: impl ToString, why: Option<String>) -> AuditEntry {
        AuditEntry {
            id: next_id(),
            at_ms: unix_ms(),
            who: self.name.clone(),
            from: self.from.clone(),
            what: what.to_owned(),
            subject: subject.to_string(),
            why,
            detail: serde_json::json!({ "request": self.request }).to_string(),
        }
    }
}

/// A ULID above all that this process made before, so that entries of one millisecond stay in their order.
fn next_id() -> String {
    static LAST: Mutex<ulid::Generator> = Mutex::new(ulid::Generator::new());
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    let generated = last.generate();
    // So many in one millisecond that none is above the last: then order is the least of it.
    generated.unwrap_or_else(|_| ulid::Ulid::generate()).to_string()
}

/// The wall clock, in Unix milliseconds.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The same, as it was at the last tick of the machine, some milliseconds ago at most: for what is told to people, on
/// the path of every call.
pub fn about_unix_ms() -> u64 {
    ms(ClockId::RealtimeCoarse)
}

/// Milliseconds on a clock.
pub(crate) fn ms(clock: ClockId) -> u64 {
    let now = clock_gettime(clock);
    let [seconds, nanos] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    seconds * 1_000 + nanos / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_go_up_however_fast_they_are_made() {
        let ids: Vec<String> = (0..1_000).map(|_| next_id()).collect();
        assert!(ids.is_sorted() && ids.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
