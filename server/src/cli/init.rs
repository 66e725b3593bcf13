//! `init`: a starter project.
//!
//! Invariant: what it writes compiles and answers as it stands; a file that is there is never touched.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use quotas::scope::ScriptName;
use serde_json::json;

use super::arguments::InitArguments;
use super::exit::{Exit, Failure};
use super::out::Out;

/// `init`
pub(super) fn run(arguments: &InitArguments, out: &Out) -> Result<Exit, Failure> {
    let directory = &arguments.directory;
    let script = match &arguments.script {
        Some(script) => script.clone(),
        None => named_like(directory)?,
    };
    let files = files(arguments.team.as_str(), script.as_str());
    std::fs::create_dir_all(directory).map_err(Failure::failed)?;
    if let Some((name, _)) = files.iter().find(|(name, _)| directory.join(name).symlink_metadata().is_ok()) {
        let there = directory.join(name);
        return Err(Failure::failed(format_args!(
            "{} is there already; nothing was written",
            there.display()
        )));
    }
    for (name, content) in &files {
        let path = directory.join(name);
        let written = OpenOptions::new().write(true).create_new(true).open(&path);
        let written = written.and_then(|mut file| file.write_all(content.as_bytes()));
        written.map_err(|error| Failure::failed(format_args!("{}: {error}", path.display())))?;
    }
    let place = directory.display().to_string();
    let names: Vec<_> = files.iter().map(|(name, _)| *name).collect();
    let id = format!("{}/{script}", arguments.team);
    out.result("init", &json!({ "script": id, "directory": place, "files": names }), |out| {
        let argument = if place == "." { String::new() } else { format!(" {place}") };
        format!(
            "{} in {place}: {}\n\nNext:\n  callboard check{argument}\n  callboard deploy{argument}\n  callboard call '/{id}?name=Ana'",
            out.strong(&id),
            names.join(", "),
        )
    });
    Ok(Exit::Done)
}

/// A script's name from a directory's.
fn named_like(directory: &Path) -> Result<ScriptName, Failure> {
    // What is not there yet has no canonical path, and its name as it was written will do.
    let full = std::fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    let name = full.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name: String = name
        .chars()
        .map(|char| if char.is_ascii_alphanumeric() || char == '_' { char } else { '-' })
        .collect();
    name.trim_matches(['-', '_'])
        .parse()
        .map_err(|_| Failure::usage("the directory's name is no script's: give one with `--script`"))
}

/// The project's files.
fn files(team: &str, script: &str) -> [(&'static str, String); 2] {
    let manifest = format!(
        r#"team = "{team}"
script = "{script}"

[[endpoint]]
path = "/{team}/{script}"
methods = ["GET"]
handler = "main::hello"         # file and function

[endpoint.limits]               # asked for; the operator's limits bound them
deadline = "300ms"
"#
    );
    let main = format!(
        "/// GET /{team}/{script}?name=Ana\n\
         pub fn hello(request) {{\n    \
             `Hello ${{request.query(\"name\")}}`\n\
         }}\n"
    );
    [("callboard.toml", manifest), ("main.rn", main)]
}
