use std::collections::BTreeSet;

use super::safe_mode::Unexplained;
use super::*;

const RULES: Rules = Rules { deaths: 2, window: Duration::from_secs(600) };
const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
/// A wall clock shows no small numbers.
const START: u64 = 1_700_000_000_000;

fn culprit(number: usize) -> Culprit {
    Culprit {
        endpoint: EndpointId::parse(&format!("tv/s{number}/main")).unwrap(),
        revision: RevisionNumber::first(),
    }
}

/// What came of deaths at these times: for each whether it set the first culprit aside.
fn sentences(deaths: &[(u64, Blame)]) -> Vec<bool> {
    let mut ledger = Ledger::default();
    let take = |(at, blame): &(u64, Blame)| {
        ledger.take(blame, "x", START + at, &RULES).inspect(|who| assert_eq!(*who, culprit(0))).is_some()
    };
    deaths.iter().map(take).collect()
}

#[test]
fn a_revision_is_set_aside_when_it_brought_the_process_down_too_often_within_the_window() {
    let exact = |at| (at, Blame::Exact(culprit(0)));
    let check = |times: &[u64], expected: &[bool]| {
        let deaths: Vec<_> = times.iter().copied().map(exact).collect();
        assert_eq!(sentences(&deaths), expected, "{times:?}");
    };
    check(&[0], &[false]);
    check(&[0, MINUTE], &[false, true]);
    check(&[0, 11 * MINUTE], &[false, false]);
    check(&[0, 11 * MINUTE, 12 * MINUTE], &[false, false, true]);
    // Once set aside, the next death soon after is one too many; long after, it is not.
    check(&[0, MINUTE, 11 * MINUTE], &[false, true, true]);
    check(&[0, MINUTE, 12 * MINUTE], &[false, true, false]);
}

#[test]
fn each_time_is_four_times_as_long_up_to_an_hour() {
    let minutes = [0, 1, 2, 3, 4, 40].map(|before| term(before).as_secs() / 60);
    assert_eq!(minutes, [1, 4, 16, 60, 60, 60]);
}

#[test]
fn what_is_set_aside_stands_until_its_time_is_over_and_says_why() {
    let mut ledger = Ledger::default();
    let blame = Blame::Exact(culprit(0));
    ledger.take(&blame, "SIGSEGV at noon", START, &RULES);
    assert_eq!(ledger.standing(START).count(), 0);
    ledger.take(&blame, "hung at one", START + SECOND, &RULES);
    let (_, record) = ledger.standing(START + SECOND).next().unwrap();
    assert_eq!(record.reason, "it brought the process down 2 times: SIGSEGV at noon, hung at one");
    assert_eq!(ledger.standing(START + MINUTE).count(), 1);
    assert_eq!(ledger.standing(START + MINUTE + SECOND).count(), 0);
    ledger.take(&blame, "SIGSEGV at two", START + 11 * MINUTE, &RULES);
    let (_, record) = ledger.standing(START + 11 * MINUTE).next().unwrap();
    assert_eq!((record.until - record.since) / MINUTE, 4);
    assert!(record.reason.starts_with("it brought the process down again: "), "{}", record.reason);
}

#[test]
fn a_suspect_needs_more_than_one_death_and_what_it_bore_fades() {
    let suspects = |at, numbers: &[usize]| {
        (at, Blame::Suspects(numbers.iter().map(|number| culprit(*number)).collect()))
    };
    assert_eq!(sentences(&[suspects(0, &[0])]), [false]);
    assert_eq!(sentences(&[suspects(0, &[0]), suspects(SECOND, &[0])]), [false, true]);
    // 1 fades to 0.5 in ten minutes.
    assert_eq!(sentences(&[suspects(0, &[0]), suspects(11 * MINUTE, &[0])]), [false, false]);
    // Halves: the third would make one and a half, if nothing had faded; the fourth does.
    let halves: Vec<_> = [0, 1, 2, 3].map(|at| suspects(at * SECOND, &[0, 1 + at as usize])).into();
    assert_eq!(sentences(&halves), [false, false, false, true]);
    // A death of its own counts, too.
    let own = (0, Blame::Exact(culprit(0)));
    assert_eq!(sentences(&[own, suspects(0, &[0, 1])]), [false, true]);
}

#[test]
fn of_several_suspects_one_is_set_aside_at_a_time() {
    let mut ledger = Ledger::default();
    let both = Blame::Suspects(vec![culprit(0), culprit(1)]);
    let set_aside: Vec<_> =
        (0..3).filter_map(|at| ledger.take(&both, "killed", START + at, &RULES)).collect();
    assert_eq!(set_aside, [], "two halves of three deaths have faded below one and a half");
    let set_aside = ledger.take(&both, "killed", START + 3, &RULES);
    assert_eq!(set_aside, Some(culprit(0)));
    assert_eq!(ledger.standing(START + 3).count(), 1);
}

#[test]
fn nobody_is_blamed_for_what_nobody_did_and_an_operator_can_vouch() {
    let mut ledger = Ledger::default();
    assert_eq!(ledger.take(&Blame::Nobody, "killed", START, &RULES), None);
    assert_eq!(ledger.records().count(), 0);
    let blame = Blame::Exact(culprit(0));
    (0..2).for_each(|at| drop(ledger.take(&blame, "x", START + at, &RULES)));
    ledger.lift(&culprit(0).endpoint);
    assert_eq!(ledger.take(&blame, "x", START + 3, &RULES), None, "it begins anew");
}

#[test]
fn a_ledger_is_bounded_and_forgets_after_a_day() {
    let mut ledger = Ledger::default();
    for number in 0..RECORDS_MAX + 10 {
        ledger.take(&Blame::Exact(culprit(number)), "x", START + number as u64, &RULES);
    }
    assert_eq!(ledger.records().count(), RECORDS_MAX);
    assert!(ledger.records().all(|(known, _)| *known != culprit(0)), "the oldest went first");
    ledger.take(&Blame::Nobody, "x", START + FORGET + 2_000, &RULES);
    assert_eq!(ledger.records().count(), 0);
}

#[test]
fn five_deaths_in_a_minute_that_nobody_explains_set_aside_who_ran_at_two() {
    let check = |deaths: &[(u64, &[usize])], expected: &[usize]| {
        let mut unexplained = Unexplained::default();
        let mut last = Vec::new();
        for (at, ran) in deaths {
            last = unexplained.take(ran.iter().map(|number| culprit(*number)).collect(), START + at);
        }
        let found: Vec<_> = last.into_iter().map(|(culprit, _)| culprit).collect();
        assert_eq!(found, expected.iter().map(|number| culprit(*number)).collect::<Vec<_>>(), "{deaths:?}");
    };
    let second = |at: u64| at * SECOND;
    check(&[(0, &[1]), (1, &[1]), (2, &[1]), (3, &[1])], &[]);
    check(&[(0, &[1]), (1, &[1, 2]), (2, &[]), (3, &[3]), (4, &[])], &[1]);
    check(&[(0, &[1]), (second(61), &[1]), (second(62), &[1]), (second(63), &[1]), (second(64), &[1])], &[]);
    // After it the count begins anew.
    check(&[(0, &[1]), (1, &[1]), (2, &[]), (3, &[]), (4, &[]), (5, &[1])], &[]);
}

/// Numbers that look like chance (splitmix64).
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % bound as u64).unwrap()
    }
}

#[test]
fn whoever_is_blamed_exactly_is_set_aside_soon_and_nobody_else_ever() {
    for seed in 0..1_000 {
        let mut chance = Chance(seed);
        let all = 2 + chance.below(40);
        let guilty = 1 + chance.below(5.min(all - 1));
        let (mut ledger, mut now) = (Ledger::default(), START);
        let (mut deaths, mut caught) = (vec![0; guilty], BTreeSet::new());
        while caught.len() < guilty {
            now += SECOND * (1 + chance.below(3) as u64);
            // Whoever is set aside does not run; the others come in any order, among innocents that harm nobody.
            let runs = culprit(chance.below(all));
            let set_aside: BTreeSet<_> = ledger.standing(now).map(|(culprit, _)| culprit.clone()).collect();
            let Some(number) = (0..guilty).find(|number| culprit(*number) == runs) else { continue };
            if set_aside.contains(&runs) {
                continue;
            }
            if !caught.contains(&number) {
                deaths[number] += 1;
            }
            if let Some(found) = ledger.take(&Blame::Exact(runs.clone()), "x", now, &RULES) {
                assert_eq!(found, runs, "seed {seed}: an innocent was set aside");
                caught.insert(number);
            }
            assert!(deaths.iter().all(|deaths| *deaths <= 3), "seed {seed}: {deaths:?}");
        }
    }
}

#[test]
fn by_suspicion_alone_the_guilty_one_is_found_and_hardly_anybody_else() {
    let (mut innocents, mut wronged) = (0, 0);
    for seed in 0..1_000 {
        let mut chance = Chance(seed);
        let all = 20 + chance.below(30);
        let (mut ledger, mut now) = (Ledger::default(), START);
        innocents += all - 1;
        for death in 0.. {
            assert!(death < 20, "seed {seed}: the guilty one was not found");
            now += 5 * SECOND;
            // The guilty one runs on one of four threads, and chance decides who runs on the others.
            let mut suspects: BTreeSet<_> = (0..3).map(|_| culprit(1 + chance.below(all - 1))).collect();
            suspects.insert(culprit(0));
            let suspects = Blame::Suspects(suspects.into_iter().collect());
            match ledger.take(&suspects, "killed", now, &RULES) {
                Some(found) if found == culprit(0) => break,
                Some(_) => wronged += 1,
                None => {}
            }
        }
    }
    assert!(wronged * 100 <= innocents, "{wronged} of {innocents} innocents were set aside");
}
