//! Filling a server: scripts of many teams, and rules that none of them meets; `loadtest fill` does it for any server.

use std::fmt::Write;
use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Context;
use api::client::Upload;
use api::{Client, SwitchKind, SwitchRequest};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::super::deploy;

/// Endpoints of a script, and scripts of a team: what a team may have by default.
pub(super) const PER_SCRIPT: usize = 10;
pub(super) const PER_TEAM: usize = 200;
/// What every endpoint answers.
pub(super) const EXPECTED: &str = "Hello TV";
/// Deploys that are under way at one time.
const AT_ONCE: usize = 4;
/// Deploys that are timed.
const TIMED: usize = 21;

/// With how many endpoints which server is filled.
#[derive(Debug, Args)]
pub struct FillOptions {
    /// How many endpoints
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    endpoints: u32,
    /// The server's admin address
    #[arg(long, env = "CALLBOARD_URL", default_value = "http://127.0.0.1:8081")]
    url: String,
    /// A token that may deploy for every team
    #[arg(long, env = "CALLBOARD_TOKEN", hide_env_values = true)]
    token: String,
}

/// Fills a server.
///
/// # Errors
/// It refused a deploy, or was not reached.
pub fn run(options: &FillOptions) -> anyhow::Result<()> {
    let client = Client::new(options.url.parse().context("the server's address")?)
        .with_token(&options.token)
        .context("the token has characters that no token has")?;
    let count = (options.endpoints as usize).div_ceil(PER_SCRIPT);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(scripts(&client, 0..count))?;
    println!("{count} scripts of {} teams serve {} endpoints", count.div_ceil(PER_TEAM), count * PER_SCRIPT);
    Ok(())
}

/// The path of an endpoint by its number.
pub(super) fn path(endpoint: usize) -> String {
    format!("/many/s{}/e{}?name=TV", endpoint / PER_SCRIPT, endpoint % PER_SCRIPT)
}

/// Deploys the scripts of these numbers.
pub(super) async fn scripts(client: &Client, scripts: Range<usize>) -> anyhow::Result<()> {
    let deploys = scripts.map(async |script| {
        let team = format!("many{}", script / PER_TEAM);
        one(client, &team, &format!("s{script}"), EXPECTED).await
    });
    stream::iter(deploys).buffer_unordered(AT_ONCE).try_collect().await
}

/// What a deploy of one script more takes, in the median: of a team of its own, each time with another text, so that
/// each one is compiled.
pub(super) async fn timed(client: &Client) -> anyhow::Result<Duration> {
    let mut took = Vec::with_capacity(TIMED);
    for nth in 0..TIMED {
        let began = Instant::now();
        one(client, "timed", "timed", &format!("{EXPECTED} {nth}")).await?;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    Ok(took[TIMED / 2])
}

async fn one(client: &Client, team: &str, script: &str, greeting: &str) -> anyhow::Result<()> {
    let greeting = greeting.replace("TV", "${request.query(\"name\")}");
    let (mut manifest, mut source) = (format!("team = \"{team}\"\nscript = \"{script}\"\n"), String::new());
    for endpoint in 0..PER_SCRIPT {
        let path = format!("/many/{script}/e{endpoint}");
        writeln!(manifest, "[[endpoint]]\npath = \"{path}\"\nhandler = \"main::e{endpoint}\"")?;
        writeln!(source, "pub fn e{endpoint}(request) {{\n    `{greeting}`\n}}")?;
    }
    let archive = deploy::archive(&[("callboard.toml", &manifest), ("main.rn", &source)])?;
    client.upload(team, script, archive.into(), &Upload::default()).await?;
    Ok(())
}

/// Sets so many switches, of endpoints that are not called.
pub(super) async fn rules(client: &Client, rules: usize) -> anyhow::Result<()> {
    for rule in 0..rules {
        let scope = format!("endpoint:elsewhere/s{rule}/main");
        let request = SwitchRequest::of(SwitchKind::Kill, "a rule more");
        client.switch_off(&scope, &request, false).await?;
    }
    Ok(())
}
