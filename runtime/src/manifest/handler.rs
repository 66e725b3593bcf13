//! Handler paths: the function of a script that answers an endpoint.

use std::fmt;
use std::str::FromStr;

/// The longest name of a file or a function, in characters.
const NAME_MAX: usize = 63;

/// A function in a file at the top of the bundle: `main::home` is `home` in `main.rn`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HandlerPath {
    module: String,
    function: String,
}

/// Text that does not name a handler.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a handler: {problem}; write it like `main::home`, the function `home` in `main.rn`")]
pub struct ParseHandlerError {
    /// The text that was given, cut where it is too long.
    pub text: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

impl ParseHandlerError {
    /// The stable code of this error.
    pub const CODE: &'static str = "handler.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

impl HandlerPath {
    /// Reads `file::function`.
    pub fn parse(text: &str) -> Result<Self, ParseHandlerError> {
        text.parse()
    }

    /// The file's name without its ending, which is the name of its module.
    pub fn module(&self) -> &str {
        &self.module
    }

    /// The function's name.
    pub fn function(&self) -> &str {
        &self.function
    }

    /// The file's path within the bundle.
    pub fn file(&self) -> String {
        format!("{}.rn", self.module)
    }
}

impl FromStr for HandlerPath {
    type Err = ParseHandlerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = |problem| ParseHandlerError { text: text.chars().take(160).collect(), problem };
        let mut parts = text.split("::");
        let (Some(module), Some(function)) = (parts.next(), parts.next()) else {
            return Err(wrong("it needs a file and a function with a `::` between"));
        };
        if parts.next().is_some() {
            return Err(wrong(
                "it has more than two parts; a handler stands in a file at the top of the bundle",
            ));
        }
        for name in [module, function] {
            let mut bytes = name.bytes();
            let begins_well = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
            if !begins_well || !bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                return Err(wrong("each part is a letter or `_`, then letters, digits and `_`"));
            }
            if name.len() > NAME_MAX {
                return Err(wrong("a part is longer than 63 characters"));
            }
        }
        Ok(Self { module: module.to_owned(), function: function.to_owned() })
    }
}

impl fmt::Display for HandlerPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}::{}", self.module, self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_a_file_and_a_function() {
        let handler = HandlerPath::parse("main::home_2").unwrap();
        assert_eq!((handler.module(), handler.function()), ("main", "home_2"));
        assert_eq!((handler.file().as_str(), handler.to_string().as_str()), ("main.rn", "main::home_2"));
        for text in [
            "",
            "main",
            "::",
            "main::",
            "::home",
            "main::a::b",
            "main:home",
            "main.rn::home",
            "main::1a",
            "../a::b",
        ] {
            assert!(HandlerPath::parse(text).is_err(), "{text}");
        }
    }
}
