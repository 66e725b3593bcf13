use proptest::prelude::*;

use super::*;

const PACES: Paces = Paces::DEFAULT;

fn revision(number: u64) -> RevisionNumber {
    RevisionNumber::new(number).unwrap()
}

fn at(seconds: u64) -> Moment {
    Moment::from_nanos(seconds * 1_000_000_000)
}

fn held(piece_ms: u64, fuel: u64) -> Held {
    Held { piece: Duration::from_millis(piece_ms), fuel: Fuel::new(fuel), ending: Ending::Well }
}

/// A track of revision 7, which ran before.
fn known() -> Track {
    let track = Track::default();
    track.serve(revision(7), false);
    track
}

#[test]
fn a_new_revision_runs_apart_until_enough_calls_ended_well() {
    let track = known();
    track.serve(revision(8), true);
    assert_eq!(track.pace(), Pace::New);
    let failed = Held { ending: Ending::Badly, ..held(0, 50_000) };
    for _ in 0..PACES.proof * 2 {
        assert_eq!(track.ran(revision(8), failed, &PACES, at(1)), None);
    }
    for _ in 1..PACES.proof {
        assert_eq!(track.ran(revision(8), held(0, 50), &PACES, at(1)), None);
    }
    assert_eq!(track.ran(revision(8), held(0, 50), &PACES, at(1)), Some(Pace::Fast));
    // Told again of what it serves, or back on one that was served before, it stays where it is.
    track.serve(revision(8), true);
    assert_eq!(track.pace(), Pace::Fast);
    track.serve(revision(7), false);
    assert_eq!(track.pace(), Pace::Fast);
}

#[test]
fn a_new_revision_that_computes_much_stays_apart() {
    let track = known();
    track.serve(revision(8), true);
    let moves: Vec<_> =
        (0..PACES.proof).filter_map(|_| track.ran(revision(8), held(0, 150_000), &PACES, at(1))).collect();
    assert_eq!(moves, [Pace::Heavy]);
}

#[test]
fn a_new_revision_that_computes_until_it_is_stopped_is_known_at_once() {
    let track = known();
    track.serve(revision(8), true);
    let stopped = Held { ending: Ending::Stopped, ..held(0, 2_000_000) };
    assert_eq!(track.ran(revision(8), stopped, &PACES, at(1)), Some(Pace::Heavy));
}

#[test]
fn a_new_revision_of_which_many_calls_compute_at_once_until_they_are_stopped_is_known_by_all_of_them() {
    let track = known();
    track.serve(revision(8), true);
    let stopped = Held { ending: Ending::Stopped, ..held(0, 30_000) };
    let moves: Vec<_> = (0..4).map(|_| track.ran(revision(8), stopped, &PACES, at(1))).collect();
    assert_eq!(moves, [None, None, None, Some(Pace::Heavy)]);
    // The next revision begins anew.
    track.serve(revision(9), true);
    assert_eq!(track.ran(revision(9), stopped, &PACES, at(1)), None);
}

#[test]
fn one_long_piece_moves_an_endpoint_and_one_long_call_does_not() {
    let track = known();
    for _ in 0..100 {
        assert_eq!(track.ran(revision(7), held(0, 100), &PACES, at(1)), None);
    }
    assert_eq!(track.ran(revision(7), held(0, 500_000), &PACES, at(1)), None);
    assert_eq!(track.ran(revision(7), held(250, 250), &PACES, at(1)), Some(Pace::Held));
    assert_eq!(track.pace(), Pace::Held);
}

#[test]
fn an_endpoint_goes_back_when_it_has_behaved_for_a_time() {
    let track = known();
    assert_eq!(track.ran(revision(7), held(250, 100), &PACES, at(1)), Some(Pace::Held));
    for second in 2..31 {
        assert_eq!(track.ran(revision(7), held(0, 100), &PACES, at(second)), None, "{second}");
    }
    assert_eq!(track.ran(revision(7), held(0, 100), &PACES, at(31)), Some(Pace::Fast));
}

#[test]
fn an_endpoint_at_the_limit_does_not_go_back_and_forth() {
    let track = known();
    let at_the_limit = [90_000, 120_000];
    let moves: Vec<_> = (0..1_000)
        .filter_map(|n| {
            let held = held(0, at_the_limit[usize::try_from(n % 2).unwrap()]);
            track.ran(revision(7), held, &PACES, at(n))
        })
        .collect();
    assert_eq!(moves, [Pace::Heavy]);
}

#[test]
fn a_sentence_holds_until_it_is_served_or_pardoned() {
    let track = known();
    track.sentence(at(100));
    assert_eq!(track.pace(), Pace::Sentenced);
    assert_eq!(track.ran(revision(7), held(0, 10), &PACES, at(99)), None);
    assert_eq!(track.ran(revision(7), held(0, 10), &PACES, at(100)), Some(Pace::Fast));
    track.sentence(at(200));
    track.pardon();
    assert_eq!(track.pace(), Pace::Fast);
    assert_eq!(track.ran(revision(7), held(250, 10), &PACES, at(201)), Some(Pace::Held));
    track.pardon();
    assert_eq!(track.pace(), Pace::Held);
}

#[test]
fn calls_of_another_revision_say_nothing() {
    let track = known();
    assert_eq!(track.ran(revision(6), held(250, 10), &PACES, at(1)), None);
    assert_eq!(track.pace(), Pace::Fast);
}

proptest! {
    /// Whatever calls do: after a time in which they behave, the endpoint is back beside the others.
    #[test]
    fn whoever_behaves_is_back_in_the_end(
        calls in prop::collection::vec((0_u64..300, 0_u64..1_000_000, 0_usize..3), 0..200),
        is_new in any::<bool>(),
    ) {
        let track = known();
        track.serve(revision(8), is_new);
        for (second, (piece, total, ending)) in (0..).zip(calls) {
            let ending = [Ending::Well, Ending::Stopped, Ending::Badly][ending];
            let held = Held { ending, ..held(piece, total) };
            let _ = track.ran(revision(8), held, &PACES, at(second));
        }
        for second in 300..400 {
            let _ = track.ran(revision(8), held(0, 100), &PACES, at(second));
        }
        prop_assert_eq!(track.pace(), Pace::Fast);
    }
}
