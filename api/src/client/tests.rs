use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::revisions::ActivateRequest;

/// Runs a call against a server that takes one request and gives one answer; tells what the request was.
fn exchange<T>(answer: &str, call: impl AsyncFnOnce(Client) -> T) -> (String, T) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::new(base.parse().unwrap()).with_token("cb_secret").unwrap();
        let client = client.with_timeout(Duration::from_secs(5));
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut asked = Vec::new();
            while !whole(&asked) {
                assert_ne!(stream.read_buf(&mut asked).await.unwrap(), 0);
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            stream.shutdown().await.unwrap();
            String::from_utf8(asked).unwrap()
        };
        tokio::join!(serve, call(client))
    })
}

/// Whether these bytes are a request with all of its body.
fn whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    body.len() >= length.unwrap_or(0_usize)
}

fn answer(status: &str, media: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {media}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

const HEAD: &str = r#"{"active":7,"latest":9,"etag":"\"12\"","deleted":false}"#;

#[test]
fn a_call_carries_the_token_the_path_and_the_query() {
    let page = answer("200 OK", "application/json", r#"{"items":[]}"#);
    let list = List { team: Some("a b".into()), limit: Some(5), ..List::default() };
    let (asked, page) = exchange(&page, async |client| client.endpoints(&list).await);
    assert!(asked.starts_with("GET /v1/endpoints?team=a%20b&limit=5 HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("authorization: Bearer cb_secret\r\n"), "{asked}");
    assert!(asked.contains(concat!("user-agent: callboard/", env!("CARGO_PKG_VERSION"), "\r\n")), "{asked}");
    assert_eq!(page.unwrap(), crate::Page::whole(Vec::new()));
}

#[test]
fn a_change_carries_what_it_is_based_on() {
    let body = format!(r#"{{"head":{HEAD},"endpoints":[],"removed":[],"dry_run":true,"converged":true}}"#);
    let (asked, done) = exchange(&answer("200 OK", "application/json", &body), async |client| {
        let request = ActivateRequest { revision: 7, reason: None };
        client.activate("tv", "home", "\"11\"", &request, true, Wait::All).await
    });
    assert!(
        asked.starts_with("PUT /v1/scripts/tv/home/active?dry_run=true&wait=all HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(asked.contains("if-match: \"11\"\r\n"), "{asked}");
    assert!(asked.ends_with(r#"{"revision":7}"#), "{asked}");
    assert_eq!(done.unwrap().head.etag, "\"12\"");
}

#[test]
fn scopes_and_files_stand_in_the_path_as_they_are_and_steps_do_not() {
    fn check(scope: &str, path: &str) {
        let page = answer("200 OK", "application/json", r#"{"scope":"x","rules":[]}"#);
        let (asked, _) = exchange(&page, async |client| client.quotas(scope).await);
        assert!(asked.starts_with(&format!("GET {path} ")), "{asked}");
    }
    check("endpoint:tv/home/home", "/v1/quotas/endpoint:tv/home/home");
    check("revision:tv/home@7", "/v1/quotas/revision:tv/home@7");
    check("a?b#c", "/v1/quotas/a%3Fb%23c");
    let file = answer("200 OK", "application/octet-stream", "text");
    let (asked, body) = exchange(&file, async |client| client.file("tv", "..", 7, "lib/a b.rn").await);
    assert!(asked.starts_with("GET /v1/scripts/tv/%2E%2E/revisions/7/files/lib/a%20b.rn "), "{asked}");
    assert_eq!(&body.unwrap()[..], b"text");
}

#[test]
fn a_refusal_is_a_problem_with_its_code() {
    let problem = Problem::of("deploy.conflict", "somebody was faster");
    let body = serde_json::to_string(&problem).unwrap();
    let refused = answer("412 Precondition Failed", "application/problem+json; charset=utf-8", &body);
    let (_, error) = exchange(&refused, async |client| client.active("tv", "home").await);
    match error {
        Err(ClientError::Problem(said)) => assert_eq!(*said, problem),
        other => panic!("{other:?}"),
    }
}

#[test]
fn another_server_is_told_from_ours() {
    for (status, media, body) in [
        ("404 Not Found", "text/html", "<h1>no</h1>"),
        ("200 OK", "application/json", "[]"),
        ("302 Found", "text/html", ""),
    ] {
        let (_, error) = exchange(&answer(status, media, body), async |client| client.whoami().await);
        assert!(matches!(error, Err(ClientError::Protocol(_))), "{status}: {error:?}");
    }
}

#[test]
fn not_being_ready_is_an_answer() {
    let body = r#"{"ready":false,"checks":[{"name":"store","ok":false,"detail":"it does not answer"}]}"#;
    let not_ready = answer("503 Service Unavailable", "application/json", body);
    let (_, health) = exchange(&not_ready, async |client| client.ready().await);
    let health = health.unwrap();
    assert_eq!((health.ready, health.checks[0].name.as_str()), (false, "store"));
}

#[test]
fn a_server_that_is_not_there_is_unreachable_and_the_token_is_not_told() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let base: BaseUrl = "http://127.0.0.1:1".parse().unwrap();
    let client = Client::new(base).with_token("cb_secret").unwrap();
    let error = runtime.block_on(client.version()).unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { url, .. } if url == "http://127.0.0.1:1"),
        "{error:?}"
    );
    assert!(!format!("{client:?} {error:?}").contains("cb_secret"));
}

#[test]
fn a_server_that_does_not_answer_in_time_is_unreachable() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let client = Client::new(base.parse().unwrap()).with_timeout(Duration::from_millis(50));
        let error = client.version().await.unwrap_err();
        assert!(error.to_string().contains("no answer within 50ms"), "{error}");
    });
}
