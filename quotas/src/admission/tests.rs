use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;

use super::*;
use crate::guards::TeamGuard;
use crate::limits::Policy;
use crate::pressure::Signals;
use crate::pressure::cutoff::{CutOff, UserFloor};
use crate::pressure::level::ShedLevel;
use crate::rate::Quota;
use crate::scope::{EndpointId, TeamName};
use crate::setting::Terms;
use crate::switches::{Effect, Kind, Switch, SwitchId};
use crate::units::{Fuel, InFlight, PerSecond};

/// Every rule, in the order in which they are asked.
const IN_ORDER: [&str; 15] = [
    "switch",
    "quarantine",
    "node.pressure",
    "rate.class",
    "rate.client",
    "rate.endpoint",
    "rate.team",
    "budget.fuel_day.class",
    "budget.host_calls_minute.endpoint",
    "budget.requests_day.team",
    "memory.team",
    "memory.node",
    "concurrency.endpoint",
    "concurrency.team",
    "concurrency.node",
];

const NOW: Moment = Moment::from_nanos(1_000_000);
const UNIX_MS: u64 = 1_700_000_000_000;

/// Makes a level give up all background calls, and nothing else.
fn shed_background(level: &ShedLevel) {
    let mut cutoff = CutOff::new(UserFloor::default());
    let pressure = Signals { memory: 1.0, ..Signals::default() }.pressure();
    cutoff.step(pressure, NOW);
    level.publish(&cutoff, pressure, UNIX_MS);
}

/// One endpoint with all that bounds it. `rate` and `places` are the numbers of every rule.
struct World {
    board: Board,
    node: NodeGuard,
    endpoint: EndpointGuard,
    class: ClassName,
    shed: ShedLevel,
}

impl World {
    fn new(burst: u32, places: u32) -> Self {
        let mut policy = Policy::default();
        let (rate, burst) = (PerSecond::new(10).unwrap(), burst.try_into().unwrap());
        let places = InFlight::new(places).unwrap();
        (policy.team_rate, policy.client_rate, policy.default.rate) = (rate, rate, rate);
        (policy.team_burst, policy.client_burst, policy.default.burst) = (burst, burst, burst);
        (policy.team_concurrency, policy.node_concurrency, policy.default.concurrency) =
            (places, places, places);
        let class = ClassName::parse("tv-2015").unwrap();
        let classes = HashMap::from([(class.clone(), Quota { rate, burst })]);
        let team = Arc::new(TeamGuard::new(TeamName::parse("tv").unwrap(), &policy));
        let id = EndpointId::parse("tv/home/home").unwrap();
        Self {
            board: Board::default(),
            node: NodeGuard::new(&policy, &classes, RandomState::new()),
            endpoint: EndpointGuard::new(id, team, &policy.default),
            class,
            shed: ShedLevel::default(),
        }
    }

    fn ask(&self) -> Ask<'_> {
        self.ask_as(b"192.0.2.1")
    }

    fn ask_as<'a>(&'a self, client: &'a [u8]) -> Ask<'a> {
        Ask {
            board: &self.board,
            node: &self.node,
            endpoint: &self.endpoint,
            revision: RevisionNumber::first(),
            class: Some(&self.class),
            client,
            priority: Priority::Background,
            shed: self.shed.get(),
            over_share: false,
        }
    }

    /// Makes one rule refuse.
    fn break_rule(&mut self, rule: &str) {
        let exhaust = |bucket: Bucket<'_>| while bucket.charge(NOW).is_ok() {};
        let one = InFlight::new(1).unwrap();
        match rule {
            "switch" => {
                let scope = Scope::Team(self.endpoint.team.name.clone());
                self.board = self.board.with(Switch {
                    scope,
                    effect: Effect::Kill,
                    by: "ana".into(),
                    reason: "runaway".into(),
                    since: UNIX_MS - 5,
                    until: Some(UNIX_MS + 60_000),
                    generation: 1,
                    observe: false,
                });
            }
            "quarantine" => self.endpoint.quarantine.set(Quarantine {
                revision: None,
                by: "supervisor".into(),
                reason: "crashed twice".into(),
                since: UNIX_MS - 5,
                until: None,
            }),
            "node.pressure" => shed_background(&self.shed),
            "node.draining" => self.node.set_condition(Condition::Draining),
            "rate.class" => exhaust(self.node.class(&self.class).unwrap().limiter.bucket()),
            "rate.client" => exhaust(self.ask().rates(self.ask().class_guard()).client.bucket),
            "rate.endpoint" => exhaust(self.endpoint.limiter.bucket()),
            "rate.team" => exhaust(self.endpoint.team.limiter.bucket()),
            "budget.fuel_day.class" => {
                self.purse(Holder::Class).get(BudgetKind::FuelDay).charge(u64::MAX, NOW);
            }
            "budget.host_calls_minute.endpoint" => {
                self.purse(Holder::Endpoint).get(BudgetKind::HostCallsMinute).charge(u64::MAX, NOW);
            }
            "budget.requests_day.team" => {
                self.purse(Holder::Team).get(BudgetKind::RequestsDay).charge(u64::MAX, NOW);
            }
            "memory.team" | "memory.node" => {
                let other = || Arc::new(crate::memory::Ledger::new(Bytes::new(u64::MAX)));
                let full = match rule {
                    "memory.team" => &self.endpoint.team.memory,
                    _ => &self.node.memory,
                };
                let hold = crate::memory::Hold::new(full, &other());
                hold.grow(full.limit().get()).unwrap();
                std::mem::forget(hold);
            }
            // A place that is taken for good, in a gate of one: the other two gates have room.
            "concurrency.endpoint" | "concurrency.team" | "concurrency.node" => {
                let gate = match rule {
                    "concurrency.endpoint" => &self.endpoint.gate,
                    "concurrency.team" => &self.endpoint.team.gate,
                    _ => &self.node.gate,
                };
                let other = || Arc::new(crate::concurrency::Gate::new(one));
                gate.set_limit(one);
                std::mem::forget(Permit::take(gate, &other(), &other()).unwrap());
            }
            other => panic!("no rule {other}"),
        }
    }

    fn purse(&self, holder: Holder) -> &Budgets {
        self.ask().purses(self.ask().class_guard()).find(|purse| purse.holder == holder).unwrap().budgets
    }

    /// The requests that budgets have counted: of the class, the endpoint, the team.
    fn requests(&self, now: Moment) -> Vec<u64> {
        self.ask()
            .purses(self.ask().class_guard())
            .map(|purse| purse.budgets.get(BudgetKind::RequestsDay).used(now))
            .collect()
    }

    /// Everything that a call could spend but the requests of a day.
    fn spent(&self, now: Moment) -> [u128; 7] {
        let rates = self.ask().rates(self.ask().class_guard());
        let owed = |rate: &Rate<'_>| rate.bucket.reset_after(now).as_nanos();
        let alive = |gate: &crate::concurrency::Gate| u128::from(gate.in_flight());
        [
            owed(rates.class.as_ref().unwrap()),
            owed(&rates.client),
            owed(&rates.endpoint),
            owed(&rates.team),
            alive(&self.endpoint.gate),
            alive(&self.endpoint.team.gate),
            alive(&self.node.gate),
        ]
    }
}

fn refusal(verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Admitted(_) => panic!("admitted"),
        Verdict::Refused(refusal) => *refusal,
    }
}

#[test]
fn the_first_rule_in_order_is_the_one_named() {
    for first in 0..IN_ORDER.len() {
        let mut world = World::new(3, 3);
        // Broken from the back, so that a rule which only looks at what came last is found out too.
        for rule in IN_ORDER[first..].iter().rev() {
            world.break_rule(rule);
        }
        assert_eq!(refusal(admit(&world.ask(), NOW, UNIX_MS)).rule, IN_ORDER[first]);
    }
    assert!(matches!(admit(&World::new(3, 3).ask(), NOW, UNIX_MS), Verdict::Admitted(_)));
}

#[test]
fn a_refused_call_spends_nothing() {
    for rule in IN_ORDER.iter().chain(&["node.draining"]) {
        let mut world = World::new(3, 3);
        world.break_rule(rule);
        let before = (world.spent(NOW), world.requests(NOW));
        for _ in 0..10 {
            assert_eq!(&refusal(admit(&world.ask(), NOW, UNIX_MS)).rule, rule);
        }
        assert_eq!((world.spent(NOW), world.requests(NOW)), before, "{rule}");
    }
}

#[test]
fn a_refusal_says_what_was_reached_and_when_to_come_back() {
    fn check(rule: &'static str, expected: Refusal) {
        let mut world = World::new(3, 3);
        world.break_rule(rule);
        assert_eq!(refusal(admit(&world.ask(), NOW, UNIX_MS)), expected);
    }
    let endpoint = || Scope::parse("endpoint:tv/home/home").unwrap();
    check(
        "switch",
        Refusal {
            since: Some(UNIX_MS - 5),
            until: Some(UNIX_MS + 60_000),
            by: Some("ana".into()),
            reason: Some("runaway".into()),
            retry_after: Some(Duration::from_secs(60)),
            ..Refusal::new(RefusalCode::SwitchOff, "switch", Scope::parse("team:tv").unwrap())
        },
    );
    check(
        "quarantine",
        Refusal {
            since: Some(UNIX_MS - 5),
            by: Some("supervisor".into()),
            reason: Some("crashed twice".into()),
            ..Refusal::new(RefusalCode::QuarantineActive, "quarantine", endpoint())
        },
    );
    check(
        "rate.endpoint",
        Refusal {
            limit: Some(Amount::Rate(PerSecond::new(10).unwrap())),
            until: Some(UNIX_MS + 100),
            retry_after: Some(Duration::from_millis(100)),
            policy: Some(RatePolicy { name: "endpoint", quota: 10, window_s: 1, remaining: 0, reset_s: 1 }),
            ..Refusal::new(RefusalCode::RateExceeded, "rate.endpoint", endpoint())
        },
    );
    check(
        "budget.fuel_day.class",
        Refusal {
            limit: Some(Amount::Fuel(Fuel::new(Policy::default().class_budgets.get(BudgetKind::FuelDay)))),
            observed: Some(Amount::Fuel(Fuel::new((1 << 48) - 2))),
            since: Some(UNIX_MS),
            // A day and the slot of now, an hour, of which a millisecond has passed.
            until: Some(UNIX_MS + 90_000_000 - 1),
            retry_after: Some(Duration::from_millis(90_000_000 - 1)),
            policy: Some(RatePolicy {
                name: "class-fuel_day",
                quota: Policy::default().class_budgets.get(BudgetKind::FuelDay),
                window_s: 86_400,
                remaining: 0,
                reset_s: 90_000,
            }),
            ..Refusal::new(
                RefusalCode::BudgetExceeded,
                "budget.fuel_day.class",
                Scope::parse("class:tv-2015").unwrap(),
            )
        },
    );
    check(
        "concurrency.node",
        Refusal {
            limit: Some(Amount::Calls(1)),
            observed: Some(Amount::Calls(1)),
            retry_after: Some(GATE_BACK_AFTER),
            ..Refusal::new(RefusalCode::ConcurrencyExceeded, "concurrency.node", Scope::All)
        },
    );
    check(
        "node.draining",
        Refusal {
            retry_after: Some(NODE_BACK_AFTER),
            ..Refusal::new(RefusalCode::NodeDraining, "node.draining", Scope::All)
        },
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whichever_rules_refuse_the_first_in_the_order_is_named_and_nothing_is_charged(
        broken in prop::collection::hash_set(0..IN_ORDER.len(), 0..IN_ORDER.len()),
        draining in any::<bool>(),
    ) {
        let mut world = World::new(3, 3);
        broken.iter().for_each(|rule| world.break_rule(IN_ORDER[*rule]));
        if draining {
            world.break_rule("node.draining");
        }
        let node = IN_ORDER.iter().position(|rule| *rule == "node.pressure").unwrap();
        let first = broken.iter().copied().chain(draining.then_some(node)).min();
        let before = (world.spent(NOW), world.requests(NOW));
        match (admit(&world.ask(), NOW, UNIX_MS), first) {
            (Verdict::Admitted(permit), None) => {
                prop_assert_eq!(permit.observed(), None);
                prop_assert_eq!(world.requests(NOW), vec![1; 3]);
            }
            (Verdict::Refused(refusal), Some(first)) => {
                let named = if draining && first == node { "node.draining" } else { IN_ORDER[first] };
                prop_assert_eq!(refusal.rule, named);
                prop_assert_eq!((world.spent(NOW), world.requests(NOW)), before);
                let counted: Vec<&str> = Rule::all()
                    .filter(|rule| world.node.counts.refused(*rule) > 0)
                    .map(Rule::as_str)
                    .collect();
                let counts = Rule::all().any(|rule| rule.as_str() == named);
                prop_assert_eq!(counted, if counts { vec![named] } else { vec![] });
            }
            (verdict, first) => prop_assert!(false, "{verdict:?} where {first:?} is the first"),
        }
    }
}

#[test]
fn a_class_without_a_quota_is_bounded_by_the_rest() {
    let world = World::new(3, 10);
    let unknown = ClassName::parse("tv-2030").unwrap();
    let ask = Ask { class: Some(&unknown), ..world.ask() };
    let verdicts: Vec<Verdict> = (0..4).map(|_| admit(&ask, NOW, UNIX_MS)).collect();
    assert_eq!(refusal(verdicts.into_iter().last().unwrap()).rule, "rate.client");
}

#[test]
fn a_client_is_warned_when_four_fifths_are_used() {
    let world = World::new(10, 10);
    let mut alive = Vec::new();
    for used in 1..=10_u32 {
        let Verdict::Admitted(permit) = admit(&world.ask(), NOW, UNIX_MS) else {
            panic!("call {used} is refused")
        };
        let policy = world.ask().rate_policy(&permit, NOW);
        alive.push(permit);
        assert_eq!(policy.map(|policy| policy.remaining), (used >= 8).then_some(u64::from(10 - used)));
        assert_eq!(
            world.endpoint.rate_policy(NOW).map(|policy| policy.name),
            (used >= 8).then_some("endpoint")
        );
    }
}

#[test]
fn a_pressed_thread_gives_up_the_least_important_and_whoever_is_over_their_share() {
    let world = World::new(100, 100);
    shed_background(&world.shed);
    let code = |priority, over_share| match admit(&Ask { priority, over_share, ..world.ask() }, NOW, UNIX_MS)
    {
        Verdict::Admitted(_) => "admitted",
        Verdict::Refused(refusal) => refusal.code.as_str(),
    };
    assert_eq!(code(Priority::Background, false), "pressure.shed");
    assert_eq!(code(Priority::Prefetch, false), "admitted");
    assert_eq!(code(Priority::Prefetch, true), "pressure.shed");
    assert_eq!(code(Priority::User, true), "admitted");
    let given_up = |priority| Ask { priority, ..world.ask() }.is_given_up(NOW);
    assert_eq!(Priority::ALL.map(given_up), [false, false, true], "who only observes counts the same");
}

#[test]
fn draining_is_for_good() {
    let world = World::new(3, 3);
    for (said, is) in [
        (Condition::Open, Condition::Open),
        (Condition::Draining, Condition::Draining),
        (Condition::Open, Condition::Draining),
    ] {
        world.node.set_condition(said);
        assert_eq!(world.node.condition(), is);
    }
}

#[test]
fn new_limits_hand_out_no_fresh_burst() {
    let mut world = World::new(3, 9);
    for rule in ["rate.class", "rate.client", "rate.endpoint", "rate.team"] {
        world.break_rule(rule);
    }
    let before = world.spent(NOW);
    let mut policy = Policy::default();
    let (rate, burst) = (PerSecond::new(10).unwrap(), 3.try_into().unwrap());
    (policy.team_rate, policy.client_rate, policy.default.rate) = (rate, rate, rate);
    (policy.team_burst, policy.client_burst, policy.default.burst) = (burst, burst, burst);
    world.endpoint.set(&Terms::of_endpoint(&policy.default, &policy), NOW);
    world.endpoint.team.set(&Terms::of_team(&policy), NOW);
    world.node.set(&Terms::of_node(&policy), NOW);
    let class = world.node.class(&world.class).unwrap();
    class.set(&Terms::of_class(Quota { rate, burst }, &policy), NOW);
    assert_eq!(world.spent(NOW), before);
    assert_eq!(world.node.gate.limit(), policy.node_concurrency);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_admitted_call_is_charged_once_by_every_rule_and_a_refused_one_by_none(
        burst in 1..6_u32,
        places in 1..4_u32,
        steps in prop::collection::vec((0..200_000_000_u64, any::<bool>()), 1..80),
    ) {
        let world = World::new(burst, places);
        let mut now = NOW;
        let mut alive = Vec::new();
        let interval = 100_000_000;
        for (gap, finish) in steps {
            now = now + Duration::from_nanos(gap);
            if finish {
                alive.pop();
            }
            let before = world.spent(now);
            match admit(&world.ask(), now, UNIX_MS) {
                Verdict::Refused(_) => prop_assert_eq!(world.spent(now), before),
                Verdict::Admitted(permit) => {
                    alive.push(permit);
                    let mut charged = before.map(|owed| owed + interval);
                    charged[4..].fill(alive.len() as u128);
                    prop_assert_eq!(world.spent(now), charged);
                }
            }
        }
        alive.clear();
        prop_assert_eq!(&world.spent(now)[4..], &[0, 0, 0][..]);
    }
}

#[test]
fn threads_are_admitted_to_the_last_call_and_wider_rules_lose_nothing() {
    let world = World::new(1_000, 1_000);
    let mut narrow = crate::limits::Policy::default().default;
    (narrow.rate, narrow.burst) = (PerSecond::new(10).unwrap(), 100.try_into().unwrap());
    narrow.concurrency = InFlight::new(1_000).unwrap();
    world.endpoint.set(&Terms::of_endpoint(&narrow, &Policy::default()), NOW);
    let admitted = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let (world, admitted) = (&world, &admitted);
            scope.spawn(move || {
                for _ in 0..200 {
                    let verdict = admit(&world.ask_as(&[thread]), NOW, UNIX_MS);
                    admitted.fetch_add(u32::from(matches!(verdict, Verdict::Admitted(_))), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 100);
    assert_eq!(world.endpoint.team.limiter.remaining(NOW), 900);
    assert_eq!(world.node.class(&world.class).unwrap().limiter.remaining(NOW), 900);
    assert_eq!(world.requests(NOW), [100; 3]);
    assert_eq!(world.spent(NOW)[4..], [0, 0, 0]);
}

/// A world in which one switch holds.
fn switched(effect: Effect, observe: bool) -> World {
    let mut world = World::new(50, 50);
    world.board = world.board.with(Switch {
        scope: Scope::All,
        effect,
        by: "ana".into(),
        reason: "a test".into(),
        since: UNIX_MS - 5,
        until: None,
        generation: 1,
        observe,
    });
    world
}

#[test]
fn a_cap_lets_so_many_calls_be_alive_and_says_how_many_are() {
    let world = switched(Effect::Cap(InFlight::new(2).unwrap()), false);
    let alive: Vec<Verdict> = (0..2).map(|_| admit(&world.ask(), NOW, UNIX_MS)).collect();
    assert!(alive.iter().all(|verdict| matches!(verdict, Verdict::Admitted(_))));
    let before = world.spent(NOW);
    let refusal = refusal(admit(&world.ask(), NOW, UNIX_MS));
    assert_eq!((refusal.code, refusal.rule), (RefusalCode::SwitchCapped, "switch.cap"));
    assert_eq!((refusal.limit, refusal.observed), (Some(Amount::Calls(2)), Some(Amount::Calls(2))));
    assert_eq!(world.spent(NOW), before, "a refused call spends nothing");
    drop(alive);
    assert!(matches!(admit(&world.ask(), NOW, UNIX_MS), Verdict::Admitted(_)));
    let id = SwitchId { scope: Scope::All, kind: Kind::Cap };
    assert_eq!(world.board.armed(&id).unwrap().hits(), 1);
}

#[test]
fn a_cap_that_observes_counts_the_calls_that_it_would_have_refused() {
    let world = switched(Effect::Cap(InFlight::new(2).unwrap()), true);
    let call = || {
        let would_refuse = world.board.observe(&world.ask().facts());
        (admit(&world.ask(), NOW, UNIX_MS), would_refuse)
    };
    let mut calls: Vec<(Verdict, bool)> = (0..5).map(|_| call()).collect();
    assert_eq!(calls.iter().map(|(_, would)| *would).collect::<Vec<_>>(), [false, false, true, true, true]);
    assert!(calls.iter().all(|(verdict, _)| matches!(verdict, Verdict::Admitted(_))));
    // The calls that it would have kept out hold no place: with one that it let in gone, there is room again.
    drop(calls.swap_remove(0));
    assert!(!call().1);
    assert_eq!(world.board.iter().map(crate::switches::Armed::hits).sum::<u64>(), 3);
}

#[test]
fn a_shed_call_is_told_by_whom_and_why() {
    let world = switched(Effect::Shed(Priority::Prefetch), false);
    let as_priority = |priority| admit(&Ask { priority, ..world.ask() }, NOW, UNIX_MS);
    assert!(matches!(as_priority(Priority::User), Verdict::Admitted(_)));
    for priority in [Priority::Prefetch, Priority::Background] {
        let refusal = refusal(as_priority(priority));
        let expected = Refusal {
            since: Some(UNIX_MS - 5),
            by: Some("ana".into()),
            reason: Some("a test".into()),
            ..Refusal::new(RefusalCode::SwitchShed, "switch.shed", Scope::All)
        };
        assert_eq!(refusal, expected);
    }
}
