//! The reference in the tree is the one that the tables make, and its examples compile.

use std::collections::BTreeMap;
use std::sync::Arc;

use runtime::bundle::{Bundle, BundlePath};
use runtime::compile::{STACK, compile};
use runtime::host::reference::{PARTS, page};

#[test]
fn the_page_in_the_tree_is_the_one_that_the_tables_make() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/REFERENCE.md");
    if std::env::var_os("CALLBOARD_UPDATE_GOLDEN").is_some() {
        std::fs::write(path, page()).expect("the page is written");
    }
    let stands = std::fs::read_to_string(path).unwrap_or_default();
    assert!(stands == page(), "set CALLBOARD_UPDATE_GOLDEN=1 once to write {path} anew");
}

#[test]
fn every_example_of_the_reference_compiles() {
    let examples = || PARTS.iter().flat_map(|(_, _, rows)| rows.iter());
    let functions: String = examples()
        .enumerate()
        .map(|(number, row)| format!("pub async fn f{number}(request) {{ {} }}\n", row.example))
        .collect();
    let main = format!("pub async fn main(request) {{ 1 }}\n{functions}");
    let manifest = "team = \"t\"\nscript = \"s\"\n[[endpoint]]\npath = \"/x\"\nhandler = \"main::main\"\n";
    let files: BTreeMap<BundlePath, Arc<[u8]>> =
        [("callboard.toml", manifest.as_bytes().into()), ("main.rn", main.as_bytes().into())]
            .into_iter()
            .map(|(path, text)| (path.parse().unwrap(), text))
            .collect();
    let work =
        move || compile(&Bundle::from_files(files).unwrap()).map(drop).map_err(|wrong| wrong.render(false));
    let compiled = std::thread::Builder::new().stack_size(STACK).spawn(work).unwrap().join().unwrap();
    compiled.unwrap_or_else(|wrong| panic!("{wrong}"));
    assert!(examples().count() > 40);
}
