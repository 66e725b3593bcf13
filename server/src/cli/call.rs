//! `call`: an endpoint is called as a device would call it.
//!
//! Invariant: the token of the admin plane never goes to the device plane.

use std::io::Read;
use std::str::FromStr;
use std::time::Instant;

use api::client::Ask;
use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method};
use serde_json::json;

use super::arguments::CallArguments;
use super::exit::{Exit, Failure, exit_of};
use super::out::Out;
use super::person::clean;

/// The header that tells a quota from a bug.
const REFUSED: &str = "callboard-refused";

/// `call`
pub(super) async fn run(arguments: &CallArguments, out: &Out) -> Result<Exit, Failure> {
    let body = arguments.data.as_deref().map(body).transpose()?;
    let (method, path) = target(&arguments.target, body.is_some())?;
    let mut headers = headers(&arguments.header)?;
    let body = body.unwrap_or_default();
    if !body.is_empty() && !headers.contains_key(http::header::CONTENT_TYPE) {
        let media = if serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok() {
            "application/json"
        } else {
            "text/plain"
        };
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    let client = api::Client::new(arguments.device_url.clone()).with_timeout(arguments.timeout);
    let start = Instant::now();
    let answer = client.raw(Ask { method, path, headers, body: body.into() }).await?;
    let took = start.elapsed();
    let text = |name: &str| {
        answer.headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let (refused, revision) = (text(REFUSED), text("callboard-revision"));
    if out.is_json() {
        let headers: serde_json::Map<_, _> = answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), json!(String::from_utf8_lossy(value.as_bytes()))))
            .collect();
        let body = String::from_utf8_lossy(&answer.body);
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let object = json!({
            "status": answer.status.as_u16(), "headers": headers, "body": body,
            "revision": revision, "refused": refused, "took_us": took_us,
        });
        out.result("call", &object, |_| String::new());
    } else {
        if arguments.include {
            let mut head = format!("{}\n", answer.status);
            for (name, value) in &answer.headers {
                head.push_str(&format!("{name}: {}\n", clean(&String::from_utf8_lossy(value.as_bytes()))));
            }
            out.bytes(format!("{head}\n").as_bytes());
        }
        out.bytes(&answer.body);
        if !answer.body.is_empty() && !answer.body.ends_with(b"\n") {
            // Only a terminal needs the line to end; a pipe gets the body as it is.
            if std::io::IsTerminal::is_terminal(&std::io::stdout()) {
                out.bytes(b"\n");
            }
        }
        let revision = revision.map(|revision| format!(", revision {revision}")).unwrap_or_default();
        out.note(clean(&format!("{} in {took:.1?}{revision}", answer.status)));
    }
    let status = answer.status;
    Ok(match refused {
        Some(code) => exit_of(503, &code),
        None if status.is_client_error() || status.is_server_error() => Exit::Failed,
        None => Exit::Done,
    })
}

/// The method and the path.
fn target(target: &[String], has_body: bool) -> Result<(Method, String), Failure> {
    let (method, path) = match target {
        [path] => (if has_body { Method::POST } else { Method::GET }, path),
        [method, path] => {
            let method = Method::from_str(&method.to_ascii_uppercase());
            (method.map_err(|_| Failure::usage(format_args!("`{}` is no method", target[0])))?, path)
        }
        _ => return Err(Failure::usage("say a path, or a method and a path")),
    };
    if !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err() {
        return Err(Failure::usage(format_args!(
            "`{path}` is no path; it begins with `/` and is encoded, `/hello?name=Ana`"
        )));
    }
    Ok((method, path.clone()))
}

fn headers(lines: &[String]) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    for line in lines {
        let header = line.split_once(':').and_then(|(name, value)| {
            Some((HeaderName::from_str(name.trim()).ok()?, HeaderValue::from_str(value.trim()).ok()?))
        });
        let (name, value) = header.ok_or_else(|| {
            Failure::usage(format_args!("`{line}` is no header; write it like `name: value`"))
        })?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// The body: the text itself, or a file's content.
fn body(data: &str) -> Result<Vec<u8>, Failure> {
    let read = match data.strip_prefix('@') {
        None => return Ok(data.as_bytes().to_vec()),
        Some("-") => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        Some(file) => std::fs::read(file),
    };
    read.map_err(|error| Failure::usage(format_args!("{data}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_may_stand_before_the_path_and_a_body_is_posted() {
        fn check(words: &[&str], has_body: bool, wanted: Option<(&str, &str)>) {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            let found = target(&words, has_body).ok();
            let found = found.as_ref().map(|(method, path)| (method.as_str(), path.as_str()));
            assert_eq!(found, wanted, "{words:?}");
        }
        check(&["/a?b=c"], false, Some(("GET", "/a?b=c")));
        check(&["/a"], true, Some(("POST", "/a")));
        check(&["put", "/a"], true, Some(("PUT", "/a")));
        check(&["a"], false, None);
        check(&["/a b"], false, None);
        check(&["G T", "/a"], false, None);
    }
}
