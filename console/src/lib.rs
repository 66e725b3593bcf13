//! Console: what people look at, as text of HTML and SVG.
//!
//! Invariant: what is shown follows from the data that was handed in and nothing else, and no text of anybody's
//! becomes markup.
//! Not here: where data comes from, HTTP, actors, clocks.

pub mod chart;

mod escape;
