//! Diagnostics: what is wrong with what a team wrote, and where.
//!
//! Invariant: every text that is printed was cleaned of control and direction characters, and a report has
//! a bounded size however much is wrong.
//! Not here: finding anything wrong (`manifest`, `archive`, `nesting`, `instrument`, `compile`).

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

mod render;

/// How many diagnostics a report keeps; the rest is counted.
pub const DIAGNOSTICS_MAX: usize = 50;
/// The longest message, hint or file name that is kept, in characters.
const TEXT_MAX: usize = 1_000;
/// The longest source line that is shown, in characters.
const EXCERPT_MAX: usize = 1_000;

/// Whether something has to be mended before a deploy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is refused.
    Error,
    /// It is taken, and probably not what was meant.
    Warning,
}

/// One thing that is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostic {
    /// Whether it has to be mended.
    pub severity: Severity,
    /// The stable code, such as `manifest.unknown_key`.
    pub code: Cow<'static, str>,
    /// The file within the bundle, or the archive's name for what is wrong with all of it.
    pub file: String,
    /// The line, from 1; 0 for the whole file.
    pub line: u32,
    /// The column in characters, from 1; 0 for the whole file.
    pub column: u32,
    /// How many characters of the line are meant.
    pub length: u32,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The source line itself.
    pub excerpt: Option<String>,
}

impl Diagnostic {
    /// An error about a whole file.
    pub fn whole(file: &str, code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code: code.into(),
            file: clean(file, TEXT_MAX),
            line: 0,
            column: 0,
            length: 0,
            message: clean(&message.into(), TEXT_MAX),
            hint: None,
            excerpt: None,
        }
    }

    /// An error about a span of bytes of a source. A span that runs over several lines is shown on its first;
    /// one that lies outside of the source points at its end.
    pub fn at(
        file: &str,
        source: &str,
        span: Range<usize>,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        let is_boundary = |byte: &usize| source.is_char_boundary(*byte);
        let last = source.len();
        let start = (0..=span.start.min(last)).rev().find(is_boundary).unwrap_or_default();
        let end = (span.end.max(start).min(last)..=last).find(is_boundary).unwrap_or(last);
        let line_start = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = source[start..].find('\n').map_or(source.len(), |newline| start + newline);
        let line = source[line_start..line_end].trim_end_matches('\r');
        let count = |text: &str| u32::try_from(text.chars().count()).unwrap_or(u32::MAX);
        let newlines = source.as_bytes()[..line_start].iter().filter(|byte| **byte == b'\n').count();
        Self {
            line: u32::try_from(newlines).unwrap_or(u32::MAX).saturating_add(1),
            column: count(&source[line_start..start]).saturating_add(1),
            length: count(&source[start..end.min(line_end)]).max(1),
            excerpt: Some(clean(line, EXCERPT_MAX)),
            ..Self::whole(file, code, message)
        }
    }

    /// The same with a hint, if there is one.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Option<String>>) -> Self {
        self.hint = hint.into().map(|hint| clean(&hint, TEXT_MAX));
        self
    }

    /// The same as a warning.
    #[must_use]
    pub fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }
}

impl fmt::Display for Diagnostic {
    /// On one line: `main.rn:3:5: message [code]`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clean(&self.file, TEXT_MAX))?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        write!(f, ": {} [{}]", clean(&self.message, TEXT_MAX), clean(&self.code, TEXT_MAX))
    }
}

/// Everything that was found wrong at one time. The first fifty are kept, errors before warnings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnostics {
    kept: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
}

impl Diagnostics {
    /// Nothing wrong.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. Beyond the fiftieth it is counted; an error then takes the place of a warning.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        let is_error = diagnostic.severity == Severity::Error;
        *(if is_error { &mut self.errors } else { &mut self.warnings }) += 1;
        if self.kept.len() < DIAGNOSTICS_MAX {
            self.kept.push(diagnostic);
        } else if is_error
            && let Some(place) = self.kept.iter().rposition(|kept| kept.severity == Severity::Warning)
        {
            self.kept.remove(place);
            self.kept.push(diagnostic);
        }
    }

    /// Whether a further error would only be counted.
    pub fn is_full(&self) -> bool {
        self.kept.len() >= DIAGNOSTICS_MAX && self.kept.iter().all(|kept| kept.severity == Severity::Error)
    }

    /// Counts an error that nobody needs to see, for a report that is full.
    pub fn count_error(&mut self) {
        self.errors += 1;
    }

    /// Adds all of another report, what that one only counted too.
    pub fn append(&mut self, other: Self) {
        let (errors, warnings) = (self.errors + other.errors, self.warnings + other.warnings);
        other.kept.into_iter().for_each(|diagnostic| self.push(diagnostic));
        (self.errors, self.warnings) = (errors, warnings);
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many were found, kept or only counted.
    pub fn len(&self) -> usize {
        self.errors.saturating_add(self.warnings)
    }

    /// Whether any of them has to be mended.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// Those that are kept.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.kept.iter()
    }

    /// `value`, or these diagnostics when there is an error among them.
    pub fn unless_errors<T>(self, value: T) -> Result<T, Self> {
        if self.has_errors() { Err(self) } else { Ok(value) }
    }

    /// The report as rustc would write it: file, line and column, the line, a caret, the hint.
    pub fn render(&self, colour: bool) -> String {
        render::report(&self.kept, self.len().saturating_sub(self.kept.len()), colour)
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::from_iter([diagnostic])
    }
}

impl From<Box<Diagnostic>> for Diagnostics {
    fn from(diagnostic: Box<Diagnostic>) -> Self {
        Self::from(*diagnostic)
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<I: IntoIterator<Item = Diagnostic>>(diagnostics: I) -> Self {
        let mut all = Self::new();
        diagnostics.into_iter().for_each(|diagnostic| all.push(diagnostic));
        all
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// The text without what could steer a terminal or turn the direction of reading, one character for one, so
/// that columns stay true. A text that is too long ends in an ellipsis.
fn clean(text: &str, longest: usize) -> String {
    let mut cleaned: String = text.chars().take(longest).map(clean_char).collect();
    if text.chars().nth(longest).is_some() {
        cleaned.push('…');
    }
    cleaned
}

fn clean_char(char: char) -> char {
    match char {
        '\t' | '\n' | '\r' => ' ',
        '\u{61c}' | '\u{ad}' | '\u{feff}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' => '\u{fffd}',
        '\u{2060}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}' => '\u{fffd}',
        char if char.is_control() => '\u{fffd}',
        char => char,
    }
}

#[cfg(test)]
mod tests;
