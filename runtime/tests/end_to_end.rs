//! From source to answer and back: what a script does, what it costs, what stops it.

mod kit;

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kit::{Get, allowance, bundle, context, on_big_stack, run_with, unit};
use quotas::limits::Allowance;
use quotas::units::Fuel;
use runtime::codec::{SigningKeys, open, seal};
use runtime::compile::compile;
use runtime::error::Failure;
use runtime::fuel::{Stop, now_nanos};
use runtime::host::request::Request;
use runtime::run::call;
use runtime::unit::{Entry, Unit};

fn answer(main: &'static str) -> String {
    let outcome = run_with(main, "name=TV&n=3", allowance());
    let response = outcome.result.unwrap_or_else(|failure| panic!("{main}: {failure}"));
    format!("{} {}", response.status, String::from_utf8_lossy(&response.body))
}

#[test]
fn a_handler_answers() {
    for (main, wanted) in [
        ("pub fn main(request) { `Hello ${request.query(\"name\")}` }", "200 Hello TV"),
        ("pub fn main(request) { `Hello ${request.query(\"none\")}` }", "200 Hello "),
        (
            "pub fn main(request) { #{ b: 1, a: [true, 1.5, \"x\\n\"], c: () } }",
            r#"200 {"a":[true,1.5,"x\n"],"b":1,"c":null}"#,
        ),
        (
            "pub fn main(request) { let t = 2; json!({ \"b\": 1, \"a\": [t, { \"c\": `x${t}` }], \"e\": {}, \"f\": [] }) }",
            r#"200 {"b":1,"a":[2,{"c":"x2"}],"e":{},"f":[]}"#,
        ),
        (
            "pub fn main(request) { let l = json!([]); for i in 0..3 { json_push!(l, { \"i\": i }); } l }",
            r#"200 [{"i":0},{"i":1},{"i":2}]"#,
        ),
        ("pub fn main(request) { request.json()?[\"a\"] }", "200 [1,2]"),
        ("pub fn main(request) { request.json()?[\"a\"][1] }", "200 2"),
        (
            "pub fn main(request) { for x in request.json()?[\"a\"] { if x == 2 { return (`two`); } } }",
            "200 two",
        ),
        (
            "pub fn main(request) { let v = request.json()?.value(); v[\"a\"].push(3); v }",
            r#"200 {"a":[1,2,3]}"#,
        ),
        (
            "use callboard::Response; pub fn main(request) { Response::json(#{ a: 1 }).with_status(201).with_header(\"x-a\", \"b\") }",
            r#"201 {"a":1}"#,
        ),
        ("use callboard::Response; pub fn main(request) { Response::status(404) }", "404 "),
        ("pub fn main(request) { }", "204 "),
        (
            "pub async fn main(request) { let (a, b) = std::future::join((f(1), f(2))).await; [a, b] } async fn f(x) { x }",
            "200 [1,2]",
        ),
        (
            "struct P { a } enum E { A, B(x) } pub fn main(request) { match E::B(P { a: 4 }) { E::B(p) => p.a, _ => 0 } }",
            "200 4",
        ),
        ("pub fn main(request) { let n = 0; for i in 0..1000 { n += i; } n }", "200 499500"),
        ("pub fn main(request) { request.header(\"X-Device\") }", "200 tv"),
        ("pub fn main(request) { [1, 2, 3].iter().map(|x| x * 2).collect::<Vec>() }", "200 [2,4,6]"),
        ("use callboard::base64; pub fn main(request) { base64::encode(\"hi\") }", "200 aGk="),
        ("pub fn main(request) { Ok(#{ a: 1 }) }", r#"200 {"a":1}"#),
        ("pub fn main(request) { format!(\"{} {:?}\", 1, [1]) }", "200 1 [1]"),
    ] {
        assert_eq!(answer(main), wanted, "{main}");
    }
}

#[test]
fn an_answer_sets_no_header_for_the_whole_server_and_none_beyond_its_room() {
    for (main, wanted) in [
        (
            "use callboard::Response; pub fn main(request) { Response::status(200).with_header(\"Clear-Site-Data\", \"*\") }",
            "clear-site-data would speak for every path of this server",
        ),
        (
            "use callboard::Response; pub fn main(request) { let a = Response::status(200); for i in 0..65 { a = a.with_header(\"x-a\", `${i}`); } a }",
            "at most 64 headers",
        ),
    ] {
        let failure = run_with(main, "", allowance()).result.expect_err(main);
        assert!(format!("{failure:?}").contains(wanted), "{main}: {failure:?}");
    }
    let fine = "use callboard::Response; pub fn main(request) { Response::status(200).with_header(\"set-cookie\", \"a=b\") }";
    assert_eq!(answer(fine), "200 ");
}

/// Rune itself finds nothing where a block that ends in its own variable is an operand.
#[test]
fn a_block_that_ends_in_its_own_variable_has_its_value_wherever_it_stands() {
    for (body, wanted) in [
        ("let a = #{ x: 0 }; a.x = { let q = 1; q }; a", r#"{"x":1}"#),
        ("let a = #{ x: 0 }; a[{ let q = \"x\"; q }] = { let q = 1; q }; a", r#"{"x":1}"#),
        ("let a = [1]; a[0] = match a[0] { 1 => { let q = [7]; q }, _ => 0 }; a", "[[7]]"),
        ("let a = (0, 1); a.0 = if true { let q = 5; q } else { 6 }; a", "[5,1]"),
        ("1 + { let q = 1; q }", "2"),
        ("let x = { let q = 1; q } + { let q = 2; q }; x", "3"),
        ("1 == { let q = 1; q }", "true"),
        ("true && { let q = true; q }", "true"),
        ("let v = [1, 2]; v[{ let q = 1; q }]", "2"),
        ("let x = { let q = [3]; q }[0]; x", "3"),
        ("let x = { let q = [3]; q }.len(); x", "1"),
        ("let x = { let q = #{ a: 4 }; q }.a; x", "4"),
        ("(1, { let q = 1; q })", "[1,1]"),
        ("[1, { let q = 1; q }]", "[1,1]"),
        ("#{ x: { let q = 1; q } }", r#"{"x":1}"#),
        ("let v = []; for i in { let q = [1]; q } { v.push(i); } v", "[1]"),
        ("let n = 0; let r = 0..{ let q = 3; q }; for i in r { n += i; } n", "3"),
        ("let x = -{ let q = 1; q }; x", "-1"),
        ("let x = !{ let q = true; q }; x", "false"),
        ("let n = 1; n += { let q = 1; q }; n", "2"),
        ("let a = #{ x: 1 }; a.x += { let q = 1; q }; a.x", "2"),
        ("let v = []; v.push({ let q = 1; q }); v", "[1]"),
        ("let v = [1]; v.push({ return 5; }); v", "5"),
        ("1 + match 7 { n => n }", "8"),
        ("1 + (match 7 { 8 => 0, n => { let m = n; m } })", "8"),
        ("let x = 0; x = 1 + if x == 1 { 1 } else if x == 0 { let q = 2; q } else { 3 }; x", "3"),
        ("let x = { let q = Some(1); q }?; Some(x)", "1"),
        ("while { let q = false; q } { } 1", "1"),
        ("if { let q = true; q } { 1 } else { 2 }", "1"),
        ("match { let q = 1; q } { 1 => 1, _ => 2 }", "1"),
        ("let x = match { let q = [1, 2]; q } { [a, b] => a + b, _ => 0 }; x", "3"),
        ("let (a, b) = { let q = (1, 2); q }; a + b", "3"),
        ("if let Some(x) = { let q = Some(4); q } { x } else { 0 }", "4"),
        ("return { let q = 1; q };", "1"),
        ("let g = || { yield { let q = 1; q }; }; let g = g(); g.next()", "1"),
        ("let f = || { let g = || 3; g }; let h = f(); h()", "3"),
        ("json!([({ let q = 1; q })])", "[1]"),
        ("format!(\"{}\", { let q = 1; q })", "1"),
        ("let x = async { let q = async { 3 }; q.await }; x.await", "3"),
        ("`${{ let q = 1; q }}`", "1"),
        ("let x = { let q = || 3; q }(); x", "3"),
        ("let f = || { let q = 1; q }; f() + f()", "2"),
        ("let a = #{ x: 0 }; a.x = loop { let q = 3; break q; }; a.x", "3"),
        ("1 + loop { let q = 3; break q; }", "4"),
    ] {
        let main = Box::leak(format!("pub async fn main(request) {{ {body} }}").into_boxed_str());
        assert_eq!(answer(main), format!("200 {wanted}"), "{body}");
    }
}

#[test]
fn a_template_string_right_after_return_is_refused_with_the_way_out() {
    let text = on_big_stack(|| {
        let main = "pub fn main(request) { if 1 == 2 { return `two`; } }";
        compile(&bundle(main)).unwrap_err().render(false)
    });
    assert!(text.contains("main.rn:1:36"), "{text}");
    assert!(text.contains("needs parentheses: `return (`…`)`"), "{text}");
}

#[test]
fn a_method_that_is_missing_is_named_and_the_common_mistakes_have_a_hint() {
    for (main, says) in [
        (
            "pub fn main(request) { f().json() } async fn f() { 1 }",
            "Missing instance function `json` for `::std::future::Future`; is an `.await` missing? at main.rn:1",
        ),
        (
            "pub fn main(request) { request.json().jsno() }",
            "Missing instance function `jsno` for `::std::result::Result`; a `?` takes the value out of a result",
        ),
        (
            "pub fn main(request) { let v = [1]; for x in v { v.push(x); } }",
            "The value is in use: what a loop",
        ),
        ("pub fn main(request) { let v = [1]; drop(v); v.len() }", "The value is gone"),
        ("pub fn main(request) { request.hedaer(\"a\") }", "Missing instance function `hedaer` for"),
    ] {
        let failure = run_with(main, "", allowance()).result.unwrap_err();
        assert!(failure.to_string().starts_with(says), "{main}: {failure}");
    }
}

#[test]
fn what_the_instrumentation_wrote_is_no_warning_of_the_authors() {
    let warnings = on_big_stack(|| {
        let main = "pub async fn main(request) { let (a, b) = (1, 2); for i in 0..2 { a += i; } loop { break; } a + b }";
        compile(&bundle(main)).unwrap().warnings.render(false)
    });
    assert_eq!(warnings, "");
}

/// Calls that never give their thread away by themselves, each in another way.
const SPINNING: &[&str] = &[
    "pub fn main(request) { loop {} }",
    "pub async fn main(request) { loop {} }",
    "pub async fn main(request) { f() } fn f() { loop {} }",
    "pub async fn main(request) { f().await } async fn f() { g() } fn g() { loop {} }",
    "pub fn main(request) { (0..).iter().map(|x| x + 1).filter(|x| false).count() }",
    "pub async fn main(request) { [1].iter().map(|x| { loop {} }).count() }",
    "pub async fn main(request) { std::future::join((f(), f())).await } async fn f() { loop {} }",
    "pub fn main(request) { let v = []; for i in 0..20000 { v.push(i % 7); } loop { v.sort(); } }",
    "use callboard::hash; pub async fn main(request) { let s = `0123456789`; for i in 0..9 { s = s + s; } loop { hash::blake3(s); } }",
    "pub fn main(request) { match E::A { e => loop { e == E::A; } } } enum E { A }",
];

#[test]
fn whatever_a_call_does_others_on_its_thread_go_on() {
    on_big_stack(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let quick = unit("pub fn main(request) { `quick` }");
        for main in SPINNING {
            let allowance = Allowance { fuel: Fuel::new(10_000_000_000), ..allowance() };
            let spin = unit(main);
            let start = |unit: &Arc<Unit>| {
                let request = Request::new(Rc::new(Get("")), Vec::new(), None, Bytes::from_static(b"{}"));
                let context = context(unit, &allowance);
                call(unit.clone(), Entry::new("main", "main"), request, allowance, now_nanos(), context, None)
            };
            let (spun, quick_ones) = tokio::task::LocalSet::new().block_on(&runtime, async {
                let spinning = tokio::task::spawn_local(start(&spin));
                tokio::task::yield_now().await;
                let mut answered = 0;
                while !spinning.is_finished() {
                    let outcome = tokio::task::spawn_local(start(&quick)).await.unwrap();
                    assert!(outcome.result.is_ok());
                    answered += 1;
                }
                (spinning.await.unwrap(), answered)
            });
            let failure = spun.result.unwrap_err();
            assert!(
                matches!(failure, Failure::Stopped { stop: Stop::Deadline | Stop::Fuel, .. }),
                "{main}: {failure:?}"
            );
            // It runs for 300 ms; who comes meanwhile waits for one slice at a time.
            assert!(quick_ones > 30, "{main}: {quick_ones} calls were answered meanwhile");
        }
    });
}

#[test]
fn a_call_that_is_dropped_in_the_middle_leaves_nothing_behind() {
    on_big_stack(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let spin = unit(SPINNING[4]);
        let quick = unit("pub fn main(request) { `quick` }");
        let start = |unit: &Arc<Unit>| {
            let request = Request::new(Rc::new(Get("")), Vec::new(), None, Bytes::from_static(b"{}"));
            let context = context(unit, &allowance());
            call(unit.clone(), Entry::new("main", "main"), request, allowance(), now_nanos(), context, None)
        };
        for _ in 0..20 {
            runtime.block_on(async {
                let mut spinning = Box::pin(start(&spin));
                assert!(futures_util::poll!(&mut spinning).is_pending(), "it was stopped in the middle");
                drop(spinning);
                assert!(start(&quick).await.result.is_ok());
            });
        }
    });
}

/// Native code asks a thread-local whose unit it works for. Calls that are set aside in the middle of that, and end in
/// another order than they began, must each find their own.
#[test]
fn calls_that_are_set_aside_find_their_own_unit_again() {
    const ASKS: &str = "pub fn main(request) {
        let (turns, made) = (PLACE * 1_000 + 2_000, []);
        for turn in 0..turns {
            made.extend([format!(\"{:?}\", [turn, PLACE])]);
            if [turn, 1] != [turn, 1] || made.pop() != Some(format!(\"[{}, {}]\", turn, PLACE)) {
                return Err(`another's unit in turn ${turn}`);
            }
        }
        Ok(`PLACE`)
    }";
    on_big_stack(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let allowance = Allowance { deadline: Duration::from_secs(20), ..allowance() };
        // The first to begin is neither the first nor the last to end.
        let places = [5, 0, 7, 2, 6, 1, 4, 3];
        let calls = places.map(|place| {
            let source: &'static str = ASKS.replace("PLACE", &place.to_string()).leak();
            let unit = unit(source);
            let request = Request::new(Rc::new(Get("")), Vec::new(), None, Bytes::new());
            let context = context(&unit, &allowance);
            call(unit, Entry::new("main", "main"), request, allowance, now_nanos(), context, None)
        });
        let outcomes = runtime.block_on(futures_util::future::join_all(calls));
        for (place, outcome) in places.into_iter().zip(outcomes) {
            let answer = outcome.result.unwrap_or_else(|failure| panic!("{place}: {failure}"));
            assert_eq!(answer.body, place.to_string());
        }
    });
}

#[test]
fn a_failure_names_file_line_and_function() {
    let outcome = run_with(
        "pub fn main(request) {\n    helper(0)\n}\n\nfn helper(x) {\n    1 / x\n}\n",
        "",
        allowance(),
    );
    let Err(Failure::Script { message, place }) = outcome.result else { panic!("{:?}", outcome.result) };
    let place = place.unwrap();
    assert_eq!((place.file.as_str(), place.line), ("main.rn", 6), "{message}");
    assert!(place.function.unwrap().contains("helper"));
    let outcome = run_with("pub fn main(request) { Err(\"no such user\") }", "", allowance());
    assert_eq!(outcome.result.unwrap_err(), Failure::Returned { message: "no such user".into() });
}

#[test]
fn a_failure_names_the_line_of_the_call_and_not_where_its_statement_begins() {
    for (main, line) in [
        ("pub fn main(request) {\n  let x = [1]\n    .iter()\n    // And then\n    .nope();\n  x\n}", 5),
        ("pub fn main(request) {\n  let x = 1 +\n    2\n    + \"three\";\n  x\n}", 4),
        ("pub fn main(request) {\n  #{\n    a: 1,\n    b: request.query(\"x\").nope(),\n  }\n}", 4),
        // What a function does before its first line is its own.
        ("fn other() {\n  1\n}\npub fn main(request) {\n  main(request)\n}", 4),
    ] {
        match run_with(main, "", allowance()).result.unwrap_err() {
            Failure::Script { place: Some(place), .. } | Failure::Stopped { place: Some(place), .. } => {
                assert_eq!((place.line, place.function.as_deref()), (line, Some("main::main")), "{main}");
            }
            other => panic!("{main}: {other:?}"),
        }
    }
}

fn stopped(main: &'static str, wanted: Stop, allowance: Allowance) {
    let began = Instant::now();
    let outcome = run_with(main, "", allowance);
    match outcome.result {
        Err(Failure::Stopped { stop, .. }) => assert_eq!(stop, wanted, "{main}"),
        other => panic!("{main}: {other:?}"),
    }
    assert!(
        outcome.cost.running + outcome.cost.waiting < allowance.deadline * 2,
        "{main}: {:?}",
        outcome.cost
    );
    assert!(began.elapsed() < Duration::from_secs(20), "{main}");
}

#[test]
fn what_does_not_end_is_stopped_by_the_limit_that_it_hits() {
    // How fast fuel goes is the machine's affair, too.
    let fuel = Allowance { deadline: Duration::from_secs(10), ..allowance() };
    let mut time = allowance();
    time.fuel = Fuel::new(u64::MAX / 4);
    for main in [
        "pub fn main(request) { loop {} }",
        "pub fn main(request) { while true {} }",
        "pub async fn main(request) { loop {} }",
        "pub fn main(request) { [1].iter().map(|x| { loop {} }).collect::<Vec>() }",
        "pub fn main(request) { [2, 1].sort_by(|a, b| loop {}) }",
        "pub fn main(request) { f(request) } fn f(x) { loop { g() } } fn g() {}",
    ] {
        stopped(main, Stop::Fuel, fuel);
        stopped(main, Stop::Deadline, time);
    }
    // How fast memory goes is the machine's affair: with time enough it is the memory that ends it.
    time.deadline = Duration::from_secs(10);
    stopped("pub fn main(request) { let v = []; loop { v.push(1); } }", Stop::Memory, time);
    stopped("pub fn main(request) { f() } fn f() { 1 + f() }", Stop::Memory, time);
    stopped("pub async fn main(request) { f().await } async fn f() { 1 + f().await }", Stop::Memory, time);
    stopped("pub fn main(request) { let s = `x`; loop { s = `${s}${s}`; } }", Stop::Memory, time);
}

#[test]
fn a_unit_is_taken_only_whole_and_signed() {
    on_big_stack(|| {
        let bundle = bundle("pub fn main(request) { 1 }");
        let compiled = compile(&bundle).map_err(|wrong| wrong.render(false)).unwrap().compiled;
        let keys = SigningKeys::new([7; 32], Vec::new());
        let sealed = seal(&compiled, bundle.hash(), &keys);
        assert!(open(&sealed, bundle.hash(), &keys).is_ok());
        for at in 0..sealed.len() {
            let mut bytes = sealed.to_vec();
            bytes[at] ^= 1;
            assert!(open(&bytes.into(), bundle.hash(), &keys).is_err(), "byte {at}");
        }
        for length in 0..sealed.len() {
            assert!(open(&sealed.slice(..length), bundle.hash(), &keys).is_err(), "length {length}");
        }
        let rotated = SigningKeys::new([8; 32], vec![[7; 32]]);
        assert!(open(&sealed, bundle.hash(), &rotated).is_ok());
        let other = SigningKeys::new([8; 32], Vec::new());
        assert_eq!(open(&sealed, bundle.hash(), &other).unwrap_err().code(), "unit.key");
        let another = kit::bundle("pub fn main(request) { 2 }").hash();
        assert_eq!(open(&sealed, another, &keys).unwrap_err().code(), "unit.bundle");
    });
}
