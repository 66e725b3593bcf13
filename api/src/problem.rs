//! Problems: why a call was not done, as `application/problem+json` (RFC 9457).
//!
//! Invariant: the code decides the title, and the status where nothing else is said; a problem of a code that
//! is not in [`crate::codes`] cannot be made here.
//! Not here: what a device is not told; who makes the problem leaves that out ([`Problem::for_device`]).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Time;
use crate::codes::{self, Code};
use crate::revisions::Head;
use crate::shape::{self, Schemas, Shape, one_of, shapes};

/// The media type of a problem.
pub const MEDIA_TYPE: &str = "application/problem+json";
/// What stands before the code in a problem's `type`.
pub const TYPE_PREFIX: &str = "urn:callboard:problem:";

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:callboard:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is, in a few words that are the same for all problems of the code.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// The stable code.
    pub code: String,
    /// What happened this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What the rule is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// What is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed: Option<String>,
    /// Since when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Until when it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Who decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the reader should do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// When it may be worth to try again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The id under which the decision can be looked up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
    /// The rates that were exceeded, by kind: `endpoint`, `team`, `class`, `client`.
    #[serde(default, rename = "violated-policies", skip_serializing_if = "Vec::is_empty")]
    pub violated_policies: Vec<String>,
    /// What is wrong with a script, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub diagnostics: Vec<Diagnostic>,
    /// The faults of a request's body, where there are several or they have a place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// Where the script stands, when a change was based on an older state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub present: Option<Head>,
}

shapes! {
    answer
    /// One fault of a request's body.
    pub struct Fault {
        /// Where it is, as a JSON pointer: `/reason`.
        pub pointer: String,
        /// What is wrong.
        pub detail: String,
    }

    answer
    /// One thing that is wrong with a script, and where.
    pub struct Diagnostic {
        /// Whether it has to be mended.
        pub severity: Severity,
        /// The stable code, such as `manifest.unknown_key`.
        pub code: String,
        /// The file within the bundle.
        pub file: String,
        /// The line, from 1; 0 for the whole file.
        pub line: u32,
        /// The column in characters, from 1; 0 for the whole file.
        pub column: u32,
        /// How many characters of the line are meant.
        pub length: u32,
        /// What is wrong.
        pub message: String,
        /// What to do about it.
        pub hint: Option<String>,
        /// The source line itself.
        pub excerpt: Option<String>,
    }
}

one_of! {
    /// Whether something has to be mended before a deploy.
    pub enum Severity ("a severity") {
        /// It is refused.
        Error = "error",
        /// It is taken, and probably not what was meant.
        Warning = "warning",
    }
}

impl Problem {
    /// A problem of this code, with the code's usual status.
    pub fn new(code: &'static Code, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            kind: format!("{TYPE_PREFIX}{}", code.code),
            title: code.title.to_owned(),
            status: code.status,
            code: code.code.to_owned(),
            detail: (!detail.is_empty()).then_some(detail),
            scope: None,
            limit: None,
            observed: None,
            since: None,
            until: None,
            by: None,
            reason: None,
            advice: None,
            retry_after_ms: None,
            decision: None,
            violated_policies: Vec::new(),
            diagnostics: Vec::new(),
            errors: Vec::new(),
            present: None,
        }
    }

    /// A problem of the code with this text; of `server.internal` when there is no such code.
    pub fn of(code: &str, detail: impl Into<String>) -> Self {
        Self::new(codes::find(code).unwrap_or(codes::INTERNAL), detail)
    }

    /// The same with another status.
    #[must_use]
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// What a device is told: the code, when to try again and the decision's id, and nothing about others.
    #[must_use]
    pub fn for_device(self) -> Self {
        let bare = Self::of(&self.code, "");
        Self {
            kind: self.kind,
            title: self.title,
            status: self.status,
            code: self.code,
            retry_after_ms: self.retry_after_ms,
            decision: self.decision,
            violated_policies: self.violated_policies,
            ..bare
        }
    }
}

impl std::fmt::Display for Problem {
    /// On one line: `Too many requests: … (rate.exceeded)`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.title)?;
        if let Some(detail) = &self.detail {
            write!(f, ": {detail}")?;
        }
        write!(f, " ({})", self.code)
    }
}

impl Shape for Problem {
    fn schema(all: &mut Schemas) -> Value {
        let doc = "Why a call was not done: `application/problem+json`.";
        shape::named(all, "Problem", doc, false, |all| {
            let mut text = |name, doc: &str, required| (name, doc.to_owned(), String::schema(all), required);
            let mut properties = vec![
                text("type", "`urn:callboard:problem:` and the code.", true),
                text("title", "What it is, the same for all problems of the code.", true),
                text("code", "The stable code.", true),
                text("detail", "What happened this time.", false),
                text("scope", "What the rule is about.", false),
                text("limit", "What is allowed.", false),
                text("observed", "What was seen.", false),
                text("by", "Who decided it.", false),
                text("reason", "Why they did.", false),
                text("advice", "What the reader should do.", false),
                text("decision", "The id under which the decision can be looked up.", false),
            ];
            let mut other =
                |name, doc: &str, schema| properties.push((name, doc.to_owned(), schema, name == "status"));
            other("status", "The status of the answer.", u16::schema(all));
            other("since", "Since when it holds.", Time::schema(all));
            other("until", "Until when it holds.", Time::schema(all));
            other("retry_after_ms", "When it may be worth to try again.", u64::schema(all));
            other("violated-policies", "The rates that were exceeded, by kind.", Vec::<String>::schema(all));
            other("diagnostics", "What is wrong with a script.", Vec::<Diagnostic>::schema(all));
            other("errors", "The faults of the request's body.", Vec::<Fault>::schema(all));
            other("present", "Where the script stands now.", Head::schema(all));
            properties
        })
    }
}

#[cfg(test)]
mod tests;
