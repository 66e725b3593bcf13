//! The fault suite: everything that goes wrong in a server's life, done to a server that devices call, and then the
//! half that is seldom tested: that all is as it was when the fault is over.
//!
//! Each experiment is calm, fault, end of the fault, and calm again: the steady victim of another team is answered as
//! before, no permit and no memory of a call is missing, the process is the same where it has to be, and neither its
//! descriptors nor its memory have grown. Experiments of one group share a server and run one after the other, groups
//! too. The last line says how many were tried and survived; one that is lost is named with what was lost.
//!
//! These rows of the plan are held by tests of their own, with load, and are not done again here:
//!
//! | fault | test |
//! | --- | --- |
//! | abort in native code | `warden::who_aborts_the_process_is_named_and_set_aside` |
//! | endless loop in native code | `warden::who_hangs_in_native_code_is_named_and_set_aside` |
//! | the machine is starved by busy loops | `warden::a_process_that_gets_no_processor_is_not_taken_for_one_that_hangs` |
//! | upgrade under load | `warden::an_upgrade_costs_no_call` |
//! | slow heads, bodies and readers, 1,600 at once | `doors::slow_connections_cost_their_neighbours_nothing_and_are_closed_in_time` |
//! | kill -9 in 200 deploys | `crash::an_acknowledged_deploy_survives_kill_9_and_no_half_one_is_there` |
//! | graceful stop under load | `crash::a_server_that_is_told_to_stop_lets_running_calls_finish` |
//! | two servers on one data directory | `crash::of_two_servers_on_one_data_directory_the_second_says_who_is_there` |
//! | deploy storm and compile bombs | `neighbours::whatever_a_team_does_another_teams_endpoint_answers_as_it_does_alone` |
//! | store killed, paused, slow, cut off | `store_faults::away` |
//! | a corrupt row of each table | `store_faults::garbled` |
//! | the store returns nothing | `store_faults::emptied` |

mod faults {
    pub mod clients;
    pub mod control;
    pub mod deploys;
    pub mod disks;
    pub mod experiment;
    pub mod logs;
    pub mod machine;
    pub mod odd;
    pub mod processes;
    pub mod scripts;
    pub mod services;
    pub mod stage;
    pub mod starts;
    pub mod tally;
}

use std::rc::Rc;

use faults::experiment::Experiment;
use faults::stage::Stage;
use faults::{clients, control, deploys, disks, logs, processes, scripts, services, starts, tally};

/// The program that is tested.
const PROGRAM: &str = env!("CARGO_BIN_EXE_callboard-under-test");

/// Does a group's experiments to a server, one after the other.
async fn group(name: &str, settings: &[&str], experiments: Vec<Experiment>) {
    tally::alone(name, async || {
        let stage = Stage::open(settings).await;
        for experiment in experiments {
            tally::to_the_end(&experiment, async || Ok(Rc::clone(&stage))).await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_process_that_serves_is_stopped_killed_or_robbed_of_its_processor() {
    group("processes", &["node.crashes=1"], processes::all()).await;
}

#[tokio::test]
async fn scripts_take_all_that_they_can_get() {
    group("scripts", &["service.odd.concurrency=64"], scripts::all()).await;
}

#[tokio::test]
async fn services_misbehave() {
    group("services", &["service.odd.concurrency=64"], services::all()).await;
}

#[tokio::test]
async fn clients_misbehave() {
    let keys = ["client_key.header=x-client", "client_key.trusted_proxies=127.0.0.1"];
    group("clients", &keys, clients::all()).await;
}

#[tokio::test]
async fn switches_quotas_and_tokens_change_while_they_are_used() {
    group("control", &[], control::all()).await;
}

#[tokio::test]
async fn deploys_break_off_collide_and_crash_the_compiler() {
    group("deploys", &["compiler.at_once=2"], deploys::all()).await;
}

#[tokio::test]
async fn files_are_damaged_while_no_server_runs() {
    group("starts", &[], starts::all()).await;
}

#[tokio::test]
async fn disks_fill_up_and_directories_go_away() {
    tally::alone("disks", async || {
        for (stage, experiment) in disks::all() {
            tally::to_the_end(&experiment, async || stage().await).await;
        }
    })
    .await;
}

#[tokio::test]
async fn logs_are_not_taken() {
    tally::alone("logs", async || {
        for (stage, experiment) in logs::all() {
            tally::to_the_end(&experiment, async || stage().await).await;
        }
    })
    .await;
}
