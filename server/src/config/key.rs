//! A key: what kind of value it takes, and within which bounds.
//!
//! Invariant: a value that passed [`Key::check`] parses as its kind and is neither too small nor too large.
//! Not here: which keys there are (`keys`).

use std::net::SocketAddr;
use std::time::Duration;

use quotas::units::{Bytes, Fuel, PerSecond};

use super::settings::Value;

/// What kind of value a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `127.0.0.1:8080`.
    Address,
    /// Any text; nothing is "not set".
    Text,
    /// Several texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Word(&'static [&'static str]),
    /// `8MiB`.
    Bytes,
    /// `500/s`.
    Rate,
    /// A whole number, of fuel or of things.
    Count,
    /// `300ms`.
    Time,
}

/// What a key is when nobody says.
#[derive(Clone, Copy)]
pub(super) enum Preset {
    /// This text.
    Text(&'static str),
    /// What the machine says.
    Machine(fn() -> String),
    /// Nothing: the key has to be set.
    Missing,
}

/// A key.
pub(super) struct Key {
    /// Its name; a `*` stands for the name of a service or a class.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) preset: Preset,
    /// The least and the most; nothing for kinds that are no quantity.
    pub(super) least: &'static str,
    pub(super) most: &'static str,
    pub(super) doc: &'static str,
}

impl Key {
    /// What is wrong with a value, if anything is.
    pub(super) fn check(&self, value: &Value) -> Result<(), String> {
        let text = match (value, self.kind) {
            (Value::Many(_), Kind::Texts) => return Ok(()),
            (Value::Many(_), _) => return Err("one value is wanted, not a list".to_owned()),
            (Value::One(_), Kind::Texts) => return Err("a list is wanted".to_owned()),
            (Value::One(text), _) => text,
        };
        match self.kind {
            Kind::Address => text.parse::<SocketAddr>().map(drop).map_err(|_| {
                format!("`{text}` is not an address and a port; write it like `127.0.0.1:8080`")
            }),
            Kind::Flag => {
                text.parse::<bool>().map(drop).map_err(|_| format!("`{text}` is neither `true` nor `false`"))
            }
            Kind::Word(words) if words.contains(&text.as_str()) => Ok(()),
            Kind::Word(words) => Err(format!("`{text}` is none of {}", words.join(", "))),
            Kind::Text | Kind::Texts => Ok(()),
            Kind::Bytes | Kind::Rate | Kind::Count | Kind::Time => {
                let amount = self.amount(text)?;
                if amount < self.amount(self.least)? {
                    return Err(format!("`{text}` is too little: the least is {}", self.least));
                }
                if amount > self.amount(self.most)? {
                    return Err(format!("`{text}` is too much: the most is {}", self.most));
                }
                Ok(())
            }
        }
    }

    /// A value as it is kept: numbers with their digits in groups, however they were written.
    pub(super) fn canonical(&self, value: Value) -> Value {
        match (self.kind, &value) {
            (Kind::Count, Value::One(text)) => match text.parse::<Fuel>() {
                Ok(count) => Value::One(count.to_string()),
                Err(_) => value,
            },
            _ => value,
        }
    }

    /// A quantity as a number, to be compared with others of its kind.
    fn amount(&self, text: &str) -> Result<u128, String> {
        match self.kind {
            Kind::Bytes => {
                text.parse::<Bytes>().map(|bytes| u128::from(bytes.get())).map_err(|e| e.to_string())
            }
            Kind::Rate => {
                text.parse::<PerSecond>().map(|rate| u128::from(rate.get())).map_err(|e| e.to_string())
            }
            Kind::Count => text
                .parse::<Fuel>()
                .map(|count| u128::from(count.get()))
                .map_err(|_| format!("`{text}` is not a whole number")),
            Kind::Time => time(text).map(|time| time.as_nanos()),
            _ => Ok(0),
        }
    }
}

/// A time as a person writes it.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    time_of(text).ok_or_else(|| format!("`{text}` is not a time; write it like `300ms`"))
}

/// A time as a person writes it, such as `300ms`, `1h 30m` or `7d`; a day has 24 hours.
pub fn time_of(text: &str) -> Option<Duration> {
    let span: jiff::Span = text.parse().ok()?;
    let time = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(time).ok()
}
