//! The file: TOML, every value with its line.

use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{ConfigError, Fault};
use super::keys::KEYS;
use super::settings::{Origin, Settings, Value, unknown};

/// The largest file that is read, in bytes.
const FILE_MAX: u64 = 1024 * 1024;

struct Reading<'a> {
    path: &'a Path,
    source: &'a str,
    settings: &'a mut Settings,
    faults: &'a mut Vec<Fault>,
}

/// Reads the file into the settings.
pub(super) fn read(path: &Path, settings: &mut Settings, faults: &mut Vec<Fault>) -> Result<(), ConfigError> {
    let unreadable = |why: String| ConfigError::Unreadable { path: path.to_owned(), why };
    let size = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if size > FILE_MAX {
        return Err(unreadable(format!("it has {size} bytes, the most is {FILE_MAX}")));
    }
    let source = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    let table = DeTable::parse(&source).map_err(|error| {
        let (line, column) = place(&source, error.span().unwrap_or_default().start);
        ConfigError::Syntax { path: path.to_owned(), line, column, message: error.message().to_owned() }
    })?;
    Reading { path, source: &source, settings, faults }.table(table.get_ref(), "");
    Ok(())
}

/// The line and the column of a byte, from 1.
fn place(source: &str, byte: usize) -> (usize, usize) {
    let before = source.get(..byte).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl Reading<'_> {
    fn origin(&self, span: Range<usize>) -> Origin {
        Origin::File { path: self.path.to_owned(), line: place(self.source, span.start).0 }
    }

    fn table(&mut self, table: &DeTable<'_>, within: &str) {
        for (key, value) in table {
            let name: &str = key.get_ref();
            let name = if within.is_empty() { name.to_owned() } else { format!("{within}.{name}") };
            let origin = self.origin(key.span());
            match value.get_ref() {
                DeValue::Table(inner) if is_section(&name) => self.table(inner, &name),
                DeValue::Table(_) | DeValue::Datetime(_) => self.faults.push(unknown(&name, origin)),
                DeValue::Array(items) => {
                    let texts: Option<Vec<String>> = items.iter().map(|item| text(item.get_ref())).collect();
                    match texts {
                        Some(texts) => self.settings.set(&name, Value::Many(texts), origin, self.faults),
                        None => self
                            .faults
                            .push(Fault::new(origin, format!("`{name}`: a list of texts is wanted"))),
                    }
                }
                value => match text(value) {
                    Some(text) => self.settings.set(&name, Value::One(text), origin, self.faults),
                    None => self.faults.push(unknown(&name, origin)),
                },
            }
        }
    }
}

/// Whether keys stand below this name; the name of a service or a class is any.
fn is_section(name: &str) -> bool {
    let depth = name.matches('.').count();
    KEYS.iter().any(|key| {
        let mut parts = key.name.split('.');
        key.name.matches('.').count() > depth
            && name.split('.').all(|part| parts.next().is_some_and(|known| known == part || known == "*"))
    })
}

/// A value as the text that a person would have written.
fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(flag) => Some(flag.to_string()),
        DeValue::Integer(number) => {
            let number = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            Some(number.to_string())
        }
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}
