//! The process that serves: killed, stopped, frozen in part, robbed of its processor, killed as often as it starts.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use api::client::List;
use rustix::process::{Resource, Rlimit, Signal, prlimit};
use tests::server::{process, runs, signal};
use tests::wait::until;

use super::experiment::{Done, Experiment, HOLD, Skipped};
use super::odd::Way;
use super::stage::{PATIENCE, PLENTY, Stage, size};
use super::tally::Kind::{Availability, Blame, Isolation};

/// How long nobody may be answered while a process is replaced; on a quiet machine it is less than a second.
const REPLACED: Duration = Duration::from_secs(5);
/// Calls that are under way when the process dies.
const UNDER_WAY: usize = 64;
/// How long a thread is frozen: not so long that the process is held to hang.
const FROZEN: Duration = Duration::from_secs(1);

/// Room for what is small.
const ROOM: u64 = 96 << 20;
/// How long threads without work are kept where nobody said otherwise, and a moment.
const IDLE: Duration = Duration::from_secs(11);

pub fn all() -> Vec<Experiment> {
    vec![
        Experiment::of("the process is killed with calls under way", Availability, killed)
            .replaces_the_process(REPLACED),
        Experiment::of("the process is stopped", Blame, stopped).replaces_the_process(REPLACED),
        Experiment::of("the process is killed each time it starts", Availability, killed_at_starts)
            .replaces_the_process(REPLACED * 3),
        Experiment::of("an endpoint is set aside and lifted while it is called", Blame, set_aside_and_lifted)
            .replaces_the_process(REPLACED),
        Experiment::of("calls leave memory behind that nobody can free", Blame, memory_is_left)
            .replaces_the_process(REPLACED * 2),
        Experiment::of("the system gives the process no more threads", Availability, no_more_threads)
            .replaces_the_process(REPLACED * 2),
        Experiment::of("a thread is frozen for a second", Isolation, frozen).holds_a_thread_up(),
        Experiment::of("a thread gets a tenth of a processor", Isolation, slowed),
    ]
}

/// Waits until another process than this one runs.
async fn another(stage: &Stage, than: u32) -> u32 {
    let look = async || stage.server.child_pid().filter(|next| *next != than && !runs(than));
    until("another process runs", PATIENCE, look).await.0
}

/// Nobody is set aside.
async fn nobody_is_blamed(stage: &Stage) {
    let endpoints = stage.server.client().endpoints(&List::default()).await.expect("they are told").items;
    assert!(endpoints.iter().all(|one| one.quarantine.is_none()), "{endpoints:?}");
}

async fn killed(stage: Rc<Stage>) -> Done {
    let ask = "pub async fn main(request) { callboard::service::get(\"patient\", \"/\").await?.text() }";
    let patient = format!("services = [\"patient\"]\n{PLENTY}");
    stage.deploy("bad/waits", &patient, ask).await;
    stage.prove("/bad/waits").await;
    stage.odd.set(Way::Silent);
    let calls: Vec<_> = (0..UNDER_WAY)
        .map(|_| {
            let device = stage.device();
            tokio::spawn(async move { device.try_send("GET", "/bad/waits", &[], Default::default()).await })
        })
        .collect();
    until("calls are under way", PATIENCE, async || (stage.odd.waiting() == UNDER_WAY).then_some(())).await;
    let child = stage.child();
    signal(child, Signal::KILL);
    let killed = Instant::now();
    for call in calls {
        let ended = call.await.expect("a call ends");
        assert!(ended.is_err(), "the process that had it is gone: {ended:?}");
    }
    assert!(killed.elapsed() < REPLACED, "who waits for a dead process is told after {:?}", killed.elapsed());
    stage.odd.set(Way::Fine);
    another(&stage, child).await;
    assert_eq!(stage.get("/bad/waits").await.body, "ok", "the next process serves it");
    nobody_is_blamed(&stage).await;
    Ok(())
}

async fn stopped(stage: Rc<Stage>) -> Done {
    let child = stage.child();
    signal(child, Signal::STOP);
    another(&stage, child).await;
    assert_eq!(stage.get("/calm/lake").await.body, "calm");
    nobody_is_blamed(&stage).await;
    Ok(())
}

async fn killed_at_starts(stage: Rc<Stage>) -> Done {
    let mut child = stage.child();
    for _ in 0..4 {
        signal(child, Signal::KILL);
        child = another(&stage, child).await;
    }
    assert_eq!(stage.get("/calm/lake").await.body, "calm");
    assert!(runs(stage.server.pid()), "the warden goes on");
    nobody_is_blamed(&stage).await;
    Ok(())
}

/// A megabyte each. The team cannot have it back before the process ends.
async fn memory_is_left(stage: Rc<Stage>) -> Done {
    let source = "pub fn main(request) { let text = \"x\"; for i in 0..20 { text = text + text; } \
                  callboard::faults::keep(text); `kept` }";
    stage.deploy("bad/keeps", PLENTY, source).await;
    let child = stage.child();
    let mut calls = 0;
    until("it is set aside", PATIENCE, async || {
        let reply = stage.get("/bad/keeps").await;
        calls += u32::from(reply.body == "kept");
        (reply.code() == "quarantine.active").then_some(())
    })
    .await;
    // Some may have been under way.
    assert!((50..80).contains(&calls), "{calls} calls of a megabyte each until it was set aside with 64");
    let held = stage.metric("callboard_held_bytes").await.expect("it is told");
    assert!(held >= f64::from(60 << 20), "{held} bytes are on the node's account");
    assert_eq!(stage.get("/calm/lake").await.body, "calm", "others go on");
    signal(child, Signal::KILL);
    another(&stage, child).await;
    Ok(())
}

/// A thread has a stack of hundreds of megabytes, for which there is no room any more. Threads that are idle have ended
/// by then, where nothing keeps them.
async fn no_more_threads(stage: Rc<Stage>) -> Done {
    stage.deploy("bad/room", PLENTY, "pub fn main(request) { `before` }").await;
    let child = stage.child();
    let room = Some(size(child, "VmSize:") + ROOM);
    match prlimit(process(child), Resource::As, Rlimit { current: room, maximum: room }) {
        Ok(_) => in_little_room(&stage, child).await,
        Err(error) => Err(Skipped(format!("nobody may limit another process here: {error}"))),
    }
}

async fn in_little_room(stage: &Stage, child: u32) -> Done {
    tokio::time::sleep(IDLE).await;
    assert_eq!(stage.off("endpoint:bad/room/main").await, "ok", "an operator can flip a switch");
    assert_eq!(stage.get("/bad/room").await.code(), "switch.off");
    assert_eq!(stage.on("endpoint:bad/room/main").await, "ok");
    stage.deploy("bad/room", PLENTY, "pub fn main(request) { `after` }").await;
    assert_eq!(stage.get("/bad/room").await.body, "after", "a team can release");
    assert_eq!(stage.child(), child, "in the same process");
    signal(child, Signal::KILL);
    another(stage, child).await;
    assert_eq!(stage.get("/calm/lake").await.body, "calm");
    Ok(())
}

async fn set_aside_and_lifted(stage: Rc<Stage>) -> Done {
    let culprit = "pub fn main(request) { match request.query(\"do\") { \"abort\" => callboard::faults::abort(), _ => {} } \
                   `tame` }";
    stage.deploy("bad/apple", PLENTY, culprit).await;
    stage.prove("/bad/apple").await;
    let load = stage.crowd("/bad/apple", 4);
    let child = stage.child();
    let ended = stage.device().try_send("GET", "/bad/apple?do=abort", &[], Default::default()).await;
    assert!(ended.is_err(), "{ended:?}");
    another(&stage, child).await;
    assert_eq!(stage.get("/bad/apple").await.code(), "quarantine.active");
    let endpoints = stage.server.client().endpoints(&List::default()).await.expect("they are told").items;
    let aside: Vec<_> =
        endpoints.iter().filter(|one| one.quarantine.is_some()).map(|one| &one.team).collect();
    assert_eq!(aside, ["bad"], "the culprit and nobody else");
    let lift = stage.server.client().lift_quarantine("bad", "apple", "main", Some("mended"), false).await;
    lift.expect("it is lifted");
    assert_eq!(stage.get("/bad/apple").await.body, "tame");
    let calls = load.run_for(HOLD / 4).await;
    let known = ["", "quarantine.active", "pressure.shed"];
    // Those without a status were under way when the process died.
    let strange = calls.0.iter().any(|call| call.status > 0 && !known.contains(&call.code.as_str()));
    assert!(!strange, "{:?}", calls.outcomes());
    Ok(())
}

/// A control group of one thread, which lets it go when it is dropped.
struct Group(PathBuf, PathBuf);

impl Group {
    fn of(controller: &str, thread: u32) -> Result<Self, Skipped> {
        let root = PathBuf::from("/sys/fs/cgroup").join(controller);
        let group = root.join(format!("callboard-{}-{thread}", std::process::id()));
        let made = fs::create_dir(&group).and_then(|()| {
            let group = Self(group.clone(), root.clone());
            fs::write(group.0.join("tasks"), thread.to_string()).map(|()| group)
        });
        made.map_err(|error| {
            Skipped(format!("there is no control group for a thread ({controller}): {error}"))
        })
    }

    fn set(&self, file: &str, value: &str) -> Result<(), Skipped> {
        let set = fs::write(self.0.join(file), value);
        set.map_err(|error| Skipped(format!("{file} cannot be set: {error}")))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let tasks = fs::read_to_string(self.0.join("tasks")).unwrap_or_default();
        let _ = fs::write(self.0.join("freezer.state"), "THAWED");
        for thread in tasks.lines() {
            let _ = fs::write(self.1.join("tasks"), thread);
        }
        let _ = fs::remove_dir(&self.0);
    }
}

/// The thread that works most while the victim is called: one that serves devices.
async fn lane(stage: &Stage) -> Result<u32, Skipped> {
    let tasks = format!("/proc/{}/task", stage.child());
    let used = || {
        let all = fs::read_dir(&tasks).into_iter().flatten().filter_map(|task| {
            let thread: u32 = task.ok()?.file_name().to_str()?.parse().ok()?;
            let name = fs::read_to_string(format!("{tasks}/{thread}/comm")).ok()?;
            let used = fs::read_to_string(format!("{tasks}/{thread}/schedstat")).ok()?;
            let used: u64 = used.split(' ').next()?.parse().ok()?;
            name.starts_with("actix-rt").then_some((thread, used))
        });
        all.collect::<BTreeMap<u32, u64>>()
    };
    let before = used();
    tokio::time::sleep(HOLD / 4).await;
    let most = used().into_iter().max_by_key(|(thread, used)| used - before.get(thread).unwrap_or(used));
    most.map(|(thread, _)| thread).ok_or_else(|| Skipped("no thread is known to serve devices".to_owned()))
}

async fn frozen(stage: Rc<Stage>) -> Done {
    let group = Group::of("freezer", lane(&stage).await?)?;
    group.set("freezer.state", "FROZEN")?;
    tokio::time::sleep(FROZEN).await;
    drop(group);
    tokio::time::sleep(HOLD / 4).await;
    Ok(())
}

async fn slowed(stage: Rc<Stage>) -> Done {
    let group = Group::of("cpu", lane(&stage).await?)?;
    group.set("cpu.cfs_period_us", "100000")?;
    group.set("cpu.cfs_quota_us", "10000")?;
    tokio::time::sleep(HOLD * 2).await;
    nobody_is_blamed(&stage).await;
    Ok(())
}
