//! `check`: a project is compiled here, with the compiler that the server has.

use runtime::bundle::Bundle;
use runtime::compile::{STACK, compile};
use runtime::diagnostic::Diagnostics;
use serde_json::json;

use super::arguments::ProjectArguments;
use super::exit::{Exit, Failure};
use super::out::Out;
use super::project;

/// `check`
pub(super) fn run(arguments: &ProjectArguments, out: &Out) -> Result<Exit, Failure> {
    if !arguments.directory.exists() {
        return Err(Failure::usage(format_args!("there is no {}", arguments.directory.display())));
    }
    project::has_manifest(&arguments.directory)?;
    let bundle = match Bundle::from_dir(&arguments.directory) {
        Ok(bundle) => bundle,
        Err(diagnostics) => return told(None, &diagnostics, out),
    };
    match compile_with_room(&bundle)? {
        Ok(warnings) => told(Some(&bundle), &warnings, out),
        Err(errors) => told(Some(&bundle), &errors, out),
    }
}

/// Compiles on a thread whose stack is large enough. The answer is the warnings, or what is wrong.
fn compile_with_room(bundle: &Bundle) -> Result<Result<Diagnostics, Diagnostics>, Failure> {
    let bundle = bundle.clone();
    let work = std::thread::Builder::new()
        .stack_size(STACK)
        .spawn(move || compile(&bundle).map(|compilation| compilation.warnings))
        .map_err(Failure::failed)?;
    work.join().map_err(|_| Failure::failed("the compiler failed; this is a mistake of callboard's"))
}

fn told(bundle: Option<&Bundle>, found: &Diagnostics, out: &Out) -> Result<Exit, Failure> {
    let script = bundle.map(|bundle| project::script_of(bundle).to_string());
    let endpoints = bundle.map_or(0, |bundle| bundle.manifest().endpoints.len());
    let ok = !found.has_errors();
    let shown: Vec<_> = found.iter().collect();
    if !out.is_json() {
        out.diagnostics(found);
    }
    let object = json!({ "ok": ok, "script": script, "endpoints": endpoints, "diagnostics": shown });
    out.result("check", &object, |out| match (ok, &script) {
        (true, Some(script)) => {
            let plural = if endpoints == 1 { "" } else { "s" };
            format!("{} {script}, {endpoints} endpoint{plural}", out.good("ok"))
        }
        _ => String::new(),
    });
    if ok {
        return Ok(Exit::Done);
    }
    if !out.is_json() {
        out.note(format!("error: {}", project::wrong(found)));
    }
    Ok(Exit::Failed)
}
