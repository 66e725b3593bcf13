//! Tickets: the right to make one request to a service, which tells what came of it or gives it back.
//!
//! Invariant: a ticket ends once, when it is finished or when it is dropped.
//! Not here: who gets one (`breaker`).

use std::sync::Arc;

use super::{Breaker, Outcome};
use crate::units::Moment;

/// The right to make one request. Dropping it teaches nothing: do so when it was cancelled or never made.
#[derive(Debug)]
#[must_use = "a ticket that is dropped teaches nothing of the service"]
pub struct Ticket {
    /// None once it ended.
    breaker: Option<Arc<Breaker>>,
    pass: Pass,
}

/// How a request was let in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    pub(super) kind: Kind,
    /// The breaker's turn.
    pub(super) turn: u64,
    pub(super) start: Moment,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// To see how the service is.
    Probe,
    /// Because it is well.
    Usual,
    /// Because an operator wants it.
    Forced,
}

impl Ticket {
    pub(super) fn new(breaker: Arc<Breaker>, pass: Pass) -> Self {
        Self { breaker: Some(breaker), pass }
    }

    /// Tells what came of the request. `chance` is even between 0 and 1; it moves the time that a breaker is
    /// open.
    pub fn finish(mut self, outcome: Outcome, now: Moment, chance: f64) {
        if let Some(breaker) = self.breaker.take() {
            breaker.lock().finished(self.pass, outcome, now, chance);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(breaker) = self.breaker.take() {
            breaker.lock().given_back(self.pass, None);
        }
    }
}
