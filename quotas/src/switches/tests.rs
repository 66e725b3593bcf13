use proptest::prelude::*;

use super::*;

const IN_ORDER: [&str; 6] =
    ["all", "team:tv", "script:tv/home", "endpoint:tv/home/home", "revision:tv/home@7", "class:tv-2015"];

fn switch(scope: &str, generation: u64) -> Switch {
    Switch {
        scope: Scope::parse(scope).unwrap(),
        by: "ana".into(),
        reason: "runaway".into(),
        since: 1_000,
        until: None,
        generation,
        observe: false,
    }
}

fn board(scopes: &[&str]) -> Board {
    scopes.iter().fold(Board::default(), |board, scope| board.with(switch(scope, 1)))
}

/// Asks for revision 7 of tv/home/home, called by a tv-2015.
fn ask<T>(ask: impl FnOnce(&CallFacts<'_>) -> T) -> T {
    let endpoint = EndpointId::parse("tv/home/home").unwrap();
    let class = ClassName::parse("tv-2015").unwrap();
    let revision = RevisionNumber::new(7).unwrap();
    ask(&CallFacts { endpoint: &endpoint, revision, class: Some(&class) })
}

fn named(board: &Board) -> Option<String> {
    ask(|facts| board.verdict(facts).map(|switch| switch.scope.to_string()))
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
    ] {
        assert_eq!(named(&board(&[scope])), None, "{scope}");
    }
    // A revision's switch further up must not hide a class's.
    assert_eq!(named(&board(&["revision:tv/home@8", "class:tv-2015"])).as_deref(), Some("class:tv-2015"));
}

#[test]
fn a_service_is_off_for_those_who_call_it() {
    let board = board(&["service:catalog"]);
    assert!(board.service_off(&ServiceName::parse("catalog").unwrap()).is_some());
    assert!(board.service_off(&ServiceName::parse("users").unwrap()).is_none());
}

#[test]
fn a_switch_that_observes_refuses_nobody_and_hides_nothing() {
    let observing = Switch { observe: true, ..switch("team:tv", 1) };
    let board = board(&["class:tv-2015"]).with(observing);
    assert_eq!(named(&board).as_deref(), Some("class:tv-2015"));
    let observed = ask(|facts| board.observed(facts).map(|switch| switch.scope.to_string()));
    assert_eq!(observed.as_deref(), Some("team:tv"));
}

#[test]
fn time_alone_opens_nothing() {
    let ended = Switch { until: Some(2_000), ..switch("team:tv", 1) };
    let board = board(&["class:tv-2015"]).with(ended);
    assert_eq!(board.expired(1_999), []);
    assert_eq!(board.expired(2_000), [Scope::parse("team:tv").unwrap()]);
    assert_eq!(named(&board).as_deref(), Some("team:tv"));
    assert_eq!(named(&board.without(&board.expired(2_000)[0])).as_deref(), Some("class:tv-2015"));
}

#[test]
fn a_switch_that_arrives_after_its_release_stays_released() {
    let scope = Scope::parse("team:tv").unwrap();
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
    let scope = Scope::parse("team:tv").unwrap();
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
            None => Change::On(Scope::parse(scope).unwrap(), generation),
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
    let scope = Scope::parse("team:tv").unwrap();
    let released = board(&["team:tv"]).released(&scope, 7);
    let forgotten = released.changed([Change::Forget(scope.clone())]);
    assert!(forgotten.is_empty());
    assert_eq!(forgotten.next_generation(&scope), 8);
    assert_eq!(forgotten.next_generation(&Scope::All), 8);
    // What is off is not forgotten.
    let off = board(&["team:tv"]);
    assert_eq!(off.changed([Change::Forget(scope)]), off);
}

#[test]
fn turning_on_leaves_nothing_behind_that_refuses_or_costs_a_lookup() {
    for scope in IN_ORDER.iter().chain(&["service:catalog"]) {
        let other =
            board(&IN_ORDER).with(switch("service:catalog", 1)).without(&Scope::parse(scope).unwrap());
        assert_ne!(named(&other).as_deref(), Some(*scope));
        let on = board(&[scope]).without(&Scope::parse(scope).unwrap());
        assert_eq!((named(&on), on.index.calls), (None, 0), "{scope}");
    }
}
