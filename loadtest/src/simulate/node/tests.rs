use super::*;
use crate::simulate::days::{self, RUSH};

const SEEDS: std::ops::Range<u64> = 1..4;
const USER: usize = 0;
const BACKGROUND: usize = 2;

/// Plays a day with several seeds, each with its number in front of what is wrong.
fn each(day: fn(u64) -> Script, check: impl Fn(u64, &[Slice])) {
    SEEDS.for_each(|seed| check(seed, &play(day(seed))));
}

fn rush(slices: &[Slice]) -> &[Slice] {
    let [begins, ends] = RUSH.map(|second| second as usize * 10);
    &slices[begins..ends]
}

fn goodput(slices: &[Slice]) -> f64 {
    slices.iter().map(|slice| slice.goodput).sum::<f64>() / slices.len() as f64
}

fn sum(slices: &[Slice], count: impl Fn(&Slice) -> u32) -> u32 {
    slices.iter().map(count).sum()
}

/// The share of a class's calls that were answered in time.
fn answered(slices: &[Slice], class: usize) -> f64 {
    let answered = f64::from(sum(slices, |slice| slice.answered[class]));
    let not = sum(slices, |slice| slice.refused[class] + slice.late[class]);
    answered / (answered + f64::from(not))
}

/// Nobody is refused or late for the rest of the day, from so many intervals after the rush on.
fn calm_after(slices: &[Slice]) -> usize {
    let after = &slices[RUSH[1] as usize * 10..];
    let busy = |slice: &Slice| (0..3).any(|class| slice.refused[class] + slice.late[class] > 0);
    after.iter().rposition(busy).map_or(0, |last| last + 1)
}

#[test]
fn at_ten_times_the_load_a_node_does_all_it_can_and_serves_the_users() {
    each(days::rush, |seed, slices| {
        let slices = rush(slices);
        assert!(goodput(slices) >= 0.9, "seed {seed}: {}", goodput(slices));
        assert!(answered(slices, USER) >= 0.999, "seed {seed}: {}", answered(slices, USER));
        assert!(answered(slices, BACKGROUND) < 0.01, "seed {seed}: {}", answered(slices, BACKGROUND));
    });
}

#[test]
fn twelve_times_the_prefetch_does_not_reach_the_users() {
    each(days::prefetched, |seed, slices| {
        let slices = rush(slices);
        assert!(goodput(slices) >= 0.9, "seed {seed}: {}", goodput(slices));
        assert!(answered(slices, USER) >= 0.999, "seed {seed}: {}", answered(slices, USER));
    });
}

#[test]
fn no_background_call_is_let_in_while_a_user_is_refused() {
    for day in [days::rush, days::retried, days::too_many_users] {
        each(day, |seed, slices| {
            for (at, slice) in slices.iter().enumerate() {
                let asked = slice.admitted[BACKGROUND] + slice.refused[BACKGROUND];
                assert!(
                    slice.inverted * 100 <= asked,
                    "seed {seed}, interval {at}: {} of {asked}",
                    slice.inverted
                );
            }
        });
    }
}

#[test]
fn users_who_alone_ask_for_too_much_are_served_in_part_and_not_all_of_them_late() {
    each(days::too_many_users, |seed, slices| {
        let slices = rush(slices);
        assert!(goodput(slices) >= 0.8, "seed {seed}: {}", goodput(slices));
        let late = sum(slices, |slice| slice.late[USER]);
        let admitted = sum(slices, |slice| slice.admitted[USER]);
        assert!(late * 20 <= admitted, "seed {seed}: {late} of {admitted} are late");
    });
}

#[test]
fn when_the_load_is_gone_it_is_calm_within_five_seconds_although_clients_ask_three_times() {
    for day in [days::rush, days::retried, days::too_many_users] {
        each(day, |seed, slices| {
            let calm = calm_after(slices);
            assert!(calm <= 50, "seed {seed}: after {calm} intervals");
            let before = slices[..RUSH[0] as usize * 10].iter().map(|slice| slice.wait).fold(0.0, f64::max);
            let after = &slices[RUSH[1] as usize * 10 + 50..];
            let waits = after.iter().map(|slice| slice.wait).fold(0.0, f64::max);
            assert!(waits <= 2.0 * before, "seed {seed}: {waits} ms, {before} before");
        });
    }
}

#[test]
fn without_protection_it_would_never_be_calm_again() {
    each(days::unprotected, |seed, slices| {
        assert!(goodput(rush(slices)) < 0.1, "seed {seed}");
        assert_eq!(calm_after(slices), slices.len() - RUSH[1] as usize * 10, "seed {seed}");
    });
}

#[test]
fn a_calm_node_refuses_nobody() {
    each(days::rush, |seed, slices| {
        let calm = &slices[..RUSH[0] as usize * 10];
        assert_eq!(sum(calm, |slice| slice.refused.iter().sum()), 0, "seed {seed}");
        assert!(calm.iter().all(|slice| slice.cutoff == 100.0), "seed {seed}");
    });
}
