//! What is wrong with a configuration.

use std::fmt;
use std::path::PathBuf;

use super::settings::Origin;

/// One thing that is wrong, and where it was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where it was said.
    pub origin: Origin,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("{} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// The file is no TOML.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column in characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Values are wrong.
    #[error("{}", list(.0))]
    Wrong(Vec<Fault>),
    /// There is no key that signs bytecode.
    #[error(
        "nodes that share a store need one signing key, and there is none: give `signing.key_file` or \
         CALLBOARD_SIGNING_KEY, 64 hex digits, the same on every node"
    )]
    NoSigningKey,
    /// The key that signs bytecode cannot be had.
    #[error("the signing key {}: {why}", path.display())]
    SigningKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

impl ConfigError {
    /// Every code that [`ConfigError::code`] answers.
    pub const CODES: [&'static str; 4] =
        ["config.unreadable", "config.syntax", "config.invalid", "config.signing_key"];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "config.unreadable",
            Self::Syntax { .. } => "config.syntax",
            Self::Wrong(_) => "config.invalid",
            Self::SigningKey { .. } | Self::NoSigningKey => "config.signing_key",
        }
    }
}

impl Fault {
    pub(super) fn new(origin: Origin, message: impl Into<String>) -> Self {
        Self { origin, message: message.into(), hint: None }
    }

    pub(super) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Fault {
    /// On one line: `callboard.toml:3: there is no `device.adress`; did you mean `device.address`?`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

fn list(faults: &[Fault]) -> String {
    faults.iter().map(Fault::to_string).collect::<Vec<_>>().join("\n")
}
