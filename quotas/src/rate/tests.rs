use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn quota(rate: u32, burst: u32) -> Quota {
    Quota { rate: PerSecond::new(rate).unwrap(), burst: burst.try_into().unwrap() }
}

fn any_quota() -> impl Strategy<Value = Quota> {
    let rate = prop_oneof![1..20_u32, 20..2_000_u32, Just(3_000_000_u32), Just(PerSecond::MAX)];
    (rate, prop_oneof![Just(1_u32), 1..60_u32]).prop_map(|(rate, burst)| quota(rate, burst))
}

/// Nanoseconds between two arrivals. A stalled clock shows as many zeros in a row, as most are.
fn any_gap() -> impl Strategy<Value = u64> {
    prop_oneof![6 => Just(0_u64), 4 => 0..2_000_u64, 4 => 0..5_000_000_u64, 1 => 0..3_000_000_000_u64]
}

#[derive(Debug, Clone)]
enum Step {
    Arrive { after: u64 },
    Change { after: u64, quota: Quota },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        30 => any_gap().prop_map(|after| Step::Arrive { after }),
        1 => (any_gap(), any_quota()).prop_map(|(after, quota)| Step::Change { after, quota }),
    ]
}

fn governors(quota: Quota) -> governor::Quota {
    governor::Quota::per_second(quota.rate.non_zero()).allow_burst(quota.burst)
}

fn interval_nanos(quota: Quota) -> u64 {
    u64::try_from(quota.interval().as_nanos()).unwrap()
}

#[test]
fn the_interval_is_governors() {
    for rate in (1..2_000).chain([9_999, 65_537, 1_000_003, 999_999_999, PerSecond::MAX]) {
        let quota = Quota { rate: PerSecond::new(rate).unwrap(), burst: 3.try_into().unwrap() };
        assert_eq!(quota.interval(), governors(quota).replenish_interval(), "{rate}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_holds_more_than_the_burst_and_its_time_at_the_rate(
        quota in any_quota(),
        gaps in prop::collection::vec(any_gap(), 1..2_000),
    ) {
        let limiter = Limiter::new(quota);
        let mut now = 0;
        let mut admitted = Vec::new();
        for gap in gaps {
            now += gap;
            if limiter.charge(Moment::from_nanos(now)).is_ok() {
                admitted.push(now);
            }
        }
        let (interval, burst) = (interval_nanos(quota), u64::from(quota.burst.get()));
        for (first, start) in admitted.iter().enumerate() {
            for (last, end) in admitted.iter().enumerate().skip(first) {
                let count = (last - first + 1) as u64;
                prop_assert!(count <= burst + (end - start) / interval, "{count} in {start}..={end}");
            }
        }
    }

    #[test]
    fn no_window_holds_more_than_that_while_the_quota_changes(
        mut quota in any_quota(),
        steps in prop::collection::vec(any_step(), 1..2_000),
    ) {
        let limiter = Limiter::new(quota);
        let mut now = 0;
        // Calls that the rate allowed since the beginning, and the bursts in force, one a change.
        let mut allowed = 0.0;
        let mut bursts = vec![quota.burst.get()];
        let mut admitted = Vec::new();
        for step in steps {
            let (Step::Arrive { after } | Step::Change { after, .. }) = step;
            now += after;
            allowed += after as f64 / interval_nanos(quota) as f64;
            if let Step::Change { quota: next, .. } = step {
                quota = next;
                limiter.rescale(quota, Moment::from_nanos(now));
                bursts.push(quota.burst.get());
            } else if limiter.charge(Moment::from_nanos(now)).is_ok() {
                admitted.push((allowed, bursts.len() - 1));
            }
        }
        for (first, (before, since)) in admitted.iter().enumerate() {
            let mut burst = 0;
            let mut seen = *since;
            for (last, (after, until)) in admitted.iter().enumerate().skip(first) {
                burst = burst.max(*bursts[seen..=*until].iter().max().unwrap());
                seen = *until;
                let count = (last - first + 1) as f64;
                // A millionth of a call, for the sums of floating point.
                prop_assert!(count <= (f64::from(burst) + after - before + 1e-6).floor(), "{first} to {last}");
            }
        }
    }

    #[test]
    fn steady_demand_gets_its_rate(
        rate in 1..2_000_u32,
        burst in 2..60_u32,
        part in 1..=100_u64,
        intervals in 1..400_u64,
        quiet in 0..3_000_000_000_u64,
    ) {
        let quota = quota(rate, burst);
        let interval = interval_nanos(quota);
        // Demand is at least the rate: no gap is longer than the interval.
        let gap = (interval * part / 100).max(1);
        let limiter = Limiter::new(quota);
        while limiter.charge(Moment::from_nanos(quiet)).is_ok() {}
        let window = interval * intervals;
        let mut admitted = 0;
        let mut now = quiet;
        while now <= quiet + window {
            admitted += u64::from(limiter.charge(Moment::from_nanos(now)).is_ok());
            now += gap;
        }
        prop_assert!(admitted + 1 >= window / interval, "{admitted} of {intervals}");
    }

    #[test]
    fn a_question_charges_nothing_and_says_what_a_charge_would(
        quota in any_quota(),
        gaps in prop::collection::vec(any_gap(), 1..300),
    ) {
        let limiter = Limiter::new(quota);
        let mut now = Moment::from_nanos(0);
        for gap in gaps {
            now = now + Duration::from_nanos(gap);
            let before = (limiter.remaining(now), limiter.reset_after(now));
            let asked = limiter.ask(now);
            prop_assert_eq!((limiter.remaining(now), limiter.reset_after(now)), before);
            prop_assert_eq!(asked.is_ok(), before.0 > 0);
            prop_assert_eq!(limiter.charge(now), asked);
            match asked {
                Ok(()) => prop_assert_eq!(limiter.remaining(now), before.0 - 1),
                Err(wait) => {
                    prop_assert_eq!((limiter.remaining(now), limiter.reset_after(now)), before);
                    prop_assert!(limiter.ask(now + wait.get()).is_ok());
                    prop_assert!(limiter.ask(now + (wait.get() - Duration::from_nanos(1))).is_err());
                }
            }
        }
    }

    #[test]
    fn the_verdicts_are_those_of_governors_own_limiter(
        quota in any_quota(),
        gaps in prop::collection::vec(any_gap(), 1..300),
    ) {
        let limiter = Limiter::new(quota);
        let clock = governor::clock::FakeRelativeClock::default();
        let governors = governor::RateLimiter::direct_with_clock(governors(quota), clock.clone());
        let mut now = Moment::from_nanos(0);
        for gap in gaps {
            now = now + Duration::from_nanos(gap);
            clock.advance(Duration::from_nanos(gap));
            prop_assert_eq!(limiter.charge(now).is_ok(), governors.check().is_ok());
        }
    }
}

#[test]
fn a_changed_rate_keeps_the_fraction_that_is_left() {
    let now = Moment::from_nanos(7_000);
    for (old, new) in [(quota(10, 10), quota(1_000, 10)), (quota(1_000, 10), quota(10, 10))] {
        let limiter = Limiter::new(old);
        for _ in 0..6 {
            limiter.charge(now).unwrap();
        }
        limiter.rescale(new, now);
        assert_eq!(limiter.quota(), new);
        assert_eq!(limiter.remaining(now), 4);
        assert_eq!(limiter.reset_after(now), new.interval() * 6);
    }
}

#[test]
fn a_changed_burst_hands_out_its_difference_and_no_more() {
    let now = Moment::from_nanos(1);
    let limiter = Limiter::new(quota(10, 5));
    while limiter.charge(now).is_ok() {}
    limiter.rescale(quota(10, 8), now);
    assert_eq!(limiter.remaining(now), 3);
    limiter.rescale(quota(10, 2), now);
    assert_eq!(limiter.remaining(now), 0);
    assert_eq!(limiter.ask(now).unwrap_err().get(), Duration::from_millis(400));
    // Back and forth gives nothing away.
    limiter.rescale(quota(10, 5), now);
    assert_eq!(limiter.remaining(now), 0);
}

#[test]
fn a_limiter_after_a_crash_begins_with_one_call() {
    let now = Moment::from_nanos(1_000);
    let limiter = Limiter::cold(quota(10, 50), now);
    assert_eq!(limiter.remaining(now), 1);
    assert!(limiter.charge(now).is_ok());
    assert_eq!(limiter.charge(now).unwrap_err().get(), Duration::from_millis(100));
}

#[test]
fn threads_together_get_no_more_than_one_would() {
    let quota = quota(1_000_000, 100);
    let limiter = Limiter::new(quota);
    let clock = AtomicU64::new(0);
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..20_000 {
                    let now = Moment::from_nanos(clock.fetch_add(10, Ordering::Relaxed));
                    if limiter.ask(now).is_ok() && limiter.charge(now).is_ok() {
                        admitted.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let window = clock.load(Ordering::Relaxed);
    let admitted = admitted.load(Ordering::Relaxed);
    let rate_allows = window / interval_nanos(quota);
    assert!(admitted <= 100 + rate_allows, "{admitted} of {rate_allows}");
    assert!(admitted + 1 >= rate_allows, "{admitted} of {rate_allows}");
}

#[test]
fn a_charge_that_changes_overtake_is_charged_the_price_in_force() {
    let now = Moment::from_nanos(1_000_000);
    let (fast, slow) = (quota(PerSecond::MAX, 50), quota(1, 50));
    // Never called; called long ago, so that nothing is owed; called just now.
    for called in [None, Some(10), Some(now.nanos())] {
        // Changes at the first and at the second pause, with there and back again between them.
        for changes in [[Some(slow), None], [None, Some(slow)], [Some(slow), Some(fast)]] {
            let limiter = Limiter::new(fast);
            if let Some(at) = called {
                limiter.charge(Moment::from_nanos(at)).unwrap();
            }
            let used = 50 - limiter.remaining(now);
            let pauses = std::cell::Cell::new(0);
            let pause = || {
                let change = changes.get(pauses.replace(pauses.get() + 1)).copied().flatten();
                change.into_iter().for_each(|quota| limiter.rescale(quota, now));
            };
            gcra::charge_paused(&limiter.state, &limiter.quota, now, pause).unwrap();
            let price = limiter.quota().interval();
            assert_eq!(limiter.reset_after(now), price * (used + 1), "called at {called:?}, {changes:?}");
        }
    }
}

#[test]
fn threads_get_no_fresh_burst_while_the_quota_changes_to_and_fro() {
    let (slow, fast) = (quota(1, 50), quota(PerSecond::MAX, 50));
    // The clock stands still, so that only the burst can be given out.
    let now = Moment::from_nanos(1_000_000);
    for _ in 0..300 {
        let limiter = Limiter::new(slow);
        let admitted = AtomicU64::new(0);
        let start = std::sync::Barrier::new(4);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    start.wait();
                    for _ in 0..60 {
                        admitted.fetch_add(u64::from(limiter.charge(now).is_ok()), Ordering::Relaxed);
                    }
                });
            }
            start.wait();
            for _ in 0..20 {
                limiter.rescale(fast, now);
                limiter.rescale(slow, now);
            }
        });
        let admitted = admitted.into_inner();
        assert_eq!(admitted, 50);
    }
}
