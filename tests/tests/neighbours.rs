//! Noisy neighbours: whatever a team does with its quota, another team's endpoint answers as it does alone.
//!
//! `CALLBOARD_SECONDS=30` holds every neighbour for that long, for figures; the everyday run is shorter.

mod neighbours {
    pub mod noise;
}

use std::time::Duration;

use neighbours::noise::{Noise, Place};
use tests::load::{Calls, Kind, Load};
use tests::server::{Options, Server};

/// How often the steady victim is called in a second: often enough for a p99, and little enough to leave the
/// processors to the noise.
const RATE: f64 = 100.0;
/// How much longer than in calm a victim's p99 may be here, where a machine's other work is measured, too; the
/// target is twice, and the figures are printed.
const FACTOR: u32 = 4;
const MARGIN: Duration = Duration::from_millis(25);
/// A run that is long enough for a p99.
const LONG: Duration = Duration::from_secs(20);

fn held_for() -> Duration {
    let seconds = std::env::var("CALLBOARD_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

async fn victim(server: &Server, time: Duration) -> Calls {
    Load::at_rates(&server.device, vec![Kind::of("/good/victim", RATE)]).run_for(time).await
}

#[tokio::test]
async fn whatever_a_team_does_another_teams_endpoint_answers_as_it_does_alone() {
    let place = Place::open();
    let settings = place.settings();
    let arguments = settings.iter().flat_map(|setting| ["--set".to_owned(), setting.clone()]).collect();
    let server = Server::start_with(
        env!("CARGO_BIN_EXE_callboard-under-test"),
        Options { arguments, ..Options::default() },
    );
    let child = server.child_pid();
    let source = "pub fn main(request) { let rows = []; for i in 0..20 { rows.push(#{ id: i, title: `row ${i}` }); } \
                  #{ rows } }";
    server.deploy("good/victim", source).await.expect("the victim is deployed");
    // Past its first calls, which prove it.
    victim(&server, Duration::from_secs(1)).await;
    let calm = victim(&server, held_for()).await;
    assert_eq!(calm.success(), 1.0, "{:?}", calm.outcomes());
    println!("calm: {} calls, p50 {:?}, p99 {:?}", calm.0.len(), calm.quantile(500), calm.quantile(990));
    println!(
        "| neighbour | what it did | victim's p50 | p99 | times calm |\n| --- | --- | --- | --- | --- |"
    );
    let mut wrong = Vec::new();
    for noise in Noise::ALL {
        let running = noise.start(&server, &place).await;
        let beside = victim(&server, held_for()).await;
        let did = running.end().await;
        let (p50, p99) = (beside.quantile(500), beside.quantile(990));
        let times = p99.as_secs_f64() / calm.quantile(990).as_secs_f64();
        println!("| {} | {did} | {p50:?} | {p99:?} | {times:.1} |", noise.name());
        if beside.success() < 1.0 {
            wrong.push(format!("beside {}: {:?}", noise.name(), beside.outcomes()));
        }
        // The p99 of a short run is three calls, which the machine itself may hold up.
        let quantile = if held_for() >= LONG { 990 } else { 950 };
        let (in_calm, now) = (calm.quantile(quantile), beside.quantile(quantile));
        if now > in_calm * FACTOR + MARGIN {
            let share = quantile as f64 / 10.0;
            wrong.push(format!("beside {} {share} % take {now:?} instead of {in_calm:?}", noise.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(server.child_pid(), child, "the serving process was never replaced");
}
