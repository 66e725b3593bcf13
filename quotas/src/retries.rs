//! Retries: how many requests may be made a second time.
//!
//! Invariant: of n requests at most `n/10 + SAVED_MAX` are retried, however many fail at once; a retry takes from
//! every budget that it stands under, or from none.
//! Not here: which requests may be retried, and when.
//!
//! **From** Finagle's retry budget and Google's *Site Reliability Engineering* (retries at most a tenth of the
//! requests): a bucket into which every request puts a tenth of a retry. A fixed number of retries for
//! each request multiplies the load on a service that is failing for want of capacity, and keeps it down after
//! the cause is gone ("Metastable Failures in Distributed Systems", OSDI 2022). There is no least number a second,
//! as Finagle has it: [`SAVED_MAX`] is saved to begin with, which does for services that are called seldom.

use std::sync::atomic::{AtomicU32, Ordering};

/// Retries that can be saved up.
pub const SAVED_MAX: u32 = 10;
/// What a retry costs, in parts that a request puts in one of.
const RETRY: u32 = 10;

/// What is left for retries, of one service or one endpoint, shared by the threads of a node.
#[derive(Debug)]
pub struct RetryBudget(AtomicU32);

impl Default for RetryBudget {
    fn default() -> Self {
        Self(AtomicU32::new(SAVED_MAX * RETRY))
    }
}

impl RetryBudget {
    /// Notes a request; not its retry.
    pub fn note(&self) {
        self.change(|saved| Some((saved + 1).min(SAVED_MAX * RETRY)));
    }

    /// Retries that are left.
    pub fn left(&self) -> u32 {
        self.0.load(Ordering::Relaxed) / RETRY
    }

    /// Whether a retry may be made, which it then is.
    pub fn take(&self) -> bool {
        self.change(|saved| saved.checked_sub(RETRY))
    }

    /// Whether a retry may be made under both budgets, which it then is.
    pub fn take_both(&self, other: &Self) -> bool {
        if !self.take() {
            return false;
        }
        let both = other.take();
        if !both {
            self.change(|saved| Some((saved + RETRY).min(SAVED_MAX * RETRY)));
        }
        both
    }

    fn change(&self, change: impl FnMut(u32) -> Option<u32>) -> bool {
        // The count guards no other memory.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_requests_pay_for_a_retry() {
        let budget = RetryBudget::default();
        assert_eq!((0..20).filter(|_| budget.take()).count(), SAVED_MAX as usize);
        (0..9).for_each(|_| budget.note());
        assert!(!budget.take());
        budget.note();
        assert!(budget.take() && !budget.take());
    }

    #[test]
    fn a_retry_takes_from_both_budgets_or_from_none() {
        let (service, endpoint) = (RetryBudget::default(), RetryBudget::default());
        (0..SAVED_MAX - 1).for_each(|_| assert!(endpoint.take()));
        assert!(service.take_both(&endpoint));
        assert!(!service.take_both(&endpoint) && !endpoint.take_both(&service));
        assert_eq!((service.left(), endpoint.left()), (SAVED_MAX - 1, 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn retries_are_a_tenth_of_the_requests_and_what_was_saved(
            is_request in prop::collection::vec(any::<bool>(), 1..2_000),
        ) {
            let budget = RetryBudget::default();
            let (mut requests, mut retries) = (0, 0);
            for is_request in is_request {
                if is_request {
                    budget.note();
                    requests += 1;
                } else {
                    retries += u32::from(budget.take());
                }
                prop_assert!(retries <= requests / 10 + SAVED_MAX);
            }
        }
    }
}
