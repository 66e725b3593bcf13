use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn at(nanos: u64) -> Moment {
    Moment::from_nanos(nanos)
}

/// Nanoseconds between two steps: stalls, moments, seconds, and more than a whole window.
fn any_gap() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => Just(0_u64),
        4 => 0..SECOND,
        4 => 0..10 * SECOND,
        1 => 50 * SECOND..200 * SECOND,
    ]
}

#[derive(Debug, Clone)]
enum Step {
    /// A call comes, and if it is let in it uses so much.
    Begin { after: u64, uses: u64 },
    /// The oldest call that runs ends.
    End { after: u64 },
    /// The limit changes.
    Set { after: u64, limit: u64 },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (any_gap(), 1..=ALLOWANCE).prop_map(|(after, uses)| Step::Begin { after, uses }),
        10 => any_gap().prop_map(|after| Step::End { after }),
        1 => (any_gap(), 1..200_u64).prop_map(|(after, limit)| Step::Set { after, limit }),
    ]
}

const ALLOWANCE: u64 = 20;
const AT_ONCE: usize = 4;

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_window_holds_more_than_the_limit_and_what_calls_that_run_may_use(
        start in prop_oneof![Just(0_u64), any::<u32>().prop_map(u64::from).prop_map(|s| s * SECOND)],
        limit in 1..200_u64,
        steps in prop::collection::vec(any_step(), 1..400),
    ) {
        let budget = Budget::new(Length::Minute, limit, 80);
        let (mut now, mut running) = (start, std::collections::VecDeque::new());
        let mut charged: Vec<(u64, u64)> = Vec::new();
        let mut highest = limit;
        for step in steps {
            match step {
                Step::Begin { after, uses } => {
                    now += after;
                    if running.len() < AT_ONCE && budget.ask(at(now)).is_ok() {
                        running.push_back(uses);
                    }
                }
                Step::End { after } => {
                    now += after;
                    if let Some(uses) = running.pop_front() {
                        budget.charge(uses, at(now));
                        charged.push((now, uses));
                    }
                }
                Step::Set { after, limit } => {
                    now += after;
                    let before = budget.used(at(now));
                    budget.set(limit, 80);
                    prop_assert_eq!(budget.used(at(now)), before, "a changed limit keeps what was used");
                    highest = highest.max(limit);
                }
            }
        }
        let most = highest + AT_ONCE as u64 * ALLOWANCE;
        for (first, (begins, _)) in charged.iter().enumerate() {
            let within = charged[first..].iter().take_while(|(when, _)| when - begins <= 60 * SECOND);
            let used: u64 = within.map(|(_, used)| used).sum();
            prop_assert!(used <= most, "{used} in the minute from {begins}, and at most {most}");
        }
    }

    #[test]
    fn requests_are_never_overdrawn_and_nearly_all_of_the_limit_can_be_used(
        limit in 1..50_u64,
        gaps in prop::collection::vec(0..2 * SECOND, 1..600),
    ) {
        let budget = Budget::new(Length::Minute, limit, 80);
        let (mut now, mut charged) = (0, Vec::new());
        for gap in gaps {
            now += gap;
            match budget.charge_if_left(1, at(now)) {
                Ok(_) => charged.push(now),
                // Refused with reason: a window that is one slot longer holds the limit.
                Err(full) => {
                    let counted = charged.iter().filter(|when| now - **when <= 62_500_000_000).count();
                    prop_assert_eq!((full.used, full.limit), (limit, limit));
                    prop_assert!(counted as u64 >= limit, "{counted} of {limit}");
                }
            }
        }
        for (first, begins) in charged.iter().enumerate() {
            let within = charged[first..].iter().take_while(|when| *when - begins <= 60 * SECOND);
            prop_assert!(within.count() as u64 <= limit);
        }
    }

    #[test]
    fn something_is_left_exactly_when_it_was_said_to_be(
        uses in prop::collection::vec((any_gap(), 1..30_u64), 1..40),
        limit in 1..100_u64,
    ) {
        let budget = Budget::new(Length::Minute, limit, 80);
        let mut now = 0;
        for (gap, used) in uses {
            now += gap;
            budget.charge(used, at(now));
        }
        let wait = u64::try_from(budget.left_after(at(now)).as_nanos()).unwrap();
        prop_assert!(budget.ask(at(now + wait)).is_ok());
        if wait > 0 {
            prop_assert!(budget.ask(at(now + wait - 1)).is_err());
        }
        let reset = u64::try_from(budget.reset_after(at(now)).as_nanos()).unwrap();
        prop_assert_eq!(budget.used(at(now + reset)), 0);
        prop_assert!(reset <= 62_500_000_000 && budget.used(at(now + reset - 1)) > 0);
    }
}

#[test]
fn there_is_no_double_at_the_turn_of_the_minute() {
    let budget = Budget::new(Length::Minute, 100, 80);
    let turn = 600 * SECOND;
    for _ in 0..100 {
        budget.charge_if_left(1, at(turn - 1)).unwrap();
    }
    assert!(budget.charge_if_left(1, at(turn)).is_err());
    assert!(budget.charge_if_left(1, at(turn + 59 * SECOND)).is_err());
    budget.charge_if_left(1, at(turn + 60 * SECOND)).unwrap();
}

#[test]
fn a_call_overdraws_by_its_own_use_alone() {
    let budget = Budget::new(Length::Day, 1_000, 80);
    budget.charge(999, at(1));
    budget.ask(at(1)).unwrap();
    budget.charge(5_000, at(2));
    assert_eq!(budget.ask(at(3)), Err(Exhausted { limit: 1_000, used: 5_999 }));
    // A higher limit finds what was used, and so does a lower one.
    budget.set(6_000, 80);
    budget.ask(at(3)).unwrap();
    budget.set(10, 80);
    assert_eq!(budget.ask(at(3)), Err(Exhausted { limit: 10, used: 5_999 }));
}

#[test]
fn a_warning_comes_once_when_the_soft_limit_is_reached_and_again_after_it_was_left() {
    let budget = Budget::new(Length::Minute, 100, 80);
    let charges: Vec<bool> = (0..10).map(|n| budget.charge(10, at(n))).collect();
    assert_eq!(charges.iter().position(|soft| *soft), Some(7));
    assert_eq!(charges.iter().filter(|soft| **soft).count(), 1);
    let rule = Rule::Budget(BudgetKind::FuelMinute, crate::rule::Holder::Team);
    let policy = budget.warning(rule, at(10)).unwrap();
    assert_eq!(
        (policy.name, policy.quota, policy.window_s, policy.remaining),
        ("team-fuel_minute", 100, 60, 0)
    );
    let later = 120 * SECOND;
    assert_eq!(budget.warning(rule, at(later)), None);
    assert!(!budget.charge(10, at(later)));
    assert!(budget.charge(70, at(later)));
}

#[test]
fn charges_of_many_threads_add_up_also_while_the_slots_turn() {
    let budget = Budget::new(Length::Minute, 1, 80);
    let now = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    // All threads move the clock on, over ten slots in all.
                    let now = now.fetch_add(25 * SECOND / 40_000, Ordering::Relaxed);
                    budget.charge(3, at(now));
                }
            });
        }
    });
    assert_eq!(budget.used(at(now.into_inner())), 4 * 10_000 * 3);
}

#[test]
fn requests_of_many_threads_are_let_in_to_the_last_and_no_further() {
    let budget = Budget::new(Length::Day, 5_000, 80);
    let admitted = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for n in 0..2_000 {
                    let admits = budget.charge_if_left(1, at(n * SECOND)).is_ok();
                    admitted.fetch_add(u64::from(admits), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(admitted.into_inner(), 5_000);
}

#[test]
fn a_counter_that_is_full_refuses_and_does_not_begin_anew() {
    let budget = Budget::new(Length::Minute, u64::MAX, 80);
    assert_eq!(budget.limit(), Budget::most(Length::Minute));
    for _ in 0..3 {
        budget.charge(u64::MAX, at(1));
    }
    assert!(budget.ask(at(1)).is_err());
    assert_eq!(budget.left_after(at(1)), Duration::from_nanos(62_500_000_000 - 1));
}
