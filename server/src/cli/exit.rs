//! How a command ends.

use std::fmt::{self, Display};
use std::process::ExitCode;

use api::{ClientError, Problem};

use crate::config::ConfigError;

/// The exit codes, listed in the help of the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It is done.
    Done = 0,
    /// The thing failed: a script did not compile, a test did not pass.
    Failed = 1,
    /// The command was wrong.
    Usage = 2,
    /// The server refused: token, role, conflict, switch, quota.
    Refused = 3,
    /// The server was not reached.
    Unreachable = 4,
    /// There is a result, and it is not to be trusted.
    Untrusted = 5,
    /// Somebody interrupted it.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// Why a command did not do what it should.
#[derive(Debug)]
pub struct Failure {
    /// How the program ends.
    pub exit: Exit,
    /// What is told.
    pub message: String,
    /// What the server said, when it did.
    pub problem: Option<Box<Problem>>,
}

impl Failure {
    /// The thing failed.
    pub fn failed(why: impl Display) -> Self {
        Self { exit: Exit::Failed, message: why.to_string(), problem: None }
    }

    /// The command was wrong.
    pub fn usage(why: impl Display) -> Self {
        Self { exit: Exit::Usage, message: why.to_string(), problem: None }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format_args!("{error:#}"))
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        match error {
            ClientError::Unreachable { .. } => Self { exit: Exit::Unreachable, message, problem: None },
            ClientError::Protocol(_) => Self { exit: Exit::Failed, message, problem: None },
            ClientError::Problem(problem) => {
                let message = match hint(&problem.code) {
                    Some(hint) => format!("{message}\n  {hint}"),
                    None => message,
                };
                Self { exit: exit_of(problem.status, &problem.code), message, problem: Some(problem) }
            }
        }
    }
}

/// What a problem means to who sits at a command line.
fn hint(code: &str) -> Option<&'static str> {
    match code {
        "auth.missing" => Some("set CALLBOARD_TOKEN, or name a file with --token-file"),
        "route.unknown" => {
            Some("this looks like the address for devices; --url and CALLBOARD_URL name the admin address")
        }
        _ => None,
    }
}

/// How a command ends that was answered with a problem: 3 when the same command could be right for somebody
/// else or at another time, 1 when it cannot.
pub(super) fn exit_of(status: u16, code: &str) -> Exit {
    match status {
        401 | 403 | 409 | 412 | 421 | 428 | 429 | 503 => Exit::Refused,
        _ if code.starts_with("idempotency.") => Exit::Refused,
        _ => Exit::Failed,
    }
}
