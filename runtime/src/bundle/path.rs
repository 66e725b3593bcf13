//! Bundle paths: the names that files of a bundle may have.
//!
//! Invariant: a path is relative, plain ASCII, and means the same file to every tool and file system.
//! Not here: whether paths of one bundle get on with each other (`tree`).

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

/// The longest path, in characters.
pub const PATH_MAX: usize = 200;
/// The most segments of a path.
pub const LEVELS_MAX: usize = 8;

/// A file's path within a bundle: `main.rn`, `main/rows.rn`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BundlePath(String);

/// The rule that a text breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PathRule {
    /// It is empty.
    Empty,
    /// It is longer than 200 characters.
    TooLong,
    /// It has more than 8 levels.
    TooDeep,
    /// It begins at the root.
    Absolute,
    /// A NUL stands in it.
    Nul,
    /// A backslash stands in it.
    Backslash,
    /// A character that is not ASCII stands in it.
    NonAscii,
    /// Another character than letters, digits, `.`, `_` and `-` stands in it.
    Character,
    /// A segment is empty.
    EmptySegment,
    /// A segment is `.`.
    Dot,
    /// A segment is `..`.
    Parent,
    /// A segment begins with a dot.
    Hidden,
}

impl PathRule {
    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Empty => "path.empty",
            Self::TooLong => "path.too_long",
            Self::TooDeep => "path.too_deep",
            Self::Absolute => "path.absolute",
            Self::Nul => "path.nul",
            Self::Backslash => "path.backslash",
            Self::NonAscii => "path.non_ascii",
            Self::Character => "path.character",
            Self::EmptySegment => "path.empty_segment",
            Self::Dot => "path.dot",
            Self::Parent => "path.parent",
            Self::Hidden => "path.hidden",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Empty => "it is empty",
            Self::TooLong => "it is longer than 200 characters",
            Self::TooDeep => "it has more than 8 levels",
            Self::Absolute => "it begins at the root",
            Self::Nul => "a NUL stands in it",
            Self::Backslash => "a backslash stands in it; levels are separated by `/`",
            Self::NonAscii => "a character that is not ASCII stands in it",
            Self::Character => "only letters, digits, `.`, `_` and `-` may stand in a name",
            Self::EmptySegment => "a name is empty",
            Self::Dot => "a name is `.`",
            Self::Parent => "a name is `..`",
            Self::Hidden => "a name begins with a dot",
        }
    }
}

/// Text that is not a path within a bundle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` cannot be a file of a bundle: {}", .rule.text())]
pub struct ParseBundlePathError {
    /// The text that was given, cut where it is too long.
    pub text: String,
    /// The rule that it breaks.
    pub rule: PathRule,
}

impl ParseBundlePathError {
    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        self.rule.code()
    }
}

impl BundlePath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, ParseBundlePathError> {
        text.parse()
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its directories.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// Whether it names a script.
    pub fn is_script(&self) -> bool {
        self.0.ends_with(".rn")
    }
}

impl FromStr for BundlePath {
    type Err = ParseBundlePathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match broken_rule(text) {
            None => Ok(Self(text.to_owned())),
            Some(rule) => Err(ParseBundlePathError { text: text.chars().take(PATH_MAX).collect(), rule }),
        }
    }
}

fn broken_rule(text: &str) -> Option<PathRule> {
    if text.is_empty() {
        return Some(PathRule::Empty);
    }
    if text.contains('\0') {
        return Some(PathRule::Nul);
    }
    if text.contains('\\') {
        return Some(PathRule::Backslash);
    }
    if !text.is_ascii() {
        return Some(PathRule::NonAscii);
    }
    if text.starts_with('/') {
        return Some(PathRule::Absolute);
    }
    for segment in text.split('/') {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        match segment {
            "" => return Some(PathRule::EmptySegment),
            "." => return Some(PathRule::Dot),
            ".." => return Some(PathRule::Parent),
            segment if !segment.bytes().all(is_plain) => return Some(PathRule::Character),
            segment if segment.starts_with('.') => return Some(PathRule::Hidden),
            _ => {}
        }
    }
    if text.len() > PATH_MAX {
        return Some(PathRule::TooLong);
    }
    (text.split('/').count() > LEVELS_MAX).then_some(PathRule::TooDeep)
}

impl Borrow<str> for BundlePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for BundlePath {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BundlePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_refused_by_the_rule_that_it_breaks() {
        let long = "a".repeat(PATH_MAX + 1);
        let deep = ["a"; LEVELS_MAX + 1].join("/");
        for (text, code) in [
            ("", "path.empty"),
            ("/", "path.absolute"),
            ("/etc/passwd", "path.absolute"),
            ("../a", "path.parent"),
            ("a/../b", "path.parent"),
            ("a/..", "path.parent"),
            ("./a", "path.dot"),
            ("a/./b", "path.dot"),
            ("a//b", "path.empty_segment"),
            ("a/", "path.empty_segment"),
            ("a\\b", "path.backslash"),
            ("..\\a", "path.backslash"),
            ("a\0b", "path.nul"),
            ("ä.rn", "path.non_ascii"),
            ("a b", "path.character"),
            ("C:a", "path.character"),
            ("a\nb", "path.character"),
            (".git/config", "path.hidden"),
            ("a/.env", "path.hidden"),
            ("...", "path.hidden"),
            (&long, "path.too_long"),
            (&deep, "path.too_deep"),
        ] {
            assert_eq!(BundlePath::parse(text).unwrap_err().code(), code, "{text}");
        }
        for text in ["main.rn", "callboard.toml", "a/b-c/d_e.1/F.rn", &long[1..], &deep[2..]] {
            assert_eq!(BundlePath::parse(text).unwrap().as_str(), text);
        }
    }
}
