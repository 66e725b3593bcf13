use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::rate::{Limiter, Quota};
use crate::units::{Moment, PerSecond};

#[test]
fn a_node_that_is_alone_comes_to_the_whole() {
    assert_eq!((first(1), next(1.0, 0.0, 0.0, 1), next(1.0, 9.0, 9.0, 1)), (1.0, 1.0, 1.0));
    let mut part = first(3);
    for _ in 0..8 {
        part = next(part, 0.0, 0.0, 1);
    }
    assert_eq!(part, 1.0);
}

#[test]
fn parts_follow_the_traffic_in_steps_and_add_up_when_it_is_steady() {
    let demand = [70.0, 20.0, 10.0];
    let mut parts = [1.0 / 3.0; 3];
    for step in 0..8 {
        let before = parts;
        for (part, mine) in parts.iter_mut().zip(demand) {
            *part = next(*part, mine, 100.0, 3);
        }
        for (part, before) in parts.iter().zip(before) {
            assert!((before * 0.5..=before * 1.5 + 1e-9).contains(part), "step {step}: {before} to {part}");
        }
    }
    let wanted = demand.map(|mine| 0.2 / 3.0 + 0.8 * mine / 100.0);
    for (part, wanted) in parts.iter().zip(wanted) {
        assert!((part - wanted).abs() < 1e-9, "{part} and {wanted}");
    }
    assert!((parts.iter().sum::<f64>() - 1.0).abs() < 1e-9);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Nodes take their steps at different times; between them the sum is what it is.
    #[test]
    fn whatever_the_traffic_does_all_parts_together_are_never_half_as_much_again(
        nodes in 2..8_usize,
        rounds in prop::collection::vec(prop::collection::vec(0..1_000_u32, 8), 1..40),
    ) {
        let mut parts = vec![1.0 / nodes as f64; nodes];
        for demand in rounds {
            let all: f64 = demand[..nodes].iter().map(|demand| f64::from(*demand)).sum();
            let after: Vec<f64> = (0..nodes).map(|n| next(parts[n], f64::from(demand[n]), all, nodes)).collect();
            // Those that gain step first: the worst order there is.
            let between: f64 = parts.iter().zip(&after).map(|(before, after)| before.max(*after)).sum();
            prop_assert!(between <= 1.5, "{between}");
            prop_assert!(after.iter().all(|part| *part > 0.0 && *part <= 1.0));
            parts = after;
        }
    }
}

/// Three nodes with a limiter each, on one clock. The traffic stays, moves from the first to the last at once, and
/// stays there; each node steps every two seconds, at a time of its own.
#[test]
fn three_nodes_admit_no_more_than_the_rate_and_the_error_that_is_stated() {
    const RATE: u32 = 600;
    const MS: u64 = 1_000_000;
    let quota = |part: f64| {
        let share = |whole: u32| ((f64::from(whole) * part).ceil() as u32).max(1);
        Quota { rate: PerSecond::new(share(RATE)).unwrap(), burst: share(60).try_into().unwrap() }
    };
    let mut parts = [1.0 / 3.0; 3];
    let limiters = parts.map(|part| Limiter::new(quota(part)));
    let mut asked = [0_u32; 3];
    let mut lately = [0.0_f64; 3];
    let mut admitted: Vec<u64> = Vec::new();
    for ms in 0..60_000_u64 {
        let now = Moment::from_nanos(ms * MS);
        // Calls a millisecond: a thousand in ten seconds and more than the rate in all.
        let calls = match ms {
            0..20_000 => [2, 0, 0],
            20_000..40_000 => [0, 0, 2],
            _ => [1, 0, 1],
        };
        for (node, limiter) in limiters.iter().enumerate() {
            for _ in 0..calls[node] {
                asked[node] += 1;
                if limiter.charge(now).is_ok() {
                    admitted.push(ms);
                }
            }
            if ms % 2_000 == 700 * node as u64 {
                lately[node] = f64::from(std::mem::take(&mut asked[node]));
                parts[node] = next(parts[node], lately[node], lately.iter().sum(), 3);
                limiter.rescale(quota(parts[node]), now);
            }
        }
    }
    let mut worst = 0.0_f64;
    for (first, begins) in admitted.iter().enumerate().step_by(7) {
        for length in [1_000_u64, 2_000, 5_000, 10_000] {
            let count = admitted[first..].partition_point(|at| at - begins < length) as f64;
            let seconds = Duration::from_millis(length).as_secs_f64();
            let (rate, bursts) = (f64::from(RATE) * seconds, 60.0 * 1.5 + 3.0);
            worst = worst.max((count - bursts) / rate - 1.0);
            assert!(count <= rate * 1.5 + bursts, "{count} in {length} ms from {begins}");
        }
    }
    // Once the traffic is steady, a node that gets all of it uses all but what is kept for the other two.
    let settled = admitted.iter().filter(|at| (10_000..20_000).contains(*at)).count() as f64 / 10.0;
    println!(
        "the most above the rate, less the bursts: {:.3}; when steady {settled}/s of {RATE}/s",
        worst.max(0.0)
    );
    assert!((0.85 * f64::from(RATE)..=0.88 * f64::from(RATE)).contains(&settled), "{settled}");
}
