//! The Rune engine: from script source to an answer, metered.
