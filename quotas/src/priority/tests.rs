use std::hash::{BuildHasherDefault, DefaultHasher};

use proptest::prelude::*;

use super::*;

#[test]
fn a_priority_prints_as_it_is_read() {
    for priority in Priority::ALL {
        assert_eq!(priority.to_string().parse(), Ok(priority));
    }
    assert!("User".parse::<Priority>().is_err());
}

#[test]
fn a_device_may_only_lower() {
    use Priority::{Background, Prefetch, User};
    let table = [
        (User, User, User),
        (User, Prefetch, Prefetch),
        (User, Background, Background),
        (Prefetch, User, Prefetch),
        (Prefetch, Background, Background),
        (Background, User, Background),
        (Background, Prefetch, Background),
    ];
    for (endpoint, asked, is) in table {
        assert_eq!(endpoint.lowered(asked), is, "{endpoint} asked for {asked}");
    }
}

#[test]
fn the_bands_follow_each_other_without_a_gap() {
    let bands = Priority::ALL.map(Priority::scores);
    let all: Vec<u8> = bands.into_iter().flatten().collect();
    assert_eq!(all, (1..=Score::MAX).collect::<Vec<u8>>());
}

#[test]
fn the_first_and_the_last_cohort_are_the_ends_of_the_band() {
    for priority in Priority::ALL {
        let ends = [0, u64::MAX].map(|spread| Score::of(priority, Cohort::new(spread)).get());
        assert_eq!(ends, [*priority.scores().start(), *priority.scores().end()]);
    }
}

#[test]
fn a_score_is_one_to_a_hundred() {
    assert_eq!(
        [0, 1, 100, 101].map(|score| Score::new(score).map(Score::get)),
        [None, Some(1), Some(100), None]
    );
}

#[test]
fn cohorts_are_even_and_dealt_anew_each_epoch() {
    let secret = BuildHasherDefault::<DefaultHasher>::default();
    let score = |client: u32, epoch| Score::of(Priority::Prefetch, Cohort::of(&client, epoch, &secret)).get();
    let mut found = [0_u32; 101];
    let mut stayed = 0;
    for client in 0..40_000 {
        found[usize::from(score(client, 1))] += 1;
        assert_eq!(score(client, 1), score(client, 1));
        stayed += u32::from(score(client, 1) == score(client, 2));
    }
    // A thousand in each of forty places; five standard deviations to either side.
    assert!(found[31..=70].iter().all(|count| (840..1_160).contains(count)), "{found:?}");
    assert!((840..1_160).contains(&stayed), "one in forty keeps its score: {stayed}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_score_tells_its_class_and_the_more_important_is_always_lower(
        one in any::<u64>(),
        other in any::<u64>(),
    ) {
        for (important, priority) in Priority::ALL.into_iter().enumerate() {
            let score = Score::of(priority, Cohort::new(one));
            prop_assert_eq!(score.priority(), priority);
            for less in &Priority::ALL[important + 1..] {
                prop_assert!(score < Score::of(*less, Cohort::new(other)));
                prop_assert!(priority > *less);
            }
        }
    }
}
