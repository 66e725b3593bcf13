//! The metered standard library: what scripts may call, and what each call costs.
//!
//! Rune's budget does not see native code, and the checkpoints that are written into scripts
//! (`instrument`) cannot stop it either. So every native function that can loop, copy or allocate
//! without bound is charged here, or written anew so that it can be stopped, or left out.
//!
//! Invariant: the tables are the registration. A function of these modules that has no row, with its
//! cost, its reason and an example that a test runs, does not exist for scripts.
//!
//! Rune's own functions do the work where they can: each is taken out of an unmetered context by its
//! hash and registered again behind its meter. Modules of constant-time functions are Rune's as they
//! are (see [`ORIGINAL`]).
//! Not here: the meter (`fuel`), what it costs to walk a value (`weigh`), the host's modules (`host`).

mod buffers;
mod compare;
pub(crate) mod containers;
mod cost;
#[cfg(test)]
mod coverage;
pub(crate) mod depth;
mod deques;
mod generators;
mod iterators;
mod letters;
mod maps;
pub(crate) mod native;
mod numbers;
mod options;
mod ranges;
mod sets;
mod sort;
mod split;
mod table;
#[cfg(test)]
mod tests;
mod texts;
mod traits;
mod vecs;

use rune::{Context, ContextError, Module, modules};

pub use cost::Cost;
pub use table::{Function, Name, Table, Trait, Type};
pub use traits::{DOUBLE_ENDED, ITERATOR, TraitFunction};

/// One module of the library.
enum Part {
    Metered(&'static Table),
    Original(fn() -> Result<Module, ContextError>),
}

/// The library, in the order of Rune's own: later modules use the types of earlier ones.
static PARTS: &[Part] = &[
    Part::Metered(&iterators::TABLE),
    Part::Original(modules::core::module),
    Part::Metered(&compare::TABLE),
    Part::Original(modules::any::module),
    Part::Original(modules::clone::module),
    Part::Original(modules::num::module),
    Part::Original(modules::hash::module),
    Part::Metered(&texts::TABLE),
    Part::Metered(&buffers::TABLE),
    Part::Original(modules::collections::module),
    Part::Metered(&maps::TABLE),
    Part::Metered(&sets::TABLE),
    Part::Metered(&deques::TABLE),
    Part::Original(modules::char::module),
    Part::Metered(&numbers::F64S),
    Part::Metered(&vecs::TUPLES),
    Part::Original(modules::fmt::module),
    Part::Metered(&generators::FUTURES),
    Part::Metered(&numbers::I64S),
    Part::Metered(&numbers::U64S),
    Part::Original(modules::macros::module),
    Part::Original(modules::macros::builtin::module),
    Part::Original(modules::mem::module),
    Part::Metered(&maps::OBJECTS),
    Part::Metered(&ranges::TABLE),
    Part::Metered(&generators::GENERATORS),
    Part::Metered(&options::OPTIONS),
    Part::Metered(&options::RESULTS),
    Part::Metered(&generators::STREAMS),
    Part::Original(modules::test::module),
    Part::Metered(&vecs::TABLE),
    Part::Metered(&iterators::SLICES),
];

/// Modules that are Rune's own, and why they need no meter.
pub static ORIGINAL: &[(&str, &str)] = &[
    ("std", "`panic` copies its message once; the rest takes constant time"),
    ("std::any", "constant time"),
    ("std::clone", "`clone` calls the metered protocol of the value"),
    ("std::num", "only types"),
    ("std::hash", "only a type"),
    ("std::collections", "only other names for types"),
    ("std::char", "constant time"),
    ("std::fmt", "what a format walks is weighed by `::callboard::__w`; widths are limited by the compiler"),
    ("std::macros", "macros run when a script is compiled"),
    ("std::mem", "`drop` takes no longer than making the value did"),
    ("std::test", "the assertions are macros; a `Bencher` cannot be made by a script"),
];

/// What scripts do without, and why.
pub static LEFT_OUT: &[(&str, &str)] = &[
    ("std::io", "scripts have no standard output: they write to the log"),
    ("std::fs, std::process, std::net, std::time", "scripts reach the outside through services only"),
];

/// The metered modules, for those who write about them.
pub fn tables() -> impl Iterator<Item = &'static Table> {
    PARTS.iter().filter_map(|part| match part {
        Part::Metered(table) => Some(*table),
        Part::Original(_) => None,
    })
}

/// Installs the library: for the context that scripts run with.
///
/// # Errors
/// Two modules claim one name: a mistake in a table that every start would find.
pub fn install(context: &mut Context) -> Result<(), ContextError> {
    for part in PARTS {
        match part {
            Part::Metered(table) => table.install(context)?,
            Part::Original(module) => context.install(module()?)?,
        }
    }
    Ok(())
}

/// The context that scripts are compiled against, before the host's modules: Rune's own names.
///
/// Rune has its prelude (`Some`, `String`, `format!`, …) only in a context that it filled itself, and a
/// unit refers to functions by hash alone. So scripts are compiled against Rune's names and run with
/// the metered functions behind the same hashes; what is left out here is left out there.
///
/// # Errors
/// Rune's own modules clash, which they do not.
pub fn names() -> Result<Context, ContextError> {
    Context::with_config(false)
}
