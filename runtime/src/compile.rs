//! From a bundle's source to bytecode.
//!
//! Invariant: what is compiled was checked for nesting and instrumented before; modules are found in the
//! bundle only. A compilation can take long or die all the same: servers do it in a child process
//! (`compile_child`), never on a thread that serves.

mod loader;
mod report;

use std::collections::BTreeSet;

use rune::{Options, Source, Sources};

use crate::bundle::Bundle;
use crate::codec::{self, Compiled, EncodeError};
use crate::debug_table::Table;
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
    let table = table(&unit, &sources, &loader);
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
    let modules: BTreeSet<&str> = functions(bundle).map(HandlerPath::module).collect();
    modules.iter().map(|module| format!("pub mod {module};\n")).collect()
}

/// What the manifest names of the script: handlers and fallbacks.
fn functions(bundle: &Bundle) -> impl Iterator<Item = &HandlerPath> {
    bundle
        .manifest()
        .endpoints
        .iter()
        .flat_map(|endpoint| [&endpoint.handler].into_iter().chain(&endpoint.fallback))
}

/// Every handler of the manifest is a public function that takes the request.
fn handlers(bundle: &Bundle, unit: &rune::Unit) -> Result<(), Diagnostics> {
    let debug = unit.debug_info();
    let mut wrong = Diagnostics::new();
    for handler in functions(bundle) {
        let hash = rune::Hash::type_hash([handler.module(), handler.function()]);
        let Some(signature) = debug.and_then(|debug| debug.functions.get(&hash)) else {
            wrong.push(
                Diagnostic::whole(
                    "callboard.toml",
                    "manifest.handler",
                    format!("There is no function `{}` in {}.rn", handler.function(), handler.module()),
                )
                .with_hint(Some(format!("write `pub fn {}(request) {{ … }}`", handler.function()))),
            );
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

fn table(unit: &rune::Unit, sources: &Sources, loader: &Loader) -> Table {
    let mut table = Table::default();
    let Some(debug) = unit.debug_info() else { return table };
    let mut instructions: Vec<_> = debug.instructions.iter().collect();
    instructions.sort_by_key(|(ip, _)| **ip);
    for (ip, instruction) in instructions {
        let Some(source) = sources.get(instruction.source_id) else { continue };
        let Some((line, _)) = loader.place(source.name(), instruction.span.start.into_usize()) else {
            continue;
        };
        let file = match table.files.iter().position(|known| known == source.name()) {
            Some(file) => file,
            None => {
                table.files.push(source.name().to_owned());
                table.files.len() - 1
            }
        };
        let file = u16::try_from(file).unwrap_or(u16::MAX);
        if table.lines.last().is_none_or(|(_, f, l)| (*f, *l) != (file, line)) {
            table.lines.push((u32::try_from(*ip).unwrap_or(u32::MAX), file, line));
        }
    }
    for (ip, hash) in &debug.functions_rev {
        if let Some(signature) = debug.functions.get(hash) {
            table.functions.push((u32::try_from(*ip).unwrap_or(u32::MAX), signature.path.to_string()));
        }
    }
    for (hash, name) in &debug.hash_to_ident {
        table.names.push((hash.into_inner(), name.to_string()));
    }
    table.names.sort();
    table.functions.sort();
    table
}
