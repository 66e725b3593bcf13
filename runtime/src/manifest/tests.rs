use std::time::Duration;

use quotas::units::{Bytes, Fuel, InFlight, PerSecond};

use super::*;

const WHOLE: &str = r#"
team = "tv"
script = "home"

[[endpoint]]
path = "/tv/home/{user}"
methods = ["POST", "GET"]
handler = "main::home"
fallback = "main::simple"
last_good = "2m"
priority = "background"
services = ["users", "catalog", "resume"]

[endpoint.limits]
deadline = "300ms"
memory = "8MiB"
fuel = 2_000_000
rate = "500/s"
concurrency = 64
burst = 20
response = 65536
body = "64KiB"
host_calls = 12
host_bytes = "1MiB"

[endpoint.config]
title = "Home"
rows = 20
art = true

[[endpoint]]
name = "hello-there"
path = "/hello"
handler = "main::hello"
"#;

fn parse(source: &str) -> Result<Manifest, Diagnostics> {
    Manifest::parse(source.as_bytes(), |path| path == "main.rn")
}

/// A manifest with one endpoint whose tables end in these lines.
fn with(lines: &str) -> String {
    format!("team = \"tv\"\nscript = \"home\"\n[[endpoint]]\npath = \"/a\"\nhandler = \"main::a\"\n{lines}")
}

#[test]
fn a_whole_manifest_is_read_as_it_is_written() {
    let manifest = parse(WHOLE).unwrap();
    assert_eq!((manifest.team.as_str(), manifest.script.as_str()), ("tv", "home"));
    let [home, hello] = manifest.endpoints.as_slice() else { panic!("two endpoints") };
    assert_eq!(home.name.as_str(), "home");
    assert_eq!(home.path.to_string(), "/tv/home/{user}");
    assert_eq!(home.methods, [Method::Get, Method::Post]);
    assert_eq!((home.handler.file().as_str(), home.handler.function()), ("main.rn", "home"));
    assert_eq!(home.fallback.as_ref().map(ToString::to_string), Some("main::simple".to_owned()));
    assert_eq!(home.last_good, Some(Duration::from_secs(120)));
    assert_eq!(home.priority, Priority::Background);
    assert_eq!(
        home.services.iter().map(ServiceName::as_str).collect::<Vec<_>>(),
        ["users", "catalog", "resume"]
    );
    assert_eq!(
        home.limits,
        Requested {
            fuel: Some(Fuel::new(2_000_000)),
            memory: Some(Bytes::mib(8)),
            deadline: Some(Duration::from_millis(300)),
            response: Some(Bytes::kib(64)),
            body: Some(Bytes::kib(64)),
            host_calls: Some(12),
            host_bytes: Some(Bytes::mib(1)),
            rate: PerSecond::new(500),
            burst: Some(20),
            concurrency: InFlight::new(64),
        }
    );
    let config: Vec<_> = home.config.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    assert_eq!(
        config,
        [
            ("art", ConfigValue::Flag(true)),
            ("rows", ConfigValue::Integer(20)),
            ("title", ConfigValue::Text("Home".into()))
        ]
    );
    assert_eq!(hello.name.as_str(), "hello-there");
    assert_eq!((hello.methods.as_slice(), hello.priority), ([Method::Get].as_slice(), Priority::User));
    assert_eq!((hello.limits, hello.services.len(), hello.config.len()), (Requested::default(), 0, 0));
}

#[test]
fn what_is_wrong_is_told_with_its_code_and_its_place() {
    let endpoint = "[[endpoint]]\npath = \"/a\"\nhandler = \"main::a\"\n";
    let head = "team = \"tv\"\nscript = \"home\"\n";
    for (source, expected) in [
        (
            String::new(),
            vec![("manifest.missing_key", 1), ("manifest.missing_key", 1), ("manifest.no_endpoint", 0)],
        ),
        (endpoint.to_owned(), vec![("manifest.missing_key", 1), ("manifest.missing_key", 1)]),
        (head.to_owned(), vec![("manifest.no_endpoint", 0)]),
        (format!("{head}endpoint = []"), vec![("manifest.no_endpoint", 0)]),
        (format!("{head}endpoint = 1"), vec![("manifest.wrong_type", 3)]),
        (format!("{head}endpoint = [1]"), vec![("manifest.wrong_type", 3)]),
        (format!("{head}[endpoint]\npath = \"/a\""), vec![("manifest.wrong_type", 3)]),
        (
            format!("team = 1\nscript = \"Home\"\n{endpoint}"),
            vec![("manifest.wrong_type", 1), ("manifest.invalid_value", 2)],
        ),
        (format!("{head}team = \"tv\""), vec![("manifest.syntax", 3)]),
        (format!("{head}a = "), vec![("manifest.syntax", 3)]),
        (format!("{head}a = {}1", "[".repeat(50_000)), vec![("manifest.syntax", 3)]),
        (format!("{head}{}b = 1", "a.".repeat(50_000)), vec![("manifest.syntax", 0)]),
        (format!("{head}[[endpoint]]"), vec![("manifest.missing_key", 3), ("manifest.missing_key", 3)]),
        (format!("{head}endpiont = 1\n{endpoint}"), vec![("manifest.unknown_key", 3)]),
        (with("timeout = 1"), vec![("manifest.unknown_key", 6)]),
        (with("methods = []"), vec![("manifest.invalid_value", 6)]),
        (with("methods = \"GET\""), vec![("manifest.wrong_type", 6)]),
        (with("methods = [\"get\"]"), vec![("manifest.invalid_value", 6)]),
        (with("methods = [\"HEAD\"]"), vec![("manifest.invalid_value", 6)]),
        (with("methods = [\"GET\", \"GET\"]"), vec![("manifest.invalid_value", 6)]),
        (with("priority = \"users\""), vec![("manifest.invalid_value", 6)]),
        (with("fallback = \"other::a\""), vec![("manifest.no_handler_file", 6)]),
        (with("last_good = \"11m\""), vec![("manifest.invalid_value", 6)]),
        (with("methods = [\"POST\"]\nlast_good = \"1m\""), vec![("manifest.invalid_value", 7)]),
        (with("services = [\"a\", \"a\"]"), vec![("manifest.invalid_value", 6)]),
        (with("services = [\"Users\"]"), vec![("manifest.invalid_value", 6)]),
        (with(&format!("services = {:?}", vec!["a"; 33])), vec![("manifest.too_many", 6)]),
        (with("name = \"Home\""), vec![("manifest.invalid_value", 6)]),
        (with("limits = 1"), vec![("manifest.wrong_type", 6)]),
        (with("limits.deadine = \"1s\""), vec![("manifest.unknown_key", 6)]),
        (with("limits.deadline = 300"), vec![("manifest.wrong_type", 6)]),
        (with("limits.deadline = \"0ms\""), vec![("manifest.invalid_value", 6)]),
        (with("limits.deadline = \"-1s\""), vec![("manifest.invalid_value", 6)]),
        (with("limits.deadline = \"soon\""), vec![("manifest.invalid_value", 6)]),
        (with("limits.memory = \"8MB\""), vec![("manifest.invalid_value", 6)]),
        (with("limits.memory = \"0MiB\""), vec![("manifest.invalid_value", 6)]),
        (with("limits.memory = 0"), vec![("manifest.invalid_value", 6)]),
        (with("limits.memory = 1.5"), vec![("manifest.wrong_type", 6)]),
        (with("limits.fuel = 0"), vec![("manifest.invalid_value", 6)]),
        (with("limits.fuel = -1"), vec![("manifest.invalid_value", 6)]),
        (with("limits.fuel = \"many\""), vec![("manifest.wrong_type", 6)]),
        (with("limits.rate = \"0/s\""), vec![("manifest.invalid_value", 6)]),
        (with("limits.rate = 500"), vec![("manifest.wrong_type", 6)]),
        (with("limits.concurrency = 0"), vec![("manifest.invalid_value", 6)]),
        (with("limits.burst = 4294967296"), vec![("manifest.invalid_value", 6)]),
        (with("limits.host_calls = 99999999999999999999"), vec![("manifest.wrong_type", 6)]),
        (with("config.a = 1.5"), vec![("manifest.wrong_type", 6)]),
        (with("config.a = [1]"), vec![("manifest.wrong_type", 6)]),
        (with("config.\"a b\" = 1"), vec![("manifest.invalid_key", 6)]),
        (with(&format!("config.a = \"{}\"", "a".repeat(4_097))), vec![("manifest.invalid_value", 6)]),
        (with(endpoint), vec![("manifest.duplicate_name", 8), ("manifest.duplicate_route", 7)]),
        (with("[[endpoint]]\npath = \"/a\"\nhandler = \"main::b\""), vec![("manifest.duplicate_route", 7)]),
        (with("[[endpoint]]\npath = \"/b\"\nhandler = \"main::a\""), vec![("manifest.duplicate_name", 8)]),
        (with("[[endpoint]]\npath = \"b\"\nhandler = \"main::b\""), vec![("manifest.invalid_value", 7)]),
        (with("[[endpoint]]\npath = \"/b\"\nhandler = \"other::b\""), vec![("manifest.no_handler_file", 8)]),
        (with("[[endpoint]]\npath = \"/b\"\nhandler = \"main::a::b\""), vec![("manifest.invalid_value", 8)]),
        (with("[[endpoint]]\npath = \"/b\"\nhandler = \"main::Home\""), vec![("manifest.invalid_value", 8)]),
        (with(&"[[endpoint]]\n".repeat(256)), vec![("manifest.too_many", 261)]),
        ("#".repeat(MANIFEST_MAX + 1), vec![("manifest.too_large", 0)]),
    ] {
        let found = parse(&source).expect_err(&source);
        let told: Vec<(&str, u32)> =
            found.iter().map(|diagnostic| (diagnostic.code.as_ref(), diagnostic.line)).collect();
        let shown: String = source.chars().take(300).collect();
        assert_eq!(
            told,
            expected,
            "{shown}\n{}",
            found.render(false).chars().take(2_000).collect::<String>()
        );
    }
    let found = Manifest::parse(b"\xff", |_| true).unwrap_err();
    assert_eq!(found.iter().next().unwrap().code, "manifest.not_utf8");
}

#[test]
fn a_manifest_with_nothing_but_errors_is_answered_soon() {
    let started = std::time::Instant::now();
    let keys: String = (0..25_000).map(|number| format!("k{number}=1\n")).collect();
    assert!(keys.len() <= MANIFEST_MAX);
    assert!(parse(&keys).unwrap_err().len() >= 25_000);
    let found = parse(&format!("team = {}", "[".repeat(MANIFEST_MAX - 10))).unwrap_err();
    assert_eq!(found.len(), 1);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn endpoints_may_share_a_path_by_method_and_patterns_may_overlap() {
    let more = "[[endpoint]]\npath = \"/a\"\nmethods = [\"POST\"]\nhandler = \"main::b\"\n\
                [[endpoint]]\npath = \"/{x}\"\nhandler = \"main::c\"\n";
    assert_eq!(parse(&with(more)).unwrap().endpoints.len(), 3);
    let again = format!("{more}[[endpoint]]\npath = \"/{{y}}\"\nhandler = \"main::d\"\n");
    let found = parse(&with(&again)).unwrap_err();
    assert_eq!(found.iter().next().unwrap().message, "the endpoint `c` answers `GET /{y}` already");
}

#[test]
fn a_report_shows_the_line_and_what_was_meant() {
    let found = parse(&with("priorty = \"user\"\n\n[endpoint.limits]\nmemory = \"8MB\"\n")).unwrap_err();
    assert_eq!(
        found.render(false),
        "\
error[manifest.unknown_key]: an endpoint has no `priorty`
 --> callboard.toml:6:1
  |
6 | priorty = \"user\"
  | ^^^^^^^
  |
  = help: did you mean `priority`?

error[manifest.invalid_value]: `8MB` is not a number of bytes: the unit has to be KiB, MiB, GiB or nothing; write it like `8MiB`
 --> callboard.toml:9:10
  |
9 | memory = \"8MB\"
  |          ^^^^^"
    );
}

#[test]
fn the_page_about_manifests_names_every_key_and_its_example_has_them_all() {
    let page = include_str!("../../../docs/manifest.md");
    for key in endpoint::KEYS.iter().chain(&limits::KEYS).chain(&["team", "script", "[[endpoint]]"]) {
        assert!(page.contains(&format!("\n| `{key}` | ")), "{key}");
    }
    let example =
        page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("an example");
    for key in endpoint::KEYS.iter().chain(&limits::KEYS) {
        let is_table = ["limits", "config"].contains(key);
        let line = if is_table { format!("\n[endpoint.{key}]\n") } else { format!("\n{key} = ") };
        assert!(example.contains(&line), "{key}");
    }
    let manifest = parse(example).unwrap_or_else(|found| panic!("{}", found.render(false)));
    assert_eq!(manifest.endpoints[0].config.len(), 3);
}
