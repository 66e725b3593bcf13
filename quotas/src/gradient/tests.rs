use proptest::prelude::*;

use super::*;

/// A service that answers after a time, and the limit that is found for it.
struct Service {
    gradient: Gradient,
    now: Moment,
}

impl Service {
    fn new(ceiling: u32) -> Self {
        let bounds = Bounds::up_to(InFlight::new(ceiling).unwrap(), Duration::from_secs(1));
        Self { gradient: Gradient::new(bounds, Moment::default()), now: Moment::default() }
    }

    fn limit(&self) -> u32 {
        self.gradient.limit().get()
    }

    /// A window of requests that take so many milliseconds, with so many under way and so many done a second.
    fn window(&mut self, millis: u64, in_flight: u32, throughput: u32) -> u32 {
        let gap = Duration::from_secs(1) / throughput;
        for _ in 0..throughput {
            self.now = self.now + gap + Duration::from_nanos(1);
            self.gradient.finished(Sample::Took(Duration::from_millis(millis)), in_flight, self.now);
        }
        self.limit()
    }
}

#[test]
fn a_limit_that_is_used_grows_and_the_longer_it_does_the_faster() {
    let mut service = Service::new(200);
    assert_eq!(service.window(10, 20, 100), 22);
    assert_eq!(service.window(10, 22, 100), 25);
}

#[test]
fn a_limit_that_is_not_used_stays() {
    let mut service = Service::new(200);
    for _ in 0..200 {
        assert_eq!(service.window(10, 9, 60), 20);
    }
    // Not even when they become slow: it is not our requests that queue.
    for _ in 0..200 {
        assert_eq!(service.window(80, 9, 60), 20);
    }
    assert_eq!(service.gradient.long(), Some(Duration::from_millis(10)), "and that is not learned");
}

#[test]
fn requests_that_queue_lower_it_by_a_tenth_a_window_at_the_most() {
    let mut service = Service::new(200);
    service.window(10, 9, 100);
    assert_eq!(service.window(40, 20, 100), 18);
    assert_eq!(service.window(40, 18, 100), 16);
}

#[test]
fn a_request_that_was_dropped_lowers_it_at_once_and_once_a_window() {
    let mut service = Service::new(200);
    for _ in 0..10 {
        service.gradient.finished(Sample::Dropped, 20, service.now);
    }
    assert_eq!(service.limit(), 18);
}

#[test]
fn requests_that_never_reached_the_service_teach_nothing() {
    let mut service = Service::new(200);
    for second in 0..100 {
        let now = Moment::default() + Duration::from_secs(second);
        assert!(!service.gradient.finished(Sample::Ignore, 20, now));
    }
    assert_eq!((service.limit(), service.gradient.long()), (20, None));
}

#[test]
fn a_service_near_its_time_out_gets_less_although_it_was_always_so() {
    let mut service = Service::new(200);
    for _ in 0..3 {
        service.window(600, 20, 60);
    }
    assert_eq!(service.limit(), 14, "20 · 0.9³");
}

#[test]
fn where_the_throughput_falls_with_the_limit_the_service_is_slower_for_good() {
    let mut service = Service::new(200);
    service.window(10, 9, 100);
    let mut lowest = service.limit();
    for _ in 0..40 {
        // No queue: the throughput is what is under way over the time that one takes.
        let in_flight = service.limit();
        service.window(40, in_flight, in_flight * 25);
        lowest = lowest.min(service.limit());
    }
    assert!(lowest >= 10, "it fell to {lowest}");
    assert!(service.limit() >= 20, "and came back to {}", service.limit());
    assert_eq!(service.gradient.long(), Some(Duration::from_millis(40)));
}

#[test]
fn a_service_with_less_capacity_is_not_mistaken_for_a_slower_one() {
    let mut service = Service::new(200);
    service.window(10, 9, 100);
    for _ in 0..40 {
        // A queue: ten are served at once, the others wait.
        let in_flight = service.limit();
        service.window(u64::from(in_flight.max(10)), in_flight, 1_000);
    }
    assert!((7..=13).contains(&service.limit()), "{}", service.limit());
}

fn any_sample() -> impl Strategy<Value = Sample> {
    prop_oneof![
        20 => (0..3_000_000_u64).prop_map(|micros| Sample::Took(Duration::from_micros(micros))),
        20 => (900..20_000_u64).prop_map(|micros| Sample::Took(Duration::from_micros(micros))),
        1 => Just(Sample::Dropped),
        1 => Just(Sample::Ignore),
        1 => Just(Sample::Took(Duration::MAX)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn floor_and_ceiling_hold_whatever_comes(
        ceiling in 1..500_u32,
        samples in prop::collection::vec((any_sample(), 0..600_u32, 0..80_u64), 1..4_000),
    ) {
        let mut service = Service::new(ceiling);
        let floor = 2.min(ceiling);
        for (sample, in_flight, millis) in samples {
            service.now = service.now + Duration::from_millis(millis);
            let before = service.limit();
            let changed = service.gradient.finished(sample, in_flight, service.now);
            let limit = service.limit();
            prop_assert!((floor..=ceiling).contains(&limit), "{limit}");
            prop_assert!(changed || limit == before);
        }
    }
}
