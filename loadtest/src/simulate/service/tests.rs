use std::ops::Range;

use super::*;
use crate::simulate::scenes;

const SEEDS: Range<u64> = 1..4;

/// Plays a scene with several seeds, each with its name in front of what is wrong.
fn each(scene: fn(u64) -> Script, check: impl Fn(u64, &[Second])) {
    SEEDS.for_each(|seed| check(seed, &play(scene(seed))));
}

fn ratios(seconds: &[Second]) -> impl Iterator<Item = f64> {
    seconds.iter().map(|second| second.limit / second.knee)
}

fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values.into_iter().fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}

/// Seconds from the first until the limit is near the knee.
fn until_near(seconds: &[Second]) -> usize {
    ratios(seconds).position(near).expect("it comes near")
}

fn near(ratio: f64) -> bool {
    (0.7..=1.3).contains(&ratio)
}

/// What was answered as a share of what could be.
fn goodput(seconds: &[Second]) -> f64 {
    mean(seconds.iter().map(|second| f64::from(second.answered) / second.capacity))
}

#[test]
fn the_limit_comes_near_the_knee_within_twenty_seconds_of_a_step_and_stays() {
    each(scenes::steps, |seed, seconds| {
        for chapter in seconds.chunks(scenes::CHAPTER as usize) {
            let came = until_near(chapter);
            assert!(came <= 20, "seed {seed}: after {came} s");
            let stayed = ratios(&chapter[20..]).filter(|ratio| near(*ratio)).count();
            assert_eq!(stayed, chapter.len() - 20, "seed {seed}");
            assert!(goodput(&chapter[20..]) >= 0.95, "seed {seed}: {}", goodput(&chapter[20..]));
        }
    });
}

#[test]
fn a_limit_that_begins_at_twice_the_knee_comes_down_to_it() {
    each(scenes::too_high, |seed, seconds| {
        let came = until_near(seconds);
        assert!(came <= 20, "seed {seed}: after {came} s");
        assert!(mean(ratios(&seconds[20..])) <= 1.3, "seed {seed}: {}", mean(ratios(&seconds[20..])));
    });
}

#[test]
fn it_neither_grows_nor_swings_in_an_overload_that_lasts() {
    each(scenes::overload, |seed, seconds| {
        let settled = &seconds[20..];
        assert!(settled.len() >= 300);
        let usual = mean(ratios(settled));
        assert!(near(usual), "seed {seed}: {usual}");
        for (second, ratio) in ratios(settled).enumerate() {
            assert!(
                (ratio / usual - 1.0).abs() <= 0.25,
                "seed {seed}: {ratio} of {usual} at {}",
                second + 20
            );
        }
        let ends = [&settled[..100], &settled[settled.len() - 100..]].map(|end| mean(ratios(end)));
        assert!(ends[1] <= ends[0] * 1.05, "seed {seed}: from {} to {}", ends[0], ends[1]);
        assert!(goodput(settled) >= 0.95, "seed {seed}: {}", goodput(settled));
    });
}

#[test]
fn two_kinds_of_answers_and_outliers_do_not_disturb_it() {
    for scene in [scenes::two_kinds, scenes::outliers] {
        each(scene, |seed, seconds| {
            let settled = &seconds[20..];
            let lost = ratios(settled).filter(|ratio| !near(*ratio)).count();
            assert!(lost * 50 <= settled.len(), "seed {seed}: {lost} of {} seconds are off", settled.len());
            assert!(goodput(settled) >= 0.95, "seed {seed}: {}", goodput(settled));
        });
    }
}

#[test]
fn after_a_brown_out_it_is_back_within_fifteen_seconds() {
    each(scenes::brown_out, |seed, seconds| {
        let [begins, ends] = scenes::BROWN_OUT.map(|second| second as usize);
        let limit = |seconds: &[Second]| mean(seconds.iter().map(|second| second.limit));
        let before = limit(&seconds[begins - 20..begins]);
        let back =
            seconds[ends..].iter().position(|second| second.limit >= 0.9 * before).expect("it comes back");
        assert!(back <= 15, "seed {seed}: after {back} s");
        let highest = ratios(&seconds[ends..]).fold(0.0, f64::max);
        assert!(highest <= 1.5, "seed {seed}: {highest} after it");
        assert!(
            near(mean(ratios(&seconds[ends + 30..]))),
            "seed {seed}: {}",
            mean(ratios(&seconds[ends + 30..]))
        );
        let during = &seconds[begins + 20..ends];
        assert!(near(mean(ratios(during))), "seed {seed}: {} during it", mean(ratios(during)));
    });
}

#[test]
fn a_service_that_is_slower_for_good_is_not_starved() {
    each(scenes::slower, |seed, seconds| {
        let after = &seconds[scenes::CHAPTER as usize..];
        let lowest = ratios(after).fold(f64::MAX, f64::min);
        assert!(lowest >= 0.5, "seed {seed}: {lowest}");
        assert!(goodput(&after[20..]) >= 0.95, "seed {seed}: {}", goodput(&after[20..]));
    });
}

#[test]
fn with_little_traffic_it_does_not_drift() {
    each(scenes::idle, |seed, seconds| {
        assert!(seconds.iter().all(|second| second.limit == seconds[0].limit), "seed {seed}");
    });
}

#[test]
fn a_seed_plays_the_same_every_time() {
    let limits = |seed| play(scenes::steps(seed)).iter().map(|second| second.limit).collect::<Vec<f64>>();
    assert_eq!(limits(3), limits(3));
    assert_ne!(limits(3), limits(4));
}
