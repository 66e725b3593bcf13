//! `store export` and `store import`: a whole store in one file, a tar compressed with zstd.
//!
//! Invariant: a file is written beside its place and moved there when it is whole; one that is read is not trusted.
//! Not here: what is in it (`actors::storage::copy`).

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use actors::error::StoreError;
use actors::storage::copy::{self, Copied, Import, Part};
use actors::storage::embedded::Embedded;
use actors::storage::store::CONTENT_MAX;
use serde_json::json;

use super::arguments::CopyArguments;
use super::exit::{Exit, Failure};
use super::out::Out;
use super::person::clean;
use crate::config::StoreConfig;
use crate::process::child::open_shared;

/// Good compression at a speed that a disk keeps up with.
const LEVEL: i32 = 3;
/// The largest part that is read: a script's whole history stands in one.
const PART_MAX: u64 = 8 * CONTENT_MAX as u64;

/// `store export`
pub(super) async fn export(arguments: &CopyArguments, out: &Out) -> Result<Exit, Failure> {
    let config = arguments.serve.load()?;
    if arguments.file.exists() {
        let file = arguments.file.display();
        return Err(Failure::usage(format_args!("{file} is there already: name another file, or remove it")));
    }
    if config.store == StoreConfig::Embedded && !Embedded::is_in(&config.data) {
        let data = config.data.display();
        return Err(Failure::failed(format_args!(
            "there is no store in {data}: name its directory, `--data`"
        )));
    }
    let store = open_shared(&config).await?;
    let beside = arguments.file.with_extension("part");
    let wrong = |error: std::io::Error| Failure::failed(format_args!("{}: {error}", beside.display()));
    let file = File::create(&beside).map_err(wrong)?;
    let mut tar = tar::Builder::new(zstd::Encoder::new(file, LEVEL).map_err(wrong)?);
    let written = copy::export(&*store, |part| {
        let mut header = tar::Header::new_gnu();
        header.set_size(part.bytes.len() as u64);
        header.set_mode(0o600);
        tar.append_data(&mut header, &part.name, &*part.bytes)
            .map_err(|error| StoreError::Unavailable { why: format!("{}: {error}", beside.display()) })
    });
    let copied = match written.await {
        Ok(copied) => copied,
        Err(error) => {
            // What is there by half is of no use to anybody.
            let _ = std::fs::remove_file(&beside);
            return Err(Failure::failed(error));
        }
    };
    let mut file = tar.into_inner().and_then(zstd::Encoder::finish).map_err(wrong)?;
    file.flush().and_then(|()| file.sync_all()).map_err(wrong)?;
    std::fs::rename(&beside, &arguments.file).map_err(wrong)?;
    tell("export", &copied, &arguments.file, out);
    Ok(Exit::Done)
}

/// `store import`
pub(super) async fn import(arguments: &CopyArguments, out: &Out) -> Result<Exit, Failure> {
    let config = arguments.serve.load()?;
    let place = arguments.file.display();
    let wrong = |error: std::io::Error| Failure::failed(format_args!("{place}: {error}"));
    let file = File::open(&arguments.file).map_err(wrong)?;
    let mut tar = tar::Archive::new(zstd::Decoder::new(file).map_err(wrong)?);
    let mut entries = tar.entries().map_err(wrong)?.peekable();
    if let Some(Err(error)) = entries.peek() {
        return Err(Failure::failed(format_args!("{place} is no export of callboard: {error}")));
    }
    // Nothing is opened or made for what is not one.
    let store = open_shared(&config).await?;
    let mut import = Import::default();
    for entry in entries {
        let mut entry = entry.map_err(wrong)?;
        let name = entry.path().map_err(wrong)?.to_string_lossy().into_owned();
        if entry.size() > PART_MAX {
            return Err(Failure::failed(format_args!("{place}: `{}` is too large a part", clean(&name))));
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(wrong)?;
        import.take(&*store, Part { name, bytes: bytes.into() }).await.map_err(Failure::failed)?;
    }
    let copied = import.done();
    tell("import", &copied, &arguments.file, out);
    match copied.refused.is_empty() {
        true => Ok(Exit::Done),
        false => Err(Failure::failed("some scripts were left as they are")),
    }
}

fn tell(what: &str, copied: &Copied, file: &Path, out: &Out) {
    let refused: Vec<_> = copied
        .refused
        .iter()
        .map(|(script, why)| json!({ "script": script.to_string(), "why": why }))
        .collect();
    let object = json!({
        "file": file.display().to_string(),
        "scripts": copied.scripts,
        "steps": copied.steps,
        "switches": copied.switches,
        "quotas": copied.quotas,
        "refused": refused,
    });
    out.result(&format!("store_{what}"), &object, |out| {
        let Copied { scripts, steps, switches, quotas, .. } = copied;
        let mut text = format!(
            "{what}ed {scripts} scripts, {steps} steps, {switches} switches and quotas of {quotas} scopes"
        );
        for (script, why) in &copied.refused {
            text.push_str(&format!("\n  {} {}: {}", out.bad("left"), clean(&script.to_string()), clean(why)));
        }
        text
    });
}
