//! What crosses the wire of the admin plane, and the client that speaks it.
//!
//! Invariant: a field's name never changes its meaning. Requests refuse fields that they do not know; answers
//! may grow. Times are RFC 3339 in UTC; sizes, rates and durations are texts such as `8MiB`, `500/s`, `300ms`.
//! Not here: how anything is done, or what a name has to look like: ids are texts.

pub mod problem;

pub mod codes;

mod convergence;

pub mod revisions;

pub mod endpoints;

pub mod quotas;

pub mod switches;

pub mod tokens;

pub mod node;

pub mod page;

pub mod client;

pub mod openapi;

mod shape;

use std::time::{SystemTime, UNIX_EPOCH};

/// Where a server's admin plane is when nobody says anything else.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8081";

pub use self::client::{BaseUrl, BaseUrlError, Client, ClientError};
pub use self::codes::Code;
pub use self::convergence::{Convergence, NodeStanding, NodeState};
pub use self::endpoints::{Endpoint, EndpointLimits, Quarantine};
pub use self::node::{
    AuditEntry, Check, Decision, DecisionHistory, Health, Limits, Node, RateLimits, UploadLimits, Version,
};
pub use self::openapi::openapi;
pub use self::page::Page;
pub use self::problem::{Diagnostic, Problem, Severity};
pub use self::quotas::{
    QuotaAnswer, QuotaChange, QuotaMode, QuotaOrigin, QuotaRequest, QuotaRule, QuotaSet, QuotaSource,
    QuotaState, QuotasSet,
};
pub use self::revisions::{
    ActivateRequest, Activated, Cut, Deleted, DeployAnswer, FileEntry, Head, Revision, RevisionDetail, Script,
};
pub use self::shape::{Schemas, Shape, UnknownWord};
pub use self::switches::{
    DrillAnswer, DrillRequest, DrillRow, Radius, RadiusOfEndpoint, ShedLevel, Spread, Switch, SwitchAnswer,
    SwitchKind, SwitchRequest, SwitchState,
};
pub use self::tokens::{Role, Token, TokenMade, TokenRequest, Whoami};

/// A point in time, written in RFC 3339 and UTC.
pub type Time = jiff::Timestamp;

/// The time of so many milliseconds since 1970; the last time there is when that lies beyond it.
pub fn time_from_ms(ms: u64) -> Time {
    i64::try_from(ms).ok().and_then(|ms| Time::from_millisecond(ms).ok()).unwrap_or(Time::MAX)
}

/// Milliseconds since 1970; zero for a time before.
pub fn time_to_ms(time: Time) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}

/// The present time by the clock of the machine.
pub fn time_now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    time_from_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
