//! Reading answers.
//!
//! Invariant: columns are found by name and may be missing.
//! Not here: what they mean.

use ::scylla::response::query_result::QueryResult;
use ::scylla::value::{CqlValue, Row};
use bytes::Bytes;

use super::super::store::READ_MAX;
use crate::error::StoreError;

/// The rows of an answer. Columns are found by name: the two databases answer a conditional write with
/// different ones.
pub(super) struct Found {
    names: Vec<String>,
    rows: Vec<Row>,
}

impl Found {
    pub(super) fn of(answer: QueryResult) -> Result<Self, StoreError> {
        if !answer.is_rows() {
            return Ok(Self { names: Vec::new(), rows: Vec::new() });
        }
        let unreadable = |error: &dyn std::fmt::Display| StoreError::corrupt("the database's answer", error);
        let answer = answer.into_rows_result().map_err(|error| unreadable(&error))?;
        let names = answer.column_specs().iter().map(|column| column.name().to_owned()).collect();
        let rows = answer.rows::<Row>().map_err(|error| unreadable(&error))?;
        Ok(Self { names, rows: rows.collect::<Result<_, _>>().map_err(|error| unreadable(&error))? })
    }

    pub(super) fn lines(&self) -> impl DoubleEndedIterator<Item = Line<'_>> {
        self.rows.iter().map(|row| Line { names: &self.names, row })
    }

    pub(super) fn first(&self) -> Option<Line<'_>> {
        self.lines().next()
    }

    /// Whether a conditional write was applied.
    pub(super) fn applied(&self) -> bool {
        self.first().and_then(|line| line.flag("[applied]")).unwrap_or(false)
    }
}

/// One row of an answer.
pub(super) struct Line<'a> {
    names: &'a [String],
    row: &'a Row,
}

impl<'a> Line<'a> {
    fn value(&self, name: &str) -> Option<&'a CqlValue> {
        let at = self.names.iter().position(|column| column == name)?;
        self.row.columns.get(at)?.as_ref()
    }

    pub(super) fn text(&self, name: &str) -> Option<&'a str> {
        self.value(name)?.as_text().map(String::as_str)
    }

    pub(super) fn large(&self, name: &str) -> Option<i64> {
        self.value(name)?.as_bigint()
    }

    pub(super) fn small(&self, name: &str) -> Option<i32> {
        self.value(name)?.as_int()
    }

    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_boolean()
    }

    pub(super) fn id(&self, name: &str) -> Option<uuid::Uuid> {
        self.value(name)?.as_uuid()
    }

    pub(super) fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.value(name)?.as_blob().map(Vec::as_slice)
    }

    pub(super) fn owned_bytes(&self, name: &str) -> Option<Bytes> {
        self.bytes(name).map(Bytes::copy_from_slice)
    }
}

/// A number as the database keeps it.
pub(super) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::invalid(format_args!("{number} is too large a number")))
}

/// How many rows to ask for.
pub(super) fn limit(limit: usize) -> i32 {
    limit.clamp(1, READ_MAX) as i32
}
