//! Pages: the answer to a call for a list.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::shape::{Schemas, Shape};

/// The items asked for when nothing else is said.
pub const LIMIT_DEFAULT: u32 = 100;
/// The most items of a page.
pub const LIMIT_MAX: u32 = 1_000;

/// Some items of a list, and how to ask for the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// What to send as `cursor` to get the items after these; absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

impl<T> Page<T> {
    /// The only page.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, cursor: None }
    }
}

impl<T: Shape> Shape for Page<T> {
    fn schema(all: &mut Schemas) -> Value {
        json!({
            "type": "object",
            "description": "Some items of a list, and how to ask for the next.",
            "properties": {
                "items": { "type": "array", "items": T::schema(all) },
                "cursor": { "type": "string", "description": "What to send as `cursor` to get the items after these; absent on the last page." },
            },
            "required": ["items"],
        })
    }
}
