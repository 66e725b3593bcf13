//! Everything wrong that can be sent gets a clear problem, loses nothing, and shows nothing of another team.

mod bad_input {
    pub mod archives;
    pub mod house;
}

use api::client::{List, Upload};
use api::{ActivateRequest, ClientError, Role};
use bad_input::archives::{self, Wrong};
use bad_input::house::{House, JSON, TAR, ask};
use bytes::Bytes;
use tests::device::Device;
use tests::server::bundle;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const OFF: &str = r#"{"state":"off","reason":"a test"}"#;
const INVALID: &str = "request.invalid";

#[tokio::test]
async fn a_device_that_calls_wrongly_is_told_why() {
    let house = House::open().await;
    let device = Device::of(&house.server.device);
    let large = "x".repeat((1 << 20) + 1);
    let gzip = [("content-encoding", "gzip")];
    let mut wrong = Vec::new();
    for (method, path, headers, body, status, code) in [
        ("GET", "/tv/none", &[][..], "", 404, "route.unknown"),
        ("GET", "/", &[], "", 404, "route.unknown"),
        ("GET", "/v1/scripts", &[], "", 404, "route.unknown"),
        ("GET", "/metrics", &[], "", 404, "route.unknown"),
        ("GET", "/tv/home/", &[], "", 404, "route.unknown"),
        ("GET", "/TV/HOME", &[], "", 404, "route.unknown"),
        ("DELETE", "/tv/home", &[], "", 405, "method.not_allowed"),
        ("BREW", "/tv/home", &[], "", 405, "method.not_allowed"),
        ("get", "/tv/home", &[], "", 405, "method.not_allowed"),
        ("GET", "//", &[], "", 400, "path.malformed"),
        ("GET", "//tv/home", &[], "", 400, "path.malformed"),
        ("GET", "/tv//home", &[], "", 400, "path.malformed"),
        ("GET", "/tv/./home", &[], "", 400, "path.malformed"),
        ("GET", "/tv/x/../home", &[], "", 400, "path.malformed"),
        ("GET", "/%2e%2e/", &[], "", 400, "path.malformed"),
        ("GET", "/tv/%2E%2e/home", &[], "", 400, "path.malformed"),
        ("GET", "/tv%2fhome", &[], "", 400, "path.malformed"),
        ("GET", "/tv%5chome", &[], "", 400, "path.malformed"),
        ("GET", "/tv/%zz", &[], "", 400, "path.malformed"),
        ("GET", "/tv/home%", &[], "", 400, "path.malformed"),
        ("GET", "/tv/home%00", &[], "", 400, "path.malformed"),
        ("GET", "/tv/%ff", &[], "", 400, "path.malformed"),
        ("POST", "/tv/home", &[], &large, 413, "request.too_large"),
        ("POST", "/tv/home", &gzip, "{}", 415, "request.media_type"),
        ("POST", "/tv/home", &[("callboard-hops", "99")], "{}", 508, "hops.exceeded"),
        // What the script says about a body that is no JSON is its own answer, and so is what it lets fall.
        ("POST", "/tv/home?read", &[], "{", 422, ""),
        ("POST", "/tv/home?read", &[], "", 422, ""),
        ("POST", "/tv/home?fall", &[], "[1,", 500, "script.returned_error"),
        ("POST", "/tv/home?fall", &[], "\u{0}", 500, "script.returned_error"),
    ] {
        let reply = device.send(method, path, headers, Bytes::copy_from_slice(body.as_bytes())).await;
        if (reply.status, reply.code().as_str()) != (status, code) {
            wrong.push(format!("{method} {path}: {} {} {}", reply.status, reply.code(), reply.body));
        }
        let kind = if code.is_empty() { "text/plain; charset=utf-8" } else { "application/problem+json" };
        if reply.header("content-type") != kind || reply.header("x-request-id").is_empty() {
            wrong.push(format!("{method} {path}: {:?}", reply.headers));
        }
        if status == 405 && reply.header("allow") != "GET, HEAD, POST" {
            wrong.push(format!("{method} {path}: allow {:?}", reply.header("allow")));
        }
        wrong.extend(house.leaks(&format!("{method} {path}"), &reply.body));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    house.stands().await;
}

#[tokio::test]
async fn what_is_no_http_is_ended() {
    let house = House::open().await;
    let many = format!("GET /tv/home HTTP/1.1\r\nHost: x\r\n{}\r\n", "X: a\r\n".repeat(200));
    let long = format!("GET /tv/home HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "a".repeat(200_000));
    let long_path = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(200_000));
    let mut wrong = Vec::new();
    for door in [&house.server.device, &house.server.admin] {
        for (name, bytes) in [
            ("nothing that makes sense", &b"hello\r\n\r\n"[..]),
            ("a TLS hello", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\r\n\r\n"),
            ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
            ("HTTP/0.9", b"GET /tv/home\r\n\r\n"),
            ("no method", b" /tv/home HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("a NUL in the path", b"GET /tv/\0home HTTP/1.1\r\nHost: x\r\n\r\n"),
            ("a fragment of bytes in a header", b"GET /tv/home HTTP/1.1\r\nHost: x\r\nX: \x00\x01\r\n\r\n"),
            ("too many headers", many.as_bytes()),
            ("a header that is too long", long.as_bytes()),
            ("a path that is too long", long_path.as_bytes()),
        ] {
            let address = door.strip_prefix("http://").expect("an address");
            let mut stream =
                tokio::net::TcpStream::connect(address).await.expect("the door takes connections");
            // The server may have heard enough before all was said, and then end by reset.
            let _ = stream.write_all(bytes).await;
            let mut heard = Vec::new();
            let read = stream.read_to_end(&mut heard);
            let ended = tokio::time::timeout(std::time::Duration::from_secs(20), read).await;
            let heard = String::from_utf8_lossy(&heard).into_owned();
            let told = ["", "HTTP/1.1 400 ", "HTTP/1.1 414 ", "HTTP/1.1 431 "];
            let fits = told.iter().any(|told| heard.starts_with(told) && heard.is_empty() == told.is_empty());
            if ended.is_err() || !fits {
                wrong.push(format!("{name} at {door}: ended {}, {heard}", ended.is_ok()));
            }
            wrong.extend(house.leaks(name, &heard));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    house.stands().await;
}

#[tokio::test]
async fn who_may_not_is_told_so_and_what_is_not_theirs_is_not_there() {
    let house = House::open().await;
    let nobody = house.nobody();
    let [viewer, tv, radio, operator] = [
        house.with_role(Role::Viewer, None).await,
        house.with_role(Role::Deployer, Some("tv")).await,
        house.with_role(Role::Deployer, Some("radio")).await,
        house.with_role(Role::Operator, None).await,
    ];
    let whoami = "GET /v1/whoami";
    let mut wrong = Vec::new();
    // Fewer than lock the address.
    for (header, code) in [
        (None, "auth.missing"),
        (Some("Bearer"), "auth.missing"),
        (Some("Basic dXNlcjpwYXNz"), "auth.missing"),
        (Some("Bearer x"), "auth.invalid"),
        (Some("Bearer a-token-for-tests-onlx"), "auth.invalid"),
        (
            Some("Bearer cb_aaaaaaaa_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
            "auth.invalid",
        ),
    ] {
        let headers: Vec<_> = header.map(|value| ("authorization", value)).into_iter().collect();
        let raw = nobody.raw(ask(whoami, &headers, "")).await.expect("an answer");
        wrong.extend(house.unlike(&format!("{header:?}"), &raw, 401, code, ""));
        if raw.headers.get("www-authenticate").is_none_or(|value| value != "Bearer") {
            wrong.push(format!("{header:?}: no challenge"));
        }
    }
    // What was made here and revoked is as unknown as what was never made.
    let (gone, token) = house.made(Role::Viewer, None).await;
    house.server.client().revoke_token(&token.id).await.expect("it is revoked");
    let raw = gone.raw(ask(whoami, &[], "")).await.expect("an answer");
    wrong.extend(house.unlike("a revoked token", &raw, 401, "auth.invalid", ""));

    let archive = bundle("tv/home", "", "pub fn main(request) { `other` }").to_archive();
    let any = ("if-match", "*");
    let token = r#"{"role":"admin","note":"mine"}"#;
    let first = r#"{"revision":1}"#;
    let forbidden = (403, "auth.forbidden");
    for (name, client, line, headers, body, (status, code)) in [
        ("a viewer", &viewer, "POST /v1/scripts/tv/home/revisions", vec![TAR], archive.clone(), forbidden),
        ("a viewer", &viewer, "PUT /v1/scripts/tv/home/active", vec![JSON, any], first.into(), forbidden),
        ("a viewer", &viewer, "DELETE /v1/scripts/tv/home", vec![any], vec![], forbidden),
        ("a viewer", &viewer, "PUT /v1/switches/team:tv", vec![JSON], OFF.into(), forbidden),
        ("a viewer", &viewer, "DELETE /v1/endpoints/tv/home/main/quarantine", vec![], vec![], forbidden),
        ("a deployer", &tv, "PUT /v1/switches/all", vec![JSON], OFF.into(), forbidden),
        ("a deployer", &tv, "PUT /v1/switches/class:old", vec![JSON], OFF.into(), forbidden),
        ("a deployer", &tv, "DELETE /v1/endpoints/tv/home/main/quarantine", vec![], vec![], forbidden),
        ("a deployer", &tv, "GET /v1/tokens", vec![], vec![], forbidden),
        ("a deployer", &tv, "GET /metrics", vec![], vec![], forbidden),
        ("an operator", &operator, "POST /v1/tokens", vec![JSON], token.into(), forbidden),
        ("an operator", &operator, "GET /v1/tokens", vec![], vec![], forbidden),
        ("an operator", &operator, "DELETE /v1/tokens/aaaaaaaa", vec![], vec![], forbidden),
        ("one of radio", &radio, "POST /v1/scripts/tv/home/revisions", vec![TAR], archive, forbidden),
        ("one of radio", &radio, "PUT /v1/switches/script:tv/home", vec![JSON], OFF.into(), forbidden),
    ] {
        let raw = client.raw(ask(line, &headers, body)).await.expect("an answer");
        wrong.extend(house.unlike(&format!("{name}: {line}"), &raw, status, code, ""));
    }
    // What another team has and what nobody has are told in the same words.
    for (line, headers, body) in [
        ("GET /v1/scripts/radio/NAME/active", vec![], ""),
        ("GET /v1/scripts/radio/NAME/revisions", vec![], ""),
        ("GET /v1/scripts/radio/NAME/revisions/1", vec![], ""),
        ("GET /v1/scripts/radio/NAME/revisions/1/files/main.rn", vec![], ""),
        ("POST /v1/scripts/radio/NAME/revisions", vec![TAR], "x"),
        ("PUT /v1/scripts/radio/NAME/active", vec![JSON, any], first),
        ("DELETE /v1/scripts/radio/NAME", vec![any], ""),
        ("GET /v1/endpoints/radio/NAME/main", vec![], ""),
        ("DELETE /v1/endpoints/radio/NAME/main/quarantine", vec![], ""),
        ("GET /v1/quotas/script:radio/NAME", vec![], ""),
        ("GET /v1/quotas/endpoint:radio/NAME/main", vec![], ""),
        ("GET /v1/quotas/revision:radio/NAME@1", vec![], ""),
        ("PUT /v1/switches/script:radio/NAME", vec![JSON], OFF),
        ("DELETE /v1/switches/script:radio/NAME", vec![], ""),
        ("GET /v1/audit?script=radio/NAME", vec![], ""),
    ] {
        let mut told = Vec::new();
        for name in ["hush", "none"] {
            let raw = tv.raw(ask(&line.replace("NAME", name), &headers, body)).await.expect("an answer");
            let text = String::from_utf8_lossy(&raw.body).replace(&format!("radio/{name}"), "radio/NAME");
            told.push((raw.status.as_u16(), text));
        }
        if told[0] != told[1] || !matches!(told[0].0, 200 | 403 | 404) {
            wrong.push(format!("{line}: {told:?}"));
        }
    }
    // Lists hold nothing of it either.
    for line in ["scripts", "endpoints", "audit", "switches", "scripts?team=radio", "endpoints?team=radio"] {
        let raw = tv.raw(ask(&format!("GET /v1/{line}"), &[], "")).await.expect("an answer");
        wrong.extend(house.leaks(line, &String::from_utf8_lossy(&raw.body)));
        if raw.status != 200 {
            wrong.push(format!("{line}: {}", raw.status));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    house.stands().await;
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_told_what_in_it() {
    let house = House::open().await;
    let tv = house.with_role(Role::Operator, None).await;
    let admin = house.server.client();
    let active = "PUT /v1/scripts/tv/home/active";
    let revisions = "POST /v1/scripts/tv/home/revisions";
    let all = "PUT /v1/switches/all";
    let first = r#"{"revision":1}"#;
    let any = ("if-match", "*");
    let large = format!(r#"{{"state":"off","reason":"{}"}}"#, "x".repeat(70_000));
    let long = format!(r#"{{"state":"off","reason":"{}"}}"#, "x".repeat(1_001));
    let name = "a".repeat(64);
    let long_team = format!("GET /v1/scripts/{name}/home/active");
    let long_scope = format!("PUT /v1/switches/team:{name}");
    let long_path = format!("GET /v1/scripts/{}/home/active", "a".repeat(60_000));
    let tag = format!("{revisions}?tag={}", "x".repeat(129));
    let message = format!("{revisions}?message={}", "x".repeat(4_001));
    let archive = bundle("tv/home", "", "pub fn main(request) { `other` }").to_archive();
    let archive = String::from_utf8(archive).expect("a tar of plain text");
    let scope = "scope.invalid";
    let mut wrong = Vec::new();
    for (client, line, headers, body, status, code, says) in [
        (&tv, "GET /v1/scripts?limti=1", vec![], "", 400, INVALID, "`limti`"),
        (&tv, "GET /v1/whoami?x", vec![], "", 400, INVALID, "`x`"),
        (&tv, "GET /v1/scripts?limit=1&limit=2", vec![], "", 400, INVALID, "twice"),
        (&tv, "GET /v1/scripts?limit=0", vec![], "", 400, INVALID, "1 to 1000"),
        (&tv, "GET /v1/scripts?limit=1001", vec![], "", 400, INVALID, "1 to 1000"),
        (&tv, "GET /v1/scripts?limit=-1", vec![], "", 400, INVALID, "`limit`"),
        (&tv, "GET /v1/scripts?team=T%00V", vec![], "", 400, INVALID, "`team`"),
        (&tv, "GET /v1/scripts?cursor=x", vec![], "", 400, "cursor.invalid", "as it is"),
        (&tv, "GET /v1/scripts?cursor=cmV2aXNpb246MQ", vec![], "", 400, "cursor.invalid", "as it is"),
        (&tv, "GET /v1/audit?cursor=YXVkaXQ6bm9uZQ", vec![], "", 410, "cursor.expired", "start again"),
        (&tv, "PUT /v1/switches/all?dry_run=maybe", vec![JSON], OFF, 400, INVALID, "`dry_run`"),
        // Where a change is to start from.
        (&tv, active, vec![JSON], first, 428, "precondition.missing", "If-Match"),
        (&tv, active, vec![JSON, ("if-match", "1")], first, 400, "precondition.invalid", "quotes"),
        (&tv, active, vec![JSON, ("if-match", "W/\"1\"")], first, 400, "precondition.invalid", "quotes"),
        (&tv, active, vec![JSON, ("if-match", "\"x\"")], first, 400, "precondition.invalid", "quotes"),
        (&tv, active, vec![JSON, ("if-match", "\"1\", \"2\"")], first, 400, "precondition.invalid", "quotes"),
        (&tv, active, vec![JSON, any, any], first, 400, "precondition.invalid", "quotes"),
        (&tv, active, vec![JSON, ("if-match", "\"999\"")], first, 412, "deploy.conflict", "meanwhile"),
        (&tv, "DELETE /v1/scripts/tv/home", vec![], "", 428, "precondition.missing", "If-Match"),
        (&tv, "DELETE /v1/scripts/tv/home", vec![("if-match", "\"999\"")], "", 412, "deploy.conflict", ""),
        (&tv, "DELETE /v1/scripts/tv/none", vec![any], "", 404, "script.unknown", "tv/none"),
        (&tv, active, vec![JSON, any], r#"{"revision":9}"#, 404, "revision.unknown", "tv/home@9"),
        (&tv, active, vec![JSON, any], r#"{"revision":0}"#, 400, INVALID, "from one"),
        (&tv, active, vec![JSON, any], r#"{"revision":-1}"#, 400, INVALID, "-1"),
        (&tv, active, vec![JSON, any], r#"{"revision":1.5}"#, 400, INVALID, "1.5"),
        (&tv, active, vec![JSON, any], r#"{"revision":1,"revison":2}"#, 400, INVALID, "`revison`"),
        (&tv, active, vec![JSON, any], r#"{"revision":1,"revision":1}"#, 400, INVALID, "`revision`"),
        (&tv, active, vec![JSON, any], r#"{"reason":"x"}"#, 400, INVALID, "`revision`"),
        (&tv, active, vec![any], first, 415, "request.media_type", "application/json"),
        (&tv, active, vec![("content-type", "text/plain"), any], first, 415, "request.media_type", "json"),
        // Bodies.
        (&tv, all, vec![JSON], "", 400, INVALID, "EOF"),
        (&tv, all, vec![JSON], "{", 400, INVALID, "EOF"),
        (&tv, all, vec![JSON], "null", 400, INVALID, "null"),
        (&tv, all, vec![JSON], "[]", 400, INVALID, ""),
        (&tv, all, vec![JSON], "{}", 400, INVALID, "`state`"),
        (&tv, all, vec![JSON], r#"{"state":"off","reason":"x"} x"#, 400, INVALID, "trailing"),
        (&tv, all, vec![JSON], r#"{"state":"off","raeson":"x"}"#, 400, INVALID, "`raeson`"),
        (&tv, all, vec![JSON], r#"{"state":"on","reason":"x"}"#, 400, INVALID, "`on`"),
        (&tv, all, vec![JSON], r#"{"state":"off","reason":" "}"#, 400, INVALID, "1 to 1000"),
        (&tv, all, vec![JSON], r#"{"state":"off","reason":"x","until":"soon"}"#, 400, INVALID, "year"),
        (
            &tv,
            all,
            vec![JSON],
            r#"{"state":"off","reason":"x","until":"2001-01-01T00:00:00Z"}"#,
            400,
            INVALID,
            "",
        ),
        (&tv, all, vec![JSON], &long, 400, INVALID, "1 to 1000"),
        (&tv, all, vec![JSON], &large, 413, "request.too_large", "64KiB"),
        (&tv, all, vec![JSON, ("content-encoding", "gzip")], OFF, 415, "request.media_type", "Encoding"),
        (&tv, all, vec![], OFF, 415, "request.media_type", "application/json"),
        (&admin, "POST /v1/tokens", vec![JSON], r#"{"role":"root","note":""}"#, 400, INVALID, "`root`"),
        (
            &admin,
            "POST /v1/tokens",
            vec![JSON],
            r#"{"role":"viewer","note":"","teem":"tv"}"#,
            400,
            INVALID,
            "`teem`",
        ),
        (
            &admin,
            "POST /v1/tokens",
            vec![JSON],
            r#"{"role":"viewer","note":"","team":"../x"}"#,
            400,
            INVALID,
            "../x",
        ),
        (
            &admin,
            "POST /v1/tokens",
            vec![JSON],
            r#"{"role":"admin","note":"","team":"tv"}"#,
            400,
            INVALID,
            "all teams",
        ),
        (
            &admin,
            "POST /v1/tokens",
            vec![JSON],
            r#"{"role":"viewer","note":"a\nb"}"#,
            400,
            INVALID,
            "one line",
        ),
        (&admin, "DELETE /v1/tokens/none", vec![], "", 404, "token.unknown", ""),
        // Where it goes and comes from.
        (&tv, "GET /v1/whoami", vec![("host", "evil.example")], "", 421, "host.refused", "allowed_hosts"),
        (&tv, "GET /livez", vec![("host", "127.0.0.1.evil.example")], "", 421, "host.refused", ""),
        (&tv, "GET /v1/whoami", vec![("origin", "http://evil.example")], "", 403, "auth.forbidden", "origin"),
        (&tv, "GET /v1/whoami", vec![("origin", "null")], "", 403, "auth.forbidden", "origin"),
        // Names.
        (&tv, "DELETE /v1/scripts/../x", vec![any], "", 400, scope, "`..`"),
        (&tv, "GET /v1/scripts/../x/active", vec![], "", 400, scope, "`..`"),
        (&tv, "GET /v1/scripts/%2e%2e/x/active", vec![], "", 400, scope, "`..`"),
        (&tv, "GET /v1/scripts/tv%2f..", vec![], "", 404, "resource.unknown", ""),
        (&tv, "GET /v1/scripts/tv%2f../home/active", vec![], "", 400, scope, "`tv/..`"),
        (&tv, "GET /v1/scripts/tv/home%00/active", vec![], "", 400, scope, ""),
        (&tv, "GET /v1/scripts/tv/home%0a/active", vec![], "", 400, scope, ""),
        (&tv, "GET /v1/scripts/Tv/home/active", vec![], "", 400, scope, "`Tv`"),
        (&tv, "GET /v1/scripts//home/active", vec![], "", 404, "resource.unknown", ""),
        (&tv, &long_team, vec![], "", 400, scope, "63"),
        (&tv, &long_path, vec![], "", 400, scope, "63"),
        (&tv, "GET /v1/scripts/tv/none/active", vec![], "", 404, "script.unknown", "tv/none"),
        (&tv, "GET /v1/scripts/tv/home/revisions/0", vec![], "", 400, scope, "`0`"),
        (&tv, "GET /v1/scripts/tv/home/revisions/x", vec![], "", 400, scope, "`x`"),
        (&tv, "GET /v1/scripts/tv/home/revisions/99999999999999999999", vec![], "", 400, scope, ""),
        (&tv, "GET /v1/scripts/tv/home/revisions/9", vec![], "", 404, "revision.unknown", "tv/home@9"),
        (
            &tv,
            "GET /v1/scripts/tv/home/revisions/1/files/none.rn",
            vec![],
            "",
            404,
            "resource.unknown",
            "none.rn",
        ),
        (
            &tv,
            "GET /v1/scripts/tv/home/revisions/1/files/../main.rn",
            vec![],
            "",
            404,
            "resource.unknown",
            "",
        ),
        (
            &tv,
            "GET /v1/scripts/tv/home/revisions/1/files//etc/passwd",
            vec![],
            "",
            404,
            "resource.unknown",
            "",
        ),
        (
            &tv,
            "GET /v1/scripts/tv/home/revisions/1/files/%2e%2e%2fx",
            vec![],
            "",
            404,
            "resource.unknown",
            "",
        ),
        (&tv, "GET /v1/endpoints/tv/home/none", vec![], "", 404, "endpoint.unknown", "tv/home/none"),
        (&tv, "GET /v1/endpoints/tv/home/../../x", vec![], "", 404, "resource.unknown", ""),
        (&tv, "GET /v1/decisions/none", vec![], "", 404, "decision.unknown", ""),
        (&tv, "GET /v1/none", vec![], "", 404, "resource.unknown", "/v1/none"),
        (&tv, "GET /../etc/passwd", vec![], "", 404, "resource.unknown", ""),
        (&tv, "PATCH /v1/scripts/tv/home/active", vec![], "", 405, "method.not_allowed", "GET, HEAD, PUT"),
        // Scopes of switches.
        (&tv, "PUT /v1/switches/everything", vec![JSON], OFF, 400, scope, "`everything`"),
        (&tv, "PUT /v1/switches/ALL", vec![JSON], OFF, 400, scope, "`ALL`"),
        (&tv, "PUT /v1/switches/", vec![JSON], OFF, 400, scope, "``"),
        (&tv, "PUT /v1/switches/tv/home", vec![JSON], OFF, 400, scope, "`tv/home`"),
        (&tv, "PUT /v1/switches/team:", vec![JSON], OFF, 400, scope, "empty"),
        (&tv, "PUT /v1/switches/team:TV", vec![JSON], OFF, 400, scope, "`TV`"),
        (&tv, "PUT /v1/switches/team:tv%20", vec![JSON], OFF, 400, scope, "`tv `"),
        (&tv, "PUT /v1/switches/script:tv", vec![JSON], OFF, 400, scope, "`tv`"),
        (&tv, "PUT /v1/switches/script:tv/../x", vec![JSON], OFF, 400, scope, "more than two"),
        (&tv, "PUT /v1/switches/endpoint:tv/home", vec![JSON], OFF, 400, scope, "`tv/home`"),
        (&tv, "PUT /v1/switches/revision:tv/home@0", vec![JSON], OFF, 400, scope, "`0`"),
        (&tv, "PUT /v1/switches/device:tv", vec![JSON], OFF, 400, scope, "`device:tv`"),
        (&tv, &long_scope, vec![JSON], OFF, 400, scope, "63"),
        (&tv, "DELETE /v1/switches/team:tv", vec![], "", 404, "switch.unknown", "team:tv"),
        // What goes with an upload.
        (&tv, revisions, vec![JSON], "{}", 415, "request.media_type", "x-tar"),
        (&tv, revisions, vec![], "", 415, "request.media_type", "x-tar"),
        (&tv, "POST /v1/scripts/tv/home/revisions?wait=some", vec![TAR], &archive, 400, INVALID, "`some`"),
        (&tv, "POST /v1/scripts/tv/home/revisions?timeout=10", vec![TAR], &archive, 400, INVALID, "`10`"),
        (
            &tv,
            "POST /v1/scripts/tv/home/revisions?activate=perhaps",
            vec![TAR],
            &archive,
            400,
            INVALID,
            "`perhaps`",
        ),
        (&tv, &tag, vec![TAR], &archive, 400, INVALID, "`tag`"),
        (&tv, &message, vec![TAR], &archive, 400, INVALID, "`message`"),
        (&tv, revisions, vec![TAR, ("idempotency-key", "\"")], &archive, 400, "idempotency.invalid", ""),
        (&tv, "POST /v1/scripts/tv/other/revisions", vec![TAR], &archive, 422, "team.mismatch", "tv/other"),
    ] {
        let raw = client.raw(ask(line, &headers, body.to_owned())).await;
        let line = &line[..line.len().min(90)];
        match raw {
            Ok(raw) => wrong.extend(house.unlike(
                &format!("{line} {headers:?} {body:.60}"),
                &raw,
                status,
                code,
                says,
            )),
            Err(error) => wrong.push(format!("{line}: {error}")),
        }
    }
    let stale = ActivateRequest { revision: 1, reason: None };
    let stale = tv.activate("tv", "home", "\"999\"", &stale, false, api::client::Wait::Node).await;
    let present = admin.active("tv", "home").await.expect("it stands somewhere");
    match stale {
        Err(ClientError::Problem(problem)) => {
            assert_eq!(problem.present, Some(present), "where it stands now");
        }
        other => panic!("{other:?}"),
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(admin.switches().await.expect("the switches").items.is_empty(), "nothing was switched");
    house.stands().await;
}

#[tokio::test]
async fn an_upload_that_is_not_right_is_told_what_and_where() {
    let house = House::open().await;
    let tv = house.with_role(Role::Deployer, Some("tv")).await;
    let mut wrong = Vec::new();
    for Wrong { name, media, bytes, status, code, finding } in archives::wrong() {
        let headers = [("content-type", media)];
        let asked = ask("POST /v1/scripts/tv/home/revisions", &headers, bytes);
        let raw = match tv.raw(asked).await {
            Ok(raw) => raw,
            // Who sends far too much may be cut off while it is still sending.
            Err(ClientError::Unreachable { .. }) if status == 413 => continue,
            Err(error) => panic!("{name}: {error}"),
        };
        wrong.extend(house.unlike(name, &raw, status, code, ""));
        let Some(finding) = finding else { continue };
        let problem: api::Problem = serde_json::from_slice(&raw.body).expect("a problem");
        let found = problem.diagnostics.iter().find(|found| found.code == finding.code);
        match found {
            Some(found) if finding.fits(found) => {}
            other => wrong.push(format!("{name}: {other:?} of {:?}", problem.diagnostics)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    house.stands().await;
}

#[tokio::test]
async fn a_route_belongs_to_one_and_its_owner_is_told_only_to_who_may_see_it() {
    let house = House::open().await;
    let tv = house.with_role(Role::Deployer, Some("tv")).await;
    let viewer_of_all = house.with_role(Role::Operator, None).await;
    for path in ["/radio/hush", "/tv/extra"] {
        let manifest =
            format!("[[endpoint]]\nname = \"taken\"\npath = \"{path}\"\nhandler = \"main::main\"\n");
        let archive = bundle("tv/home", &manifest, "pub fn main(request) { `mine` }").to_archive();
        let archive = Bytes::from(archive);
        // The second path is free: what is refused is the route and not the second endpoint.
        if path == "/tv/extra" {
            let dry = Upload { dry_run: true, ..Upload::default() };
            tv.upload("tv", "home", archive, &dry).await.expect("it would be taken");
            continue;
        }
        for (client, says, tells) in
            [(&tv, "answered by another script", false), (&viewer_of_all, "answered by radio/hush", true)]
        {
            for dry_run in [true, false] {
                let upload = Upload { dry_run, ..Upload::default() };
                let refused = client.upload("tv", "home", archive.clone(), &upload).await;
                let Err(ClientError::Problem(problem)) = refused else { panic!("{refused:?}") };
                assert_eq!((problem.status, problem.code.as_str()), (409, "route.conflict"));
                let detail = problem.detail.clone().unwrap_or_default();
                assert_eq!(detail, format!("GET /radio/hush is {says}"));
                let rest =
                    serde_json::to_string(&*problem).expect("a problem").replace("GET /radio/hush", "");
                assert_eq!(rest.contains("hush"), tells, "{rest}");
            }
        }
    }
    // Nor does a pattern that would take it over.
    let manifest = "[[endpoint]]\nname = \"wide\"\npath = \"/radio/{any}\"\nhandler = \"main::main\"\n";
    let archive = bundle("tv/home", manifest, "pub fn main(request) { `mine` }").to_archive();
    let dry = Upload { dry_run: true, ..Upload::default() };
    let wide = tv.upload("tv", "home", archive.into(), &dry).await;
    let Err(ClientError::Problem(wide)) = wide else { panic!("{wide:?}") };
    assert_eq!((wide.status, wide.code.as_str()), (409, "route.conflict"));
    assert_eq!(wide.detail.as_deref(), Some("GET /radio/{any} is answered by another script"));
    assert!(!serde_json::to_string(&*wide).expect("a problem").contains("hush"), "{wide:?}");
    let hush = Device::of(&house.server.device).get("/radio/hush").await;
    assert_eq!((hush.status, hush.body.as_str()), (200, house.secret()));
    let history = house.server.client().revisions("tv", "home", &List::default()).await.expect("the history");
    assert_eq!(history.items.len(), 1, "what was refused is in no history");
    house.stands().await;
}
