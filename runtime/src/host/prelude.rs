//! The names that scripts use without importing them.
//!
//! Rune gives its own prelude only to contexts that hold all of its modules as they are, so the
//! instrumenter writes an import of this module at the top of every module of a script.

use rune::{ContextError, Item, ItemBuf, Module};

const NAMES: &[(&str, &[&str])] = &[
    ("assert", &["test", "assert"]),
    ("assert_eq", &["test", "assert_eq"]),
    ("assert_ne", &["test", "assert_ne"]),
    ("drop", &["mem", "drop"]),
    ("clone", &["clone", "clone"]),
    ("file", &["macros", "builtin", "file"]),
    ("format", &["fmt", "format"]),
    ("line", &["macros", "builtin", "line"]),
    ("panic", &["panic"]),
    ("stringify", &["stringify"]),
    ("Some", &["option", "Option", "Some"]),
    ("None", &["option", "Option", "None"]),
    ("Ok", &["result", "Result", "Ok"]),
    ("Err", &["result", "Result", "Err"]),
    ("Option", &["option", "Option"]),
    ("Result", &["result", "Result"]),
    ("String", &["string", "String"]),
    ("Vec", &["vec", "Vec"]),
    ("Bytes", &["bytes", "Bytes"]),
    ("Object", &["object", "Object"]),
    ("Tuple", &["tuple", "Tuple"]),
    ("bool", &["bool"]),
    ("char", &["char"]),
    ("f64", &["f64"]),
    ("i64", &["i64"]),
    ("u64", &["u64"]),
    ("u8", &["u8"]),
];

/// `::callboard::prelude`.
pub(super) fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["prelude"])?;
    for (name, path) in NAMES {
        let item = ItemBuf::with_crate_item("std", path.iter().copied())?;
        let item: &Item = &item;
        module.reexport([*name], item)?;
    }
    Ok(module)
}
