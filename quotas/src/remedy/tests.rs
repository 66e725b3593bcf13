use proptest::prelude::*;

use super::*;

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn used(used: &[(&'static str, f64)]) -> Vec<Usage<&'static str>> {
    used.iter().map(|(who, used)| Usage { who: *who, used: *used }).collect()
}

fn remedy() -> Remedy<&'static str> {
    Remedy::new(Rules::default())
}

/// What is ordered in so many seconds of pressure or calm.
fn run(
    remedy: &mut Remedy<&'static str>,
    seconds: std::ops::Range<u64>,
    is_pressed: bool,
    usage: &[(&'static str, f64)],
) -> Vec<(u64, &'static str, &'static str, Act)> {
    let orders = seconds.filter_map(|second| {
        let (order, step) = match remedy.step(is_pressed, &used(usage), at(second))? {
            Order::Do(step) => ("do", step),
            Order::Undo(step) => ("undo", step),
            Order::Enough(step) => ("enough", step),
        };
        Some((second, order, step.who, step.act))
    });
    orders.collect()
}

const GREEDY: &[(&str, f64)] = &[("greedy", 0.8), ("modest", 0.1), ("other", 0.1)];

#[test]
fn the_culprit_climbs_the_ladder_while_the_pressure_stays_and_comes_down_when_it_is_gone() {
    let mut remedy = remedy();
    let orders = run(&mut remedy, 0..40, true, GREEDY);
    assert_eq!(
        orders,
        [
            (5, "do", "greedy", Act::Slow),
            (10, "do", "greedy", Act::Throttle),
            (15, "do", "greedy", Act::FallBack)
        ],
        "what is not allowed is not done"
    );
    let orders = run(&mut remedy, 40..240, false, &[]);
    assert_eq!(
        orders,
        [
            (100, "undo", "greedy", Act::FallBack),
            (160, "undo", "greedy", Act::Throttle),
            (220, "undo", "greedy", Act::Slow)
        ]
    );
}

#[test]
fn nobody_is_blamed_for_what_many_do_or_for_being_alone() {
    for usage in [
        &[("one", 0.4), ("two", 0.35), ("three", 0.25)][..],
        &[("alone", 1.0)],
        &[("alone", 1.0), ("idle", 0.0)],
        &[],
        &[("nothing", 0.0), ("neither", 0.0)],
    ] {
        assert_eq!(run(&mut remedy(), 0..60, true, usage), [], "{usage:?}");
    }
}

#[test]
fn a_short_pressure_blames_nobody() {
    let mut remedy = remedy();
    for second in 0..300 {
        assert_eq!(remedy.step(second % 5 != 0, &used(GREEDY), at(second)), None);
    }
}

#[test]
fn enough_is_enough_until_the_hour_is_over_and_that_is_told_once() {
    let mut remedy = Remedy::new(Rules { an_hour: 2, ..Rules::default() });
    let orders = run(&mut remedy, 0..3_000, true, GREEDY);
    let acts: Vec<_> = orders.iter().map(|(second, order, ..)| (*second, *order)).collect();
    assert_eq!(acts, [(5, "do"), (10, "do"), (15, "enough")]);
    let orders = run(&mut remedy, 3_000..3_700, true, GREEDY);
    assert_eq!(orders, [(3_606, "do", "greedy", Act::FallBack)]);
}

#[test]
fn a_new_revision_starts_clean() {
    let mut remedy = remedy();
    assert_eq!(run(&mut remedy, 0..10, true, GREEDY).len(), 1);
    remedy.forget(&"greedy");
    assert_eq!(run(&mut remedy, 10..11, true, GREEDY), [(10, "do", "greedy", Act::Slow)]);
}

proptest! {
    /// Whatever happens: never more actions within an hour than are allowed, and all is undone in a long calm.
    #[test]
    fn actions_are_bounded_and_undone(
        steps in prop::collection::vec((any::<bool>(), 0..3_usize, 0.0..1.0_f64), 0..2_000),
        an_hour in 1..6_usize,
    ) {
        let mut remedy = Remedy::new(Rules { an_hour, allowed: Act::ALL.to_vec(), ..Rules::default() });
        let (mut begun, mut standing) = (Vec::new(), 0_usize);
        for (second, (is_pressed, who, share)) in (0..).zip(steps) {
            let usage: Vec<_> = ["a", "b", "c"].iter().enumerate()
                .map(|(n, name)| (*name, if n == who { share } else { (1.0 - share) / 2.0 }))
                .collect();
            match remedy.step(is_pressed, &used(&usage), at(second)) {
                Some(Order::Do(_)) => { begun.push(second); standing += 1 }
                Some(Order::Undo(_)) => standing -= 1,
                _ => {}
            }
            let lately = begun.iter().filter(|begun| second - **begun <= 3_600).count();
            prop_assert!(lately <= an_hour);
            prop_assert_eq!(standing, remedy.standing.len());
        }
        for second in 10_000..10_000 + 61 * 30 {
            remedy.step(false, &[], at(second));
        }
        prop_assert!(remedy.standing.is_empty());
    }
}
