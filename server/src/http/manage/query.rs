//! The query of a request, and other texts beside its body.
//!
//! Invariant: what is not known is refused by name, and so is what is said twice.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{HeaderName, IF_MATCH};
use actix_web::web;
use api::client::Wait;
use api::page::{LIMIT_DEFAULT, LIMIT_MAX};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use quotas::scope::TeamName;

use crate::http::problem::ProblemError;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The longest reason.
pub(super) const REASON_MAX: usize = 1_000;
/// The longest time that an answer is waited for, and the usual one: less than a client's own.
const WAIT_MAX: Duration = Duration::from_secs(55);

/// The parameters of a query.
#[derive(Debug)]
pub(super) struct Query(BTreeMap<String, String>);

impl Query {
    /// Reads the query, of which these are the parameters that are known.
    pub(super) fn read(request: &HttpRequest, known: &[&str]) -> Result<Self, ProblemError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(request.query_string());
        let pairs =
            pairs.map_err(|error| invalid(format!("the query is not well formed: {error}")))?.into_inner();
        let mut all = BTreeMap::new();
        for (name, value) in pairs {
            if !known.contains(&name.as_str()) {
                let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                return Err(invalid(format!(
                    "there is no query parameter `{}` here; known: {known}",
                    shown(&name)
                )));
            }
            if all.insert(name.clone(), value).is_some() {
                return Err(invalid(format!("the query parameter `{name}` stands there twice")));
            }
        }
        Ok(Self(all))
    }

    /// A text of bounded length.
    pub(super) fn text(&self, name: &str, most: usize) -> Result<Option<String>, ProblemError> {
        match self.0.get(name).filter(|text| !text.is_empty()) {
            Some(text) if text.chars().count() > most => {
                Err(invalid(format!("`{name}` is longer than {most} characters")))
            }
            text => Ok(text.cloned()),
        }
    }

    /// Why, for the history.
    pub(super) fn reason(&self) -> Result<Option<String>, ProblemError> {
        self.text("reason", REASON_MAX)
    }

    /// Yes or no. The name alone means yes.
    pub(super) fn flag(&self, name: &str, default: bool) -> Result<bool, ProblemError> {
        match self.0.get(name).map(String::as_str) {
            None => Ok(default),
            Some("true" | "") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(invalid(format!("`{name}` is `true` or `false`, not `{}`", shown(other)))),
        }
    }

    /// Something that is read from its text.
    pub(super) fn parsed<T: FromStr<Err: std::fmt::Display>>(
        &self,
        name: &str,
    ) -> Result<Option<T>, ProblemError> {
        let text = self.0.get(name).filter(|text| !text.is_empty());
        text.map(|text| text.parse().map_err(|error: T::Err| invalid(format!("`{name}`: {error}"))))
            .transpose()
    }

    /// Only this team's.
    pub(super) fn team(&self) -> Result<Option<TeamName>, ProblemError> {
        self.parsed("team")
    }

    /// The most items of a page.
    pub(super) fn limit(&self) -> Result<usize, ProblemError> {
        let limit: u32 = self.parsed("limit")?.unwrap_or(LIMIT_DEFAULT);
        match (1..=LIMIT_MAX).contains(&limit) {
            true => Ok(usize::try_from(limit).unwrap_or(usize::MAX)),
            false => Err(invalid(format!("`limit` is 1 to {LIMIT_MAX}"))),
        }
    }

    /// Where the page before ended, in a list of this kind.
    pub(super) fn cursor<T: FromStr>(&self, kind: &str) -> Result<Option<T>, ProblemError> {
        let Some(text) = self.0.get("cursor").filter(|text| !text.is_empty()) else { return Ok(None) };
        let read = || {
            let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
            text.strip_prefix(kind)?.strip_prefix(':')?.parse().ok()
        };
        read()
            .map(Some)
            .ok_or_else(|| ProblemError::of("cursor.invalid", "take it from the page before, as it is"))
    }

    /// How far a change has to be before its answer.
    pub(super) fn wait(&self) -> Result<Wait, ProblemError> {
        match self.0.get("wait").map(String::as_str) {
            None | Some("node") => Ok(Wait::Node),
            Some("none") => Ok(Wait::None),
            Some("all") => Ok(Wait::All),
            Some(other) => Err(invalid(format!("`wait` is `none`, `node` or `all`, not `{}`", shown(other)))),
        }
    }

    /// How long an answer is waited for.
    pub(super) fn timeout(&self) -> Result<Duration, ProblemError> {
        let Some(text) = self.0.get("timeout") else { return Ok(WAIT_MAX) };
        let wrong =
            || invalid(format!("`timeout` is a time such as `10s` or `500ms`, not `{}`", shown(text)));
        let end = text.find(|char: char| !char.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(end);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        match unit {
            "ms" => Ok(Duration::from_millis(number).min(WAIT_MAX)),
            "s" => Ok(Duration::from_secs(number).min(WAIT_MAX)),
            _ => Err(wrong()),
        }
    }
}

/// The cursor behind the last item of a page.
pub(super) fn cursor(kind: &str, last: impl std::fmt::Display) -> String {
    URL_SAFE_NO_PAD.encode(format!("{kind}:{last}"))
}

/// The step at which a script has to stand: `"12"`, or `*` for anywhere.
pub(super) fn if_match(request: &HttpRequest) -> Result<Option<u64>, ProblemError> {
    let mut values = request.headers().get_all(IF_MATCH);
    let Some(value) = values.next() else {
        let detail = "send `If-Match` with the `etag` of the state that the change is based on, or `*`";
        return Err(ProblemError::of("precondition.missing", detail));
    };
    let wrong =
        || ProblemError::of("precondition.invalid", "it is one tag in its quotes, such as `\"12\"`, or `*`");
    let text = value.to_str().map_err(|_| wrong())?.trim();
    if values.next().is_some() {
        return Err(wrong());
    }
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let number = number.filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()));
    number.and_then(|number| number.parse().ok()).map(Some).ok_or_else(wrong)
}

/// The key that makes the same request again the same deploy: a quoted text, or a plain word.
pub(super) fn idempotency_key(request: &HttpRequest) -> Result<Option<String>, ProblemError> {
    let mut values = request.headers().get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let inner = match text.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').unwrap_or_default(),
        None => text,
    };
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\';
    if values.next().is_none() && (1..=255).contains(&inner.len()) && inner.bytes().all(plain) {
        return Ok(Some(inner.to_owned()));
    }
    Err(ProblemError::of("idempotency.invalid", "it is a quoted text of 1 to 255 printable characters"))
}

pub(super) fn invalid(detail: impl Into<String>) -> ProblemError {
    ProblemError::of("request.invalid", detail)
}

/// A text of a stranger, short enough to be shown.
fn shown(text: &str) -> String {
    text.chars().take(64).map(|char| if char.is_control() { ' ' } else { char }).collect()
}
