//! `serve` and `demo`: the warden's whole life, and what it tells the person who started it.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;

use anyhow::Context;
use tracing_appender::non_blocking::WorkerGuard;
use tracing_subscriber::EnvFilter;

use crate::config::{ADMIN_TOKEN_VARIABLE, Config};
use crate::demo;
use crate::process::doors::Doors;
use crate::process::hand_on;
use crate::process::talk::Told;
use crate::process::warden::{Warden, on_disk};

/// The hidden command that makes this program the child of a warden.
const CHILD: &str = "serving-child";
/// How a log is asked for.
const LOG_VARIABLE: &str = "CALLBOARD_LOG";
/// What is logged where nobody says: not each connection that speaks no HTTP, or anybody could fill the log; and not
/// what the store's driver thinks of its settings.
const LOG: &str = "info,actix_http=off,scylla=error";

/// Runs a server until it is told to stop.
///
/// # Errors
/// It could not start.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let handed = hand_on::taken()?;
    let program = on_disk()?;
    let mut log = start_log();
    // Without it no child could start, and each would be replaced by another.
    config.signing.key()?;
    let (doors, mut adopted) = match handed {
        Some((doors, child)) => (doors, Some(child)),
        None => (bind(config)?, None),
    };
    let greeting = Greeting::of(config, &doors)?;
    loop {
        let ended = on_runtime(async {
            let mut told = |told: Told| greeting.tell(&told, None);
            let (arguments, program) = (child_arguments(&[]), Some(program.clone()));
            let warden = Warden { config, doors: &doors, arguments, program, told: &mut told };
            warden.run(adopted.take()).await.context("the server ended")
        })?;
        let Some(child) = ended else { return Ok(()) };
        // What is in the queue of the log is written before it ends with this program.
        drop(log);
        let error = hand_on::become_program(&program, &doors, &child);
        log = start_log();
        tracing::error!(%error, "the warden goes on as the program that it was");
        adopted = Some(child);
    }
}

/// Runs a server with the examples until it is told to stop.
///
/// # Errors
/// It could not start.
pub fn run_demo(config: &Config) -> anyhow::Result<()> {
    let _log = start_log();
    let doors = bind(config)?;
    let greeting = Greeting::of(config, &doors)?;
    let services = demo::services()?;
    let token = match &config.admin_token {
        Some(token) => token.reveal().to_owned(),
        None => demo::token(&config.data)?,
    };
    let client = api::Client::new(format!("http://{}", greeting.admin).parse()?)
        .with_token(&token)
        .context("the token has characters that no token has")?;
    let settings: Vec<OsString> =
        services.iter().flat_map(|(key, value)| ["--set".into(), format!("{key}={value}").into()]).collect();
    on_runtime(async {
        let (ready, mut is_ready) = tokio::sync::mpsc::channel::<()>(8);
        let mut told = |told: Told| {
            if told == Told::Ready {
                // A restart finds the examples where they were; only the first child is waited for.
                let _ = ready.try_send(());
            }
        };
        let arguments = child_arguments(&settings);
        // Its services run in this process and would end with the program.
        let warden = Warden { config, doors: &doors, arguments, program: None, told: &mut told };
        let deploy = async {
            if is_ready.recv().await.is_some() {
                demo::deploy(&client).await?;
                greeting.tell(
                    &Told::Ready,
                    Some(&demo::invitation(&greeting.device, greeting.admin, &config.data)),
                );
            }
            std::future::pending::<anyhow::Result<()>>().await
        };
        let environment = [(ADMIN_TOKEN_VARIABLE, token.as_str())];
        tokio::select! {
            ended = warden.run_with(None, &environment) => ended.map(drop).context("the server ended"),
            failed = deploy => failed,
        }
    })
}

fn on_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn bind(config: &Config) -> anyhow::Result<Doors> {
    let admin = config.admin.address;
    if !admin.ip().is_loopback() && !config.admin.allow_plaintext {
        anyhow::bail!(
            "the admin door would be open to the network without TLS at {admin}: bind it to 127.0.0.1, or put \
             a proxy that speaks TLS before it and set admin.allow_plaintext = true"
        );
    }
    Ok(Doors::bind(config.device.address, admin)?)
}

/// The child's arguments: ours, with the command that makes it the child, and then what is added.
fn child_arguments(added: &[OsString]) -> Vec<OsString> {
    let mut replaced = false;
    let ours = std::env::args_os().skip(1).map(|argument| {
        if !replaced && (argument == "serve" || argument == "demo") {
            replaced = true;
            CHILD.into()
        } else {
            argument
        }
    });
    ours.chain(added.iter().cloned()).collect()
}

/// Structured logs on standard error: text for a person, JSON for a collector. What is in the queue is
/// written when what this returns is dropped.
pub fn start_log() -> WorkerGuard {
    use std::io::IsTerminal;
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new(LOG));
    // Lines that nobody takes are dropped: a log that blocks would stop the threads that serve.
    let (writer, flushed_at_the_end) = tracing_appender::non_blocking(std::io::stderr());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A program that runs inside of a test may have a log already.
    let _ = if std::io::stderr().is_terminal() { log.try_init() } else { log.json().try_init() };
    flushed_at_the_end
}

/// What the person who started the server reads.
struct Greeting {
    device: String,
    admin: SocketAddr,
}

impl Greeting {
    fn of(_: &Config, doors: &Doors) -> anyhow::Result<Self> {
        Ok(Self {
            device: format!("http://{}", doors.device.local_addr()?),
            admin: doors.admin.local_addr()?,
        })
    }

    fn tell(&self, told: &Told, more: Option<&str>) {
        let text = match told {
            Told::Failed(_) | Told::Lifted(_) | Told::Waits | Told::LetGo | Told::TookBack => return,
            Told::Token(token) => {
                format!("admin token, shown once: {token}\n  export CALLBOARD_TOKEN={token}\n")
            }
            Told::Ready => format!(
                "callboard serves\n  devices  {}\n  admin    http://{}\n{}",
                self.device,
                self.admin,
                more.unwrap_or_default()
            ),
        };
        let mut out = std::io::stdout().lock();
        // Whoever started us may have stopped to read; that is no reason to stop serving.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }
}
