//! Shapes: how a type stands in JSON, and its schema, from one declaration.
//!
//! Invariant: the schema of a type that was made by these macros cannot differ from what serde reads and
//! writes: both come from the same fields. An absent `Option` is left out, never `null`.
//! Not here: which calls there are (`openapi`).

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::Time;

/// The schemas of all types with a name, by name.
pub type Schemas = BTreeMap<&'static str, Value>;

/// What has a place in JSON and a schema that says so.
pub trait Shape {
    /// Whether the field that holds it has to be there.
    const REQUIRED: bool = true;

    /// The schema where it is used. What has a name is put into `all` and referred to.
    fn schema(all: &mut Schemas) -> Value;

    /// Whether its field is left out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// A text that is none of the words that were expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: it has to be {known}")]
pub struct UnknownWord {
    /// What was expected, with its article.
    pub what: &'static str,
    /// The text that was given.
    pub text: String,
    /// The words that would have done.
    pub known: String,
}

impl UnknownWord {
    /// The stable code of this error.
    pub const CODE: &'static str = "request.invalid";

    /// The stable code of this error.
    pub fn code(&self) -> &'static str {
        Self::CODE
    }
}

macro_rules! plain {
    ($($type:ty => $schema:tt,)*) => {$(
        impl Shape for $type {
            fn schema(_: &mut Schemas) -> Value {
                json!($schema)
            }
        }
    )*};
}

plain! {
    String => { "type": "string" },
    bool => { "type": "boolean" },
    u16 => { "type": "integer", "minimum": 0, "maximum": 65535 },
    u32 => { "type": "integer", "minimum": 0 },
    u64 => { "type": "integer", "minimum": 0 },
    Time => { "type": "string", "format": "date-time" },
    Value => {},
}

impl<T: Shape> Shape for Option<T> {
    const REQUIRED: bool = false;

    fn schema(all: &mut Schemas) -> Value {
        T::schema(all)
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Shape> Shape for Vec<T> {
    fn schema(all: &mut Schemas) -> Value {
        json!({ "type": "array", "items": T::schema(all) })
    }
}

/// A property of an object: its name, what it is, its schema and whether it has to be there.
pub(crate) type Property = (&'static str, String, Value, bool);

/// Puts an object's schema into `all` and answers with the reference to it.
pub(crate) fn named(
    all: &mut Schemas,
    name: &'static str,
    doc: &str,
    closed: bool,
    properties: impl FnOnce(&mut Schemas) -> Vec<Property>,
) -> Value {
    if !all.contains_key(name) {
        // A place is kept first, so that a type that holds itself ends.
        all.insert(name, Value::Null);
        let mut fields = serde_json::Map::new();
        let mut required = Vec::new();
        for (field, doc, mut schema, is_required) in properties(all) {
            if let Value::Object(schema) = &mut schema {
                schema.insert("description".to_owned(), Value::String(doc.trim().to_owned()));
            }
            fields.insert(field.to_owned(), schema);
            if is_required {
                required.push(field);
            }
        }
        let mut schema = json!({ "type": "object", "description": doc.trim(), "properties": fields });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if closed {
            schema["additionalProperties"] = json!(false);
        }
        all.insert(name, schema);
    }
    reference(name)
}

/// The reference to a schema with a name.
pub(crate) fn reference(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// The schema of a type with a closed set of words.
pub(crate) fn words(all: &mut Schemas, name: &'static str, doc: &str, words: &[&str]) -> Value {
    all.entry(name).or_insert_with(|| json!({ "type": "string", "description": doc.trim(), "enum": words }));
    reference(name)
}

/// Declares objects with named fields. `answer` may grow; `request` refuses what it does not know.
macro_rules! shapes {
    ($(
        $kind:ident
        $(#[doc = $doc:literal])*
        pub struct $name:ident {
            $($(#[doc = $field_doc:literal])* pub $field:ident: $type:ty,)*
        }
    )*) => {$(
        $crate::shape::shapes! { @type $kind
            $(#[doc = $doc])*
            pub struct $name { $($(#[doc = $field_doc])* pub $field: $type,)* }
        }

        impl $crate::shape::Shape for $name {
            fn schema(all: &mut $crate::shape::Schemas) -> serde_json::Value {
                let closed = stringify!($kind) == "request";
                $crate::shape::named(all, stringify!($name), concat!($($doc),*), closed, |all| vec![$((
                    stringify!($field),
                    concat!($($field_doc),*).to_owned(),
                    <$type as $crate::shape::Shape>::schema(all),
                    <$type as $crate::shape::Shape>::REQUIRED,
                ),)*])
            }
        }
    )*};
    (@type answer $(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($(#[$field_meta])* #[serde(skip_serializing_if = "crate::shape::Shape::is_absent")] pub $field: $type,)*
        }
    };
    (@type request $(#[$meta:meta])* pub struct $name:ident {
        $($(#[$field_meta:meta])* pub $field:ident: $type:ty,)*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $name {
            $($(#[$field_meta])* #[serde(skip_serializing_if = "crate::shape::Shape::is_absent")] pub $field: $type,)*
        }
    };
}
pub(crate) use shapes;

/// Declares a type that is one of a few words.
macro_rules! one_of {
    ($(
        $(#[doc = $doc:literal])*
        pub enum $name:ident ($what:literal) {
            $($(#[doc = $word_doc:literal])* $word:ident = $text:literal,)*
        }
    )*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        pub enum $name {
            $($(#[doc = $word_doc])* #[serde(rename = $text)] $word,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$word),*];

            /// The word.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)*
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::shape::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text).ok_or_else(|| {
                    $crate::shape::UnknownWord {
                        what: $what,
                        text: text.to_owned(),
                        known: [$($text),*].join(", "),
                    }
                })
            }
        }

        impl $crate::shape::Shape for $name {
            fn schema(all: &mut $crate::shape::Schemas) -> serde_json::Value {
                $crate::shape::words(all, stringify!($name), concat!($($doc),*), &[$($text),*])
            }
        }
    )*};
}
pub(crate) use one_of;

#[cfg(test)]
mod tests {
    use super::*;

    shapes! {
        request
        /// A thing.
        pub struct Thing {
            /// Its name.
            pub name: String,
            /// How many, if known.
            pub count: Option<u32>,
        }
    }

    one_of! {
        /// A size.
        pub enum Size ("a size") {
            /// Small.
            Small = "small",
            /// Large.
            Large = "large",
        }
    }

    #[test]
    fn what_is_absent_is_left_out_and_read_back() {
        let thing = Thing { name: "a".into(), count: None };
        let text = serde_json::to_string(&thing).unwrap();
        assert_eq!(text, r#"{"name":"a"}"#);
        assert_eq!(serde_json::from_str::<Thing>(&text).unwrap(), thing);
    }

    #[test]
    fn a_request_names_the_field_that_it_does_not_know() {
        let error = serde_json::from_str::<Thing>(r#"{"name":"a","cuont":1}"#).unwrap_err();
        assert!(error.to_string().contains("unknown field `cuont`"), "{error}");
    }

    #[test]
    fn the_schema_says_what_serde_does() {
        let mut all = Schemas::new();
        assert_eq!(Thing::schema(&mut all), json!({ "$ref": "#/components/schemas/Thing" }));
        assert_eq!(
            all["Thing"],
            json!({
                "type": "object",
                "description": "A thing.",
                "properties": {
                    "name": { "type": "string", "description": "Its name." },
                    "count": { "type": "integer", "minimum": 0, "description": "How many, if known." },
                },
                "required": ["name"],
                "additionalProperties": false,
            })
        );
    }

    #[test]
    fn a_word_reads_what_it_writes_and_an_unknown_one_is_told_the_known() {
        for word in Size::ALL {
            assert_eq!(word.as_str().parse::<Size>().as_ref(), Ok(word));
            assert_eq!(serde_json::to_value(word).unwrap(), word.as_str());
        }
        let error = "huge".parse::<Size>().unwrap_err();
        assert_eq!(error.to_string(), "`huge` is not a size: it has to be small, large");
    }
}
