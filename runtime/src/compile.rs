//! From a bundle's source to bytecode.
//!
//! Invariant: what is compiled was checked for nesting and instrumented before; modules are found in the
//! bundle only. A compilation can take long or die all the same: servers do it in a child process
//! (`compile_child`), never on a thread that serves.

mod loader;
mod report;
mod table;

use std::collections::BTreeSet;

use quotas::nearest::nearest;
use rune::{Options, Source, Sources};

use crate::bundle::Bundle;
use crate::codec::{self, Compiled, EncodeError};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::host::{Engine, json_macro};
use crate::manifest::HandlerPath;
use loader::Loader;

/// The stack that a compilation needs: sources may nest as deep as `nesting` allows.
pub const STACK: usize = 256 * 1024 * 1024;

/// A compiled bundle and what the author should look at.
#[derive(Debug, Clone)]
pub struct Compilation {
    /// The unit's parts.
    pub compiled: Compiled,
    /// Warnings.
    pub warnings: Diagnostics,
}

/// Compiles a bundle on this thread.
///
/// # Errors
/// What is wrong with the source, each with its place.
pub fn compile(bundle: &Bundle) -> Result<Compilation, Diagnostics> {
    let engine = Engine::get();
    drop(json_macro::take_shapes());
    let mut loader = Loader::new(bundle)?;
    let mut sources = Sources::new();
    let internal = |error: &dyn std::fmt::Display| {
        Diagnostics::from(Diagnostic::whole("callboard.toml", "script.internal", error.to_string()))
    };
    let root = Source::with_path("<bundle>", root_of(bundle), "bundle/root.rn").map_err(|e| internal(&e))?;
    sources.insert(root).map_err(|e| internal(&e))?;

    let mut options = Options::from_default_env().map_err(|e| internal(&e))?;
    options.debug_info(true);
    let mut found = rune::Diagnostics::new();
    let built = rune::prepare(&mut sources)
        .with_context(&engine.context)
        .with_options(&options)
        .with_diagnostics(&mut found)
        .with_source_loader(&mut loader)
        .build();
    let (errors, warnings) = report::translate(&found, &sources, &loader);
    let shapes = json_macro::take_shapes();
    let unit = match built {
        Ok(unit) if errors.is_empty() => unit,
        Ok(_) => return Err(errors),
        Err(error) if errors.is_empty() => return Err(internal(&error)),
        Err(_) => return Err(errors),
    };
    handlers(bundle, &unit)?;
    let table = table::of(&unit, &sources, &loader);
    let logic = codec::encode_logic(unit.logic()).map_err(|error| match error {
        EncodeError::Constant { .. } => Diagnostics::from(
            Diagnostic::whole("callboard.toml", "script.constant_size", error.to_string())
                .with_hint("ask a service for it, or put it together when it is needed".to_owned()),
        ),
        EncodeError::Unit(what) => internal(&what),
    })?;
    let debug = rmp_serde::to_vec(&table).map_err(|error| internal(&error))?;
    Ok(Compilation { compiled: Compiled { logic, shapes, debug }, warnings })
}

/// Each file that a handler names is a module of the bundle's root.
fn root_of(bundle: &Bundle) -> String {
    let modules: BTreeSet<&str> = functions(bundle).map(|(_, _, handler)| handler.module()).collect();
    modules.iter().map(|module| format!("pub mod {module};\n")).collect()
}

/// What the manifest names of the script: of which endpoint, under which key, and what.
fn functions(bundle: &Bundle) -> impl Iterator<Item = (usize, &'static str, &HandlerPath)> {
    let endpoints = bundle.manifest().endpoints.iter().enumerate();
    endpoints.flat_map(|(number, endpoint)| {
        let fallback = endpoint.fallback.iter().map(move |fallback| (number, "fallback", fallback));
        [(number, "handler", &endpoint.handler)].into_iter().chain(fallback)
    })
}

/// Every handler of the manifest is a public function that takes the request.
fn handlers(bundle: &Bundle, unit: &rune::Unit) -> Result<(), Diagnostics> {
    let debug = unit.debug_info();
    let mut wrong = Diagnostics::new();
    let places = bundle.manifest_places();
    for (endpoint, key, handler) in functions(bundle) {
        if wrong.is_full() {
            break;
        }
        let hash = rune::Hash::type_hash([handler.module(), handler.function()]);
        let Some(signature) = debug.and_then(|debug| debug.functions.get(&hash)) else {
            let message = format!("There is no function `{}` in {}.rn", handler.function(), handler.module());
            let paths: Vec<_> =
                debug.iter().flat_map(|debug| debug.functions.values()).map(|f| f.path.to_string()).collect();
            let there =
                paths.iter().filter_map(|path| path.strip_prefix(handler.module())?.strip_prefix("::"));
            let hint = match nearest(handler.function(), there) {
                Some(nearest) => format!("did you mean `{}::{nearest}`?", handler.module()),
                None => format!("write `pub fn {}(request) {{ … }}`", handler.function()),
            };
            let text = handler.to_string();
            let diagnostic = places.wrong(endpoint, key, &text, "manifest.handler", message);
            wrong.push(diagnostic.with_hint(hint));
            continue;
        };
        let arguments = match &signature.args {
            rune::runtime::debug::DebugArgs::EmptyArgs => 0,
            rune::runtime::debug::DebugArgs::TupleArgs(count) => *count,
            rune::runtime::debug::DebugArgs::Named(names) => names.len(),
        };
        if arguments != 1 {
            wrong.push(
                Diagnostic::whole(
                    &format!("{}.rn", handler.module()),
                    "script.handler_arguments",
                    format!(
                        "The handler `{}` takes {arguments} arguments instead of one",
                        handler.function()
                    ),
                )
                .with_hint(Some(format!("write `pub fn {}(request)`", handler.function()))),
            );
        }
    }
    wrong.unless_errors(())
}
