//! Files that were damaged while no server ran: the next one starts with what is whole, or says in one line what is
//! wrong and ends. Beside it another server is called, as on a machine that has two.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::rc::Rc;

use tests::device::Device;
use tests::server::{Options, Server, TOKEN};
use tests::wait::until;

use super::experiment::{Done, Experiment};
use super::stage::{PATIENCE, PLENTY, Stage, before_others, code, get};
use super::tally::Kind::{Availability, Blame, Data};
use crate::PROGRAM;

const SCRIPTS: [&str; 3] = ["tv/home", "tv/search", "radio/home"];

pub fn all() -> Vec<Experiment> {
    vec![
        Experiment::of("the journal of switches is damaged", Data, journal),
        Experiment::of("the journal of switches is no text", Data, journal_of_noise),
        Experiment::of("the signing key is damaged", Blame, key),
        Experiment::of("the signing key is another one", Availability, another_key),
        Experiment::of("the store's file is cut off", Blame, cut_store),
        Experiment::of("the store's file is overwritten", Blame, overwritten_store),
        Experiment::of("the book of crashes is damaged", Availability, book),
    ]
}

/// A data directory in which a server has been.
struct Home {
    directory: tempfile::TempDir,
}

impl Home {
    /// Three scripts, of which one is turned off.
    async fn made() -> Self {
        let data = Self { directory: tempfile::tempdir().expect("a temporary directory") };
        let mut server = data.start();
        for id in SCRIPTS {
            let source = format!("pub fn main(request) {{ `{id}` }}");
            server.deploy_with(id, PLENTY, &source).await.expect("it is deployed");
        }
        let request = api::SwitchRequest::kill("a fault");
        for scope in ["script:tv/search", "script:tv/none"] {
            assert_eq!(code(server.client().switch_off(scope, &request, false).await), "ok");
        }
        server.stop();
        until("it stops", PATIENCE, async || server.ended()).await;
        data
    }

    fn path(&self, file: &str) -> std::path::PathBuf {
        self.directory.path().join("data").join(file)
    }

    fn start(&self) -> Server {
        let data = Some(self.directory.path().join("data"));
        Server::start_with(PROGRAM, Options { data, through: before_others(), ..Options::default() })
    }

    /// Starts a server that cannot serve; what it says before it ends by itself.
    async fn refuses(&self) -> String {
        let mut server = Command::new(PROGRAM)
            .args(["serve", "--device", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(self.directory.path().join("data"))
            .env("CALLBOARD_ADMIN_TOKEN", TOKEN)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (ended, _) =
            until("it ends by itself", PATIENCE, async || server.try_wait().expect("it was started here"))
                .await;
        let said = std::io::read_to_string(server.stderr.take().expect("it is piped")).expect("a text");
        assert!(!ended.success(), "{ended}: {said}");
        assert!(!said.contains("panicked"), "{said}");
        said
    }

    /// Starts a server that serves everything as before.
    async fn serves(&self) -> Server {
        let server = self.start();
        let device = Device::of(&server.device);
        for id in SCRIPTS {
            let reply = get(&device, &format!("/{id}")).await;
            let (status, said) =
                if id == "tv/search" { (503, reply.code()) } else { (200, reply.body.clone()) };
            let expected = if id == "tv/search" { "switch.off" } else { id };
            assert_eq!((reply.status, said.as_str()), (status, expected), "{id}: the first call");
        }
        assert_eq!(code(server.client().switch_on("script:tv/search", None, false).await), "ok");
        assert_eq!(get(&device, "/tv/search").await.body, "tv/search");
        server
            .deploy_with("tv/after", PLENTY, "pub fn main(request) { `after` }")
            .await
            .expect("it is taken");
        server
    }
}

/// Turns the bits of every byte of a part of a file.
fn spoil(path: &Path, from: usize, length: usize) {
    let mut bytes = fs::read(path).expect("it is there");
    let end = (from + length).min(bytes.len());
    bytes[from..end].iter_mut().for_each(|byte| *byte = !*byte);
    fs::write(path, bytes).expect("it is written");
}

async fn damages(server: &Server) -> u64 {
    let metrics = server.client().metrics().await.expect("they are told");
    let value = metrics
        .lines()
        .find_map(|line| line.strip_prefix("callboard_events_total{event=\"journal_damaged\"} "));
    value.and_then(|value| value.parse().ok()).unwrap_or(0)
}

async fn journal(_: Rc<Stage>) -> Done {
    let data = Home::made().await;
    spoil(&data.path("switches.journal"), 30, 4);
    let server = data.serves().await;
    assert_eq!(damages(&server).await, 1, "somebody is told");
    assert!(data.path("switches.damaged").is_file(), "what could not be read is kept");
    Ok(())
}

async fn journal_of_noise(_: Rc<Stage>) -> Done {
    let data = Home::made().await;
    fs::write(data.path("switches.journal"), [0xff; 4_096]).expect("it is written");
    let server = data.serves().await;
    assert!(damages(&server).await >= 1, "somebody is told");
    Ok(())
}

async fn key(_: Rc<Stage>) -> Done {
    let data = Home::made().await;
    let path = data.path("signing.key");
    let good = fs::read(&path).expect("it is there");
    fs::write(&path, "no key at all").expect("it is written");
    let said = data.refuses().await;
    assert!(said.contains("signing.key") && said.contains("64 hex digits"), "{said}");
    fs::write(&path, good).expect("it is written");
    data.serves().await;
    Ok(())
}

async fn another_key(_: Rc<Stage>) -> Done {
    let data = Home::made().await;
    fs::write(data.path("signing.key"), "ab".repeat(32)).expect("it is written");
    // What was signed with the old one is compiled anew, and no call fails for that.
    data.serves().await;
    Ok(())
}

/// A store that cannot be read is named, left as it is, and not tried again and again.
async fn without_store(damage: impl Fn(&Path)) {
    let data = Home::made().await;
    let path = data.path("callboard.redb");
    let good = fs::read(&path).expect("it is there");
    damage(&path);
    let damaged = fs::read(&path).expect("it is there");
    let said = data.refuses().await;
    assert!(said.contains("callboard.redb") || said.contains("store."), "{said}");
    assert!(said.matches("could not start").count() <= 1, "it was not tried again: {said}");
    assert_eq!(fs::read(&path).expect("it is there").len(), damaged.len(), "it was left as it is");
    fs::write(&path, good).expect("it is written");
    data.serves().await;
}

async fn cut_store(_: Rc<Stage>) -> Done {
    without_store(|path| {
        let file = fs::OpenOptions::new().write(true).open(path).expect("it is there");
        let length = file.metadata().expect("it has a length").len();
        file.set_len(length / 3).expect("it is cut");
    })
    .await;
    Ok(())
}

async fn overwritten_store(_: Rc<Stage>) -> Done {
    without_store(|path| spoil(path, 0, 4_096)).await;
    Ok(())
}

async fn book(_: Rc<Stage>) -> Done {
    let data = Home::made().await;
    fs::write(data.path("crashes.json"), "[{\"endpoint\":").expect("it is written");
    data.serves().await;
    Ok(())
}
