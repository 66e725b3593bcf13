use std::sync::atomic::AtomicBool;

use proptest::prelude::*;

use super::*;

fn gate(limit: u32) -> Arc<Gate> {
    Arc::new(Gate::new(InFlight::new(limit).unwrap()))
}

/// The team of each endpoint of the model.
const TEAM_OF: [usize; 3] = [0, 0, 1];

#[derive(Debug, Clone)]
enum Step {
    Admit { endpoint: usize },
    Drop { which: prop::sample::Index },
    Limit { gate: usize, limit: u32 },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..3_usize).prop_map(|endpoint| Step::Admit { endpoint }),
        4 => any::<prop::sample::Index>().prop_map(|which| Step::Drop { which }),
        1 => (0..6_usize, 1..6_u32).prop_map(|(gate, limit)| Step::Limit { gate, limit }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_gates_count_the_permits_alive(steps in prop::collection::vec(any_step(), 1..300)) {
        // Three endpoints, two teams, the node.
        let mut limits = [2, 3, 4, 4, 3, 6];
        let gates = limits.map(gate);
        let mut alive: Vec<(usize, Permit)> = Vec::new();
        for step in steps {
            let count = |alive: &[(usize, Permit)], gate: usize| {
                alive
                    .iter()
                    .filter(|(endpoint, _)| [*endpoint, 3 + TEAM_OF[*endpoint], 5].contains(&gate))
                    .count() as u32
            };
            match step {
                Step::Admit { endpoint } => {
                    let mine = [endpoint, 3 + TEAM_OF[endpoint], 5];
                    let kinds = [GateKind::Endpoint, GateKind::Team, GateKind::Node];
                    let full = mine
                        .into_iter()
                        .zip(kinds)
                        .find(|(gate, _)| count(&alive, *gate) >= limits[*gate])
                        .map(|(_, kind)| kind);
                    let taken = Permit::take(&gates[mine[0]], &gates[mine[1]], &gates[mine[2]]);
                    prop_assert_eq!(taken.as_ref().err().map(|(kind, _)| *kind), full);
                    alive.extend(taken.ok().map(|permit| (endpoint, permit)));
                }
                Step::Drop { which } => {
                    if !alive.is_empty() {
                        drop(alive.swap_remove(which.index(alive.len())));
                    }
                }
                Step::Limit { gate, limit } => {
                    limits[gate] = limit;
                    gates[gate].set_limit(InFlight::new(limit).unwrap());
                }
            }
            for (number, gate) in gates.iter().enumerate() {
                prop_assert_eq!(gate.in_flight(), count(&alive, number));
            }
        }
        drop(alive);
        prop_assert!(gates.iter().all(|gate| gate.in_flight() == 0));
    }
}

#[test]
fn a_panic_gives_the_place_back() {
    let gates = [gate(1), gate(1), gate(1)];
    let permit = Permit::take(&gates[0], &gates[1], &gates[2]).unwrap();
    let panicked = std::thread::spawn(move || {
        let _permit = permit;
        panic!("a handler that panics, as it should in this test");
    });
    assert!(panicked.join().is_err());
    assert!(gates.iter().all(|gate| gate.in_flight() == 0));
}

#[test]
fn threads_together_never_pass_the_limit() {
    let (endpoint, team, node) = (gate(8), gate(5), gate(7));
    let passed = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let permit = Permit::take(&endpoint, &team, &node);
                    passed.fetch_or(team.in_flight() > 5, Ordering::Relaxed);
                    drop(permit);
                }
            });
        }
    });
    assert!(!passed.into_inner());
    assert_eq!([endpoint, team, node].map(|gate| gate.in_flight()), [0, 0, 0]);
}
