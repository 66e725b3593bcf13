//! What it saves to keep bytecode: compiling a bundle beside opening its sealed unit.
//!
//! `cargo build --release --workspace --examples`, then `target/release/examples/load_or_compile`.
//!
//! Both happen in this process, in turn. A server compiles in a child, which costs a process on top.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use runtime::bundle::{Bundle, BundlePath};
use runtime::codec::{SigningKeys, open, seal};
use runtime::compile::{STACK, compile};

/// Runs of each; the median is told.
const RUNS: usize = 200;
/// Functions of the generated script.
const FUNCTIONS: usize = 200;

fn main() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/home");
    let home = Bundle::from_dir(&examples).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)));
    println!(
        "{:<24} {:>8} {:>8} {:>12} {:>12} {:>8}",
        "median of 200 runs", "source", "sealed", "compile", "open", "ratio"
    );
    for (name, bundle) in [("examples/home", home), ("200 functions", generated())] {
        // The compiler is recursive, and a source may nest as deep as it is allowed to.
        let work = std::thread::Builder::new().stack_size(STACK).spawn(move || measure(name, &bundle));
        work.expect("a thread").join().expect("it compiles");
    }
}

fn measure(name: &str, bundle: &Bundle) {
    let keys = SigningKeys::new([7; 32], Vec::new());
    let first = compile(bundle).unwrap_or_else(|wrong| panic!("{}", wrong.render(false))).compiled;
    let sealed = seal(&first, bundle.hash(), &keys);
    let (mut compiling, mut opening) = (Vec::with_capacity(RUNS), Vec::with_capacity(RUNS));
    for _ in 0..RUNS {
        let began = Instant::now();
        drop(black_box(compile(black_box(bundle))));
        compiling.push(began.elapsed());
        let began = Instant::now();
        drop(black_box(open(black_box(&sealed), bundle.hash(), &keys)));
        opening.push(began.elapsed());
    }
    open(&sealed, bundle.hash(), &keys).expect("what was sealed opens");
    let (compiling, opening) = (median(compiling), median(opening));
    let source: usize = bundle.scripts().map(|(_, text)| text.len()).sum();
    println!(
        "{name:<24} {source:>6} B {:>6} B {:>9.1} µs {:>9.1} µs {:>6.1} ×",
        sealed.len(),
        compiling.as_secs_f64() * 1e6,
        opening.as_secs_f64() * 1e6,
        compiling.as_secs_f64() / opening.as_secs_f64()
    );
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// A script of many functions that call each other, with loops, matches and closures.
fn generated() -> Bundle {
    let manifest = "team = \"t\"\nscript = \"s\"\n[[endpoint]]\npath = \"/x\"\nhandler = \"main::main\"\n";
    let mut main = String::from("pub fn main(request) { step0(request.query(\"n\"), 3) }\n");
    for n in 0..FUNCTIONS {
        let next = (n + 1) % FUNCTIONS;
        let _ = writeln!(
            main,
            "fn step{n}(name, depth) {{\n    if depth == 0 {{\n        return #{{ id: {n}, name: name }};\n    }}\n    \
             let sum = 0;\n    for i in 0..depth {{\n        sum += match i % 3 {{ 0 => {n}, 1 => i * 2, _ => 1 }};\n    \
             }}\n    let add = |x| x + sum;\n    json!({{ \"n\": add({n}), \"text\": `row ${{name}} {n}`, \
             \"next\": step{next}(name, depth - 1) }})\n}}"
        );
    }
    let files: BTreeMap<BundlePath, Arc<[u8]>> = [("callboard.toml", manifest), ("main.rn", main.as_str())]
        .into_iter()
        .map(|(path, text)| (path.parse().expect("a plain path"), text.as_bytes().into()))
        .collect();
    Bundle::from_files(files).unwrap_or_else(|wrong| panic!("{}", wrong.render(false)))
}
