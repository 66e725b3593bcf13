//! The project in a directory.

use std::path::Path;

use quotas::scope::ScriptId;
use runtime::bundle::Bundle;
use runtime::manifest::MANIFEST_FILE;

use super::arguments::ScriptArguments;
use super::exit::{Exit, Failure};
use super::out::Out;

/// Whether a directory is a project at all.
pub(super) fn has_manifest(directory: &Path) -> Result<(), Failure> {
    if directory.join(MANIFEST_FILE).exists() {
        return Ok(());
    }
    Err(Failure::usage(format_args!(
        "there is no {MANIFEST_FILE} in {}; `callboard init` writes a starter project",
        directory.display()
    )))
}

/// The bundle of a project; what is wrong with it is shown.
pub(super) fn bundle(directory: &Path, out: &Out) -> Result<Bundle, Failure> {
    has_manifest(directory)?;
    Bundle::from_dir(directory).map_err(|diagnostics| {
        out.diagnostics(&diagnostics);
        Failure { exit: Exit::Failed, message: wrong(&diagnostics), problem: None }
    })
}

/// How much is wrong, in a few words.
pub(super) fn wrong(diagnostics: &runtime::diagnostic::Diagnostics) -> String {
    match diagnostics.len() {
        1 => "one thing is wrong".to_owned(),
        count => format!("{count} things are wrong"),
    }
}

/// The script of a bundle.
pub(super) fn script_of(bundle: &Bundle) -> ScriptId {
    let manifest = bundle.manifest();
    ScriptId { team: manifest.team.clone(), script: manifest.script.clone() }
}

impl ScriptArguments {
    /// The script that is named, or that of the project here.
    pub(super) fn script(&self, out: &Out) -> Result<ScriptId, Failure> {
        match &self.script {
            Some(script) => Ok(script.clone()),
            None => Ok(script_of(&bundle(Path::new("."), out)?)),
        }
    }
}
