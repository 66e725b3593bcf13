//! Lockout: an address whose tokens fail again and again has to wait.
//!
//! Invariant: pure, time is an argument; what is kept is bounded. The addresses of one IPv6 subscriber count
//! as one.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// Failures within the window that are borne.
const FAILURES: usize = 10;
/// The window.
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

/// Who failed, and when.
#[derive(Debug, Default)]
pub(super) struct Lockout {
    failures: HashMap<IpAddr, VecDeque<Instant>>,
}

impl Lockout {
    /// How long an address has to wait, if it has to.
    pub(super) fn locked(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let failures = self.failures.get(&subscriber(from))?;
        let oldest = failures.iter().rev().nth(FAILURES - 1)?;
        WINDOW.checked_sub(now.saturating_duration_since(*oldest)).filter(|wait| !wait.is_zero())
    }

    /// Counts a failure.
    pub(super) fn failed(&mut self, from: IpAddr, now: Instant) {
        let from = subscriber(from);
        if self.failures.len() >= ADDRESSES_MAX && !self.failures.contains_key(&from) {
            self.failures
                .retain(|_, at| at.back().is_some_and(|last| now.saturating_duration_since(*last) < WINDOW));
            if self.failures.len() >= ADDRESSES_MAX {
                // So many at once are no typos. Forgetting them is better than remembering without end.
                self.failures.clear();
            }
        }
        let failures = self.failures.entry(from).or_default();
        if failures.len() >= FAILURES {
            failures.pop_front();
        }
        failures.push_back(now);
    }
}

fn subscriber(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tenth_failure_of_a_minute_locks_until_the_first_is_a_minute_old() {
        let (mut lockout, start) = (Lockout::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        let (one, other): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for second in 0..10 {
            assert_eq!(lockout.locked(one, at(second)), None, "{second}");
            lockout.failed(one, at(second));
        }
        assert_eq!(lockout.locked(one, at(9)), Some(Duration::from_secs(51)));
        assert_eq!(lockout.locked("::ffff:10.0.0.1".parse().unwrap(), at(59)), Some(Duration::from_secs(1)));
        assert_eq!(lockout.locked(one, at(60)), None);
        assert_eq!(lockout.locked(other, at(9)), None);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut lockout, now) = (Lockout::default(), Instant::now());
        for number in 0..=u32::try_from(ADDRESSES_MAX).unwrap() {
            lockout.failed(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(lockout.failures.len() <= ADDRESSES_MAX);
    }
}
