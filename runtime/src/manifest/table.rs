//! Tables and values of a manifest, with their places in it.
//!
//! Invariant: whoever asks for something that is not there or not of the right kind gets nothing, and the
//! diagnostic is noted.
//! Not here: which keys there are.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::Range;
use std::str::FromStr;

use quotas::nearest::nearest;
use toml::de::{DeTable, DeValue};

use super::MANIFEST_FILE;
use crate::diagnostic::{Diagnostic, Diagnostics};

/// The manifest that is read, and what was found wrong with it so far.
pub(super) struct Context<'a> {
    source: &'a str,
    found: RefCell<Diagnostics>,
}

impl<'a> Context<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, found: RefCell::default() }
    }

    /// Notes what is wrong at a place. Finding the place takes the longer the longer the manifest is, so that
    /// a report that is full already only counts.
    pub(super) fn error_with(
        &self,
        span: Range<usize>,
        code: &'static str,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        let mut found = self.found.borrow_mut();
        if found.is_full() {
            found.count_error();
        } else {
            found.push(Diagnostic::at(MANIFEST_FILE, self.source, span, code, message).with_hint(hint));
        }
    }

    pub(super) fn error(&self, span: Range<usize>, code: &'static str, message: impl Into<String>) {
        self.error_with(span, code, message, None);
    }

    /// Notes what is wrong with all of it.
    pub(super) fn error_of_all(&self, code: &'static str, message: &str, hint: &str) {
        let diagnostic = Diagnostic::whole(MANIFEST_FILE, code, message).with_hint(hint.to_owned());
        self.found.borrow_mut().push(diagnostic);
    }

    pub(super) fn into_found(self) -> Diagnostics {
        self.found.into_inner()
    }
}

/// A table and how a person would call it.
pub(super) struct Table<'a> {
    pub(super) cx: &'a Context<'a>,
    table: &'a DeTable<'a>,
    span: Range<usize>,
    what: &'static str,
}

/// A value and the key that it was found under.
pub(super) struct Value<'a> {
    pub(super) cx: &'a Context<'a>,
    value: &'a DeValue<'a>,
    span: Range<usize>,
    key: &'a str,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        cx: &'a Context<'a>,
        table: &'a DeTable<'a>,
        span: Range<usize>,
        what: &'static str,
    ) -> Self {
        Self { cx, table, span, what }
    }

    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Refuses every key that is not known.
    pub(super) fn only(&self, known: &[&str]) {
        for (key, _) in self.table {
            let name: &str = key.get_ref();
            if known.contains(&name) {
                continue;
            }
            let hint = match nearest(name, known.iter().copied()) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!(
                    "it has {}",
                    known.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
                ),
            };
            let message = format!("{} has no `{name}`", self.what);
            let code = "manifest.unknown_key";
            self.cx.error_with(key.span(), code, message, Some(hint));
        }
    }

    pub(super) fn optional(&self, key: &'a str) -> Option<Value<'a>> {
        let value = self.table.get(key)?;
        Some(Value { cx: self.cx, value: value.get_ref(), span: value.span(), key })
    }

    pub(super) fn required(&self, key: &'a str) -> Option<Value<'a>> {
        let value = self.optional(key);
        if value.is_none() {
            let message = format!("{} has to have a `{key}`", self.what);
            self.cx.error(self.span(), "manifest.missing_key", message);
        }
        value
    }

    /// All keys with their places and values.
    pub(super) fn all(&self) -> impl Iterator<Item = (Range<usize>, Value<'a>)> {
        self.table.iter().map(|(key, value)| {
            (
                key.span(),
                Value { cx: self.cx, value: value.get_ref(), span: value.span(), key: key.get_ref() },
            )
        })
    }
}

impl<'a> Value<'a> {
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    pub(super) fn key(&self) -> &'a str {
        self.key
    }

    /// Notes that the value is not right.
    pub(super) fn wrong(&self, message: impl Into<String>) {
        self.cx.error(self.span(), "manifest.invalid_value", message);
    }

    /// Notes that the value is of another kind than it should be.
    pub(super) fn wrong_kind(&self, wanted: &str) {
        let message = format!("`{}` has to be {wanted}, not {}", self.key, kind(self.value));
        self.cx.error(self.span(), "manifest.wrong_type", message);
    }

    pub(super) fn as_text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    pub(super) fn as_flag(&self) -> Option<bool> {
        self.value.as_bool()
    }

    pub(super) fn as_integer(&self) -> Option<i64> {
        let integer = self.value.as_integer()?;
        i64::from_str_radix(integer.as_str(), integer.radix()).ok()
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.as_text();
        if text.is_none() {
            self.wrong_kind("a text in quotes");
        }
        text
    }

    /// A text that is read as something.
    pub(super) fn parsed<T: FromStr<Err: Display>>(&self) -> Option<T> {
        self.text()?.parse().map_err(|error: T::Err| self.wrong(error.to_string())).ok()
    }

    /// A whole number of at least one.
    pub(super) fn positive(&self) -> Option<u64> {
        match self.as_integer().map(u64::try_from) {
            Some(Ok(0)) => self.wrong(format!("`{}` must not be zero", self.key)),
            Some(Ok(number)) => return Some(number),
            Some(Err(_)) => self.wrong(format!("`{}` must not be negative", self.key)),
            None => self.wrong_kind("a whole number"),
        }
        None
    }

    pub(super) fn list(&self) -> Option<Vec<Value<'a>>> {
        let Some(array) = self.value.as_array() else {
            self.wrong_kind("a list");
            return None;
        };
        let item = |item: &'a toml::Spanned<DeValue<'a>>| Value {
            cx: self.cx,
            value: item.get_ref(),
            span: item.span(),
            key: self.key,
        };
        Some(array.iter().map(item).collect())
    }

    pub(super) fn table(&self, what: &'static str) -> Option<Table<'a>> {
        match self.value.as_table() {
            Some(table) => Some(Table::new(self.cx, table, self.span(), what)),
            None => {
                self.wrong_kind("a table");
                None
            }
        }
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(&self) -> Option<Vec<Table<'a>>> {
        if self.value.as_table().is_some() {
            let message = format!("`{0}` is a list of tables: write `[[{0}]]`", self.key);
            self.cx.error(self.span(), "manifest.wrong_type", message);
            return None;
        }
        self.list()?.iter().map(|value| value.table("an endpoint")).collect()
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "`true` or `false`",
        DeValue::Datetime(_) => "a date or a time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
