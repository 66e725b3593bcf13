//! The throttle: a service that takes few of its requests gets fewer.
//!
//! Invariant: as long as a service takes at least one in [`K`] requests, all are made.
//! Not here: probes, which have to go through.
//!
//! **From** Google's *Site Reliability Engineering*, "Handling Overload": of the requests of a time, a new one
//! is not made with the chance `max(0, (requests − K·accepts) / (requests + 1))`, and those not made count as
//! requests. Changed: 30 seconds for two minutes, so that it lets go sooner, since a breaker stands before
//! it. A request belongs to the time of its start: counted by its end, as go-zero did (issue 5011), a service
//! that hangs looks healthy for as long as it hangs. But those of the newest three seconds count only when they
//! end or are not made, or a node would refuse its first requests for want of answers. And fewer than twenty requests
//! say nothing.

use crate::units::Moment;

/// Requests for one that is taken.
const K: f64 = 2.0;
/// Fewer requests say nothing. Without this one that failed halves the chance of the next.
const LEAST: f64 = 20.0;
const BUCKETS: usize = 10;
/// Three seconds each.
const BUCKET: u64 = 3_000_000_000;

#[derive(Debug, Default)]
pub(super) struct Throttle {
    buckets: [Bucket; BUCKETS],
    /// The number of the newest bucket since the clock's start.
    newest: u64,
    /// Requests that started before are no longer known.
    since: Moment,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    requests: u32,
    accepts: u32,
    under_way: u32,
}

impl Throttle {
    /// One that knows of no requests.
    pub(super) fn new(now: Moment) -> Self {
        Self { since: now, newest: now.nanos() / BUCKET, ..Self::default() }
    }

    /// Whether a request is made; it counts either way.
    pub(super) fn admits(&mut self, now: Moment, chance: f64) -> bool {
        self.forget(now);
        let sum = |count: fn(&Bucket) -> u32| self.buckets.iter().map(count).map(f64::from).sum::<f64>();
        let newest = place(self.newest);
        let requests = sum(|bucket| bucket.requests) - f64::from(self.buckets[newest].under_way);
        let refused = (requests - K * sum(|bucket| bucket.accepts)) / (requests + 1.0);
        let made = requests < LEAST || chance >= refused;
        self.buckets[newest].requests += 1;
        self.buckets[newest].under_way += u32::from(made);
        made
    }

    /// A request that was made at `start` ended: the service took it or did not, or nobody knows.
    pub(super) fn ended(&mut self, start: Moment, accepted: Option<bool>) {
        let number = start.nanos() / BUCKET;
        if start < self.since || number + (BUCKETS as u64) <= self.newest {
            return;
        }
        let bucket = &mut self.buckets[place(number)];
        bucket.under_way = bucket.under_way.saturating_sub(1);
        match accepted {
            Some(true) => bucket.accepts += 1,
            Some(false) => {}
            None => bucket.requests = bucket.requests.saturating_sub(1),
        }
    }

    /// Empties the buckets of the time since the newest.
    fn forget(&mut self, now: Moment) {
        let number = now.nanos() / BUCKET;
        let passed = number.saturating_sub(self.newest).min(BUCKETS as u64);
        self.newest = self.newest.max(number);
        for ago in 0..passed {
            self.buckets[place(self.newest - ago)] = Bucket::default();
        }
    }
}

fn place(number: u64) -> usize {
    (number % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::default() + Duration::from_millis(millis)
    }

    /// Of requests every 10 ms for `seconds`, of which one in `one_in` is taken at once: the share made in the
    /// last third.
    fn share_made(one_in: u64, seconds: u64) -> f64 {
        let mut throttle = Throttle::new(at(0));
        let (mut made, mut asked) = (0, 0);
        for request in 0..seconds * 100 {
            let now = at(request * 10);
            // Even between 0 and 1: multiples of the golden section.
            let chance = (request as f64 * 0.618_033_988_749).fract();
            let admitted = throttle.admits(now, chance);
            if admitted {
                throttle.ended(now, Some(request % one_in == 0));
            }
            if request >= seconds * 200 / 3 {
                asked += 1;
                made += u32::from(admitted);
            }
        }
        f64::from(made) / f64::from(asked)
    }

    #[test]
    fn all_requests_are_made_while_half_of_them_are_taken() {
        assert!((share_made(1, 60) - 1.0).abs() < 1e-9);
        assert!(share_made(2, 60) > 0.97);
    }

    #[test]
    fn a_service_that_takes_few_gets_few() {
        // One in ten of those made is taken; made settles near twice what is taken: far below all.
        assert!(share_made(10, 60) < 0.5, "{}", share_made(10, 60));
    }

    #[test]
    fn requests_under_way_are_no_failures_until_they_have_hung_for_a_while() {
        let mut throttle = Throttle::new(at(0));
        assert!((0..1_000).all(|_| throttle.admits(at(10), 0.0)), "nothing is known yet");
        assert!(!throttle.admits(at(3_010), 0.5), "a thousand hang");
    }

    #[test]
    fn cancelled_requests_teach_nothing_and_what_is_old_is_forgotten() {
        let mut throttle = Throttle::new(at(0));
        for _ in 0..100 {
            assert!(throttle.admits(at(0), 0.0));
            throttle.ended(at(0), None);
        }
        for _ in 0..100 {
            throttle.admits(at(0), 1.0);
            throttle.ended(at(0), Some(false));
        }
        assert!(!throttle.admits(at(29_000), 0.5));
        assert!(throttle.admits(at(30_000), 0.5));
    }
}
