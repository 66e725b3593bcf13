//! Traces: requests that were recorded, to be asked again at the same distances.
//!
//! A line is `MILLISECONDS PATH [METHOD] [CLASS]`, or an object of JSON with `ms`, `path`, `method` and `class`, and for
//! `whatif` also with `client`, `took_ms`, `fuel`, `host_calls` and `bytes`. Empty lines and those that begin with `#`
//! are passed over.
//!
//! Invariant: what is played again is in the order of its times. A line whose path and method a request of the plan
//! has is that request, with its headers, body and checks; the others are named by their method.
//! Not here: when they are sent (`run::schedule`).

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use serde::Deserialize;
use toml::Spanned;

use super::fault::{Fault, Source};
use super::request::{Class, Request};

/// A replay as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawReplay {
    file: Spanned<String>,
    speed: Option<Spanned<f64>>,
}

/// A request that was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Traced {
    /// When, since the run began.
    pub at: Duration,
    /// Which request it is.
    pub request: usize,
    /// Its path.
    pub path: Arc<str>,
    /// Its class.
    pub class: Option<usize>,
}

/// A line of a trace.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    ms: f64,
    /// The path, with its query.
    pub path: String,
    method: Option<String>,
    /// The class of devices.
    pub class: Option<String>,
    /// What tells the client from others.
    pub client: Option<String>,
    /// How long the call was alive, in milliseconds.
    pub took_ms: Option<f64>,
    /// The work of its script.
    pub fuel: Option<u64>,
    /// Its calls of services.
    pub host_calls: Option<u32>,
    /// The bytes that it moved.
    pub bytes: Option<u64>,
}

impl Line {
    /// When it came, since the trace began.
    pub fn at(&self) -> Duration {
        Duration::from_secs_f64(self.ms / 1e3)
    }
}

/// What a line looks like.
pub const LIKE: &str = "write it like `1500 /home GET tv`, or `{\"ms\": 1500, \"path\": \"/home\"}`";

/// Reads the trace that a plan names. Requests and classes that the plan does not have are added.
pub(super) fn load(
    replay: &RawReplay,
    source: Source<'_>,
    directory: &Path,
    requests: &mut Vec<Request>,
    classes: &mut Vec<Class>,
) -> Result<Vec<Traced>, Fault> {
    let speed = match &replay.speed {
        None => 1.0,
        Some(speed) if (0.001..=1_000.0).contains(speed.get_ref()) => *speed.get_ref(),
        Some(speed) => {
            let advice = "write a number of 0.001 to 1000; 2 is twice as fast";
            return Err(source.fault(speed.span(), "that is no speed", advice));
        }
    };
    let path = directory.join(replay.file.get_ref());
    let text = std::fs::read_to_string(&path).map_err(|error| {
        let problem = format!("{} cannot be read: {error}", path.display());
        source.fault(replay.file.span(), problem, "the file is looked for beside the plan")
    })?;
    let file = path.display().to_string();
    let trace = read(Source { file: &file, text: &text }, speed, requests, classes)?;
    if trace.is_empty() {
        return Err(source.fault(replay.file.span(), "there is nothing in it", LIKE));
    }
    Ok(trace)
}

/// The lines of a trace, each with its number.
pub fn lines(source: Source<'_>) -> impl Iterator<Item = Result<(usize, Line), Fault>> + '_ {
    let lines = source.text.lines().enumerate().map(|(index, text)| (index + 1, text.trim()));
    lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')).map(move |(number, text)| {
        let fault = |problem: &dyn std::fmt::Display| source.line(number, problem, LIKE);
        let line = if text.starts_with('{') {
            serde_json::from_str(text).map_err(|error| fault(&error))?
        } else {
            words(text).ok_or_else(|| fault(&"the line cannot be read"))?
        };
        if !(0.0..=6e8).contains(&line.ms) {
            return Err(fault(&"that is no time in milliseconds"));
        }
        Ok((number, line))
    })
}

fn read(
    source: Source<'_>,
    speed: f64,
    requests: &mut Vec<Request>,
    classes: &mut Vec<Class>,
) -> Result<Vec<Traced>, Fault> {
    let mut trace = Vec::new();
    for line in lines(source) {
        let (number, line) = line?;
        let fault = |problem: &dyn std::fmt::Display| source.line(number, problem, LIKE);
        let path: http::uri::PathAndQuery =
            line.path.parse().map_err(|_| fault(&format_args!("`{}` is no path", line.path)))?;
        let method = line.method.as_deref().unwrap_or("GET");
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|_| fault(&format_args!("`{method}` is no method")))?;
        let class = match &line.class {
            None => None,
            Some(name) => {
                Some(class(name, classes).ok_or_else(|| fault(&format_args!("`{name}` is no class")))?)
            }
        };
        trace.push(Traced {
            at: line.at().div_f64(speed),
            request: request(&method, path.as_str(), requests),
            path: path.as_str().into(),
            class,
        });
    }
    trace.sort_by_key(|traced| traced.at);
    Ok(trace)
}

fn words(text: &str) -> Option<Line> {
    let mut words = text.split_whitespace();
    let ms = words.next()?.parse().ok()?;
    let path = words.next()?.to_owned();
    let (method, class) = (words.next().map(str::to_owned), words.next().map(str::to_owned));
    words.next().is_none().then(|| Line { ms, path, method, class, ..Line::default() })
}

fn request(method: &Method, path: &str, requests: &mut Vec<Request>) -> usize {
    let same = |request: &Request| request.method == *method && request.path.fixed() == Some(path);
    let by_name = |request: &Request| request.name == method.as_str();
    requests.iter().position(same).or_else(|| requests.iter().position(by_name)).unwrap_or_else(|| {
        requests.push(Request::plain(method.as_str(), method.clone(), "/", 0.0));
        requests.len() - 1
    })
}

fn class(name: &str, classes: &mut Vec<Class>) -> Option<usize> {
    if let Some(place) = classes.iter().position(|class| class.name == name) {
        return Some(place);
    }
    classes.push(Class::named(name)?);
    Some(classes.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trace, and the names of requests and classes.
    type Played = (Vec<Traced>, Vec<String>, Vec<String>);

    fn play(text: &str) -> Result<Played, String> {
        let (mut requests, mut classes) = (vec![Request::get("/home")], Vec::new());
        requests[0].name = "home".to_owned();
        let trace = read(Source { file: "trace.txt", text }, 2.0, &mut requests, &mut classes)
            .map_err(|fault| fault.to_string())?;
        let requests = requests.into_iter().map(|request| request.name).collect();
        Ok((trace, requests, classes.into_iter().map(|class| class.name).collect()))
    }

    #[test]
    fn words_and_json_are_read_and_put_in_order() {
        let text = "# recorded\n2000 /home GET tv\n\n{\"ms\": 500.5, \"path\": \"/a?b\", \"method\": \"POST\"}\n0 /x\n";
        let (trace, requests, classes) = play(text).unwrap();
        let seen: Vec<_> = trace
            .iter()
            .map(|traced| (traced.at.as_micros(), &*requests[traced.request], &*traced.path, traced.class))
            .collect();
        let wanted =
            [(0, "GET", "/x", None), (250_250, "POST", "/a?b", None), (1_000_000, "home", "/home", Some(0))];
        assert_eq!(seen, wanted);
        assert_eq!(classes, ["tv"]);
    }

    #[test]
    fn a_line_that_cannot_be_read_is_named() {
        for (text, wanted) in [
            ("0 /a\nsoon /b", "trace.txt:2: the line cannot be read"),
            ("0 /a GET tv more", "trace.txt:1: the line cannot be read"),
            ("-1 /a", "trace.txt:1: that is no time"),
            ("{\"ms\": 1, \"paht\": \"/\"}", "trace.txt:1: unknown field `paht`"),
        ] {
            let fault = play(text).unwrap_err();
            assert!(fault.starts_with(wanted) && fault.contains("write it like"), "{fault}");
        }
    }
}
