//! Reading JSON without building it: one pass that checks, and look-ups that find a part.
//!
//! Invariant: a text is checked once, in full, before anything is looked up in it: depth, number of keys,
//! length of numbers. A part that is passed on unread costs no more than its bytes.

use std::cell::Cell;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::fuel;

/// The most keys that one object may have.
pub const KEYS_PER_OBJECT: usize = 10_000;
/// The most keys and elements that a whole document may have.
pub const NODES_PER_DOCUMENT: usize = 500_000;
/// The deepest nesting.
pub const DEPTH: usize = 100;

/// How many values are read before the call's clock is looked at again.
const BREATH: usize = 64;

/// A long text is not read in one breath: others on the thread have their turn, and a call that was stopped
/// reads no further.
fn breathe<E: de::Error>(values: usize) -> Result<(), E> {
    if values.is_multiple_of(BREATH) && fuel::charge(1).is_err() {
        return Err(E::custom("the call was stopped while it read this"));
    }
    Ok(())
}

/// Checks a text in full.
///
/// # Errors
/// What is wrong and where, in a sentence that a script's author can act upon.
pub fn check(text: &[u8]) -> Result<(), String> {
    let nodes = Cell::new(0);
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    Check { depth: 0, nodes: &nodes }.deserialize(&mut deserializer).map_err(|e| e.to_string())?;
    deserializer.end().map_err(|e| e.to_string())
}

#[derive(Clone, Copy)]
struct Check<'a> {
    depth: usize,
    nodes: &'a Cell<usize>,
}

impl Check<'_> {
    fn count<E: de::Error>(&self) -> Result<(), E> {
        self.nodes.set(self.nodes.get() + 1);
        breathe(self.nodes.get())?;
        if self.nodes.get() > NODES_PER_DOCUMENT {
            return Err(E::custom(format_args!("more than {NODES_PER_DOCUMENT} values in one document")));
        }
        Ok(())
    }

    fn deeper<E: de::Error>(self) -> Result<Self, E> {
        if self.depth >= DEPTH {
            return Err(E::custom(format_args!("nested deeper than {DEPTH} levels")));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        while seq.next_element_seed(deeper)?.is_some() {
            self.count()?;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let deeper = self.deeper()?;
        let mut keys = 0;
        while map.next_key::<IgnoredAny>()?.is_some() {
            keys += 1;
            if keys > KEYS_PER_OBJECT {
                return Err(de::Error::custom(format_args!(
                    "more than {KEYS_PER_OBJECT} keys in one object"
                )));
            }
            self.count()?;
            map.next_value_seed(deeper)?;
        }
        Ok(())
    }
}

/// What a checked text holds at its top.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    Text,
    /// A list.
    List,
    /// An object.
    Object,
}

/// The kind of a checked text, told by its first byte.
pub fn kind(text: &[u8]) -> Kind {
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => Kind::Object,
        Some(b'[') => Kind::List,
        Some(b'"') => Kind::Text,
        Some(b't' | b'f') => Kind::Bool,
        Some(b'n') | None => Kind::Null,
        Some(_) => Kind::Number,
    }
}

/// The part of a checked object that stands under `key`, the last one where it stands twice.
pub fn field<'t>(text: &'t [u8], key: &str) -> Option<&'t [u8]> {
    let mut found = None;
    each_field(text, |name, value| {
        if name == key {
            found = Some(value);
        }
    });
    found
}

/// The `index`th element of a checked list.
pub fn element(text: &[u8], index: usize) -> Option<&[u8]> {
    let mut at = 0;
    let mut found = None;
    each_element(text, |value| {
        if at == index {
            found = Some(value);
        }
        at += 1;
    });
    found
}

/// Calls `f` for each field of a checked object, in order.
pub fn each_field<'t>(text: &'t [u8], mut f: impl FnMut(&str, &'t [u8])) {
    struct Fields<F>(F);
    impl<'de, F: FnMut(&str, &'de [u8])> Visitor<'de> for Fields<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
            let mut count = 0;
            while let Some(key) = map.next_key::<Key<'de>>()? {
                count += 1;
                breathe(count)?;
                let value = map.next_value::<&'de RawValue>()?;
                (self.0)(&key.0, value.get().as_bytes());
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // A text that is no object has no fields; a checked one has no other error, unless the call was stopped: then
    // whatever comes next stops it again.
    let _ = deserializer.deserialize_map(Fields(&mut f));
}

/// Calls `f` for each element of a checked list, in order.
pub fn each_element<'t>(text: &'t [u8], mut f: impl FnMut(&'t [u8])) {
    struct Elements<F>(F);
    impl<'de, F: FnMut(&'de [u8])> Visitor<'de> for Elements<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
            let mut count = 0;
            while let Some(value) = seq.next_element::<&'de RawValue>()? {
                count += 1;
                breathe(count)?;
                (self.0)(value.get().as_bytes());
            }
            Ok(())
        }
    }
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    // As above.
    let _ = deserializer.deserialize_seq(Elements(&mut f));
}

/// A key, borrowed where it holds no escapes.
struct Key<'de>(std::borrow::Cow<'de, str>);

impl<'de> serde::Deserialize<'de> for Key<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl<'de> Visitor<'de> for Text {
            type Value = Key<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }
            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(key.into()))
            }
            fn visit_str<E>(self, key: &str) -> Result<Key<'de>, E> {
                Ok(Key(key.to_owned().into()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_found_as_it_stands() {
        let text = br#" {"a": [1, {"b":2}], "\u0063": "x", "a2": null} "#;
        assert_eq!(field(text, "a"), Some(br#"[1, {"b":2}]"#.as_slice()));
        assert_eq!(field(text, "c"), Some(br#""x""#.as_slice()));
        assert_eq!(field(text, "d"), None);
        assert_eq!(element(field(text, "a").unwrap(), 1), Some(br#"{"b":2}"#.as_slice()));
        assert_eq!(element(field(text, "a").unwrap(), 2), None);
    }

    #[test]
    fn a_document_has_limits() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n)).into_bytes();
        let keys = |n: usize| {
            let fields: Vec<String> = (0..n).map(|i| format!("\"k{i}\":1")).collect();
            format!("{{{}}}", fields.join(",")).into_bytes()
        };
        for (text, fine) in [
            (deep(DEPTH), true),
            (deep(DEPTH + 1), false),
            (keys(KEYS_PER_OBJECT), true),
            (keys(KEYS_PER_OBJECT + 1), false),
            (b"{}".to_vec(), true),
            (b"".to_vec(), false),
            (b"{} x".to_vec(), false),
            (b"{\"a\":}".to_vec(), false),
            (b"\"\xff\"".to_vec(), false),
            (b"1e999".to_vec(), false),
            (b"-0.5e3".to_vec(), true),
        ] {
            assert_eq!(
                check(&text).is_ok(),
                fine,
                "{}",
                String::from_utf8_lossy(&text[..text.len().min(40)])
            );
        }
    }
}
