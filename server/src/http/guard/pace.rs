//! Pace: who is refused again and again is listened to less often.
//!
//! A refusal is given at once, and it is cheap; but a device that asks again as soon as it was refused makes the node
//! do nothing else. So after [`PATIENCE`] refusals in a row a connection is not read for [`PAUSE`] after each further
//! one, until a call of it is let in. Nothing is held meanwhile but the connection itself, and what the device sends
//! waits with the system. Whoever heeds `Retry-After` never gets there.
//!
//! Not here: which calls are refused (`quotas::admission`).

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::watch::Watch;

/// So many refusals in a row are answered as fast as they are asked for: a proxy that sends the calls of many devices
/// over one connection seldom sees as many while any of them are let in.
const PATIENCE: u32 = 64;
/// How long a connection is not read after one more.
pub const PAUSE: Duration = Duration::from_millis(50);

static PAUSES: AtomicU64 = AtomicU64::new(0);

/// How often a connection of this process was not read for a while, since it had been refused too often.
pub fn pauses() -> u64 {
    PAUSES.load(Ordering::Relaxed)
}

/// What a connection's last calls came to.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Refusals since the last call that was let in.
    refused: Cell<u32>,
    pauses: Cell<bool>,
}

impl Pace {
    /// A call was let in: all is forgotten.
    pub(super) fn let_in(&self) {
        self.refused.set(0);
    }

    /// A call was refused. Whether the connection is to pause.
    pub(super) fn refused(&self) -> bool {
        let before = self.refused.get();
        self.refused.set(before.saturating_add(1));
        self.pauses.set(before >= PATIENCE);
        self.pauses()
    }

    pub(super) fn pauses(&self) -> bool {
        self.pauses.get()
    }

    pub(super) fn goes_on(&self) {
        self.pauses.set(false);
    }
}

/// Lets a connection be read again when its pause is over.
pub(super) fn resume_later(watch: &Rc<Watch>) {
    PAUSES.fetch_add(1, Ordering::Relaxed);
    let watch = Rc::downgrade(watch);
    actix_rt::spawn(async move {
        actix_rt::time::sleep(PAUSE).await;
        if let Some(watch) = watch.upgrade() {
            watch.go_on();
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_many_refusals_in_a_row_each_is_followed_by_a_pause() {
        let pace = Pace::default();
        assert!((0..PATIENCE).all(|_| !pace.refused()));
        assert!(pace.refused() && pace.pauses());
        pace.goes_on();
        assert!(!pace.pauses(), "it is heard again");
        assert!(pace.refused(), "and has not been forgiven");
    }

    #[test]
    fn one_call_that_is_let_in_is_enough_to_be_heard_at_once() {
        let pace = Pace::default();
        for _ in 0..10 {
            assert!((0..PATIENCE).all(|_| !pace.refused()));
            pace.let_in();
        }
    }
}
