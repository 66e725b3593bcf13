//! Shapes: what of a `json!` is known when the script is compiled, already written.
//!
//! A shape is the list of pieces between the values: `json!({"id": i, "title": t})` has the pieces
//! `{"id":`, `,"title":` and `}`. One native call writes pieces and values in turn.

use serde::{Deserialize, Serialize};

/// The pieces of one `json!`; there is one more than there are values.
pub type Shape = Vec<String>;

/// All shapes of a unit, by number. They travel in the unit's envelope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shapes(pub Vec<Shape>);

/// The most shapes that a unit may have.
pub const SHAPES_MAX: usize = 4_096;

impl Shapes {
    /// The pieces of one shape.
    pub fn get(&self, number: usize) -> Option<&Shape> {
        self.0.get(number)
    }

    /// Adds a shape, or finds the same one; nothing when there are too many.
    pub fn add(&mut self, shape: Shape) -> Option<usize> {
        if let Some(same) = self.0.iter().position(|known| *known == shape) {
            return Some(same);
        }
        if self.0.len() >= SHAPES_MAX {
            return None;
        }
        self.0.push(shape);
        Some(self.0.len() - 1)
    }
}
