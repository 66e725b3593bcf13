//! Requests and classes of devices: what is asked, and by whom.
//!
//! Invariant: names are unique among requests and classes together, so that a threshold means one of them; a chain
//! of requests that follow each other ends.
//! Not here: when they are asked (`stage`, `run::schedule`).

use std::collections::BTreeMap;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use serde::Deserialize;
use toml::Spanned;

use super::check::{self, Check, RawCheck};
use super::fault::{Fault, Source};
use super::stage::time;
use super::template::{PLACES, Template};

/// The header that names a class, where the plan gives no other. What a server takes for a class stands in its
/// configuration: `class.NAME.header`.
const CLASS: &str = "x-device-class";

/// A request as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRequest {
    name: Option<Spanned<String>>,
    weight: Option<Spanned<f64>>,
    method: Option<Spanned<String>>,
    path: Spanned<String>,
    #[serde(default)]
    headers: BTreeMap<Spanned<String>, Spanned<String>>,
    #[serde(default)]
    body: Option<Spanned<String>>,
    #[serde(default)]
    check: Vec<Spanned<RawCheck>>,
    then: Option<Spanned<String>>,
    think: Option<Spanned<String>>,
}

/// A class as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawClass {
    name: Spanned<String>,
    weight: Option<Spanned<f64>>,
    header: Option<Spanned<String>>,
}

/// A request.
#[derive(Debug, Clone)]
pub struct Request {
    /// Its name.
    pub name: String,
    /// How often it is asked beside the others. One that only follows others has none.
    pub weight: f64,
    /// Its method.
    pub method: Method,
    /// Its path, with the query.
    pub path: Template,
    /// Its headers.
    pub headers: Vec<(HeaderName, Template)>,
    /// Its body.
    pub body: Template,
    /// What its answers have to be.
    pub checks: Vec<Check>,
    /// The request that follows it, so long after it was meant to begin, whatever became of it.
    pub then: Option<(usize, Duration)>,
}

/// A class of devices.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// How many requests it makes beside the others.
    pub weight: f64,
    /// By what a server knows it.
    pub header: (HeaderName, HeaderValue),
}

impl Request {
    /// A request without anything but a path.
    pub fn get(path: &str) -> Self {
        Self::plain("GET", Method::GET, path, 1.0)
    }

    /// A request that a trace asks for.
    pub(super) fn plain(name: &str, method: Method, path: &str, weight: f64) -> Self {
        // What stands in braces here was not written as a template.
        let text =
            |text: &str| Template::parse(&text.replace('{', "{{")).unwrap_or_else(|_| Template::empty());
        Self {
            name: name.to_owned(),
            weight,
            method,
            path: text(path),
            headers: Vec::new(),
            body: Template::empty(),
            checks: Vec::new(),
            then: None,
        }
    }

    /// Whether a status is right, as far as that can be told from the status.
    pub fn takes(&self, status: u16) -> bool {
        status < 400 || self.checks.iter().any(Check::says_status)
    }
}

impl Class {
    /// The class that a trace names.
    pub(super) fn named(name: &str) -> Option<Self> {
        let value = HeaderValue::from_str(name).ok()?;
        Some(Self { name: name.to_owned(), weight: 0.0, header: (HeaderName::from_static(CLASS), value) })
    }
}

/// Reads the requests.
pub(super) fn read(raw: &[Spanned<RawRequest>], source: Source<'_>) -> Result<Vec<Request>, Fault> {
    let mut requests = Vec::new();
    for one in raw {
        let request = request(one.get_ref(), source)?;
        if requests.iter().any(|other: &Request| other.name == request.name) {
            let problem = format!("there are two requests `{}`", request.name);
            return Err(source.fault(one.span(), problem, "give each a `name` of its own"));
        }
        requests.push(request);
    }
    for (number, one) in raw.iter().enumerate() {
        let one = one.get_ref();
        requests[number].then = match (&one.then, &one.think) {
            (None, None) => None,
            (None, Some(think)) => {
                let advice = "say which request follows: `then = \"NAME\"`";
                return Err(source.fault(think.span(), "`think` is the time until the next request", advice));
            }
            (Some(name), think) => {
                let next = requests.iter().position(|request| request.name == *name.get_ref());
                let next = next.ok_or_else(|| {
                    let names: Vec<&str> = requests.iter().map(|request| request.name.as_str()).collect();
                    let problem = format!("there is no request `{}`", name.get_ref());
                    source.fault(name.span(), problem, format!("there are: {}", names.join(", ")))
                })?;
                Some((next, think.as_ref().map_or(Ok(Duration::ZERO), |think| time(think, source))?))
            }
        };
    }
    for (number, one) in raw.iter().enumerate() {
        let mut at = number;
        let mut steps = 0;
        while let Some((next, _)) = requests[at].then {
            (at, steps) = (next, steps + 1);
            if steps > requests.len() {
                let problem = "these requests follow each other without an end";
                return Err(source.fault(one.span(), problem, "leave out one `then`"));
            }
        }
    }
    Ok(requests)
}

fn request(raw: &RawRequest, source: Source<'_>) -> Result<Request, Fault> {
    let method = raw.method.as_ref().map_or(Ok(Method::GET), |method| {
        Method::from_bytes(method.get_ref().as_bytes())
            .map_err(|_| source.fault(method.span(), "that is no method", "write it like `POST`"))
    })?;
    if !raw.path.get_ref().starts_with('/')
        || raw.path.get_ref().contains([' ', '#']) && !raw.path.get_ref().contains('{')
    {
        let advice = "a path begins with a slash and holds no space: `/home?user={n}`";
        return Err(source.fault(raw.path.span(), "that is no path", advice));
    }
    let template = |text: &Spanned<String>| {
        Template::parse(text.get_ref()).map_err(|problem| source.fault(text.span(), problem, PLACES))
    };
    let name = raw.name.as_ref().map_or(raw.path.get_ref(), |name| name.get_ref());
    let mut headers = Vec::new();
    for (header, value) in &raw.headers {
        let advice = "write it like `headers = { accept = \"text/plain\" }`";
        let known = HeaderName::try_from(header.get_ref().as_str())
            .map_err(|_| source.fault(header.span(), "that is no name of a header", advice))?;
        let value_template = template(value)?;
        HeaderValue::from_str(value.get_ref())
            .map_err(|_| source.fault(value.span(), "that is no value of a header", advice))?;
        headers.push((known, value_template));
    }
    let checks: Result<Vec<Check>, Fault> =
        raw.check.iter().map(|check| check::read(check, name, source)).collect();
    Ok(Request {
        name: name.clone(),
        weight: weight(raw.weight.as_ref(), source)?,
        method,
        path: template(&raw.path)?,
        headers,
        body: raw.body.as_ref().map_or_else(|| Ok(Template::empty()), template)?,
        checks: checks?,
        then: None,
    })
}

/// Reads the classes.
pub(super) fn classes(raw: &[Spanned<RawClass>], source: Source<'_>) -> Result<Vec<Class>, Fault> {
    let mut classes: Vec<Class> = Vec::new();
    for one in raw {
        let RawClass { name, weight: weighs, header } = one.get_ref();
        let advice = "write it like `x-device-model: tv-2015`";
        let found = match header {
            None => Class::named(name.get_ref()).map(|class| class.header),
            Some(header) => check::header(header.get_ref())
                .and_then(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?))),
        };
        let place = header.as_ref().unwrap_or(name).span();
        let header = found.ok_or_else(|| source.fault(place, "that is no header", advice))?;
        if classes.iter().any(|class| class.name == *name.get_ref()) {
            let problem = format!("there are two classes `{}`", name.get_ref());
            return Err(source.fault(name.span(), problem, "give each a name of its own"));
        }
        classes.push(Class {
            name: name.get_ref().clone(),
            weight: weight(weighs.as_ref(), source)?,
            header,
        });
    }
    Ok(classes)
}

fn weight(weight: Option<&Spanned<f64>>, source: Source<'_>) -> Result<f64, Fault> {
    match weight {
        None => Ok(1.0),
        Some(weight) if (0.0..=1e9).contains(weight.get_ref()) => Ok(*weight.get_ref()),
        Some(weight) => {
            Err(source.fault(weight.span(), "that is no weight", "a weight is a number, and not below zero"))
        }
    }
}
