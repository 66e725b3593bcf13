use std::time::Duration;

use proptest::prelude::*;

use super::super::Signals;
use super::*;

/// A cut-off that is looked after once an interval.
struct Node {
    cutoff: CutOff,
    now: Moment,
}

impl Node {
    fn new(floor: u8) -> Self {
        Self { cutoff: CutOff::new(UserFloor::percent(floor).unwrap()), now: Moment::default() }
    }

    /// The cut-off after one more interval at this u, which may be more than one.
    fn at(&mut self, u: f64) -> f64 {
        self.now = self.now + INTERVAL;
        self.cutoff.step(lag(u), self.now);
        self.cutoff.points()
    }

    fn each<const N: usize>(&mut self, us: [f64; N]) -> [u32; N] {
        // Tenths, so that they can be written down.
        us.map(|u| (self.at(u) * 10.0).round() as u32)
    }
}

fn lag(u: f64) -> Pressure {
    Signals { lag: Duration::from_secs_f64(0.005 + 0.045 * u.max(0.0)), ..Signals::default() }.pressure()
}

#[test]
fn it_is_cut_at_once_and_rises_five_points_a_step() {
    let mut node = Node::new(50);
    assert_eq!(node.each([0.5, 0.5]), [875, 875]);
    assert_eq!(node.each([0.0; 4]), [925, 975, 1_000, 1_000]);
    assert_eq!(node.each([0.8]), [700]);
    assert_eq!(node.each([0.0; 7]), [750, 800, 850, 900, 950, 1_000, 1_000]);
    assert!(!node.cutoff.is_shedding());
}

#[test]
fn it_rises_only_below_four_fifths_of_the_pressure_that_belongs_to_it() {
    let mut node = Node::new(50);
    assert_eq!(node.each([0.5, 0.45, 0.41, 0.39]), [875, 875, 875, 925]);
}

#[test]
fn the_classes_are_given_up_one_after_the_other() {
    let mut node = Node::new(50);
    // Users wait for three steps of a pressure that does not fall.
    assert_eq!(node.each([2.0; 7]), [700, 300, 300, 300, 300, 150, 150]);
}

#[test]
fn nothing_more_is_given_up_while_the_pressure_falls() {
    let mut node = Node::new(50);
    assert_eq!(node.each([4.0, 3.5, 3.0, 2.5, 2.0, 1.5]), [700; 6]);
    assert_eq!(node.each([1.5]), [300]);
}

#[test]
fn a_step_before_its_time_is_none() {
    let mut cutoff = CutOff::new(UserFloor::default());
    let first = Moment::default() + INTERVAL;
    cutoff.step(lag(2.0), first);
    cutoff.step(lag(2.0), first + INTERVAL / 2);
    assert!((cutoff.points() - 70.0).abs() < 1e-9);
    cutoff.step(lag(2.0), first + INTERVAL);
    assert!((cutoff.points() - 30.0).abs() < 1e-9);
    assert_eq!(cutoff.signal(), Signal::Lag);
}

#[test]
fn a_floor_is_one_to_a_hundred_percent() {
    let given = [0, 1, 100, 101].map(|percent| UserFloor::percent(percent).is_some());
    assert_eq!(given, [false, true, true, false]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_pressure_it_moves_as_it_promises_and_calm_comes_back(
        us in prop::collection::vec(prop_oneof![3 => 0.0..1.2, 1 => 0.0..30.0, 1 => Just(0.0)], 1..300),
        floor in 1..=100_u8,
    ) {
        let mut node = Node::new(floor);
        let lowest = 0.3 * f64::from(floor);
        let mut before = 100.0;
        for u in us {
            let points = node.at(u);
            let ceiling = lag(u).ceiling();
            prop_assert!((lowest - 1e-9..=100.0).contains(&points));
            prop_assert!(points <= before + RISE_MAX, "{before} to {points}");
            prop_assert!(points <= before.max(ceiling), "no rise beyond what the pressure allows");
            for end in [70.0, 30.0] {
                prop_assert!(before <= end || points >= end, "{before} to {points}: a class a step");
            }
            before = points;
        }
        for _ in 0..20 {
            before = node.at(0.0);
        }
        prop_assert!((before - 100.0).abs() < 1e-9, "{before}");
    }

    #[test]
    fn a_pressure_that_lasts_and_does_not_fall_is_obeyed(u in 0.0..1.5, floor in 1..=100_u8) {
        let mut node = Node::new(floor);
        let mut points = 100.0;
        for _ in 0..6 {
            points = node.at(u);
        }
        prop_assert!((points - lag(u).ceiling().max(0.3 * f64::from(floor))).abs() < 1e-6, "{points}");
    }
}
