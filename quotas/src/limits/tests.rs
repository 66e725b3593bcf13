use super::*;

#[test]
fn who_asks_for_nothing_gets_the_default() {
    let policy = Policy::default();
    assert_eq!(policy.endpoint(&Requested::default()), policy.default);
    assert_eq!(policy.cuts(&Requested::default()), []);
}

#[test]
fn nobody_gets_more_than_the_ceiling_and_is_told_what_was_cut() {
    let policy = Policy::default();
    let greedy = Requested {
        fuel: Some(Fuel::new(u64::MAX)),
        memory: Some(Bytes::mib(17)),
        deadline: Some(Duration::from_secs(11)),
        response: Some(Bytes::mib(9)),
        body: Some(Bytes::mib(9)),
        host_calls: Some(u32::MAX),
        host_bytes: Some(Bytes::mib(65)),
        rate: PerSecond::new(60_000),
        burst: Some(u32::MAX),
        concurrency: InFlight::new(2_000),
    };
    assert_eq!(policy.endpoint(&greedy), policy.ceiling);
    let told: Vec<String> = policy
        .cuts(&greedy)
        .iter()
        .map(|cut| format!("{}: {} -> {}", cut.limit, cut.asked, cut.granted))
        .collect();
    assert_eq!(
        told,
        [
            "fuel: 18_446_744_073_709_551_615 -> 50_000_000",
            "memory: 17MiB -> 16MiB",
            "deadline: 11s -> 10s",
            "response: 9MiB -> 8MiB",
            "body: 9MiB -> 8MiB",
            "host_calls: 4294967295 -> 1024",
            "host_bytes: 65MiB -> 64MiB",
            "rate: 60000/s -> 50000/s",
            "burst: 4294967295 -> 50000",
            "concurrency: 2000 -> 1024",
        ]
    );
}

#[test]
fn no_limit_can_be_zero() {
    let policy = Policy::default();
    let nothing = Requested {
        fuel: Some(Fuel::new(0)),
        memory: Some(Bytes::new(0)),
        deadline: Some(Duration::ZERO),
        response: Some(Bytes::new(0)),
        body: Some(Bytes::new(0)),
        host_calls: Some(0),
        host_bytes: Some(Bytes::new(0)),
        burst: Some(0),
        ..Requested::default()
    };
    let granted = policy.endpoint(&nothing);
    assert_eq!(
        granted.allowance,
        Allowance {
            fuel: Fuel::new(1),
            memory: Bytes::new(1),
            deadline: Duration::from_millis(1),
            response: Bytes::new(1),
            body: Bytes::new(1),
            host_calls: 1,
            host_bytes: Bytes::new(1),
        }
    );
    assert_eq!(granted.burst.get(), 1);
    assert_eq!(policy.cuts(&nothing).len(), 8);
}

#[test]
fn a_burst_that_was_not_asked_for_follows_the_rate_that_was() {
    let policy = Policy::default();
    for (rate, burst) in [(20, 10), (1_000, 100), (60_000, 5_000)] {
        let asked = Requested { rate: PerSecond::new(rate), ..Requested::default() };
        assert_eq!(policy.endpoint(&asked).burst.get(), burst);
    }
    let asked = Requested { rate: PerSecond::new(1_000), burst: Some(3), ..Requested::default() };
    assert_eq!(policy.endpoint(&asked).burst.get(), 3);
}
