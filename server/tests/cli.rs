//! The program as a person and a script meet it: output, errors and exit codes.

#[path = "cli/fake.rs"]
mod fake;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use fake::{Fake, Rule};
use serde_json::{Value, json};

const JSON: &str = "content-type: application/json\r\n";
const PROBLEM: &str = "content-type: application/problem+json\r\n";
/// A port that nobody listens on.
const NOBODY: &str = "http://127.0.0.1:1";

fn rule(begins: &'static str, status: u16, body: &Value) -> Rule {
    Rule { begins, status, headers: JSON, body: body.to_string() }
}

fn refused(begins: &'static str, code: &str) -> Rule {
    let problem = api::Problem::of(code, "because");
    let body = serde_json::to_string(&problem).unwrap();
    Rule { begins, status: problem.status, headers: PROBLEM, body }
}

fn command(directory: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("CALLBOARD_")) {
        command.env_remove(name);
    }
    command.args(arguments).current_dir(directory).stdin(Stdio::null());
    command.env("CALLBOARD_URL", url).env("CALLBOARD_DEVICE_URL", url).env("CALLBOARD_TOKEN", "cb_secret");
    command
}

fn run(directory: &Path, url: &str, arguments: &[&str]) -> Output {
    command(directory, url, arguments).output().unwrap()
}

/// The code, standard output and standard error.
fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// A directory with a project in it.
fn project() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let (code, _, error) =
        told(&run(directory.path(), NOBODY, &["init", "--team", "tv", "--script", "home"]));
    assert_eq!((code, error.as_str()), (0, ""));
    directory
}

fn head(active: u64) -> Value {
    json!({ "active": active, "latest": 7, "etag": "\"12\"", "deleted": false })
}

fn revision(number: u64, active: bool) -> Value {
    json!({
        "team": "tv", "script": "home", "number": number, "bundle": "b", "active": active, "message": "first",
        "by": "ana", "at": "2026-01-02T03:04:05Z", "endpoints": ["hello"],
    })
}

fn deployed(active: u64) -> Value {
    json!({
        "revision": revision(7, active == 7), "head": head(active), "active": active,
        "endpoints": ["tv/home/hello"], "removed": ["tv/home/old"], "warnings": [], "repeated": false,
        "cuts": [{ "endpoint": "hello", "limit": "memory", "asked": "64MiB", "granted": "16MiB" }],
        "dry_run": false, "converged": true, "took_ms": 12,
    })
}

fn switched(state: Option<&str>) -> Value {
    let switch = state.map(|state| {
        json!({ "scope": "team:tv", "kind": "kill", "state": state, "reason": "r", "by": "ana", "since": "2026-01-02T03:04:05Z", "generation": 1 })
    });
    let mut answer = json!({ "scope": "team:tv", "kind": "kill", "endpoints": [], "dry_run": false });
    if let Some(switch) = switch {
        answer["switch"] = switch;
    }
    answer
}

const UPLOAD: &str = "POST /v1/scripts/tv/home/revisions";

#[test]
fn a_command_ends_with_the_code_of_the_table() {
    fn check(rules: Vec<Rule>, arguments: &[&str], code: i32, says: &str) {
        let directory = project();
        let fake = Fake::start(rules);
        let (found, out, error) = told(&run(directory.path(), &fake.url, arguments));
        assert_eq!(found, code, "{arguments:?}\n{out}\n{error}");
        let all = format!("{out}{error}");
        assert!(all.contains(says), "{arguments:?}: {says:?}\n{all}");
        assert!(!all.contains("cb_secret"), "{arguments:?}: {all}");
    }
    let kept_off = refused("GET /v1/endpoints/tv/home/hello ", "endpoint.unknown");
    check(vec![rule(UPLOAD, 201, &deployed(7)), kept_off], &["deploy"], 0, "tv/home@7 serves");
    let off = json!({
        "id": "tv/home/hello", "team": "tv", "script": "home", "name": "hello", "path": "/hello", "methods": ["GET"],
        "revision": 7, "priority": "user", "services": [], "problem": "team:tv was switched off by ana: r",
        "limits": {
            "fuel": 1, "memory": "8MiB", "deadline": "300ms", "response": "1MiB", "body": "1MiB", "host_calls": 1,
            "host_bytes": "8MiB", "rate": "500/s", "burst": 50, "concurrency": 64,
        },
    });
    check(
        vec![rule(UPLOAD, 201, &deployed(7)), rule("GET /v1/endpoints/tv/home/hello ", 200, &off)],
        &["deploy"],
        0,
        "devices get no answer of it: team:tv was switched off by ana: r",
    );
    check(
        vec![rule(UPLOAD, 201, &deployed(6))],
        &["deploy"],
        1,
        "revision 7 is stored, and revision 6 is active",
    );
    check(vec![rule(UPLOAD, 201, &deployed(6))], &["deploy", "--no-activate"], 0, "is stored, not active");
    check(
        vec![refused(UPLOAD, "script.invalid")],
        &["deploy"],
        1,
        "The script is not right: because (script.invalid)",
    );
    check(vec![refused(UPLOAD, "auth.invalid")], &["deploy"], 3, "(auth.invalid)");
    check(vec![refused(UPLOAD, "route.conflict")], &["deploy"], 3, "(route.conflict)");
    check(vec![rule(UPLOAD, 404, &json!({}))], &["deploy"], 1, "is this callboard's admin address?");
    check(vec![], &["deploy", "--url", NOBODY], 4, "http://127.0.0.1:1 cannot be reached");
    check(vec![], &["deploy", "--url", "https://a"], 2, "https is not spoken here");
    check(vec![], &["deploy", "nowhere"], 2, "there is no callboard.toml in nowhere");
    check(vec![], &["deploy", "--nonsense"], 2, "--nonsense");
    check(vec![], &["deploy", "--token-file", "missing"], 2, "missing cannot be read");
    check(vec![], &[], 2, "Usage: callboard");
    check(vec![], &["--version"], 0, env!("CARGO_PKG_VERSION"));
    check(vec![], &["init"], 1, "is there already; nothing was written");
    check(vec![], &["check"], 0, "ok tv/home, 1 endpoint");
    check(
        vec![],
        &["config", "--set", "limits.rate=0/s"],
        2,
        "--set limits.rate: `limits.rate`: `0/s` is not a rate",
    );
    check(vec![], &["config", "--device", "127.0.0.1:0"], 0, "\"127.0.0.1:0\"");

    let off = || vec![rule("PUT /v1/switches/team:tv ", 200, &switched(Some("off")))];
    check(off(), &["switch", "off", "team:tv", "--reason", "r", "--for", "30m"], 0, "team:tv is off");
    check(off(), &["switch", "off", "team:tv"], 2, "--reason");
    check(off(), &["switch", "off", "tv", "--reason", "r"], 2, "it has to be `all` or a kind");
    let on = || vec![rule("DELETE /v1/switches/team:tv ", 200, &switched(None))];
    check(on(), &["switch", "on", "team:tv"], 0, "team:tv is on");
    check(vec![], &["token", "revoke", "t1"], 2, "add `--yes`");

    let health = |ready| json!({ "ready": ready, "checks": [{ "name": "store", "ok": ready, "detail": "it is slow" }] });
    let version =
        || rule("GET /v1/version", 200, &json!({ "version": "9.9", "fingerprint": "f", "api": "1" }));
    check(vec![rule("GET /readyz", 200, &health(true)), version()], &["status"], 0, "ready, version 9.9");
    check(vec![rule("GET /readyz", 503, &health(false)), version()], &["status"], 1, "no store: it is slow");

    let device = |status, headers| {
        vec![Rule { begins: "GET /hello?name=Ana ", status, headers, body: "Hello Ana".to_owned() }]
    };
    check(device(200, "callboard-revision: 7\r\n"), &["call", "/hello?name=Ana"], 0, "Hello Ana");
    check(device(500, ""), &["call", "GET", "/hello?name=Ana"], 1, "500");
    check(device(429, "callboard-refused: rate.exceeded\r\n"), &["call", "/hello?name=Ana"], 3, "429");
    check(vec![], &["call", "/x", "--device-url", NOBODY], 4, "cannot be reached");
    check(vec![], &["call", "hello"], 2, "`hello` is no path");
}

#[test]
fn a_roll_back_goes_to_the_revision_before_and_moves_only_what_it_saw() {
    let history = json!({ "items": [revision(7, true), revision(5, false), revision(4, false)] });
    let entry = |what: &str, number: u64| {
        json!({
            "id": "01", "at": "2026-01-02T03:04:05Z", "who": "ana", "from": "127.0.0.1", "what": what,
            "subject": format!("revision:tv/home@{number}"), "detail": {},
        })
    };
    // Newest first: 5 was rolled back before 7 came.
    let audit = json!({ "items": [
        entry("revision.deploy", 7), entry("revision.activate", 4), entry("revision.deploy", 5), entry("revision.deploy", 4),
    ] });
    let directory = project();
    for (audit, to) in [
        (rule("GET /v1/audit?", 200, &audit), 4),
        (rule("GET /v1/audit?", 200, &json!({ "items": [] })), 5),
        (refused("GET /v1/audit?", "auth.forbidden"), 5),
    ] {
        let done = json!({ "head": head(to), "before": 7, "endpoints": [], "removed": [], "dry_run": false, "converged": true });
        let fake = Fake::start(vec![
            rule("GET /v1/scripts/tv/home/active", 200, &head(7)),
            rule("GET /v1/scripts/tv/home/revisions", 200, &history),
            audit,
            rule("PUT /v1/scripts/tv/home/active", 200, &done),
        ]);
        let (code, out, _) = told(&run(directory.path(), &fake.url, &["rollback"]));
        assert_eq!((code, out), (0, format!("tv/home@{to} serves, it was 7\n")));
        let asked = fake.asked();
        let put = asked.iter().find(|head| head.starts_with("PUT")).unwrap();
        assert!(put.contains("if-match: \"12\"\r\n"), "{put}");
    }
}

#[test]
fn a_script_is_taken_away_as_it_was_seen_and_not_without_a_word() {
    let directory = project();
    let done = |dry_run: bool| json!({ "head": head(7), "removed": ["tv/home/main"], "dry_run": dry_run });
    let rules = |dry_run: bool| {
        vec![
            rule("GET /v1/scripts/tv/home/active", 200, &head(7)),
            rule("DELETE /v1/scripts/tv/home", 200, &done(dry_run)),
        ]
    };
    let fake = Fake::start(rules(false));
    let (code, out, error) = told(&run(directory.path(), &fake.url, &["delete", "tv/home"]));
    assert_eq!((code, out.as_str()), (2, ""), "nobody can be asked");
    assert!(error.contains("Take away all endpoints of tv/home") && error.contains("--yes"), "{error}");
    assert!(fake.asked().iter().all(|head| !head.starts_with("DELETE")), "nothing was done");

    let fake = Fake::start(rules(false));
    let words = ["delete", "tv/home", "--yes", "--reason", "nobody calls it"];
    let (code, out, error) = told(&run(directory.path(), &fake.url, &words));
    assert_eq!((code, out.as_str()), (0, "tv/home is gone\n  - tv/home/main\n"));
    assert!(error.contains("callboard rollback tv/home --to 7"), "{error}");
    let asked = fake.asked();
    let delete = asked.iter().find(|head| head.starts_with("DELETE")).unwrap();
    assert!(
        delete.contains("?reason=nobody%20calls%20it ") && delete.contains("if-match: \"12\"\r\n"),
        "{delete}"
    );

    let fake = Fake::start(rules(true));
    let (code, out, _) = told(&run(directory.path(), &fake.url, &["delete", "tv/home", "--dry-run"]));
    assert_eq!((code, out.as_str()), (0, "would take tv/home away\n  - tv/home/main\n"));
}

#[test]
fn the_token_goes_to_the_admin_plane_and_never_to_the_device_plane() {
    let directory = project();
    let fake = Fake::start(vec![
        rule("GET /v1/switches", 200, &json!({ "items": [] })),
        Rule { begins: "POST /hello", status: 200, headers: "", body: String::new() },
    ]);
    assert_eq!(told(&run(directory.path(), &fake.url, &["switch", "list"])).1, "nothing is off\n");
    assert_eq!(told(&run(directory.path(), &fake.url, &["call", "/hello", "-d", "{}"])).0, 0);
    let asked = fake.asked();
    assert!(asked[0].contains("authorization: Bearer cb_secret\r\n"), "{asked:?}");
    assert!(
        !asked[1].contains("cb_secret") && asked[1].contains("content-type: application/json"),
        "{asked:?}"
    );
}

#[test]
fn a_secret_is_alone_on_standard_output() {
    let token = json!({ "id": "t1", "role": "deployer", "note": "", "created": "2026-01-02T03:04:05Z", "revoked": false });
    let fake =
        Fake::start(vec![rule("POST /v1/tokens", 201, &json!({ "token": token, "secret": "cb_new" }))]);
    let directory = project();
    let (code, out, _) = told(&run(directory.path(), &fake.url, &["token", "create", "--role", "deployer"]));
    assert_eq!((code, out.as_str()), (0, "cb_new\n"));
}

#[test]
fn objects_for_machines_have_a_type_and_a_version_and_stand_alone() {
    fn check(rules: Vec<Rule>, arguments: &[&str], kind: &str) -> Value {
        let directory = project();
        let fake = Fake::start(rules);
        let (_, out, _) = told(&run(directory.path(), &fake.url, &[&["--json"], arguments].concat()));
        assert_eq!(out.lines().count(), 1, "{out}");
        let object: Value = serde_json::from_str(&out).unwrap();
        assert_eq!((object["type"].as_str(), object["version"].as_u64()), (Some(kind), Some(1)), "{out}");
        object
    }
    let deploy = check(vec![rule(UPLOAD, 201, &deployed(7))], &["deploy"], "deploy");
    assert_eq!(deploy["revision"]["number"], 7);
    let error = check(vec![refused(UPLOAD, "route.conflict")], &["deploy"], "error");
    assert_eq!(
        (error["exit"].as_u64(), error["problem"]["code"].as_str()),
        (Some(3), Some("route.conflict"))
    );
    assert_eq!(check(vec![], &["check"], "check")["ok"], true);
    let page = json!({ "items": [revision(7, true)] });
    check(vec![rule("GET /v1/scripts/a/b/revisions?limit=20 ", 200, &page)], &["history", "a/b"], "history");
    check(vec![rule("GET /v1/endpoints", 200, &json!({ "items": [] }))], &["endpoints"], "endpoints");
    let body = Rule { begins: "GET /x ", status: 200, headers: "", body: "text".to_owned() };
    assert_eq!(check(vec![body], &["call", "/x"], "call")["body"], "text");
    check(vec![], &["config"], "config");
}

#[test]
fn a_mistake_in_a_script_is_shown_with_its_place_and_without_colour_in_a_pipe() {
    let directory = project();
    std::fs::write(directory.path().join("main.rn"), "pub fn hello(request) {\n    let x = ;\n}\n").unwrap();
    let (code, out, error) = told(&run(directory.path(), NOBODY, &["check"]));
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(error.contains("main.rn:2:") && error.contains("let x = ;"), "{error}");
    assert!(!error.contains('\u{1b}'), "{error}");
    let coloured = run(directory.path(), NOBODY, &["check", "--color", "always"]);
    assert!(told(&coloured).2.contains('\u{1b}'));
}

#[test]
fn what_a_server_finds_wrong_looks_like_what_is_found_here() {
    let diagnostic = json!({
        "severity": "error", "code": "script.syntax", "file": "main.rn", "line": 2, "column": 13, "length": 1,
        "message": "unexpected", "excerpt": "    let x = ;",
    });
    let mut problem = serde_json::to_value(api::Problem::of("script.invalid", "")).unwrap();
    problem["diagnostics"] = json!([diagnostic]);
    let rule = Rule { begins: UPLOAD, status: 422, headers: PROBLEM, body: problem.to_string() };
    let directory = project();
    let (code, _, error) = told(&run(directory.path(), &Fake::start(vec![rule]).url, &["deploy"]));
    assert_eq!(code, 1);
    assert!(error.contains("main.rn:2:13") && error.contains("let x = ;"), "{error}");
}

#[test]
fn an_interruption_ends_a_command_with_130() {
    let directory = project();
    let fake = Fake::start(Vec::new());
    let child = command(directory.path(), &fake.url, &["whoami"]).stdout(Stdio::null()).spawn().unwrap();
    let limit = Instant::now() + Duration::from_secs(20);
    while fake.asked().is_empty() {
        assert!(Instant::now() < limit, "the request did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn a_server_with_a_token_that_is_too_short_says_so_and_starts_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let door = ["serve", "--device", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let output =
        command(directory.path(), NOBODY, &door).env("CALLBOARD_ADMIN_TOKEN", "short").output().unwrap();
    let (code, _, error) = told(&output);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("the admin token is too short") && !error.contains("panicked"), "{error}");
}
