//! Why a call gave no answer, and why stored bytes were not taken.

use std::fmt;

use quotas::limits::Allowance;

use crate::fuel::Stop;

/// Where in a script something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file within the bundle.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The function, when it is known.
    pub function: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        match &self.function {
            Some(function) => write!(f, " in {function}"),
            None => Ok(()),
        }
    }
}

/// Why a call gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A limit or a switch stopped it.
    #[error("stopped: {}{}", .stop.text(), at(.place))]
    Stopped {
        /// Which.
        stop: Stop,
        /// Where it was.
        place: Option<Place>,
    },
    /// The script failed: an error of the virtual machine, a `panic!`, a misuse of a host function.
    #[error("{message}{}", at(.place))]
    Script {
        /// What was wrong.
        message: String,
        /// Where.
        place: Option<Place>,
    },
    /// The handler returned `Err(…)`.
    #[error("the handler returned an error: {message}")]
    Returned {
        /// What it said.
        message: String,
    },
    /// Native code panicked while it ran the script. A mistake of ours: the call is lost, nothing else.
    #[error("the engine failed while it ran the script")]
    Engine,
}

fn at(place: &Option<Place>) -> String {
    place.as_ref().map(|place| format!(" at {place}")).unwrap_or_default()
}

impl Failure {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Stopped { stop, .. } => stop.code(),
            Self::Script { .. } => "script.failed",
            Self::Returned { .. } => "script.returned_error",
            Self::Engine => "engine.panic",
        }
    }
}

impl Stop {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Fuel => "fuel.exhausted",
            Self::Deadline => "deadline.exceeded",
            Self::Killed => "switch.killed",
            Self::HostCalls => "host_calls.exceeded",
            Self::HostBytes => "host_bytes.exceeded",
            Self::Response => "response.too_large",
            Self::Depth => "depth.exceeded",
            Self::Memory => "memory.exhausted",
            Self::SharedMemory => "memory.exceeded",
        }
    }

    /// What happened, in words.
    pub fn text(self) -> &'static str {
        match self {
            Self::Fuel => "it used up its fuel",
            Self::Deadline => "it ran past its deadline",
            Self::Killed => "a switch was turned off",
            Self::HostCalls => "it made more host calls than it may",
            Self::HostBytes => "its host calls moved more bytes than they may",
            Self::Response => "its answer is larger than it may be",
            Self::Depth => "it nested calls or values too deeply",
            Self::Memory => "it used up its memory",
            Self::SharedMemory => "all calls together hold as much memory as they may, and it took more",
        }
    }

    /// How much of it a call had, where it is the call's own.
    pub fn limit(self, allowance: &Allowance) -> Option<String> {
        match self {
            Self::Fuel => Some(format!("{} units of fuel", allowance.fuel.get())),
            Self::Deadline => Some(format!("{:?}", allowance.deadline)),
            Self::HostCalls => Some(format!("{} host calls", allowance.host_calls)),
            Self::HostBytes => Some(allowance.host_bytes.to_string()),
            Self::Response => Some(allowance.response.to_string()),
            Self::Memory => Some(allowance.memory.to_string()),
            Self::Killed | Self::Depth | Self::SharedMemory => None,
        }
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::Fuel => "Let the script do less in a call, or raise `fuel` in its limits.",
            Self::Deadline => {
                "See what it waits for: the services behind it, or its own work; or raise `deadline` in its limits."
            }
            Self::Killed => "`callboard switch list` shows who set it, and why.",
            Self::HostCalls => {
                "Ask services for several things at once, or raise `host_calls` in its limits."
            }
            Self::HostBytes => "Ask services for less, or raise `host_bytes` in its limits.",
            Self::Response => "Answer less at a time, or raise `response` in its limits.",
            Self::Depth => "Look for a function that calls itself, or a value that holds itself.",
            Self::Memory => "Keep less at one time, or raise `memory` in its limits.",
            Self::SharedMemory => {
                "Try again in a moment; if it lasts, the node holds too many calls at one time."
            }
        }
    }
}

/// Why stored bytecode was not taken. It is compiled from its source instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// No envelope of ours, or one that ends early.
    #[error("the stored unit is damaged: {0}")]
    Damaged(&'static str),
    /// Another format than this program writes.
    #[error("the stored unit has format {0}, which this program does not read")]
    Format(u8),
    /// Another engine wrote it.
    #[error("the stored unit was made by another build of the engine")]
    Fingerprint,
    /// It belongs to another bundle.
    #[error("the stored unit belongs to another bundle")]
    Bundle,
    /// It was signed with a key that this node does not accept.
    #[error("the stored unit was signed with a key that is not accepted here")]
    Key,
    /// Its signature does not hold.
    #[error("the stored unit's signature does not hold")]
    Signature,
    /// It is signed, and cannot be read all the same.
    #[error("the stored unit cannot be read: {0}")]
    Content(String),
}

impl CodecError {
    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Damaged(_) => "unit.damaged",
            Self::Format(_) => "unit.format",
            Self::Fingerprint => "unit.fingerprint",
            Self::Bundle => "unit.bundle",
            Self::Key => "unit.key",
            Self::Signature => "unit.signature",
            Self::Content(_) => "unit.content",
        }
    }
}
