//! What a person is shown and asked.
//!
//! Invariant: what comes from a server is cleaned before a terminal sees it; nobody is asked where nobody can
//! answer.

use std::io::{IsTerminal, Write};

use api::{Problem, Severity, Time};
use runtime::diagnostic::{Diagnostic, Diagnostics};

use super::exit::Failure;

/// What a server found wrong, as the compiler here would say it.
pub(super) fn diagnostics(found: &[api::Diagnostic]) -> Diagnostics {
    let known = found.iter().map(|found| {
        let place = Diagnostic::whole(&found.file, found.code.clone(), found.message.clone());
        let whole = Diagnostic {
            line: found.line,
            column: found.column,
            length: found.length,
            excerpt: found.excerpt.clone(),
            ..place
        };
        let whole = whole.with_hint(found.hint.clone());
        if found.severity == Severity::Warning { whole.warning() } else { whole }
    });
    known.collect()
}

/// What a problem says beside its first line.
pub(super) fn problem(problem: &Problem) -> Vec<String> {
    let time = |time: Option<Time>| time.map(|time| time.to_string());
    let retry = problem.retry_after_ms.map(|ms| format!("{ms} ms"));
    let present = problem.present.as_ref().map(|head| match head.active {
        Some(active) => format!("revision {active} is active"),
        None => "no revision is active".to_owned(),
    });
    let fields = [
        ("scope", problem.scope.clone()),
        ("limit", problem.limit.clone()),
        ("observed", problem.observed.clone()),
        ("by", problem.by.clone()),
        ("reason", problem.reason.clone()),
        ("since", time(problem.since)),
        ("until", time(problem.until)),
        ("now", present),
        ("try again after", retry),
        ("decision", problem.decision.clone()),
        ("what to do", problem.advice.clone()),
    ];
    let faults = problem.errors.iter().map(|fault| format!("{}: {}", fault.pointer, fault.detail));
    let lines = fields.into_iter().filter_map(|(name, value)| Some(format!("{name}: {}", value?)));
    lines.chain(faults).map(|line| clean(&line)).collect()
}

/// A text without what could steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { ' ' } else { char }).collect()
}

/// A time to the second, as short as it can be read.
pub(super) fn when(time: Time) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// A number of bytes, rounded to what a person reads.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1_024 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1_024.0, 0);
    // What rounds to a thousand and twenty-four is one of the next.
    while value >= 1_023.95 && unit + 1 < UNITS.len() {
        value /= 1_024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A length of time, rounded up to whole seconds: `59s`, `4m 10s`, `24h 2m`.
pub(super) fn length(ms: u64) -> String {
    let seconds = i64::try_from(ms.div_ceil(1_000)).unwrap_or(i64::MAX);
    let (hours, minutes, seconds) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds}s"),
        _ => format!("{hours}h {minutes}m"),
    }
}

/// Asks whether to go on. Where nobody can answer: `unasked` says whether to go on without, or fails and says
/// which flag was missing.
pub(super) fn confirm(question: &str, yes: bool, unasked: Unasked) -> Result<(), Failure> {
    if yes || !asks(question, unasked)? {
        return Ok(());
    }
    match answer(&format!("{question} [y/N] "))?.to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::failed("nothing was done")),
    }
}

/// Asks for a word to be typed, for what touches so much that a `y` is typed too soon.
pub(super) fn confirm_by_typing(
    question: &str,
    word: &str,
    yes: bool,
    unasked: Unasked,
) -> Result<(), Failure> {
    if yes || !asks(question, unasked)? {
        return Ok(());
    }
    match answer(&format!("{question} Type `{word}` to go on: "))? == word {
        true => Ok(()),
        false => Err(Failure::failed("nothing was done")),
    }
}

/// Whether somebody can be asked; where nobody can, what is to be done then.
fn asks(question: &str, unasked: Unasked) -> Result<bool, Failure> {
    let somebody = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    let automatic = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    match unasked {
        _ if somebody && !automatic => Ok(true),
        Unasked::GoOn => Ok(false),
        Unasked::Refuse => {
            Err(Failure::usage(format_args!("{question} Nobody can be asked here: add `--yes`")))
        }
    }
}

fn answer(question: &str) -> Result<String, Failure> {
    let mut error = std::io::stderr().lock();
    write!(error, "{question}").and_then(|()| error.flush()).map_err(Failure::failed)?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer).map_err(Failure::failed)?;
    Ok(answer.trim().to_owned())
}

/// What to do where nobody can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unasked {
    /// It can be undone, and it may be urgent.
    GoOn,
    /// It cannot be undone.
    Refuse,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_as_a_person_reads_them() {
        let sizes = [0, 274, 1_023, 1_024, 1_048_575, 3 << 20, 3_999_999_999_656, u64::MAX].map(size);
        let wanted = ["0 B", "274 B", "1023 B", "1.0 KiB", "1.0 MiB", "3.0 MiB", "3.6 TiB", "16384.0 PiB"];
        assert_eq!(sizes, wanted);
        let times = [0, 1, 59_000, 60_000, 3_599_001, 86_574_000].map(length);
        assert_eq!(times, ["0s", "1s", "59s", "1m 0s", "1h 0m", "24h 2m"]);
    }
}
