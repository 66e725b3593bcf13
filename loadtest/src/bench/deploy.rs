//! Deploys scripts, as any tool would: archives through the admin plane.

use api::Client;
use api::client::Upload;

use super::program::{Program, TOKEN};

const FILES: [(&str, &str); 2] = [
    ("callboard.toml", include_str!("../script/callboard.toml")),
    ("main.rn", include_str!("../script/main.rn")),
];

/// A client with all rights.
///
/// # Errors
/// The server's address is none.
pub fn client(server: &Program) -> anyhow::Result<Client> {
    Client::new(server.admin.parse()?)
        .with_token(TOKEN)
        .ok_or_else(|| anyhow::anyhow!("the token has characters that no token has"))
}

/// Deploys the jobs; they serve when this is done.
///
/// # Errors
/// What the server answered.
pub async fn deploy(server: &Program) -> anyhow::Result<()> {
    client(server)?.upload("bench", "jobs", archive(&FILES)?.into(), &Upload::default()).await?;
    Ok(())
}

/// An archive of files.
///
/// # Errors
/// A path is none.
pub fn archive(files: &[(&str, &str)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, path, text.as_bytes())?;
    }
    archive.into_inner()
}
