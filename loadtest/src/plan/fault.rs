//! Faults of a plan: where it is, what it is, and what to do.
//!
//! Invariant: a fault names a place that somebody can go to, and it is found before the first request.
//! Not here: a run that went wrong.

use std::fmt;
use std::ops::Range;

/// What is wrong with something that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, with line and column where they are known; or the option.
    pub place: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, problem, advice } = self;
        write!(f, "{place}: {problem}\n  {advice}")
    }
}

impl std::error::Error for Fault {}

/// The text of a file, so that a place in it becomes a line.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The file's name, as it was given.
    pub file: &'a str,
    /// What stands in it.
    pub text: &'a str,
}

impl Source<'_> {
    /// A fault at a place of the text, in bytes.
    pub fn fault(&self, span: Range<usize>, problem: impl fmt::Display, advice: impl fmt::Display) -> Fault {
        let letters = self.text.char_indices().map(|(at, _)| at).chain([self.text.len()]);
        let start = letters.take_while(|at| *at <= span.start).last().unwrap_or(0);
        let before = &self.text[..start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
        self.at(format_args!(":{line}:{column}"), problem, advice)
    }

    /// A fault of a line.
    pub fn line(&self, line: usize, problem: impl fmt::Display, advice: impl fmt::Display) -> Fault {
        self.at(format_args!(":{line}"), problem, advice)
    }

    /// A fault of the whole file.
    pub fn whole(&self, problem: impl fmt::Display, advice: impl fmt::Display) -> Fault {
        self.at(format_args!(""), problem, advice)
    }

    fn at(&self, place: fmt::Arguments<'_>, problem: impl fmt::Display, advice: impl fmt::Display) -> Fault {
        Fault {
            place: format!("{}{place}", self.file),
            problem: problem.to_string(),
            advice: advice.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_bytes_is_a_line_and_a_column_of_letters() {
        let source = Source { file: "a.toml", text: "name = \"µ\"\nµs = 1\n" };
        for (start, place) in [(0, "a.toml:1:1"), (14, "a.toml:2:2"), (20, "a.toml:3:1")] {
            assert_eq!(source.fault(start..start, "p", "a").place, place, "{start}");
        }
        assert_eq!(
            source.line(7, "it is bad", "do it well").to_string(),
            "a.toml:7: it is bad\n  do it well"
        );
    }
}
