//! Checks: what an answer has to be.
//!
//! Invariant: a check looks at one answer and nothing else. A refusal is not checked: it says itself why.
//! Not here: counting them.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;

use super::fault::{Fault, Source};

/// A check as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCheck {
    name: Option<Spanned<String>>,
    status: Option<Spanned<u16>>,
    header: Option<Spanned<String>>,
    contains: Option<String>,
    pointer: Option<Spanned<String>>,
    equals: Option<toml::Value>,
}

/// What an answer has to be. All that it names has to hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Its name, by which thresholds speak of it.
    pub name: String,
    status: Option<StatusCode>,
    header: Option<(HeaderName, String)>,
    contains: Option<String>,
    json: Option<(String, Value)>,
}

impl Check {
    /// Whether it says which status is right, so that no other is.
    pub fn says_status(&self) -> bool {
        self.status.is_some()
    }

    /// Whether the body is needed.
    pub fn reads_body(&self) -> bool {
        self.contains.is_some() || self.json.is_some()
    }

    /// Whether the answer is so.
    pub fn holds(&self, status: StatusCode, headers: &HeaderMap, body: &Bytes) -> bool {
        self.status.is_none_or(|wanted| wanted == status)
            && self.header.as_ref().is_none_or(|(name, wanted)| {
                headers.get_all(name).iter().any(|value| value.as_bytes() == wanted.as_bytes())
            })
            && self.contains.as_ref().is_none_or(|text| memchr::memmem::find(body, text.as_bytes()).is_some())
            && self.json.as_ref().is_none_or(|(pointer, wanted)| {
                serde_json::from_slice::<Value>(body)
                    .is_ok_and(|found| found.pointer(pointer).is_some_and(|value| same(value, wanted)))
            })
    }
}

/// Whether two values are the same; `1` and `1.0` are.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// Reads a check of a request.
pub(super) fn read(raw: &Spanned<RawCheck>, request: &str, source: Source<'_>) -> Result<Check, Fault> {
    let RawCheck { name, status, header, contains, pointer, equals } = raw.get_ref();
    if status.is_none() && header.is_none() && contains.is_none() && pointer.is_none() {
        let advice = "write `status`, `header`, `contains`, or `pointer` with `equals`";
        return Err(source.fault(raw.span(), "the check looks at nothing", advice));
    }
    let status = status
        .as_ref()
        .map(|status| {
            StatusCode::from_u16(*status.get_ref())
                .map_err(|_| source.fault(status.span(), "that is no status", "a status is 100 to 999"))
        })
        .transpose()?;
    let header = header
        .as_ref()
        .map(|text| {
            self::header(text.get_ref())
                .ok_or_else(|| source.fault(text.span(), "that is no header", "write it like `name: value`"))
        })
        .transpose()?;
    let json = match (pointer, equals) {
        (None, None) => None,
        (Some(pointer), Some(equals))
            if pointer.get_ref().is_empty() || pointer.get_ref().starts_with('/') =>
        {
            let wanted = serde_json::to_value(equals)
                .map_err(|error| source.fault(pointer.span(), error, "compare with a value of JSON"))?;
            Some((pointer.get_ref().clone(), wanted))
        }
        (Some(pointer), Some(_)) => {
            let advice = "a pointer begins with a slash: `/rows/0/name`";
            return Err(source.fault(pointer.span(), "that is no JSON pointer", advice));
        }
        _ => {
            let advice = "`pointer` says where, and `equals` what has to stand there";
            return Err(source.fault(raw.span(), "`pointer` and `equals` go together", advice));
        }
    };
    let name = match name {
        Some(name) => {
            let word = |c: char| c.is_alphanumeric() || "-_.".contains(c);
            if name.get_ref().is_empty() || !name.get_ref().chars().all(word) {
                let advice = "use letters, digits, `-`, `_` and `.`, so that a threshold can name it";
                return Err(source.fault(name.span(), "that is no name of a check", advice));
            }
            name.get_ref().clone()
        }
        None => request.to_owned(),
    };
    Ok(Check { name, status, header, contains: contains.clone(), json })
}

/// `name: value`.
pub(super) fn header(text: &str) -> Option<(HeaderName, String)> {
    let (name, value) = text.split_once(':')?;
    let name = HeaderName::try_from(name.trim()).ok()?;
    http::HeaderValue::from_str(value.trim()).ok()?;
    Some((name, value.trim().to_owned()))
}
