//! Escaping: text within markup stays text.
//!
//! Invariant: what comes out holds no character that ends a text or a quoted attribute.
//! Not here: texts within scripts and styles; there are none.

use std::fmt;

/// A text as it stands within an element or a quoted attribute.
pub(crate) struct Escaped<'a>(pub(crate) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in self.0.split_inclusive(['&', '<', '>', '"', '\'']) {
            let special = piece.char_indices().next_back().filter(|(_, c)| "&<>\"'".contains(*c));
            let Some((end, special)) = special else {
                f.write_str(piece)?;
                continue;
            };
            f.write_str(&piece[..end])?;
            f.write_str(match special {
                '&' => "&amp;",
                '<' => "&lt;",
                '>' => "&gt;",
                '"' => "&quot;",
                _ => "&#39;",
            })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_stays_text() {
        for (text, escaped) in [
            ("", ""),
            ("plain µs", "plain µs"),
            ("a<b & \"c\" > 'd'", "a&lt;b &amp; &quot;c&quot; &gt; &#39;d&#39;"),
            ("</svg><script>", "&lt;/svg&gt;&lt;script&gt;"),
        ] {
            assert_eq!(Escaped(text).to_string(), escaped);
        }
    }
}
