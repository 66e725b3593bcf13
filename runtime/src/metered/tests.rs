//! The library's promises: it behaves as Rune's does, every row is proved by its example, and nothing
//! in it runs on when the meter says stop.

use std::collections::HashSet;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use quotas::units::Fuel;
use rune::runtime::{RuntimeContext, VmError};
use rune::{Context, Hash, Module, Source, Sources, Unit, Value, Vm};

use super::table::UNREACHED;
use super::{DOUBLE_ENDED, ITERATOR, coverage, install, names, tables};
use crate::fuel::{Meter, Stop, now_nanos};
use crate::weigh::weigh_through;

struct Library {
    names: Context,
    original: Arc<RuntimeContext>,
    metered: Arc<RuntimeContext>,
}

static LIBRARY: LazyLock<Library> = LazyLock::new(|| {
    let mut names = names().unwrap();
    let mut metered = Context::new();
    install(&mut metered).unwrap();
    for context in [&mut names, &mut metered] {
        let mut module = Module::with_crate("callboard").unwrap();
        module.raw_function("__w", weigh_through).build().unwrap();
        context.install(module).unwrap();
    }
    let (original, metered) = (Arc::new(names.runtime().unwrap()), Arc::new(metered.runtime().unwrap()));
    Library { names, original, metered }
});

fn compile(body: &str) -> Result<Arc<Unit>, String> {
    let is_async = if body.contains(".await") { "async " } else { "" };
    let mut sources = Sources::new();
    let text = format!("struct Pair {{ a, b }} pub {is_async}fn main() {{ {body} }}");
    sources.insert(Source::memory(text).unwrap()).unwrap();
    let mut found = rune::Diagnostics::new();
    let unit = rune::prepare(&mut sources).with_context(&LIBRARY.names).with_diagnostics(&mut found).build();
    unit.map(Arc::new).map_err(|_| format!("{body}\n{found:?}"))
}

fn call(vm: &mut Vm) -> Result<Value, VmError> {
    let mut call = pin!(vm.async_call(["main"], ()));
    let mut task = Task::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(result) = call.as_mut().poll(&mut task) {
            return result;
        }
    }
}

/// What a script answers, as a text.
fn run(unit: &Arc<Unit>, library: &Arc<RuntimeContext>) -> String {
    let mut vm = Vm::new(library.clone(), unit.clone());
    match call(&mut vm) {
        Ok(value) => vm.with(|| format!("{value:?}")),
        Err(error) => format!("error: {error}"),
    }
}

fn check_example(name: &str, key: Hash, example: &str, wrong: &mut Vec<String>) {
    if example.is_empty() {
        return;
    }
    let unit = match compile(example) {
        Ok(unit) => unit,
        Err(error) => return wrong.push(format!("{name}: does not compile: {error}")),
    };
    let expected = run(&unit, &LIBRARY.original);
    drop(coverage::take());
    let found = run(&unit, &LIBRARY.metered);
    let called: HashSet<Hash> = coverage::take();
    if !called.contains(&key) {
        wrong.push(format!("{name}: not called by its example: {example} = {found}"));
    }
    if found != expected || found.starts_with("error") || found.contains(" object at 0x") {
        wrong.push(format!("{name}: {example}\n  rune:    {expected}\n  metered: {found}"));
    }
}

#[test]
fn every_function_behaves_as_runes_own_in_an_example_that_calls_it() {
    let mut wrong = Vec::new();
    let mut rows = 0;
    for table in tables() {
        let path = table.path.join("::");
        for ty in table.types {
            for row in ty.functions {
                let name = format!("{path}::{}::{}", ty.name, row.name.text());
                check_example(&name, row.name.hash(ty.hash), row.example, &mut wrong);
                rows += 1;
            }
        }
        for row in table.functions {
            let name = format!("{path}::{}", row.name.text());
            check_example(&name, table.hash(row).unwrap(), row.example, &mut wrong);
            rows += 1;
        }
    }
    for row in ITERATOR.iter().chain(DOUBLE_ENDED) {
        check_example(row.name, row.key(), row.example, &mut wrong);
        rows += 1;
    }
    assert!(wrong.is_empty(), "{} of {rows}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(rows > 500, "{rows}");
}

#[test]
fn every_row_says_why_and_no_function_has_two() {
    let mut seen = HashSet::new();
    for table in tables() {
        for ty in table.types {
            for row in ty.functions {
                assert!(!row.reason.is_empty(), "{}", row.name.text());
                assert!(!row.example.is_empty() || row.reason == UNREACHED, "{}", row.name.text());
                assert!(seen.insert(row.name.hash(ty.hash)), "{}::{}", ty.name, row.name.text());
            }
        }
    }
}

#[test]
fn what_is_weighed_comes_through_as_it_is() {
    for value in ["1", "[1, #{ a: (2, 'x') }]", "Pair { a: 1, b: [2] }", "\"text\"", "None", "()"] {
        let weighed = compile(&format!("::callboard::__w({value})")).unwrap();
        assert_eq!(run(&weighed, &LIBRARY.metered), run(&compile(value).unwrap(), &LIBRARY.metered));
    }
}

/// What a script did before it was stopped.
#[derive(Debug)]
struct Ended {
    took: Duration,
    stopped: Option<Stop>,
    result: Result<String, String>,
}

const DEADLINE: Duration = Duration::from_millis(200);
const MEMORY: usize = 8 * 1024 * 1024;

/// Processor time of this thread: other work on the machine must not fail a test.
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(now.tv_sec).unwrap(), u32::try_from(now.tv_nsec).unwrap())
}

/// Runs a script on a thread of its own with a meter and a memory limit.
fn run_limited(body: &str, fuel: u64) -> Ended {
    let unit = compile(body).unwrap();
    let library = LIBRARY.metered.clone();
    let thread = std::thread::Builder::new().stack_size(256 * 1024 * 1024);
    let run = move || {
        let mut vm = Vm::new(library, unit);
        let nanos = u64::try_from(DEADLINE.as_nanos()).unwrap();
        let mut meter = Meter::new(Fuel::new(fuel), now_nanos() + nanos, None);
        let began = cpu_time();
        let result = meter.enter(|| {
            rune::alloc::limit::with(MEMORY, || call(&mut vm).map_err(|error| error.to_string())).call()
        });
        let took = cpu_time() - began;
        let result = result.map(|value| format!("{:?}", value.type_hash()));
        Ended { took, stopped: meter.stopped(), result }
    };
    thread.spawn(run).unwrap().join().unwrap()
}

/// Scripts that would keep a thread for minutes, for ever, or take all memory in one native call. The
/// loops have no checkpoints here: only the library can stop them.
const HOSTILE: &[(&str, &str)] = &[
    ("count", "(0..1000000000000).iter().count()"),
    ("endless", "(0..).iter().count()"),
    ("fold", "(0..1000000000000).iter().fold(0, i64::max)"),
    ("reduce", "(0..1000000000000).iter().reduce(i64::max)"),
    ("nth", "(0..1000000000000).iter().nth(999999999999)"),
    ("nth_back", "(0..1000000000000).iter().nth_back(999999999999)"),
    ("sum", "(0..1000000000000).iter().sum::<i64>()"),
    ("product", "(0..).iter().map(i64::signum).product::<i64>()"),
    ("rev", "(0..1000000000000).iter().rev().count()"),
    ("skip", "(0..1000000000000).iter().skip(999999999999).next()"),
    ("find", "(0..1000000000000).iter().find(i64::is_negative)"),
    ("any", "(0..1000000000000).iter().any(i64::is_negative)"),
    (
        "all",
        "(0..1000000000000).iter().map(i64::abs).all(i64::is_positive); (1..1000000000000).iter().all(i64::is_positive)",
    ),
    ("filter of a native function", "(0..1000000000000).iter().filter(i64::is_negative).next()"),
    ("filter_map", "(0..1000000000000).iter().filter_map(|n| None).next()"),
    ("flat_map", "(0..1000000000000).iter().flat_map(|n| []).next()"),
    ("peekable", "(0..1000000000000).iter().peekable().count()"),
    ("chain", "(0..1000000000000).iter().chain(0..9).count()"),
    ("range of letters for ever", "let f = |n| 'a'..'z'; (0..1000000000000).iter().flat_map(f).count()"),
    ("collect", "(0..1000000000000).iter().collect::<Vec>()"),
    ("collect of an endless one", "(0..).iter().collect::<Vec>()"),
    ("collect into a deque", "(0..1000000000000).iter().collect::<std::collections::VecDeque>()"),
    ("collect into a set", "(0..1000000000000).iter().collect::<std::collections::HashSet>()"),
    ("collect into a map", "(0..1000000000000).iter().enumerate().collect::<std::collections::HashMap>()"),
    ("collect into a tuple", "(0..1000000000000).iter().collect::<Tuple>()"),
    ("collect into a text", "(0..1000000000000).iter().map(|n| 'x').collect::<String>()"),
    ("collect pairs into an object", r#"(0..1000000000000).iter().map(|n| (`${n}`, n)).collect::<Object>()"#),
    ("deque from_iter", "std::collections::VecDeque::from_iter(0..)"),
    ("deque with_capacity", "std::collections::VecDeque::with_capacity(9223372036854775807)"),
    ("vec with_capacity", "Vec::with_capacity(9223372036854775807)"),
    ("map with_capacity", "std::collections::HashMap::with_capacity(1000000000000)"),
    ("set with_capacity", "std::collections::HashSet::with_capacity(9223372036854775807)"),
    ("object with_capacity", "Object::with_capacity(9223372036854775807)"),
    ("text with_capacity", "String::with_capacity(9223372036854775807)"),
    ("bytes with_capacity", "Bytes::with_capacity(9223372036854775807)"),
    ("reserve", r#"let s = String::new(); s.reserve(9223372036854775807)"#),
    ("deque reserve", r#"std::collections::VecDeque::new().reserve(9223372036854775807)"#),
    ("map from_iter", "std::collections::HashMap::from_iter((0..).iter().enumerate())"),
    ("set from_iter", "std::collections::HashSet::from_iter(0..)"),
    ("vec extend", "let v = []; v.extend(0..1000000000000); v"),
    ("deque extend", "std::collections::VecDeque::new().extend(0..)"),
    ("set extend", "std::collections::HashSet::new().extend(0..)"),
    ("map extend", "std::collections::HashMap::new().extend((0..).iter().enumerate())"),
    ("resize", "let v = []; v.resize(1000000000000, 0)"),
    ("resize with clones", "let v = []; v.resize(1000000000000, [])"),
    (
        "compare with an endless iterator",
        "let v = []; v.resize(400000, 0); for i in 0..1000 { v == v.iter().chain(0..); v.iter().chain([1]).collect::<Vec>() == v; }",
    ),
    ("sort", "let v = (0..200000).iter().rev().collect::<Vec>(); loop { v.sort(); }"),
    ("sort_by", "let v = (0..200000).iter().collect::<Vec>(); loop { v.sort_by(i64::cmp); }"),
    (
        "sort of shared structs",
        "let a = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; } [a, a].sort()",
    ),
    ("sort of shared vectors", "let a = [0]; for i in 0..50 { a = [a, a]; } [a, a, a].sort()"),
    (
        "cmp of shared vectors",
        "let a = [0]; let b = [0]; for i in 0..50 { a = [a, a]; b = [b, b]; } a.cmp(b)",
    ),
    ("eq of shared vectors", "let a = [0]; let b = [0]; for i in 0..50 { a = [a, a]; b = [b, b]; } a == b"),
    (
        "partial_cmp of shared tuples",
        "let a = (0,); let b = (0,); for i in 0..50 { a = (a, a); b = (b, b); } a < b",
    ),
    (
        "eq of shared objects",
        "let a = #{}; let b = #{}; for i in 0..50 { a = #{ x: a, y: a }; b = #{ x: b, y: b }; } a == b",
    ),
    (
        "eq of shared options",
        "let a = Some(0); let b = Some(0); for i in 0..50 { a = Some((a, a)); b = Some((b, b)); } a == b",
    ),
    (
        "eq of structs in a vector",
        "let a = Pair { a: 0, b: 0 }; let b = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; b = Pair { a: b, b }; } [a] == [b]",
    ),
    (
        "eq of structs in a map",
        "let a = Pair { a: 0, b: 0 }; let b = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; b = Pair { a: b, b }; } std::collections::HashMap::from_iter([(1, a)]) == std::collections::HashMap::from_iter([(1, b)])",
    ),
    (
        "eq of structs in a deque",
        "let a = Pair { a: 0, b: 0 }; let b = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; b = Pair { a: b, b }; } std::collections::VecDeque::from_iter([a]) == std::collections::VecDeque::from_iter([b])",
    ),
    (
        "eq of structs in an option",
        "let a = Pair { a: 0, b: 0 }; let b = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; b = Pair { a: b, b }; } Some(a) == Some(b)",
    ),
    (
        "max of structs",
        "let a = Pair { a: 0, b: 0 }; let b = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; b = Pair { a: b, b }; } std::cmp::max(a, b)",
    ),
    (
        "structs as ends of a range",
        "let a = Pair { a: 0, b: 0 }; let b = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; b = Pair { a: b, b }; } (a..b).contains(b)",
    ),
    ("hash", "let a = [0]; for i in 0..50 { a = [a, a]; } std::ops::hash(a)"),
    ("hash of an option", "let a = (0,); for i in 0..50 { a = (a, a); } std::ops::hash(Some(a))"),
    (
        "a shared key",
        "let a = (0,); for i in 0..50 { a = (a, a); } std::collections::HashMap::new().insert(a, 1)",
    ),
    (
        "a shared member",
        "let a = (0,); for i in 0..50 { a = (a, a); } std::collections::HashSet::new().insert(a)",
    ),
    (
        "a shared key that is looked up",
        "let a = (0,); for i in 0..50 { a = (a, a); } std::collections::HashMap::from_iter([(1, 1)]).get(a)",
    ),
    (
        "collecting shared keys",
        "let a = (0,); for i in 0..50 { a = (a, a); } [(a, 1)].iter().collect::<std::collections::HashMap>()",
    ),
    (
        "keys that grew after they were inserted",
        "let v = []; let m = std::collections::HashMap::new(); for i in 0..7168 { m.insert((i, v), 0); } v.resize(300000, 0); m.insert(0, 0); for i in 0..7200 { m.insert(i, 0); }",
    ),
    (
        "members that grew, in a difference",
        "let v = []; let s = std::collections::HashSet::new(); for i in 0..7000 { s.insert((i, v)); } let d = s.difference(std::collections::HashSet::from_iter([1])); v.resize(300000, 0); d.count()",
    ),
    (
        "members that grew, in an intersection",
        "let v = []; let s = std::collections::HashSet::new(); for i in 0..7000 { s.insert((i, v)); } let o = s.clone(); o.insert((0 - 1, v)); v.resize(300000, 0); s.intersection(o).count()",
    ),
    (
        "members that grew, in a union",
        "let v = []; let s = std::collections::HashSet::new(); for i in 0..7000 { s.insert((i, v)); } let o = s.clone(); o.insert((0 - 1, v)); v.resize(300000, 0); s.union(o).count()",
    ),
    (
        "eq of maps with keys that grew",
        "let v = []; let m = std::collections::HashMap::new(); for i in 0..7000 { m.insert((i, v), 0); } let n = m.clone(); v.resize(300000, 0); m == n",
    ),
    ("debug of shared vectors", r#"let a = [0]; for i in 0..50 { a = [a, a]; } format!("{:?}", a)"#),
    ("debug of shared objects", r#"let a = #{}; for i in 0..50 { a = #{ x: a, y: a }; } format!("{:?}", a)"#),
    (
        "debug of shared structs",
        r#"let a = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; } format!("{:?}", [a])"#,
    ),
    ("debug of shared results", r#"let a = Ok(0); for i in 0..50 { a = Ok((a, a)); } Err(a).unwrap()"#),
    ("clone of shared options", "let a = Some((0,)); for i in 0..50 { a = Some((a, a)); } a.clone()"),
    ("chars", "let s = \"x\"; for i in 0..22 { s = s + s; } loop { s.chars().count(); }"),
    (
        "split by a native function",
        "let s = \"x\"; for i in 0..22 { s = s + s; } loop { s.split(char::is_whitespace).next(); }",
    ),
    (
        "split_once by a native function",
        "let s = \"x\"; for i in 0..22 { s = s + s; } loop { s.split_once(char::is_whitespace); }",
    ),
    (
        "split by a long text",
        "let s = \"x\"; for i in 0..21 { s = s + s; } let p = s + \"y\"; s.split(p).next()",
    ),
    ("replace that grows without end", "let s = \"x\"; for i in 0..20 { s = s + s; } s.replace(\"x\", s)"),
    ("replace", "let s = \"x\"; for i in 0..20 { s = s + s; } loop { s.replace(\"x\", \"yy\"); }"),
    ("contains", "let s = \"x\"; for i in 0..22 { s = s + s; } loop { s.contains(\"xxxxxxxxy\"); }"),
    ("parse", "let s = \"0\"; for i in 0..22 { s = s + s; } loop { s.parse::<f64>(); }"),
    ("i64::parse", "let s = \"0\"; for i in 0..22 { s = s + s; } loop { std::i64::parse(s); }"),
    ("to_lowercase", "let s = \"Σ\"; for i in 0..20 { s = s + s; } loop { s.to_lowercase(); }"),
    ("to_uppercase", "let s = \"ß\"; for i in 0..20 { s = s + s; } loop { s.to_uppercase(); }"),
    ("template", "let s = \"x\"; for i in 0..18 { s = s + s; } loop { `${s}${s}`; }"),
    ("text eq", "let s = \"x\"; for i in 0..21 { s = s + s; } let t = s.clone(); loop { s == t; }"),
    ("text clone", "let s = \"x\"; for i in 0..21 { s = s + s; } loop { s.clone(); }"),
    (
        "bytes",
        "let s = \"x\"; for i in 0..21 { s = s + s; } let b = s.as_bytes(); loop { b.remove(0); b.push(b'x'); b == b; }",
    ),
    ("vec remove", "let v = []; v.resize(400000, 0); loop { v.remove(0); v.insert(0, 1); }"),
    ("vec slices", "let v = []; v.resize(200000, 0); loop { v[1..]; v.get(..); v.clone(); }"),
    (
        "deque rotation",
        "let d = std::collections::VecDeque::from_iter(0..200000); loop { d.rotate_left(100000); }",
    ),
    ("generator", "let g = || { for i in 0..1000000000000 { yield i; } }; g().iter().count()"),
    (
        "an operator on shared structs, weighed by the instrumenter",
        "let a = Pair { a: 0, b: 0 }; let b = Pair { a: 0, b: 0 }; for i in 0..50 { a = Pair { a, b: a }; b = Pair { a: b, b }; } ::callboard::__w(a) == ::callboard::__w(b)",
    ),
    ("a vector that holds itself", "let v = []; v.push(v); v == v; format!(\"{:?}\", v)"),
];

/// The inner loops of these scripts have no checkpoints, so the loops must be stopped by what they call.
#[test]
fn nothing_runs_on_after_the_deadline() {
    let mut wrong = Vec::new();
    for (name, body) in HOSTILE {
        let ended = run_limited(body, u64::MAX);
        let was_stopped = ended.result.is_err() || ended.stopped.is_some();
        if ended.took > 2 * DEADLINE || !was_stopped {
            wrong.push(format!("{name}: {ended:?}"));
        }
        eprintln!("{name}: {ended:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nothing_runs_on_without_fuel() {
    let mut wrong = Vec::new();
    for (name, body) in HOSTILE {
        let ended = run_limited(body, 10_000);
        let was_stopped = ended.result.is_err() || ended.stopped.is_some();
        if ended.took > DEADLINE || !was_stopped {
            wrong.push(format!("{name}: {ended:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
