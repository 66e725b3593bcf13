//! Problems: what any failure of a node looks like as an answer, on both doors.
//!
//! Invariant: a code is one of [`api::codes`]; the header `Callboard-Refused` stands on refusals alone, so that
//! a quota can be told from a bug without reading a body.
//! Not here: what a device is not told ([`Problem::for_device`]), which calls are refused (`quotas`).

mod respond;

use std::time::Duration;

use actors::error::{ControlError, StoreError};
use actors::lane::CallFailure;
use actors::storage::Head;
use api::Problem;
use quotas::limits::Allowance;
use quotas::refusal::{Reader, Refusal, RefusalCode};
use quotas::scope::ParseScopeError;
use runtime::diagnostic::{Diagnostics, Severity};
use runtime::error::Failure;

pub use self::respond::{ProblemError, REFUSED, rate_headers, respond, respond_refusal};

/// When to come back for something that may be there a moment later, in milliseconds.
const SOON_MS: u64 = 1_000;

/// Why a call may not run. The status says what the reader will do: 429 call less, 503 wait.
pub fn refused(refusal: &Refusal, decision: Option<&str>) -> Problem {
    let problem = Problem::of(refusal.code.as_str(), sentence(refusal)).with_status(match refusal.reader() {
        Reader::SlowDown => 429,
        Reader::WeProtectOurselves => 503,
    });
    Problem {
        scope: Some(refusal.scope.to_string()),
        limit: refusal.limit.map(|limit| limit.to_string()),
        observed: refusal.observed.map(|observed| observed.to_string()),
        since: refusal.since.map(api::time_from_ms),
        until: refusal.until.map(api::time_from_ms),
        by: refusal.by.as_deref().map(str::to_owned),
        reason: refusal.reason.as_deref().map(str::to_owned),
        advice: Some(refusal.advice().to_owned()),
        retry_after_ms: refusal.retry_after.map(milliseconds),
        decision: decision.map(str::to_owned),
        violated_policies: refusal.policy.iter().map(|policy| policy.name.to_owned()).collect(),
        ..problem
    }
}

/// Why a call that was let in gave no answer.
pub fn failed(failure: &CallFailure) -> Problem {
    match failure {
        CallFailure::Script(failure) => Problem::of(failure.code(), failure.to_string()),
        CallFailure::Refused(refusal) => refused(refusal, None),
        // Whatever is wrong with the script, it is nothing that the caller did.
        CallFailure::Unit { code, detail } => {
            soon(Problem::of(known(code), detail.as_str()).with_status(503))
        }
        CallFailure::Lost => soon(Problem::of("endpoint.lost", "")),
    }
}

/// The same for who may know what the endpoint may use, and what to do about it.
pub fn failed_within(failure: &CallFailure, allowance: Option<&Allowance>) -> Problem {
    let (limit, advice) = match failure {
        CallFailure::Script(Failure::Stopped { stop, .. }) => {
            (allowance.and_then(|allowance| stop.limit(allowance)), stop.advice())
        }
        CallFailure::Script(Failure::Script { .. }) => {
            (None, "Mend the script where it says and deploy it, or go back with `callboard rollback`.")
        }
        CallFailure::Script(Failure::Returned { .. }) => (
            None,
            "What the handler returns as `Err`, or passes on with `?`, is a 500: see to what the error names, answer it in the script, or go back with `callboard rollback`.",
        ),
        CallFailure::Script(Failure::Engine) | CallFailure::Lost => {
            (None, "The call is lost and nothing else; tell who runs the server, if it happens again.")
        }
        CallFailure::Unit { .. } => {
            (None, "See `callboard endpoints` and the node's log for why it has no unit.")
        }
        CallFailure::Refused(refusal) => return refused(refusal, None),
    };
    Problem { limit, advice: Some(advice.to_owned()), ..failed(failure) }
}

/// Why a change was not made.
pub fn control(error: &ControlError) -> Problem {
    let problem = Problem::of(known(error.code()), error.to_string());
    match error {
        ControlError::Invalid(found) => Problem { diagnostics: diagnostics(found), ..problem },
        ControlError::DeployConflict { present } => Problem { present: Some(head(present)), ..problem },
        ControlError::Quota(refusal) => Problem {
            scope: Some(format!("team:{}", refusal.team)),
            limit: Some(refusal.quota.amount(refusal.limit).to_string()),
            observed: Some(refusal.quota.amount(refusal.observed).to_string()),
            advice: Some(refusal.quota.advice().to_owned()),
            retry_after_ms: refusal.retry_after.map(milliseconds),
            ..problem
        },
        ControlError::Frozen(refusal) => refused(refusal, None).with_status(403),
        ControlError::RouteConflict { .. } => Problem {
            advice: Some("Choose another path, or ask its owner to give it up.".to_owned()),
            ..problem
        },
        _ => soon(problem),
    }
}

/// What went wrong with the store.
pub fn store(error: &StoreError) -> Problem {
    soon(Problem::of(error.code(), error.to_string()))
}

/// A name that names nothing.
pub fn scope(error: &ParseScopeError) -> Problem {
    Problem::of(error.code(), error.to_string())
}

/// What is wrong with a script, for its author.
pub fn diagnostics(found: &Diagnostics) -> Vec<api::Diagnostic> {
    let told = found.iter().map(|found| api::Diagnostic {
        severity: match found.severity {
            Severity::Error => api::Severity::Error,
            Severity::Warning => api::Severity::Warning,
        },
        code: found.code.to_string(),
        file: found.file.clone(),
        line: found.line,
        column: found.column,
        length: found.length,
        message: found.message.clone(),
        hint: found.hint.clone(),
        excerpt: found.excerpt.clone(),
    });
    told.collect()
}

/// Where a script stands, with the tag that `If-Match` asks for.
pub fn head(head: &Head) -> api::Head {
    api::Head {
        active: head.active.map(|number| number.get()),
        latest: head.latest.map(|number| number.get()),
        etag: format!("\"{}\"", head.seq),
        deleted: head.deleted,
    }
}

/// The code of the contract for a code of the actors: some of theirs are one to whoever reads the answer.
fn known(code: &'static str) -> &'static str {
    match code {
        "file.unknown" => "resource.unknown",
        "switch.past" => "request.invalid",
        "node.stopping" => "node.draining",
        "unit.loading" => "unit.unavailable",
        code => code,
    }
}

/// Says when to come back, where waiting helps.
fn soon(problem: Problem) -> Problem {
    let retry_after_ms = problem.retry_after_ms.or((problem.status == 503).then_some(SOON_MS));
    Problem { retry_after_ms, ..problem }
}

/// What happened, without what stands in fields of its own.
fn sentence(refusal: &Refusal) -> String {
    match (refusal.code, refusal.limit) {
        (RefusalCode::SwitchOff, _) => format!("{} is switched off", refusal.scope),
        (RefusalCode::SwitchFallback, _) => format!("calls of {} are left to the fallback", refusal.scope),
        (RefusalCode::SwitchLastGood, _) => {
            format!("calls of {} are left to the last good answer", refusal.scope)
        }
        (RefusalCode::SwitchShed, _) => format!("less important calls of {} are shed", refusal.scope),
        (RefusalCode::DeployFrozen, _) => format!("{} is frozen: its scripts are not changed", refusal.scope),
        (RefusalCode::SwitchCapped, Some(limit)) => {
            format!("an operator allows {} {limit} calls at one time", refusal.scope)
        }
        (RefusalCode::QuarantineActive, _) => format!("{} is set aside", refusal.scope),
        (RefusalCode::RateExceeded, Some(limit)) if refusal.rule == "rate.client" => {
            format!("one client may make {limit}")
        }
        (RefusalCode::BudgetExceeded, Some(limit)) => {
            format!("{} of {} allows {limit}", refusal.rule, refusal.scope)
        }
        (_, Some(limit)) => format!("{} allows {limit}", refusal.scope),
        _ => format!("refused by {} of {}", refusal.rule, refusal.scope),
    }
}

fn milliseconds(time: Duration) -> u64 {
    let whole = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    whole.saturating_add(u64::from(!time.subsec_nanos().is_multiple_of(1_000_000)))
}

#[cfg(test)]
mod tests;
