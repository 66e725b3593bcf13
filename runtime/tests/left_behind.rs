//! Nothing of a call is left when it is over: whatever its script ties together is untied.

mod kit;

use std::time::Duration;

use kit::{allowance, run_with};
use quotas::limits::Allowance;
use quotas::units::{Bytes, Fuel};
use runtime::fuel::Stop;

/// Scripts that tie a value to itself, each in another way.
const CYCLES: &[(&str, &str)] = &[
    ("a field", "let a = #{}; a.me = a; 1"),
    ("a field of a field", "let a = #{ b: #{} }; a.b.up = a; 1"),
    ("an index of a vector", "let a = [0]; a[0] = a; 1"),
    ("an index of an object", "let a = #{}; a[\"me\"] = a; 1"),
    ("an index of a map", "let a = std::collections::HashMap::new(); a[1] = a; 1"),
    ("a place of a tuple", "let a = (0, 1); a.0 = a; 1"),
    ("a field of a struct", "let a = Node { me: 0 }; a.me = a; 1"),
    ("a place of a struct", "let a = Pair(0, 1); a.1 = a; 1"),
    ("a field of a variant", "let a = Tree::Leaf { up: 0 }; a.up = a; 1"),
    ("push", "let a = []; a.push(a); 1"),
    ("insert of a vector", "let a = []; a.insert(0, a); 1"),
    ("extend of a vector", "let a = []; a.extend([a]); 1"),
    ("resize", "let a = []; a.resize(2, [a]); 1"),
    ("insert of an object", "let a = #{}; a.insert(\"me\", a); 1"),
    ("insert of a map", "let a = std::collections::HashMap::new(); a.insert(1, a); 1"),
    ("extend of a map", "let a = std::collections::HashMap::new(); a.extend([(1, a)]); 1"),
    ("push_back", "let a = std::collections::VecDeque::new(); a.push_back(a); 1"),
    ("push_front", "let a = std::collections::VecDeque::new(); a.push_front(a); 1"),
    ("insert of a deque", "let a = std::collections::VecDeque::new(); a.insert(0, a); 1"),
    ("extend of a deque", "let a = std::collections::VecDeque::new(); a.extend([a]); 1"),
    ("an index of a deque", "let a = std::collections::VecDeque::from_iter([0]); a[0] = a; 1"),
    ("two vectors", "let a = []; let b = [a]; a.push(b); 1"),
    ("an option between", "let a = []; a.push(Some(a)); 1"),
    ("a closure", "let a = #{}; a.f = || a; 1"),
    ("a generator", "let a = #{}; a.g = held(a); a.g.next(); 1"),
    ("a generator that takes itself out", "let a = []; let g = taking(a); a.push(g); g.next(); 1"),
    ("a generator that is given itself", "let g = given(); g.resume(()); g.resume(g); 1"),
    ("a generator that takes itself out of an object", "let a = #{}; let g = out(a); a.g = g; g.next(); 1"),
    (
        "a generator within what it is put in by",
        "let a = []; let g = taking(a); a.push([Some((g, 1))]); g.next(); 1",
    ),
    ("a generator in a loop", "let a = []; let g = taking(a); a.push([g]); for i in g { break; } 1"),
    ("a stream that takes itself out", "let a = []; let s = streaming(a); a.push([s]); s.next().await; 1"),
    (
        "a stream that is given itself",
        "let s = async || { let me = yield 1; yield me; }; let s = s(); s.resume(()).await; s.resume(s).await; 1",
    ),
    (
        "an iterator that has a part of itself",
        "let a = []; let i = [1].iter().flat_map(|n| [a.pop(), a.pop()]); a.push(i); a.push(i); i.next(); 1",
    ),
    (
        "an iterator that looked at itself",
        "let a = []; let i = [1, 2].iter().map(|n| a.pop()).peekable(); a.push(i); i.peek(); 1",
    ),
    ("what both of two are", "let a = #{}; a.me = a && a; 1"),
    ("what one of two is", "let a = #{}; a.me = a || a; 1"),
    ("what a block is", "let a = #{}; a.me = { let b = a; b }; 1"),
    ("a future", "let a = #{}; a.f = async { a }; 1"),
    ("an iterator", "let a = #{}; a.i = [1, 2].iter().map(|n| a); a.i.next(); 1"),
    ("an iterator that looks ahead", "let a = #{}; let i = [a, a].iter().peekable(); i.peek(); a.i = i; 1"),
    (
        "a tree with its parents",
        "let root = #{ children: [] }; for i in 0..100 { root.children.push(#{ i, up: root }); } 1",
    ),
    (
        "a ring",
        "let first = #{}; let last = first; for i in 0..1000 { let next = #{}; last.next = next; last = next; } last.next = first; 1",
    ),
    (
        "a deep value in a cycle",
        "let a = []; let deep = a; for i in 0..20000 { deep = [deep]; } a.push(deep); 1",
    ),
    ("an error that holds it", "let a = []; a.push(a); panic!(\"x\")"),
    ("an answer in it", "let a = #{ text: \"x\" }; a.me = a; a.text"),
];

const NEEDED: &str = "struct Node { me } struct Pair(a, b); enum Tree { Leaf { up } }
    fn held(o) { yield 1; yield o; }
    fn taking(a) { let me = a.pop(); yield 1; yield me; }
    fn out(o) { let me = o.g; o.g = 0; yield 1; yield me; }
    async fn streaming(a) { let me = a.pop(); yield 1; yield me; }
    fn given() { let me = yield 1; yield me; }
    pub async fn main(request) {";

fn script(body: &str) -> &'static str {
    Box::leak(format!("{NEEDED} {body} }}").into_boxed_str())
}

/// What a call of this script left behind, and how it ended.
fn left_behind(body: &str, allowance: Allowance) -> (Bytes, String) {
    let outcome = run_with(script(body), "", allowance);
    let ended = match outcome.result {
        Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
        Err(failure) => failure.to_string(),
    };
    (outcome.cost.left_behind, ended)
}

#[test]
fn a_value_that_holds_itself_ends_with_its_call() {
    let left: Vec<String> = CYCLES
        .iter()
        .map(|(how, body)| (how, left_behind(body, allowance())))
        .filter(|(how, (left, ended))| {
            let is_meant = ended.starts_with("200 ") || **how == "an error that holds it";
            left.get() > 0 || !is_meant
        })
        .map(|(how, (left, ended))| format!("{how}: {left} left, {ended}"))
        .collect();
    assert!(left.is_empty(), "{}", left.join("\n"));
}

#[test]
fn a_call_that_is_stopped_leaves_nothing_either() {
    let endless = "loop { let a = #{}; a.me = a; a.text = \"0123456789\".to_uppercase(); }";
    let little = Allowance { fuel: Fuel::new(20_000), ..allowance() };
    let late = Allowance { deadline: Duration::from_millis(20), ..allowance() };
    for (how, body, allowance, stop) in [
        ("without memory", endless, allowance(), Stop::Memory),
        ("without fuel", endless, little, Stop::Fuel),
        ("without time", "let a = []; a.push(a); loop { let b = [a]; a[0] = b; }", late, Stop::Deadline),
    ] {
        let (left, ended) = left_behind(body, allowance);
        assert!(ended.contains(stop.text()), "{how}: {ended}");
        assert_eq!(left, Bytes::new(0), "{how}");
    }
}

/// What is noted must not keep alive what the script itself lets go.
#[test]
fn a_script_that_drops_what_it_tied_together_has_its_memory_back() {
    let body =
        "let n = 0; for i in 0..20000 { let a = [0, 1, 2, 3, 4, 5, 6, 7]; a.push([i]); n += a.len(); } n";
    let few = Allowance { memory: Bytes::kib(64), ..allowance() };
    assert_eq!(left_behind(body, few), (Bytes::new(0), "200 180000".to_owned()));
    let structs = "let n = 0; for i in 0..20000 { let a = Node { me: 0 }; a.me = [i]; n += 1; } n";
    assert_eq!(left_behind(structs, few), (Bytes::new(0), "200 20000".to_owned()));
}
