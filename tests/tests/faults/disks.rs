//! Disks that are full and directories that are taken away: who is served goes on being served, a switch is in force
//! all the same, and nothing is acknowledged that is not kept.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use api::ClientError;
use futures_util::future::{FutureExt, LocalBoxFuture};
use tests::server::Options;
use tests::wait::until;

use super::experiment::{Done, Experiment, Skipped};
use super::stage::{PATIENCE, PLENTY, Stage, code};
use super::tally::Kind::{Availability, Data};
use crate::PROGRAM;

/// A stage of an experiment's own, where it can be had.
pub type Open = Box<dyn Fn() -> LocalBoxFuture<'static, Result<Rc<Stage>, Skipped>>>;

/// How large the small disk is, in MiB.
const DISK_MIB: usize = 96;

pub fn all() -> Vec<(Open, Experiment)> {
    vec![
        (
            Box::new(|| on_small_disk().boxed_local()),
            Experiment::of("the disk of the data is full", Data, full),
        ),
        (
            Box::new(|| elsewhere().boxed_local()),
            Experiment::of("the journal of switches is taken away", Availability, no_journal),
        ),
        (
            Box::new(|| elsewhere().boxed_local()),
            Experiment::of("the data directory is taken away", Data, no_directory),
        ),
    ]
}

/// A small disk in memory, which goes with this.
struct Disk(tempfile::TempDir);

impl Disk {
    fn mount() -> Result<Self, Skipped> {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let size = format!("size={DISK_MIB}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path()).output();
        match mount {
            Ok(said) if said.status.success() => Ok(Self(directory)),
            Ok(said) => Err(Skipped(String::from_utf8_lossy(&said.stderr).trim().to_owned())),
            Err(error) => Err(Skipped(format!("nothing can be mounted: {error}"))),
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

async fn at(data: PathBuf, under: Box<dyn std::any::Any>) -> Rc<Stage> {
    let options = Options { data: Some(data), ..Options::default() };
    let stage = Stage::open_with(PROGRAM, &[], options, Some(under)).await;
    stage.deploy("bad/apple", PLENTY, "pub fn main(request) { `apple` }").await;
    stage.prove("/bad/apple").await;
    stage
}

async fn on_small_disk() -> Result<Rc<Stage>, Skipped> {
    let disk = Disk::mount()?;
    Ok(at(disk.0.path().join("data"), Box::new(disk)).await)
}

async fn elsewhere() -> Result<Rc<Stage>, Skipped> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    Ok(at(directory.path().join("data"), Box::new(directory)).await)
}

/// Writes until nothing more fits.
fn fill(path: &PathBuf) {
    let mut file = File::create(path).expect("a file can be made");
    for size in [1 << 20, 1 << 12, 1] {
        let piece = vec![b'x'; size];
        while file.write_all(&piece).is_ok() {}
    }
}

async fn full(stage: Rc<Stage>) -> Done {
    let filler = stage.server.data().with_file_name("filler");
    fill(&filler);
    // The brake works, and says that it is not written down.
    let off = stage.off("endpoint:bad/apple/main").await;
    assert!(["ok", "journal.unwritable"].contains(&&*off), "{off}");
    assert_eq!(stage.get("/bad/apple").await.code(), "switch.off", "in force whatever the disk says");
    // Many deploys, so that what the store has in reserve is used up.
    let noise = |n: usize| {
        let much = format!("// {n:08}\n").repeat(8_000);
        format!("{much}pub fn main(request) {{ `{n}` }}")
    };
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for n in 0..40 {
        match stage.server.deploy_with(&format!("bad/new{n}"), PLENTY, &noise(n)).await {
            Ok(_) => acknowledged.push(n),
            Err(ClientError::Problem(problem)) if problem.code == "store.unavailable" => {
                let told = problem.detail.unwrap_or_default();
                assert!(told.contains("No space left"), "who deploys is told why: {told}");
                refused.push(n);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    assert!(!refused.is_empty(), "the disk is not full");
    fs::remove_file(&filler).expect("the filler is there");
    // With room again all is taken again, without anybody's help.
    until("a deploy is taken again", PATIENCE, async || {
        (code(stage.server.deploy_with("bad/after", PLENTY, "pub fn main(request) { `after` }").await)
            == "ok")
            .then_some(())
    })
    .await;
    assert_eq!(stage.get("/bad/after").await.body, "after");
    until("the switch is turned on", PATIENCE, async || {
        (stage.on("endpoint:bad/apple/main").await == "ok").then_some(())
    })
    .await;
    assert_eq!(stage.off("endpoint:bad/apple/main").await, "ok", "and what is written now is kept");
    for n in acknowledged {
        assert_eq!(stage.get(&format!("/bad/new{n}")).await.body, n.to_string(), "it was acknowledged");
    }
    for n in refused {
        assert_eq!(stage.get(&format!("/bad/new{n}")).await.code(), "route.unknown", "it was refused");
    }
    Ok(())
}

async fn no_journal(stage: Rc<Stage>) -> Done {
    fs::remove_file(stage.server.data().join("switches.journal")).expect("it is there");
    assert_eq!(stage.off("endpoint:bad/apple/main").await, "journal.unwritable");
    assert_eq!(stage.get("/bad/apple").await.code(), "switch.off", "in force all the same");
    Ok(())
}

async fn no_directory(stage: Rc<Stage>) -> Done {
    fs::remove_dir_all(stage.server.data()).expect("it is there");
    let refused = code(stage.server.deploy_with("bad/new", PLENTY, "pub fn main(request) { `new` }").await);
    assert_eq!(refused, "store.unavailable", "nothing is acknowledged that nobody will find");
    assert_eq!(stage.get("/bad/new").await.code(), "route.unknown");
    assert_eq!(stage.off("endpoint:bad/apple/main").await, "journal.unwritable");
    assert_eq!(stage.get("/bad/apple").await.code(), "switch.off", "in force all the same");
    let health = stage.server.client().ready().await.expect("the admin door answers");
    assert!(health.checks.iter().any(|check| !check.ok), "somebody is told: {health:?}");
    Ok(())
}
