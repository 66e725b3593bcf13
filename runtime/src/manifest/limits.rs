//! The limits that an endpoint asks for.

use std::time::Duration;

use jiff::SignedDuration;
use quotas::limits::Requested;
use quotas::units::{Bytes, Fuel, InFlight};

use super::table::{Table, Value};

pub(super) const KEYS: [&str; 10] = [
    "fuel",
    "memory",
    "deadline",
    "response",
    "body",
    "host_calls",
    "host_bytes",
    "rate",
    "burst",
    "concurrency",
];

/// Reads `[endpoint.limits]`.
pub(super) fn read(table: &Table<'_>) -> Requested {
    table.only(&KEYS);
    let bytes = |key| table.optional(key).and_then(|value| bytes(&value));
    let count = |key| table.optional(key).and_then(|value| count(&value));
    Requested {
        fuel: table.optional("fuel").and_then(|value| value.positive()).map(Fuel::new),
        memory: bytes("memory"),
        deadline: table.optional("deadline").and_then(|value| time(&value)),
        response: bytes("response"),
        body: bytes("body"),
        host_calls: count("host_calls"),
        host_bytes: bytes("host_bytes"),
        rate: table.optional("rate").and_then(|value| value.parsed()),
        burst: count("burst"),
        concurrency: count("concurrency").and_then(InFlight::new),
    }
}

fn bytes(value: &Value<'_>) -> Option<Bytes> {
    let bytes: Bytes = match value.as_text() {
        Some(_) => value.parsed()?,
        None if value.as_integer().is_some() => Bytes::new(value.positive()?),
        None => {
            value.wrong_kind("a size such as \"8MiB\"");
            return None;
        }
    };
    if bytes.get() == 0 {
        value.wrong(format!("`{}` must not be zero", value.key()));
        return None;
    }
    Some(bytes)
}

fn count(value: &Value<'_>) -> Option<u32> {
    let number = value.positive()?;
    let count = u32::try_from(number);
    if count.is_err() {
        value.wrong(format!("`{}` is too large", value.key()));
    }
    count.ok()
}

/// A time that is not zero.
pub(super) fn time(value: &Value<'_>) -> Option<Duration> {
    let Some(text) = value.as_text() else {
        value.wrong_kind("a time such as \"300ms\"");
        return None;
    };
    let Ok(time) = text.parse::<SignedDuration>() else {
        value.wrong(format!("`{text}` is not a time; write it like `300ms`"));
        return None;
    };
    if time.is_zero() {
        value.wrong(format!("`{}` must not be zero", value.key()));
        return None;
    }
    let time = Duration::try_from(time);
    if time.is_err() {
        value.wrong(format!("`{}` must not be negative", value.key()));
    }
    time.ok()
}
