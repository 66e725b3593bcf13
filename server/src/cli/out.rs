//! Output: data on standard output, everything else on standard error.
//!
//! Invariant: with `--json`, standard output holds whole JSON objects with a `type` and a `version`, one a
//! line, and nothing else. Colour only where a person looks and nobody said no.

use std::io::{IsTerminal, Write};

use runtime::diagnostic::Diagnostics;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::arguments::{Colour, OutputArguments};
use super::exit::Failure;

/// The version of the objects that `--json` prints.
const VERSION: u32 = 1;

/// Where a command's output goes, and how.
#[derive(Debug, Clone)]
pub struct Out {
    json: bool,
    quiet: bool,
    colour: bool,
    error_colour: bool,
}

impl Out {
    /// As the flags and the environment say.
    pub fn new(arguments: &OutputArguments) -> Self {
        let said = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let wanted = |terminal: bool| match arguments.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto if said("NO_COLOR") => false,
            Colour::Auto => terminal || said("CLICOLOR_FORCE") || said("FORCE_COLOR"),
        };
        Self {
            json: arguments.json,
            quiet: arguments.quiet,
            colour: wanted(std::io::stdout().is_terminal()),
            error_colour: wanted(std::io::stderr().is_terminal()),
        }
    }

    /// Whether objects are wanted.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// The result of a command: an object, or text for a person.
    pub(super) fn result(&self, kind: &str, object: &impl Serialize, text: impl FnOnce(&Self) -> String) {
        if self.json {
            self.object(kind, serde_json::to_value(object).unwrap_or_default());
        } else {
            let text = text(self);
            if !text.is_empty() {
                write_out(&format!("{}\n", text.trim_end_matches('\n')));
            }
        }
    }

    fn object(&self, kind: &str, value: Value) {
        let mut object = Map::new();
        object.insert("type".to_owned(), json!(kind));
        object.insert("version".to_owned(), json!(VERSION));
        match value {
            Value::Object(fields) => object.extend(fields),
            other => drop(object.insert("value".to_owned(), other)),
        }
        write_out(&format!("{}\n", Value::Object(object)));
    }

    /// Bytes as they are.
    pub(super) fn bytes(&self, bytes: &[u8]) {
        let mut out = std::io::stdout().lock();
        // A reader that went away wants no more.
        let _ = out.write_all(bytes).and_then(|()| out.flush());
    }

    /// Something to know on the way, unless `--quiet`.
    pub(super) fn note(&self, text: impl AsRef<str>) {
        if !self.quiet {
            write_error(&format!("{}\n", text.as_ref()));
        }
    }

    /// What is wrong with a script.
    pub(super) fn diagnostics(&self, diagnostics: &Diagnostics) {
        if !diagnostics.is_empty() {
            write_error(&format!("{}\n", diagnostics.render(self.error_colour)));
        }
    }

    /// Why the command failed.
    pub fn failed(&self, failure: &Failure) {
        if self.json {
            let problem = failure.problem.as_ref().map(serde_json::to_value).and_then(Result::ok);
            let mut object = json!({ "exit": failure.exit as u8, "message": failure.message });
            if let Some(problem) = problem {
                object["problem"] = problem;
            }
            self.object("error", object);
        }
        if let Some(problem) = &failure.problem {
            self.diagnostics(&super::person::diagnostics(&problem.diagnostics));
        }
        if failure.message.is_empty() {
            return;
        }
        let word = paint(self.error_colour, "1;31", "error");
        let mut text = format!("{word}: {}\n", failure.message);
        if let Some(problem) = &failure.problem {
            for line in super::person::problem(problem) {
                text.push_str(&format!("  {line}\n"));
            }
        }
        write_error(&text);
    }

    /// A text that stands out.
    pub(super) fn strong(&self, text: &str) -> String {
        paint(self.colour, "1", text)
    }

    /// A text that is good news.
    pub(super) fn good(&self, text: &str) -> String {
        paint(self.colour, "32", text)
    }

    /// A text that is bad news.
    pub(super) fn bad(&self, text: &str) -> String {
        paint(self.colour, "31", text)
    }

    /// Rows as columns that start below one another; a heading above them.
    pub(super) fn table(&self, heading: &[&str], rows: &[Vec<String>]) -> String {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([heading[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heading.len()).map(width).collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let padded = cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let mut text = self.strong(&line(&mut heading.iter().copied()));
        for row in rows {
            text.push('\n');
            text.push_str(&line(&mut row.iter().map(String::as_str)));
        }
        text
    }
}

fn paint(colour: bool, code: &str, text: &str) -> String {
    if colour { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
}

fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away wants no more.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn write_error(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}
