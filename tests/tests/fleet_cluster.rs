//! A fleet on a real cluster of Cassandra nodes: some of them die, and two data centres lose sight of each other.
//!
//! The link between the data centres is really cut: the nodes talk through wires that the test holds.

mod fleet_cluster {
    pub mod pair;
    pub mod traffic;
}

use std::time::{Duration, Instant};

use fleet_cluster::pair::{Pair, server, set_up};
use fleet_cluster::traffic::Traffic;
use tests::cluster::Cluster;
use tests::wait::until;

/// One cluster at a time: a node takes most of a gigabyte.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// How soon a majority that is left has to take a deploy. A request that is under way when a node dies or falls silent
/// may wait for it in vain, and its deploy fails, clearly; the next is taken.
const GOES_ON: Duration = Duration::from_secs(15);
/// How long a node that has just come back may be slow to answer the others: while it is, the loss of another one is
/// the loss of two.
const SETTLES: Duration = Duration::from_secs(20);
/// How soon a deploy has to fail: the bound on one conditional step, four requests of two seconds, and what a
/// deploy asks beside it.
const FAILS: Duration = Duration::from_secs(12);
/// How soon everything has to be as before when the cluster is whole again. What one data centre missed the nodes
/// keep and send later.
const BACK: Duration = Duration::from_secs(120);

#[tokio::test]
async fn with_a_majority_deploys_go_on_and_without_one_they_fail_while_serving_goes_on() {
    let _turn = ONE_AT_A_TIME.lock().await;
    let began = Instant::now();
    let Some(cluster) = Cluster::start(&["dc1", "dc1", "dc1"]) else { return };
    println!("three nodes are up after {:?}", began.elapsed());
    let store = cluster.store("fleet");
    set_up(&store, "{'class': 'NetworkTopologyStrategy', 'dc1': 3}", &[]).unwrap();
    let mut pair = Pair::start(
        [&store, &store],
        &[&["store.consistency=local_quorum"], &["store.consistency=local_quorum"]],
    );
    for at in [0, 1] {
        pair.deploy_until_taken(at, BACK).await;
    }
    pair.both_serve_the_newest(BACK).await;
    let traffic = Traffic::of(&pair.servers);

    cluster.nodes[2].kill();
    for at in [0, 1] {
        let (failed, took) = pair.deploy_until_taken(at, GOES_ON).await;
        println!("server {at} deploys {took:?} after one node was killed, {failed} failed before");
    }
    // Until the others count it as down, what a coordinator asks of the dead node costs it the whole timeout.
    let missed = async || cluster.is_missed(2).then_some(());
    let (_, took) = until("the others count the killed node as down", BACK, missed).await;
    println!("{took:?} later the others count it as down");
    let mut failed = 0;
    for number in 0..20 {
        failed += usize::from(pair.deploy(number % 2).await.is_err());
    }
    println!("of 20 deploys on two nodes of three {failed} failed");
    assert!(failed <= 2, "{failed} of 20 deploys failed");
    pair.both_serve_the_newest(BACK).await;
    cluster.nodes[2].restart();
    cluster.wait_until_whole();

    tokio::time::sleep(SETTLES).await;
    cluster.nodes[1].pause();
    for at in [0, 1] {
        let (failed, took) = pair.deploy_until_taken(at, GOES_ON).await;
        println!("server {at} deploys {took:?} after a node fell silent, {failed} failed before");
    }
    let missed = async || cluster.is_missed(1).then_some(());
    let (_, took) = until("the others count the silent node as down", BACK, missed).await;
    println!("{took:?} later the others count it as down");
    // A node that is silent keeps no server from starting.
    let began = Instant::now();
    let third = server(&store, "three", &[]);
    println!("beside it a server starts in {:?}", began.elapsed());
    drop(third);

    cluster.nodes[1].kill();
    cluster.nodes[2].kill();
    for at in [0, 1] {
        let refused = pair.deploy_is_refused(at, FAILS).await;
        println!("server {at}: with one node of three a deploy fails: {refused}");
        pair.switches_work(at).await;
    }
    std::thread::scope(|threads| {
        for node in &cluster.nodes[1..] {
            threads.spawn(|| node.restart());
        }
    });
    for at in [0, 1] {
        let (failed, took) = pair.deploy_until_taken(at, BACK).await;
        println!("server {at} deploys {took:?} after both nodes are back, {failed} failed before");
    }
    pair.both_serve_the_newest(BACK).await;
    pair.both_have_all_that_was_acknowledged(BACK).await;
    println!("meanwhile {} calls, all answered", traffic.all_were_answered().await);
}

#[tokio::test]
async fn data_centres_that_lose_each_other_go_on_serving_and_agree_when_they_are_back() {
    const TWO: &str = "{'class': 'NetworkTopologyStrategy', 'dc1': 1, 'dc2': 1}";
    let _turn = ONE_AT_A_TIME.lock().await;
    let began = Instant::now();
    let Some(cluster) = Cluster::start_with_wires(&["dc1", "dc2"]) else { return };
    println!("two data centres are up after {:?}", began.elapsed());
    let wrong = set_up(&cluster.store("nowhere"), TWO, &["store.datacenter=dc9"]).unwrap_err();
    assert!(wrong.contains("is in the data centre `dc9`, but in dc1, dc2"), "{wrong}");
    // Each server knows its own data centre only. Those of the first pair decide among both, those of the second
    // in the first data centre, where all deploys go.
    let pair = |keyspace: &str, serial: &'static str| {
        set_up(&cluster.store(keyspace), TWO, &[]).unwrap();
        let stores = [0, 1].map(|at| format!("cql://{}/{keyspace}", cluster.nodes[at].address()));
        let common = [serial, "node.sweep=5s"];
        let settings =
            ["store.datacenter=dc1", "store.datacenter=dc2"].map(|own| [own, common[0], common[1]]);
        Pair::start([&stores[0], &stores[1]], &[&settings[0], &settings[1]])
    };
    let mut everywhere = pair("everywhere", "store.serial=serial");
    let mut first_only = pair("first_only", "store.serial=local_serial");
    everywhere.deploy_until_taken(0, BACK).await;
    everywhere.deploy_until_taken(1, BACK).await;
    first_only.deploy_until_taken(0, BACK).await;
    everywhere.both_serve_the_newest(BACK).await;
    first_only.both_serve_the_newest(BACK).await;
    let traffic = [Traffic::of(&everywhere.servers), Traffic::of(&first_only.servers)];

    cluster.cut();
    for at in [0, 1] {
        let refused = everywhere.deploy_is_refused(at, FAILS).await;
        println!("server {at}: cut off, a deploy among all fails: {refused}");
        everywhere.switches_work(at).await;
    }
    let before = first_only.newest();
    for _ in 0..3 {
        let (failed, took) = first_only.deploy_until_taken(0, GOES_ON).await;
        println!("a deploy within the first data centre takes {took:?}, {failed} failed before");
    }
    // Until here the nodes waited for each other; from now on they know.
    let alone = async || (cluster.is_missed(0) && cluster.is_missed(1)).then_some(());
    let (_, took) = until("the nodes count each other as down", BACK, alone).await;
    println!("{took:?} later the nodes count each other as down");
    for at in [0, 1] {
        let refused = everywhere.deploy_is_refused(at, FAILS).await;
        println!("server {at}: a deploy among all fails: {refused}");
    }
    for _ in 0..3 {
        let (failed, took) = first_only.deploy_until_taken(0, GOES_ON).await;
        println!("a deploy within the first data centre takes {took:?}, {failed} failed before");
    }
    assert_eq!(first_only.answer(0).await, first_only.newest());
    assert_eq!(first_only.answer(1).await, before, "the link is cut");

    cluster.heal();
    let healed = Instant::now();
    for at in [0, 1] {
        let (failed, took) = everywhere.deploy_until_taken(at, BACK).await;
        println!("server {at} deploys among all {took:?} after the link is whole, {failed} failed before");
    }
    everywhere.both_serve_the_newest(BACK).await;
    println!("both serve that {:?} after the link is whole", healed.elapsed());
    first_only.both_serve_the_newest(BACK).await;
    println!("the second data centre serves what the first deployed alone {:?} after it", healed.elapsed());
    first_only.deploy_until_taken(0, BACK).await;
    for pair in [&everywhere, &first_only] {
        pair.both_serve_the_newest(BACK).await;
        pair.both_have_all_that_was_acknowledged(BACK).await;
    }
    for traffic in traffic {
        println!("meanwhile {} calls, all answered", traffic.all_were_answered().await);
    }
}
