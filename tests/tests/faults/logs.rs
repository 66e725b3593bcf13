//! Logs that nobody takes: the reader is gone, reads nothing, or its disk is full. A log is never worth a call.

use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

use futures_util::future::FutureExt;
use tests::server::Options;

use super::disks::Open;
use super::experiment::{Done, Experiment, HOLD, Skipped};
use super::stage::{PLENTY, Stage, ended_only};
use super::tally::Kind::Availability;
use crate::PROGRAM;

/// The end of the pipe that a server's log goes into, while it is there.
type Reader = Rc<RefCell<Option<File>>>;

pub fn all() -> Vec<(Open, Experiment)> {
    let (reader, kept) = (Reader::default(), Reader::default());
    let leaves = Rc::clone(&reader);
    vec![
        (
            Box::new(move || into_pipe(Rc::clone(&reader)).boxed_local()),
            Experiment::of("the log's reader goes away", Availability, move |stage| {
                drop(leaves.take());
                log_much(stage)
            }),
        ),
        (
            Box::new(move || into_pipe(Rc::clone(&kept)).boxed_local()),
            Experiment::of("the log's reader does not read", Availability, log_much),
        ),
        (
            Box::new(|| onto_full_disk().boxed_local()),
            Experiment::of("the log's disk is full", Availability, log_much),
        ),
    ]
}

/// A program that logs to this file.
fn logging_to(directory: &Path, log: &Path) -> PathBuf {
    let program = directory.join("callboard");
    std::fs::write(&program, format!("#!/bin/sh\nexec {PROGRAM} \"$@\" 2>{}\n", log.display()))
        .expect("it is written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it can be run");
    program
}

async fn start(program: &Path, under: Box<dyn std::any::Any>) -> Rc<Stage> {
    let environment = vec![("CALLBOARD_LOG".to_owned(), "debug".to_owned())];
    let options = Options { environment, ..Options::default() };
    let stage = Stage::open_with(program.to_str().expect("a plain path"), &[], options, Some(under)).await;
    let talks =
        "pub fn main(request) { for n in 0..50 { callboard::log::info(`line ${n} of very many`); } `said` }";
    stage.deploy("bad/talker", PLENTY, talks).await;
    stage
}

async fn into_pipe(reader: Reader) -> Result<Rc<Stage>, Skipped> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let fifo = directory.path().join("log");
    let made = Command::new("mkfifo").arg(&fifo).status();
    if !made.is_ok_and(|made| made.success()) {
        return Err(Skipped("there is no mkfifo".to_owned()));
    }
    // Opened for both, so that nobody waits for the other end; nothing is ever read or written by it.
    *reader.borrow_mut() =
        Some(File::options().read(true).write(true).open(&fifo).expect("it can be opened"));
    let program = logging_to(directory.path(), &fifo);
    Ok(start(&program, Box::new((directory, reader))).await)
}

async fn onto_full_disk() -> Result<Rc<Stage>, Skipped> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // Whatever is written there finds no space.
    let program = logging_to(directory.path(), Path::new("/dev/full"));
    Ok(start(&program, Box::new(directory)).await)
}

async fn log_much(stage: Rc<Stage>) -> Done {
    let calls = stage.crowd("/bad/talker", 8).run_for(HOLD).await;
    ended_only(&calls, &["200"]);
    // Changes write to the log, too.
    assert_eq!(stage.off("endpoint:bad/talker/main").await, "ok");
    assert_eq!(stage.on("endpoint:bad/talker/main").await, "ok");
    stage.deploy("bad/more", PLENTY, "pub fn main(request) { `more` }").await;
    assert_eq!(stage.get("/bad/more").await.body, "more");
    Ok(())
}
