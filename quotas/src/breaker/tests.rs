use proptest::prelude::*;

use super::*;

/// A breaker and a clock.
struct Service {
    breaker: Arc<Breaker>,
    now: Moment,
}

impl Service {
    fn new() -> Self {
        Self { breaker: Arc::new(Breaker::new(Moment::default())), now: Moment::default() }
    }

    fn pass(&mut self, millis: u64) {
        self.now = self.now + Duration::from_millis(millis);
    }

    fn admit(&self, chance: f64) -> Result<Ticket, Refused> {
        self.breaker.admit(self.now, chance)
    }

    /// So many requests that end at once; how many of them were made.
    fn calls(&self, count: u32, outcome: Outcome) -> u32 {
        let mut made = 0;
        for call in 0..count {
            if let Ok(ticket) = self.admit(f64::from(call) / f64::from(count)) {
                ticket.finish(outcome, self.now, 0.5);
                made += 1;
            }
        }
        made
    }

    fn phase(&self) -> Phase {
        self.breaker.report(self.now).phase
    }

    fn opened() -> Self {
        let service = Self::new();
        service.calls(20, Outcome::Failed);
        service
    }

    fn probing() -> Self {
        let mut service = Self::opened();
        service.pass(1_000);
        assert_eq!(service.phase(), Phase::Probing);
        service
    }
}

#[test]
fn half_of_twenty_failures_open_it_for_a_second() {
    let mut service = Service::new();
    service.calls(10, Outcome::Good);
    service.calls(9, Outcome::Failed);
    assert_eq!(service.phase(), Phase::Closed);
    service.calls(1, Outcome::Failed);
    let until = service.now + OPEN_FIRST;
    assert_eq!(service.phase(), Phase::Open(until));
    assert_eq!(service.admit(0.0).unwrap_err(), Refused::Open { until });
    service.pass(999);
    assert_eq!(service.calls(10, Outcome::Good), 0);
    service.pass(1);
    assert!(service.admit(0.0).is_ok());
}

#[test]
fn slow_answers_open_it_too() {
    let service = Service::new();
    service.calls(4, Outcome::Good);
    service.calls(15, Outcome::Slow);
    assert_eq!(service.phase(), Phase::Closed);
    service.calls(1, Outcome::Slow);
    assert!(matches!(service.phase(), Phase::Open(_)));
}

#[test]
fn five_probe_and_a_dropped_one_gives_its_place_to_another() {
    let service = Service::probing();
    let mut probes: Vec<Ticket> = (0..5).map(|_| service.admit(0.9).unwrap()).collect();
    assert_eq!(service.admit(0.0).unwrap_err(), Refused::Probing);
    drop(probes.pop());
    probes.push(service.admit(0.9).unwrap());
    assert_eq!(service.admit(0.0).unwrap_err(), Refused::Probing);
    for probe in probes {
        probe.finish(Outcome::Good, service.now, 0.5);
    }
    assert_eq!(service.phase(), Phase::Ramping);
}

#[test]
fn four_good_probes_of_five_are_enough_and_two_bad_ones_too_many() {
    let service = Service::probing();
    assert_eq!((service.calls(1, Outcome::Failed), service.calls(4, Outcome::Good)), (1, 4));
    assert_eq!(service.phase(), Phase::Ramping);

    let service = Service::probing();
    assert_eq!((service.calls(1, Outcome::Slow), service.calls(1, Outcome::Failed)), (1, 1));
    assert_eq!(service.phase(), Phase::Open(service.now + OPEN_FIRST * 2));
}

#[test]
fn after_good_probes_the_share_let_in_grows_over_five_seconds() {
    let mut service = Service::probing();
    service.calls(5, Outcome::Good);
    let mut made = Vec::new();
    for _ in 0..4 {
        made.push(service.calls(100, Outcome::Good));
        service.pass(1_667);
    }
    assert_eq!((made, service.phase()), (vec![10, 25, 50, 100], Phase::Closed));
}

#[test]
fn a_service_that_fails_again_during_the_ramp_is_left_alone_at_once() {
    let mut service = Service::probing();
    service.calls(5, Outcome::Good);
    service.pass(1_700);
    assert_eq!(service.calls(40, Outcome::Failed), LEAST_CALLS_OF_RAMP);
    assert_eq!(service.phase(), Phase::Open(service.now + OPEN_FIRST * 2));
}

#[test]
fn the_time_open_doubles_to_half_a_minute_and_chance_moves_it_by_a_fifth() {
    let mut service = Service::opened();
    let mut times = Vec::new();
    for chance in [0.5, 0.5, 0.5, 0.5, 0.5, 0.0, 1.0] {
        let Phase::Open(until) = service.phase() else { panic!("{:?}", service.phase()) };
        service.now = until;
        for _ in 0..2 {
            service.admit(0.0).unwrap().finish(Outcome::Failed, until, chance);
        }
        let Phase::Open(until) = service.phase() else { panic!("{:?}", service.phase()) };
        times.push(until.since(service.now).as_secs());
    }
    assert_eq!(times, [2, 4, 8, 16, 30, 24, 36]);
}

#[test]
fn an_operator_opens_it_and_closes_it_whatever_comes_of_requests() {
    let service = Service::opened();
    service.breaker.force(Some(Forced::Closed), service.now);
    assert_eq!(service.calls(100, Outcome::Failed), 100);
    service.breaker.force(Some(Forced::Open), service.now);
    assert_eq!(service.admit(0.9).unwrap_err(), Refused::Forced);
    assert_eq!(service.breaker.report(service.now).forced, Some(Forced::Open));
    service.breaker.force(None, service.now);
    assert_eq!((service.phase(), service.calls(100, Outcome::Good)), (Phase::Closed, 100));
}

#[test]
fn what_comes_late_counts_for_nothing() {
    let mut service = Service::new();
    let late: Vec<Ticket> = (0..10).map(|_| service.admit(0.9).unwrap()).collect();
    service.calls(20, Outcome::Failed);
    service.pass(1_000);
    assert_eq!(service.phase(), Phase::Probing);
    for ticket in late {
        ticket.finish(Outcome::Failed, service.now, 0.5);
    }
    assert_eq!(service.phase(), Phase::Probing);
}

#[derive(Debug, Clone)]
enum Step {
    Ask { chance: f64 },
    Finish { which: usize, outcome: Outcome, chance: f64 },
    Drop { which: usize },
    Pass { millis: u64 },
    Force { forced: Option<Forced> },
}

fn any_step() -> impl Strategy<Value = Step> {
    let outcome = prop_oneof![1 => Just(Outcome::Good), 1 => Just(Outcome::Slow), 4 => Just(Outcome::Failed)];
    let forced = prop_oneof![8 => Just(None), 1 => Just(Some(Forced::Open)), 1 => Just(Some(Forced::Closed))];
    prop_oneof![
        20 => (0.0..1.0).prop_map(|chance| Step::Ask { chance }),
        10 => (any::<usize>(), outcome, 0.0..1.0)
            .prop_map(|(which, outcome, chance)| Step::Finish { which, outcome, chance }),
        2 => any::<usize>().prop_map(|which| Step::Drop { which }),
        4 => prop_oneof![0..50_u64, 0..5_000_u64, 0..60_000_u64].prop_map(|millis| Step::Pass { millis }),
        1 => forced.prop_map(|forced| Step::Force { forced }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn never_more_than_five_probe_and_a_healthy_service_is_taken_up_within_a_minute(
        steps in prop::collection::vec(any_step(), 1..400),
    ) {
        let mut service = Service::new();
        // Each with whether it was let in as a probe.
        let mut under_way: Vec<(Ticket, bool)> = Vec::new();
        for step in steps {
            match step {
                Step::Ask { chance } => {
                    let forced = service.breaker.report(service.now).forced;
                    let probing = forced.is_none() && service.phase() == Phase::Probing;
                    if let Ok(ticket) = service.admit(chance) {
                        prop_assert!(forced != Some(Forced::Open));
                        under_way.push((ticket, probing));
                    }
                }
                Step::Finish { which, outcome, chance } if !under_way.is_empty() => {
                    let (ticket, _) = under_way.swap_remove(which % under_way.len());
                    ticket.finish(outcome, service.now, chance);
                }
                Step::Drop { which } if !under_way.is_empty() => {
                    drop(under_way.swap_remove(which % under_way.len()));
                }
                Step::Pass { millis } => service.pass(millis),
                Step::Force { forced } => service.breaker.force(forced, service.now),
                Step::Finish { .. } | Step::Drop { .. } => {}
            }
            let probes = under_way.iter().filter(|(_, probe)| *probe).count();
            prop_assert!(probes <= PROBES as usize, "{probes}");
            prop_assert_eq!(service.breaker.lock().probes as usize, probes);
        }
        // All that is under way times out, no operator decides, and the service is healthy and called.
        service.breaker.force(None, service.now);
        for (ticket, _) in under_way.drain(..) {
            ticket.finish(Outcome::Failed, service.now, 1.0);
        }
        for tick in 0..600_u32 {
            service.calls(20, Outcome::Good);
            if service.phase() == Phase::Closed && tick > 0 {
                break;
            }
            service.pass(100);
        }
        prop_assert_eq!(service.phase(), Phase::Closed);
        prop_assert_eq!(service.breaker.lock().probes, 0);
    }

    #[test]
    fn from_any_opening_a_healthy_service_is_closed_within_a_minute(opened in 0..40_u32, chance in 0.0..1.0) {
        let mut service = Service::new();
        {
            let mut state = service.breaker.lock();
            state.opened = opened;
            state.open(Moment::default(), chance);
        }
        let mut seconds = 0;
        while service.phase() != Phase::Closed {
            service.pass(1_000);
            service.calls(20, Outcome::Good);
            seconds += 1;
        }
        prop_assert!(seconds <= 60, "{seconds}");
    }
}
