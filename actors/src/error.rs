//! Errors of this crate, by the stage that failed, each with a stable code.
//!
//! Invariant: a code never changes its meaning; what a reader needs to act is in the fields.
//! Not here: status codes and error bodies.

mod control;

use std::path::PathBuf;

use crate::storage::DeployId;

pub use self::control::{ControlError, StartError};

/// What went wrong with the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The store gives no answer. Asking again is safe: a commit was not sent, and everything else may be
    /// repeated.
    #[error("the store does not answer: {why}")]
    Unavailable {
        /// What the store or its driver said.
        why: String,
    },
    /// A conditional write was sent and nobody can say whether it was applied.
    #[error("deploy {deploy} may or may not be stored: ask again with the same id")]
    Unknown {
        /// The id that finds it again.
        deploy: DeployId,
    },
    /// Another process has the embedded store open.
    #[error("{} is open in another process: it belongs to the server that runs on it, so stop that first", path.display())]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// Something stored cannot be read.
    #[error("{what} is stored but cannot be read: {why}")]
    Corrupt {
        /// The row.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The store, or a row in it, is laid out for another version of the program.
    #[error("{}", schema_text(*found, *wanted))]
    Schema {
        /// The version found; zero for a store that was never set up.
        found: u32,
        /// The newest version that this program knows.
        wanted: u32,
    },
    /// Something is larger than the store takes.
    #[error("{what} has {size} bytes, the store takes {most}")]
    TooLarge {
        /// What was to be stored.
        what: String,
        /// Its size in bytes.
        size: usize,
        /// The most that is taken, in bytes.
        most: usize,
    },
    /// The request or the configuration makes no sense; nothing was stored.
    #[error("{what}")]
    Invalid {
        /// What does not fit.
        what: String,
    },
}

impl StoreError {
    /// Every code that [`StoreError::code`] answers.
    pub const CODES: [&'static str; 7] = [
        "store.unavailable",
        "store.unknown",
        "store.locked",
        "store.corrupt",
        "store.schema",
        "store.too_large",
        "store.invalid",
    ];

    /// The stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "store.unavailable",
            Self::Unknown { .. } => "store.unknown",
            Self::Locked { .. } => "store.locked",
            Self::Corrupt { .. } => "store.corrupt",
            Self::Schema { .. } => "store.schema",
            Self::TooLarge { .. } => "store.too_large",
            Self::Invalid { .. } => "store.invalid",
        }
    }

    pub(crate) fn unavailable(why: impl std::fmt::Display) -> Self {
        Self::Unavailable { why: why.to_string() }
    }

    pub(crate) fn invalid(what: impl std::fmt::Display) -> Self {
        Self::Invalid { what: what.to_string() }
    }

    pub(crate) fn corrupt(what: impl std::fmt::Display, why: impl std::fmt::Display) -> Self {
        Self::Corrupt { what: what.to_string(), why: why.to_string() }
    }
}

fn schema_text(found: u32, wanted: u32) -> String {
    match found {
        0 => "the store is not set up: run `callboard store migrate`".to_owned(),
        _ if found < wanted => {
            format!(
                "the store has schema {found}, this program needs {wanted}: run `callboard store migrate`"
            )
        }
        _ => format!(
            "the store has schema {found}, this program knows only up to {wanted}: use a newer program"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_has_a_code_of_its_own() {
        let errors = [
            StoreError::unavailable("x"),
            StoreError::Unknown { deploy: DeployId::nil() },
            StoreError::Locked { path: "x".into() },
            StoreError::corrupt("x", "y"),
            StoreError::Schema { found: 0, wanted: 1 },
            StoreError::TooLarge { what: "x".into(), size: 2, most: 1 },
            StoreError::invalid("x"),
        ];
        let codes: Vec<_> = errors.iter().map(StoreError::code).collect();
        assert_eq!(codes, StoreError::CODES);
        let mut unique = codes.clone();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), codes.len());
    }

    #[test]
    fn a_schema_error_says_what_to_do() {
        fn check(found: u32, says: &str) {
            assert_eq!(StoreError::Schema { found, wanted: 2 }.to_string(), says);
        }
        check(0, "the store is not set up: run `callboard store migrate`");
        check(1, "the store has schema 1, this program needs 2: run `callboard store migrate`");
        check(3, "the store has schema 3, this program knows only up to 2: use a newer program");
    }
}
