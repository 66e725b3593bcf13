//! What observing counts is what enforcing refuses: the same arrivals are sent through two worlds, one in which
//! the rules observe and one in which they refuse, and both are compared call by call.

use std::collections::{BTreeMap, HashMap};
use std::hash::RandomState;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::guards::TeamGuard;
use crate::limits::Policy;
use crate::rate::Quota;
use crate::scope::{EndpointId, TeamName};
use crate::setting::{Name, Setting, Terms};
use crate::units::{Bytes, Fuel, PerSecond};

/// A call as it was recorded.
#[derive(Debug, Clone)]
struct Arrival {
    /// Nanoseconds after the one before.
    after: u64,
    class: usize,
    endpoint: usize,
    client: u8,
    /// How long it runs where it runs, in nanoseconds.
    runs: u64,
    spends: Spent,
}

fn any_arrival() -> impl Strategy<Value = Arrival> {
    let spends = (0..60_u64, 0..4_u32, 0..900_u64).prop_map(|(fuel, host_calls, bytes)| Spent {
        fuel: Fuel::new(fuel),
        host_calls,
        bytes: Bytes::new(bytes),
    });
    let after = prop_oneof![8 => 0..20_000_000_u64, 1 => 0..400_000_000_u64, 1 => Just(7_000_000_000_u64)];
    (after, 0..3_usize, 0..2_usize, 0..3_u8, 0..900_000_000_u64, spends).prop_map(
        |(after, class, endpoint, client, runs, spends)| Arrival {
            after,
            class,
            endpoint,
            client,
            runs,
            spends,
        },
    )
}

/// The rules that are tried: of whom, what, and how little of it there is.
const TRIED: [(Holder, &str, u64); 14] = [
    (Holder::Class, "rate", 30),
    (Holder::Client, "client_rate", 25),
    (Holder::Endpoint, "rate", 40),
    (Holder::Team, "rate", 60),
    (Holder::Class, "fuel_minute", 4_000),
    (Holder::Class, "requests_day", 700),
    (Holder::Endpoint, "host_calls_minute", 400),
    (Holder::Endpoint, "bytes_minute", 120_000),
    (Holder::Endpoint, "requests_day", 900),
    (Holder::Team, "fuel_day", 40_000),
    (Holder::Team, "bytes_day", 900_000),
    (Holder::Team, "requests_day", 1_500),
    (Holder::Endpoint, "concurrency", 9),
    (Holder::Team, "concurrency", 14),
];

struct World {
    board: Board,
    node: NodeGuard,
    endpoints: Vec<EndpointGuard>,
    classes: [Option<ClassName>; 3],
}

impl World {
    /// A world in which the chosen ones of the tried rules are as tight as that, and everything else is wide.
    fn new(chosen: &[bool], observe: bool) -> Self {
        let mut policy = Policy::default();
        let wide = PerSecond::new(1_000_000).unwrap();
        (policy.team_rate, policy.client_rate, policy.default.rate) = (wide, wide, wide);
        let burst = 1_000_000.try_into().unwrap();
        (policy.team_burst, policy.client_burst, policy.default.burst) = (burst, burst, burst);
        let many = crate::units::InFlight::new(100_000).unwrap();
        (policy.team_concurrency, policy.node_concurrency, policy.default.concurrency) = (many, many, many);
        let quota = Quota { rate: wide, burst };
        let names = ["tv-2015", "phone"].map(|name| ClassName::parse(name).unwrap());
        let classes: HashMap<_, _> = names.iter().map(|name| (name.clone(), quota)).collect();
        let node = NodeGuard::new(&policy, &classes, RandomState::new());
        let team = Arc::new(TeamGuard::new(TeamName::parse("tv").unwrap(), &policy));
        let set = |holder: Holder| -> Vec<(Name, Setting)> {
            let tried = TRIED.iter().zip(chosen).filter(|((of, ..), chosen)| *of == holder && **chosen);
            tried
                .map(|((_, name, limit), _)| {
                    (name.parse().unwrap(), Setting { limit: Some(*limit), soft_percent: None, observe })
                })
                .collect()
        };
        let with = |own: Terms, holder| own.with(set(holder).iter().map(|(name, set)| (*name, set)));
        let now = Moment::default();
        node.set(&with(Terms::of_node(&policy), Holder::Client), now);
        for name in &names {
            node.class(name).unwrap().set(&with(Terms::of_class(quota, &policy), Holder::Class), now);
        }
        team.set(&with(Terms::of_team(&policy), Holder::Team), now);
        let terms = with(Terms::of_endpoint(&policy.default, &policy), Holder::Endpoint);
        let endpoints = ["tv/home/home", "tv/home/search"].map(|id| {
            let guard =
                EndpointGuard::new(EndpointId::parse(id).unwrap(), Arc::clone(&team), &policy.default);
            guard.set(&terms, now);
            guard
        });
        let [one, other] = names;
        let classes = [Some(one), Some(other), None];
        Self { board: Board::default(), node, endpoints: endpoints.into(), classes }
    }

    /// Sends all arrivals through; of each the rule that refused it or would have, with its scope.
    fn run(&self, arrivals: &[Arrival]) -> Vec<Option<&'static str>> {
        let mut now = 1_000_000_000;
        // Calls that run, by when they end.
        let mut running: BTreeMap<(u64, usize), (Permit, &Arrival)> = BTreeMap::new();
        let mut said = Vec::new();
        for (number, arrival) in arrivals.iter().enumerate() {
            now += arrival.after;
            while let Some(ended) = running.first_entry().filter(|ended| ended.key().0 <= now) {
                let ((at, _), (permit, arrival)) = ended.remove_entry();
                let was_observed = permit.observed().is_some();
                let ask = self.ask(arrival);
                let whose = (ask.node, ask.endpoint, ask.class);
                settle(whose, &arrival.spends, was_observed, Moment::from_nanos(at), |_, _| {});
            }
            said.push(match admit(&self.ask(arrival), Moment::from_nanos(now), 1) {
                Verdict::Admitted(permit) => {
                    let observed = permit.observed().map(Rule::as_str);
                    running.insert((now + arrival.runs, number), (permit, arrival));
                    observed
                }
                Verdict::Refused(refusal) => Some(refusal.rule),
            });
        }
        said
    }

    fn ask<'a>(&'a self, arrival: &'a Arrival) -> Ask<'a> {
        Ask {
            board: &self.board,
            node: &self.node,
            endpoint: &self.endpoints[arrival.endpoint],
            revision: RevisionNumber::first(),
            class: self.classes[arrival.class].as_ref(),
            client: std::slice::from_ref(&arrival.client),
            priority: Priority::User,
            shed: None,
            over_share: false,
        }
    }
}

/// Clients meet in slots by chance, and by another one in each world; these do not meet in either.
fn clients_are_apart(world: &World) -> bool {
    let of = |client: u8| world.node.clients.bucket(&[client][..]);
    of(0).charge(Moment::from_nanos(1)).is_ok()
        && [1, 2].iter().all(|other| {
            of(*other).reset_after(Moment::from_nanos(1)).is_zero()
                && of(*other).charge(Moment::from_nanos(1)).is_ok()
        })
}

fn worlds(chosen: &[bool]) -> [World; 2] {
    loop {
        let worlds = [true, false].map(|observe| World::new(chosen, observe));
        if worlds.iter().all(clients_are_apart) {
            return worlds;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_observing_counts_is_what_enforcing_refuses_call_by_call(
        chosen in prop::collection::vec(any::<bool>(), TRIED.len()),
        arrivals in prop::collection::vec(any_arrival(), 1_000..3_000),
    ) {
        let [observing, enforcing] = worlds(&chosen);
        let (counted, refused) = (observing.run(&arrivals), enforcing.run(&arrivals));
        prop_assert_eq!(&counted, &refused);
        for rule in Rule::all() {
            let times = refused.iter().flatten().filter(|named| **named == rule.as_str()).count() as u64;
            prop_assert_eq!(observing.node.counts.observed(rule), times, "{}", rule);
            prop_assert_eq!(enforcing.node.counts.refused(rule), times, "{}", rule);
            prop_assert_eq!(observing.node.counts.refused(rule), 0, "{}", rule);
        }
    }
}

#[test]
fn every_tried_rule_refuses_something_so_that_the_agreement_says_something() {
    let arrivals: Vec<Arrival> = (0..4_000_usize)
        .map(|n| Arrival {
            after: 3_000_000,
            class: n % 3,
            endpoint: n % 2,
            client: (n % 3) as u8,
            runs: 150_000_000,
            spends: Spent { fuel: Fuel::new(40), host_calls: 2, bytes: Bytes::new(700) },
        })
        .collect();
    for (number, (holder, name, _)) in TRIED.iter().enumerate() {
        let mut chosen = [false; TRIED.len()];
        chosen[number] = true;
        let [observing, enforcing] = worlds(&chosen);
        let (counted, refused) = (observing.run(&arrivals), enforcing.run(&arrivals));
        let times = refused.iter().flatten().count();
        assert!(times > 100, "{name} of {holder:?} refused {times} of {}", arrivals.len());
        assert_eq!(counted, refused, "{name} of {holder:?}");
    }
}

#[test]
fn a_rule_that_observes_opens_no_other() {
    let mut chosen = [false; TRIED.len()];
    chosen[2] = true;
    let [observing, _] = worlds(&chosen);
    let team = &observing.endpoints[0].team;
    let policy = Policy::default();
    let tight = Setting { limit: Some(50), ..Setting::default() };
    team.set(&Terms::of_team(&policy).with([(Name::Rate, &tight)]), Moment::default());
    let arrival = Arrival { after: 0, class: 2, endpoint: 0, client: 0, runs: 0, spends: Spent::default() };
    let said = observing.run(&vec![arrival; 200]);
    // Past the burst of the rate that observes, all that run are charged to the one that does not.
    let burst = team.limiter.quota().burst.get() as usize;
    assert_eq!(said.iter().filter(|said| **said != Some("rate.team")).count(), burst);
    assert_eq!(said.iter().filter(|said| **said == Some("rate.team")).count(), 200 - burst);
}
