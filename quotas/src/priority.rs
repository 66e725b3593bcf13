//! Priority: which calls are given up first, and which are kept to the end.
//!
//! Invariant: nothing that a device says makes its calls more important than their endpoint is.
//! Not here: who gives calls up (`switches`), who reads the header or the manifest.

use std::fmt;
use std::str::FromStr;

/// How important a call is: the greater is kept longer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Priority {
    /// Nobody waits for it.
    Background,
    /// It is fetched before somebody asks for it.
    Prefetch,
    /// A person waits for it.
    #[default]
    User,
}

/// Text that names no priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a priority; there are user, prefetch, background")]
pub struct ParsePriorityError(String);

impl Priority {
    /// All of them, the most important first.
    pub const ALL: [Self; 3] = [Self::User, Self::Prefetch, Self::Background];

    /// Its name in manifests and headers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Prefetch => "prefetch",
            Self::Background => "background",
        }
    }

    /// What a call is where its endpoint is this and its device asks for something: a device may only lower.
    #[must_use]
    pub fn lowered(self, asked: Self) -> Self {
        self.min(asked)
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = ParsePriorityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|priority| priority.as_str() == text)
            .ok_or_else(|| ParsePriorityError(text.to_owned()))
    }
}

impl ParsePriorityError {
    /// The stable code of this error.
    pub const CODE: &'static str = "priority.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_may_only_lower_what_its_endpoint_says() {
        let lowered = |own: Priority| Priority::ALL.map(|asked| own.lowered(asked));
        use Priority::{Background, Prefetch, User};
        assert_eq!(lowered(User), [User, Prefetch, Background]);
        assert_eq!(lowered(Prefetch), [Prefetch, Prefetch, Background]);
        assert_eq!(lowered(Background), [Background; 3]);
    }

    #[test]
    fn every_priority_reads_what_it_writes() {
        for priority in Priority::ALL {
            assert_eq!(priority.as_str().parse(), Ok(priority));
        }
        assert!("User".parse::<Priority>().is_err());
    }
}
