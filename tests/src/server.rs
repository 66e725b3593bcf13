//! A real server in a test: the program as a process of its own, with its warden and child.
//!
//! Every wait is for a state and has a limit; a server ends with its handle.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use api::client::Upload;
use api::{Client, ClientError, DeployAnswer};
use runtime::bundle::Bundle;
use runtime::processor::threads;
use rustix::process::{Pid, Signal, kill_process};

/// The token that every server of a test is told.
pub const TOKEN: &str = "a-token-for-tests-only";
/// How long a server may take to serve.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a server is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// More arguments.
    pub arguments: Vec<String>,
    /// The directory of its data, when it is not a new one.
    pub data: Option<PathBuf>,
    /// `demo` instead of `serve`.
    pub demo: bool,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// The file that its log is added to, instead of this program's standard error.
    pub log: Option<PathBuf>,
    /// A program that becomes the server, and its arguments before those: `nice -n 5`, for example.
    pub through: Vec<String>,
}

/// A server.
#[derive(Debug)]
pub struct Server {
    warden: Child,
    /// Where devices call: `http://127.0.0.1:1234`.
    pub device: String,
    /// Where its operators call.
    pub admin: String,
    data: PathBuf,
    _directory: Option<tempfile::TempDir>,
}

impl Server {
    /// Starts a server with a store of its own.
    pub fn start(program: &str) -> Self {
        Self::start_with(program, Options::default())
    }

    /// Starts a server.
    ///
    /// # Panics
    /// It does not serve in time; its log is on standard error.
    pub fn start_with(program: &str, options: Options) -> Self {
        let directory = options.data.is_none().then(|| tempfile::tempdir().expect("a temporary directory"));
        let data = options
            .data
            .clone()
            .unwrap_or_else(|| directory.as_ref().expect("made when no data was named").path().join("data"));
        let mut words = options.through.iter().map(String::as_str).chain([program]);
        let mut command = Command::new(words.next().expect("the program at least"));
        command
            .args(words)
            .arg(if options.demo { "demo" } else { "serve" })
            .args(["--device", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--data"])
            .arg(&data)
            // A test hammers from one address; what it tests about that it says itself.
            .args(["--set", "limits.client.rate=1000000/s", "--set", "limits.client.burst=1000000"])
            .args(&options.arguments)
            .env("CALLBOARD_ADMIN_TOKEN", TOKEN)
            .env("NO_COLOR", "1")
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        if let Some(log) = &options.log {
            let log = std::fs::OpenOptions::new().create(true).append(true).open(log);
            command.stderr(log.expect("a log can be opened"));
        }
        let mut warden = command.spawn().expect("the program starts");
        let (lines, told) = mpsc::channel();
        let output = BufReader::new(warden.stdout.take().expect("its output is piped"));
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                if lines.send(line).is_err() {
                    break;
                }
            }
        });
        let (mut device, mut admin) = (None, None);
        let until = Instant::now() + PATIENCE;
        while device.is_none() || admin.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            let line = told.recv_timeout(left).expect("the server says in time where it serves");
            let mut words = line.split_whitespace();
            match (words.next(), words.next()) {
                (Some("devices"), Some(url)) => device = Some(url.to_owned()),
                (Some("admin"), Some(url)) => admin = Some(url.to_owned()),
                _ => {}
            }
        }
        // What it says later is read and dropped, so that it never waits for us.
        std::thread::spawn(move || while told.recv().is_ok() {});
        Self {
            warden,
            device: device.expect("read above"),
            admin: admin.expect("read above"),
            data,
            _directory: directory,
        }
    }

    /// Its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The warden's process.
    pub fn pid(&self) -> u32 {
        self.warden.id()
    }

    /// A client with the admin token.
    pub fn client(&self) -> Client {
        self.client_with(TOKEN)
    }

    /// A client with another token.
    pub fn client_with(&self, token: &str) -> Client {
        let base = self.admin.parse().expect("it said an address");
        Client::new(base).with_token(token).expect("a token of plain characters")
    }

    /// Deploys a script whose manifest maps `/team/script` to `main` in `main.rn`.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn deploy(&self, id: &str, main: &str) -> Result<DeployAnswer, ClientError> {
        self.deploy_with(id, "", main).await
    }

    /// The same with more lines in the endpoint's part of the manifest.
    ///
    /// # Errors
    /// What the server answered.
    pub async fn deploy_with(
        &self,
        id: &str,
        manifest: &str,
        main: &str,
    ) -> Result<DeployAnswer, ClientError> {
        let (team, script) = id.split_once('/').expect("team/script");
        let archive = bundle(id, manifest, main).to_archive();
        self.client().upload(team, script, archive.into(), &Upload::default()).await
    }

    /// Ends the warden and the child at once, as a power cut would, and returns when nothing of them runs.
    pub fn kill(&mut self) {
        let children = children(self.warden.id());
        let _ = self.warden.kill();
        children.iter().for_each(|child| signal(*child, Signal::KILL));
        let _ = self.warden.wait();
        // The child is not ours to wait for, and what it holds is free only when it is gone.
        let until = Instant::now() + PATIENCE;
        while children.iter().any(|child| runs(*child)) {
            assert!(Instant::now() < until, "a killed child still runs");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Tells it to stop, and to finish before what it has begun.
    pub fn stop(&self) {
        signal(self.warden.id(), Signal::TERM);
    }

    /// How it ended, when it has.
    ///
    /// # Panics
    /// The system does not know the process.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.warden.try_wait().expect("the warden was started here")
    }

    /// The serving child's process.
    pub fn child_pid(&self) -> Option<u32> {
        children(self.warden.id()).into_iter().next()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.warden.try_wait() {
            self.stop();
            let until = Instant::now() + Duration::from_secs(5);
            while Instant::now() < until && matches!(self.warden.try_wait(), Ok(None)) {
                std::thread::yield_now();
                std::thread::park_timeout(Duration::from_millis(10));
            }
        }
        self.kill();
    }
}

/// A process as the system's calls take it; nothing for a number that is none.
pub fn process(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

/// Sends a signal to a process, which may be gone.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = process(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Whether a process runs; one that has ended and was not waited for does not. Its first thread may be gone before the
/// others, which hold what is open until they are, too.
pub fn runs(pid: u32) -> bool {
    process(pid)
        .is_some_and(|pid| threads::of(pid).into_iter().any(|thread| threads::look(pid, thread).is_some()))
}

/// The processes whose parent is `pid`, whichever of its threads started them.
pub fn children(pid: u32) -> Vec<u32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let of_each =
        threads.map(|thread| std::fs::read_to_string(thread.path().join("children")).unwrap_or_default());
    of_each
        .flat_map(|all| all.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// A bundle of `callboard.toml` and `main.rn`.
///
/// # Panics
/// The manifest is wrong.
pub fn bundle(id: &str, manifest: &str, main: &str) -> Bundle {
    let (team, script) = id.split_once('/').expect("team/script");
    let manifest = format!(
        "team = \"{team}\"\nscript = \"{script}\"\n[[endpoint]]\npath = \"/{id}\"\n\
         methods = [\"GET\", \"POST\"]\nhandler = \"main::main\"\n{manifest}\n"
    );
    let files: BTreeMap<_, _> = [("callboard.toml", manifest.as_str()), ("main.rn", main)]
        .into_iter()
        .map(|(path, text)| (path.parse().expect("a plain path"), text.as_bytes().into()))
        .collect();
    Bundle::from_files(files).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}
