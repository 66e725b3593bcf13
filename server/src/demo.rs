//! The demo: a server with the examples, and stand-ins for the services that they call.
//!
//! Everything is real but the services: the same warden, child, store and doors as `serve`.

mod standins;

use std::net::SocketAddr;
use std::path::Path;

use anyhow::Context;
use api::Client;
use api::client::Upload;

/// The examples, as they stand in the repository.
const EXAMPLES: [(&str, &str, &str); 3] = [
    (
        "hello",
        include_str!("../../examples/hello/callboard.toml"),
        include_str!("../../examples/hello/main.rn"),
    ),
    ("home", include_str!("../../examples/home/callboard.toml"), include_str!("../../examples/home/main.rn")),
    (
        "playback",
        include_str!("../../examples/playback/callboard.toml"),
        include_str!("../../examples/playback/main.rn"),
    ),
];

/// Starts the stand-ins; the settings that tell a server where they are.
///
/// # Errors
/// No free port.
pub fn services() -> std::io::Result<Vec<(String, String)>> {
    let address = standins::start()?;
    Ok(["users", "catalog", "resume"]
        .into_iter()
        .map(|name| (format!("service.{name}.url"), format!("http://{address}/{name}")))
        .collect())
}

/// A token for this demo, kept in its directory for whoever may read that.
///
/// # Errors
/// It cannot be written.
pub fn token(directory: &Path) -> anyhow::Result<String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    // Who holds the one of an earlier demo, or of one that runs, goes on using it.
    if let Some(known) = known_token(directory) {
        return Ok(known);
    }
    let mut bytes = [0u8; 20];
    getrandom::fill(&mut bytes)?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    std::fs::create_dir_all(directory)?;
    let path = directory.join(TOKEN_FILE);
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .with_context(|| format!("writing {}", path.display()))?;
    file.write_all(token.as_bytes())?;
    Ok(token)
}

fn known_token(directory: &Path) -> Option<String> {
    let text = std::fs::read_to_string(directory.join(TOKEN_FILE)).ok()?;
    let text = text.trim();
    (text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

/// The file in a demo's directory that holds its token.
const TOKEN_FILE: &str = "admin-token";

/// Deploys the examples to the server that has just become ready.
///
/// # Errors
/// One of them was refused.
pub async fn deploy(client: &Client) -> anyhow::Result<()> {
    for (name, manifest, main) in EXAMPLES {
        let files = [("callboard.toml", manifest), ("main.rn", main)];
        let files = files
            .iter()
            .map(|(path, text)| Ok((path.parse()?, text.as_bytes().into())))
            .collect::<anyhow::Result<_>>()?;
        let bundle = runtime::bundle::Bundle::from_files(files)
            .map_err(|wrong| anyhow::anyhow!("{}", wrong.render(false)))?;
        let manifest = bundle.manifest();
        // The same examples again are the same revision.
        let idempotency_key = Some(format!("demo-{}", &bundle.hash().to_string()[..16]));
        let upload = Upload { message: "the demo".to_owned(), idempotency_key, ..Upload::default() };
        client
            .upload(manifest.team.as_str(), manifest.script.as_str(), bundle.to_archive().into(), &upload)
            .await
            .with_context(|| format!("deploying the example {name}"))?;
    }
    Ok(())
}

/// What to try.
pub fn invitation(device: &str, admin: SocketAddr, directory: &Path) -> String {
    let token = directory.join(TOKEN_FILE);
    let admin = format!("http://{admin}");
    let url =
        if admin == api::DEFAULT_URL { String::new() } else { format!("  export CALLBOARD_URL={admin}\n") };
    format!(
        "try\n  curl '{device}/hello?name=TV'\n  curl '{device}/tv/home/ada'\n  \
         curl -X POST -d '{{\"title\":\"t1\",\"seconds\":95}}' '{device}/phone/playback/ada'\n\
         deploy your own\n{url}  export CALLBOARD_TOKEN=$(cat {})\n  callboard init my-first && callboard deploy my-first\n",
        token.display()
    )
}
