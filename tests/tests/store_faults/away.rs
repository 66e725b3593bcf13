//! The store is away, in every way that it can be: devices do not notice, deploys say so and come back by
//! themselves, switches work.

use std::time::{Duration, Instant};

use tests::cassandra::Cassandra;
use tests::proxy::Mode;
use tests::server::Server;
use tests::wait::until;

use super::load::{Figures, Load};
use super::stage::{FOLLOWS, PATIENCE, Stage, answers, clear_failure, deploy, deploys_again, off_and_on};

/// How many calls a phase has at least.
const CALLS: usize = 1_000;
/// How much later than in calm devices may be answered while a small machine starts a database. Whoever waited for
/// the store would wait for seconds.
const MARGIN: Duration = Duration::from_millis(100);
/// How soon a deploy has to fail: two requests that wait for the store's time-out, and a compilation.
const FAILS: Duration = Duration::from_secs(8);
/// How soon a switch has to be off, whatever the store does.
const BRAKES: Duration = Duration::from_secs(1);

/// Two servers that are called all the while.
struct Called<'a> {
    stage: &'a Stage<'a>,
    one: Server,
    two: Server,
    load: Load,
    calm: Duration,
}

#[tokio::test]
async fn devices_do_not_notice_a_store_that_is_killed_paused_slow_or_cut_off() {
    let Some(cassandra) = Cassandra::start() else { return };
    let stage = Stage::on(&cassandra);
    let (one, two) = (stage.server("one", &[]), stage.server("two", &[]));
    deploy(&one, "tv/home", "calm").await.unwrap();
    deploy(&one, "tv/work", "calm").await.unwrap();
    answers(&two, "tv/home", "calm", FOLLOWS).await;
    answers(&two, "tv/work", "calm", FOLLOWS).await;
    stage.passes_through_the_wire(&one).await;
    let load = Load::on(&[&one, &two], "/tv/home", "calm");
    // The first calls load what later ones find.
    load.next_phase(CALLS / 2).await;
    let calm = load.next_phase(CALLS).await;
    println!("calm: {calm}");
    let called = Called { stage: &stage, one, two, load, calm: calm.p99 };

    called.fails("paused", || cassandra.pause(), || cassandra.resume()).await;
    called.fails("cut", || stage.proxy.set(Mode::Cut), || stage.proxy.set(Mode::Pass)).await;
    called.fails("closed", || stage.proxy.set(Mode::Closed), || stage.proxy.set(Mode::Pass)).await;
    called.outlasts_the_connections().await;
    for late in [200, 1_500] {
        called.slow(Duration::from_millis(late)).await;
    }
    called.fails("killed", || cassandra.kill(), || cassandra.restart()).await;
}

impl Called<'_> {
    fn same_as_calm(&self, phase: &str, figures: &Figures) {
        let most = self.calm * 2 + MARGIN;
        println!("{phase}: {figures}; the p99 may be {most:?}");
        assert_eq!(figures.failed, 0, "{phase}: {:?}", self.load.wrong());
        assert!(figures.p99 <= most, "{phase}: {figures}, calm {:?}", self.calm);
    }

    /// A fault in which the store takes nothing.
    async fn fails(&self, fault: &str, begin: impl FnOnce(), end: impl FnOnce()) {
        begin();
        for (name, server) in [("one", &self.one), ("two", &self.two)] {
            let began = Instant::now();
            let problem = clear_failure(deploy(server, "tv/work", &format!("never, {fault}")).await);
            let took = began.elapsed();
            println!("{fault}, {name}: a deploy fails after {took:?}: {problem}");
            assert!(problem.retry_after_ms.is_some(), "{problem:?}");
            assert!(took <= FAILS, "{fault}, {name}: failed after {took:?}");
            self.brakes(fault, name, server).await;
        }
        self.same_as_calm(fault, &self.load.next_phase(CALLS).await);

        end();
        let began = Instant::now();
        for (server, other) in [(&self.one, &self.two), (&self.two, &self.one)] {
            let text = format!("after it was {fault}, by {}", server.device);
            let took = deploys_again(server, "tv/work", &text).await;
            answers(server, "tv/work", &text, FOLLOWS).await;
            let followed = answers(other, "tv/work", &text, PATIENCE).await;
            println!("{fault}: deployed again after {took:?}, served by the other {followed:?} later");
        }
        println!("{fault}: all is well {:?} after its end", began.elapsed());
        self.same_as_calm(&format!("after it was {fault}"), &self.load.next_phase(CALLS).await);
        self.stage.passes_through_the_wire(&self.one).await;
        self.stage.passes_through_the_wire(&self.two).await;
    }

    /// A wire that is cut for so long that the driver gives up its connections and tries new ones, which hang.
    async fn outlasts_the_connections(&self) {
        let before = self.stage.proxy.connections();
        self.stage.proxy.set(Mode::Cut);
        let tries_anew = async || (self.stage.proxy.connections() >= before + 2).then_some(());
        let (_, took) = until("new connections are tried", PATIENCE, tries_anew).await;
        println!("cut for long: new connections are tried after {took:?}");
        let again = || self.stage.proxy.set(Mode::Pass);
        self.fails("cut for long", || {}, again).await;
    }

    /// A fault in which the store does everything, late.
    async fn slow(&self, late: Duration) {
        let fault = format!("{late:?} slow");
        self.stage.proxy.set(Mode::Slow(late));
        let text = format!("deployed while it was {fault}");
        let began = Instant::now();
        match deploy(&self.one, "tv/work", &text).await {
            Ok(deployed) => {
                println!("{fault}: deployed after {:?}", began.elapsed());
                assert_eq!(deployed.revision.message, text);
                answers(&self.one, "tv/work", &text, FOLLOWS).await;
            }
            refused => {
                let problem = clear_failure(refused);
                println!("{fault}: a deploy fails after {:?}: {problem}", began.elapsed());
            }
        }
        self.brakes(&fault, "one", &self.one).await;
        self.same_as_calm(&fault, &self.load.next_phase(CALLS).await);
        self.stage.proxy.set(Mode::Pass);
        let text = format!("after it was {fault}");
        let took = deploys_again(&self.one, "tv/work", &text).await;
        let followed = answers(&self.two, "tv/work", &text, PATIENCE).await;
        println!("{fault}: deployed again after {took:?}, served by the other {followed:?} later");
        self.same_as_calm(&format!("after it was {fault}"), &self.load.next_phase(CALLS).await);
    }

    /// The operator's brake needs no store. The scope is not the one that is called.
    async fn brakes(&self, fault: &str, name: &str, server: &Server) {
        let (off, on) = off_and_on(server, "script:tv/work").await;
        println!("{fault}, {name}: a switch is off after {off:?} and on after {on:?}");
        assert!(off <= BRAKES, "{fault}, {name}: off after {off:?}");
    }
}
