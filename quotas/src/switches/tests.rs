use proptest::prelude::*;

use super::*;
use crate::concurrency::Place;
use crate::scope::ServiceName;
use crate::units::InFlight;

const IN_ORDER: [&str; 8] = [
    "all",
    "region:eu",
    "node:here",
    "team:tv",
    "script:tv/home",
    "endpoint:tv/home/home",
    "revision:tv/home@7",
    "class:tv-2015",
];

fn switch(scope: &str, generation: u64) -> Switch {
    Switch {
        scope: Scope::parse(scope).unwrap(),
        effect: Effect::Kill,
        by: "ana".into(),
        reason: "runaway".into(),
        since: 1_000,
        until: None,
        generation,
        observe: false,
    }
}

fn empty() -> Board {
    Board::at(Home { node: Some("here".parse().unwrap()), region: Some("eu".parse().unwrap()) })
}

fn id(text: &str) -> SwitchId {
    text.parse().unwrap()
}

fn board(scopes: &[&str]) -> Board {
    scopes.iter().fold(empty(), |board, scope| board.with(switch(scope, 1)))
}

/// Asks for revision 7 of tv/home/home, called by a tv-2015.
fn ask<T>(ask: impl FnOnce(&CallFacts<'_>) -> T) -> T {
    ask_as(Priority::User, ask)
}

fn ask_as<T>(priority: Priority, ask: impl FnOnce(&CallFacts<'_>) -> T) -> T {
    let endpoint = EndpointId::parse("tv/home/home").unwrap();
    let class = ClassName::parse("tv-2015").unwrap();
    let revision = RevisionNumber::new(7).unwrap();
    ask(&CallFacts { endpoint: &endpoint, revision, class: Some(&class), priority })
}

fn named(board: &Board) -> Option<String> {
    ask(|facts| board.verdict(facts).map(|armed| armed.switch().scope.to_string()))
}

#[test]
fn the_first_switch_in_order_is_the_one_named() {
    for first in 0..IN_ORDER.len() {
        assert_eq!(named(&board(&IN_ORDER[first..])).as_deref(), Some(IN_ORDER[first]));
    }
    assert_eq!(named(&Board::default()), None);
}

#[test]
fn a_switch_touches_nothing_but_its_scope() {
    for scope in [
        "team:web",
        "script:tv/other",
        "endpoint:tv/home/other",
        "revision:tv/home@8",
        "revision:tv/other@7",
        "class:tv-2016",
        "service:catalog",
        "region:us",
        "node:there",
    ] {
        assert_eq!(named(&board(&[scope])), None, "{scope}");
    }
    // A revision's switch further up must not hide a class's.
    assert_eq!(named(&board(&["revision:tv/home@8", "class:tv-2015"])).as_deref(), Some("class:tv-2015"));
}

#[test]
fn a_service_is_off_for_those_who_call_it() {
    let board = board(&["service:catalog"]);
    assert!(board.of_service(&ServiceName::parse("catalog").unwrap()).is_some());
    assert!(board.of_service(&ServiceName::parse("users").unwrap()).is_none());
}

#[test]
fn a_switch_that_observes_refuses_nobody_and_hides_nothing() {
    let observing = Switch { observe: true, ..switch("team:tv", 1) };
    let board = board(&["class:tv-2015"]).with(observing);
    assert_eq!(named(&board).as_deref(), Some("class:tv-2015"));
    assert!(ask(|facts| board.observe(facts)));
    let hits = |text| board.armed(&id(text)).unwrap().hits();
    assert_eq!((hits("team:tv"), hits("class:tv-2015")), (1, 0));
}

#[test]
fn time_alone_opens_nothing() {
    let ended = Switch { until: Some(2_000), ..switch("team:tv", 1) };
    let board = board(&["class:tv-2015"]).with(ended);
    assert_eq!(board.expired(1_999), []);
    assert_eq!(board.expired(2_000), [(id("team:tv"), 1)]);
    assert_eq!(named(&board).as_deref(), Some("team:tv"));
    assert_eq!(named(&board.without(&board.expired(2_000)[0].0)).as_deref(), Some("class:tv-2015"));
}

#[test]
fn a_switch_that_arrives_after_its_release_stays_released() {
    let scope = id("team:tv");
    let off = board(&["team:tv"]);
    let on = off.without(&scope);
    assert!(on.is_empty());
    assert!(on.with(switch("team:tv", 1)).is_empty());
    assert!(on.merged(&off).is_empty());
    assert_eq!(on.next_generation(&scope), 3);
    assert!(!on.with(switch("team:tv", on.next_generation(&scope))).is_empty());
}

#[test]
fn off_wins_when_generations_are_equal() {
    let scope = id("team:tv");
    let off = Board::default().with(switch("team:tv", 4));
    assert!(!off.released(&scope, 4).is_empty());
    assert!(!Board::default().released(&scope, 4).with(switch("team:tv", 4)).is_empty());
    let observing = Switch { observe: true, ..switch("team:tv", 4) };
    assert!(!off.with(observing).get(&scope).unwrap().observe);
}

fn any_change() -> impl Strategy<Value = Change> {
    let scope = prop::sample::select(&IN_ORDER[..3]);
    (scope, 1..4_u64, prop::option::of((any::<bool>(), prop::option::of(0..3_u64), 0..2_u64))).prop_map(
        |(scope, generation, off)| match off {
            Some((observe, until, since)) => {
                let switch = Switch { observe, until, since, ..switch(scope, generation) };
                Change::Off(Arc::new(switch))
            }
            None => Change::On(id(scope), generation),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn boards_that_saw_the_same_changes_in_any_order_are_equal(
        (changes, shuffled, cut) in prop::collection::vec(any_change(), 0..20).prop_flat_map(|changes| {
            let len = changes.len();
            (Just(changes.clone()), Just(changes).prop_shuffle(), 0..=len)
        }),
    ) {
        let after = |changes: &[Change]| changes.iter().fold(Board::default(), |b, c| b.changed([c.clone()]));
        prop_assert_eq!(Board::default().changed(changes.clone()), after(&changes));
        let whole = after(&changes);
        prop_assert_eq!(&after(&shuffled), &whole);
        let (early, late) = shuffled.split_at(cut);
        prop_assert_eq!(&after(early).merged(&after(late)), &whole);
        prop_assert_eq!(&after(late).merged(&after(early)), &whole);
        prop_assert_eq!(&whole.merged(&whole), &whole);
    }
}

#[test]
fn a_release_that_is_forgotten_is_older_than_whatever_is_switched_next() {
    let scope = id("team:tv");
    let released = board(&["team:tv"]).released(&scope, 7);
    let forgotten = released.changed([Change::Forget(scope.clone())]);
    assert!(forgotten.is_empty());
    assert_eq!(forgotten.next_generation(&scope), 8);
    assert_eq!(forgotten.next_generation(&id("all")), 8);
    // What is off is not forgotten.
    let off = board(&["team:tv"]);
    assert_eq!(off.changed([Change::Forget(scope)]), off);
}

#[test]
fn turning_on_leaves_nothing_behind_that_refuses_or_costs_a_lookup() {
    for scope in IN_ORDER.iter().chain(&["service:catalog"]) {
        let other = board(&IN_ORDER).with(switch("service:catalog", 1)).without(&id(scope));
        assert_ne!(named(&other).as_deref(), Some(*scope));
        let on = board(&[scope]).without(&id(scope));
        assert_eq!((named(&on), on.is_quiet()), (None, true), "{scope}");
    }
}

#[test]
fn an_id_reads_what_it_writes_and_a_kill_switch_is_its_scope() {
    for text in ["team:tv", "freeze team:tv", "last-good all", "cap node:TV-7.example:8081"] {
        assert_eq!(id(text).to_string(), text);
    }
    assert_eq!(id("team:tv"), SwitchId { scope: Scope::parse("team:tv").unwrap(), kind: Kind::Kill });
    for text in ["moon team:tv", "freeze", "freeze  team:tv", "freeze team:tv x", ""] {
        assert!(text.parse::<SwitchId>().is_err(), "{text}");
    }
}

/// Everything that an operator can set: each kind, as it would be asked for.
fn effects() -> [Effect; 6] {
    let cap = Effect::Cap(InFlight::new(1).unwrap());
    [Effect::Kill, Effect::Freeze, Effect::Shed(Priority::Prefetch), Effect::Fallback, Effect::LastGood, cap]
}

/// What each kind does in each scope that has to do with the call: the priorities of which a first call is refused,
/// whether a second one is while the first is alive, and whether a change of the script is. Where a kind makes no
/// sense for a scope, a part of what is said about it.
#[test]
fn every_kind_does_what_it_says_in_every_scope_or_says_why_it_makes_no_sense() {
    const FITS: [(Kind, &str, [bool; 5]); 6] = [
        (Kind::Kill, "", [true, true, true, true, false]),
        (Kind::Freeze, "", [false, false, false, false, true]),
        (Kind::Shed, "", [false, true, true, false, false]),
        (Kind::Fallback, "", [true, true, true, true, false]),
        (Kind::LastGood, "", [true, true, true, true, false]),
        (Kind::Cap, "", [false, false, false, true, false]),
    ];
    for (effect, (kind, _, does)) in effects().into_iter().zip(FITS) {
        assert_eq!(effect.kind(), kind);
        for scope in IN_ORDER.iter().chain(&["service:catalog"]) {
            let said = kind.fits(&Scope::parse(scope).unwrap()).map_err(|misfit| misfit.to_string());
            let expected = match (kind, *scope) {
                (Kind::Freeze, "endpoint:tv/home/home" | "revision:tv/home@7") => "freeze the script",
                (Kind::Freeze, "region:eu" | "node:here") => "changed on all nodes",
                (Kind::Freeze, "class:tv-2015" | "service:catalog") => "nothing of it is ever deployed",
                (Kind::Kill, "service:catalog") => {
                    // It refuses no call: the scripts are refused the service.
                    assert_eq!(said, Ok(()));
                    let board = board(&[scope]);
                    assert!(board.of_service(&ServiceName::parse("catalog").unwrap()).is_some());
                    assert_eq!(named(&board), None);
                    continue;
                }
                (_, "service:catalog") => "turned off with `kill`",
                _ => {
                    assert_eq!(said, Ok(()), "{kind} {scope}");
                    behaves(effect, scope, does);
                    continue;
                }
            };
            let said = said.unwrap_err();
            assert!(said.contains(expected), "{kind} {scope}: {said}");
        }
    }
}

fn behaves(effect: Effect, scope: &str, [user, prefetch, background, second, change]: [bool; 5]) {
    let kind = effect.kind();
    for observe in [false, true] {
        let board = empty().with(Switch { effect, observe, ..switch(scope, 1) });
        let refused =
            |priority| ask_as(priority, |call| board.verdict(call).map(|armed| armed.refusal(0).code));
        let code = |refuses: bool| (refuses && !observe).then(|| kind.code());
        let mut counted = 0;
        for (priority, refuses) in Priority::ALL.into_iter().zip([user, prefetch, background]) {
            assert_eq!(refused(priority), code(refuses), "{kind} {scope} {priority}");
            assert_eq!(ask_as(priority, |call| board.observe(call)), refuses && observe, "{kind} {scope}");
            counted += u64::from(refuses && observe);
        }
        let places: Vec<Place> =
            ask(|call| board.gates(call).map(|(_, gate)| Place::take(gate).unwrap()).collect());
        assert_eq!(places.len(), usize::from(kind == Kind::Cap));
        assert_eq!(refused(Priority::User), code(second), "{kind} {scope}");
        counted += u64::from(ask(|call| board.observe(call)));
        drop(places);
        assert_eq!(refused(Priority::User), code(user), "{kind} {scope}: a place is given back");
        let frozen = ask(|call| board.freezes(&call.endpoint.script).count());
        assert_eq!(frozen, usize::from(change), "{kind} {scope}");
        assert_eq!(board.iter().map(Armed::hits).sum::<u64>(), counted, "{kind} {scope}");
        assert_eq!(ask(|call| board.killed(call).is_some()), kind == Kind::Kill && !observe);
        assert!(board.without(&board.iter().next().unwrap().switch().id()).is_quiet());
    }
}

#[test]
fn a_call_that_is_killed_is_not_answered_by_a_fallback() {
    let fallback = Switch { effect: Effect::Fallback, ..switch("all", 1) };
    let shed = Switch { effect: Effect::Shed(Priority::Prefetch), ..switch("all", 1) };
    let board = empty().with(fallback).with(shed).with(switch("class:tv-2015", 1));
    let code = |board: &Board| {
        ask_as(Priority::Background, |call| board.verdict(call).map(|armed| armed.refusal(0).code.as_str()))
    };
    assert_eq!(code(&board), Some("switch.off"));
    let board = board.without(&id("class:tv-2015"));
    assert_eq!(code(&board), Some("switch.fallback"));
    let board = board.without(&id("fallback all"));
    assert_eq!(code(&board), Some("switch.shed"));
    assert_eq!(code(&board.without(&id("shed all"))), None);
}

#[test]
fn a_cap_that_is_set_anew_goes_on_counting_the_calls_that_are_alive() {
    let cap = |calls, generation| Switch {
        effect: Effect::Cap(InFlight::new(calls).unwrap()),
        ..switch("team:tv", generation)
    };
    let wide = empty().with(cap(3, 1));
    let enter = |board: &Board| {
        ask(|call| board.gates(call).map(|(_, gate)| Place::take(gate).is_ok()).collect::<Vec<_>>())
    };
    let places: Vec<Place> = ask(|call| {
        (0..2).flat_map(|_| wide.gates(call)).map(|(_, gate)| Place::take(gate).unwrap()).collect()
    });
    let narrow = wide.with(cap(2, 2));
    assert_eq!(enter(&narrow), [false]);
    let full = narrow.armed(&id("cap team:tv")).unwrap().full().unwrap();
    assert_eq!((full.limit.get(), full.in_flight), (2, 2));
    drop(places);
    assert_eq!(enter(&narrow), [true]);
}

#[test]
fn of_two_switches_of_one_generation_the_stricter_wins() {
    let cap = |calls| Effect::Cap(InFlight::new(calls).unwrap());
    let shed = Effect::Shed;
    for (milder, stricter) in [(cap(9), cap(2)), (shed(Priority::Background), shed(Priority::Prefetch))] {
        let of = |effect| Switch { effect, ..switch("team:tv", 1) };
        for (first, then) in [(milder, stricter), (stricter, milder)] {
            let board = empty().with(of(first)).with(of(then));
            assert_eq!(board.iter().next().unwrap().switch().effect, stricter);
        }
    }
    assert_eq!(Effect::shed(Priority::User), None);
}
