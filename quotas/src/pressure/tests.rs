use proptest::prelude::*;

use super::*;

fn signals(lag_ms: u64, cpu: f64, memory: f64, descriptors: f64) -> Signals {
    Signals { lag: Duration::from_millis(lag_ms), cpu, memory, descriptors }
}

#[test]
fn each_signal_presses_between_its_bounds_and_the_worst_is_named() {
    use Signal::{Cpu, Descriptors, Lag, Memory};
    let table = [
        (signals(0, 0.0, 0.0, 0.0), 0.0, Lag),
        (signals(5, 0.80, 0.85, 0.80), 0.0, Lag),
        (signals(14, 0.0, 0.0, 0.0), 0.2, Lag),
        (signals(50, 0.0, 0.0, 0.0), 1.0, Lag),
        (signals(900, 0.0, 0.0, 0.0), 1.0, Lag),
        (signals(0, 0.9, 0.0, 0.0), 0.5, Cpu),
        (signals(0, 0.0, 0.92, 0.0), 0.7, Memory),
        (signals(0, 0.0, 0.0, 0.95), 0.75, Descriptors),
        (signals(14, 0.9, 0.92, 0.95), 0.75, Descriptors),
        (signals(50, 0.9, 0.92, 0.95), 1.0, Lag),
        (signals(14, f64::NAN, f64::NEG_INFINITY, -3.0), 0.2, Lag),
    ];
    for (signals, u, signal) in table {
        let pressure = signals.pressure();
        assert!((pressure.u() - u).abs() < 1e-9, "{signals:?}: {pressure:?}");
        assert_eq!(pressure.signal(), signal, "{signals:?}");
    }
}

#[test]
fn beyond_all_its_weight_the_excess_still_tells_more_from_less() {
    let excess = |lag| signals(lag, 0.0, 0.0, 0.0).pressure().excess();
    assert!((excess(95) - 2.0).abs() < 1e-9);
    assert!(excess(900) > excess(95));
}

#[test]
fn the_curve_goes_through_the_points_that_netflix_published() {
    for (u, at_least, at_most) in
        [(0.0, 100.0, 100.0), (0.35, 94.0, 97.0), (0.80, 48.0, 52.0), (0.95, 9.0, 15.0), (1.0, 0.0, 0.0)]
    {
        let ceiling = Pressure { excess: u, signal: Signal::Cpu }.ceiling();
        assert!((at_least..=at_most).contains(&ceiling), "{u}: {ceiling}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn more_of_any_signal_never_presses_less(
        lag in 0..200_u64,
        cpu in 0.0..1.5,
        memory in 0.0..1.5,
        descriptors in 0.0..1.5,
        more in 0.0..1.0,
    ) {
        let before = signals(lag, cpu, memory, descriptors).pressure();
        prop_assert!((0.0..=1.0).contains(&before.u()) && (0.0..=100.0).contains(&before.ceiling()));
        for after in [
            signals(lag + (more * 100.0) as u64, cpu, memory, descriptors),
            signals(lag, cpu + more, memory, descriptors),
            signals(lag, cpu, memory + more, descriptors),
            signals(lag, cpu, memory, descriptors + more),
        ] {
            prop_assert!(after.pressure().u() >= before.u());
            prop_assert!(after.pressure().ceiling() <= before.ceiling());
        }
    }
}
