//! Where a manifest says what turns out wrong later: a handler that is no function, a service that the server lacks.

use std::ops::Range;

use toml::de::DeTable;

use super::MANIFEST_FILE;
use crate::diagnostic::Diagnostic;

/// The text of a manifest that was read before.
pub struct Places<'a> {
    source: &'a str,
    document: Option<toml::Spanned<DeTable<'a>>>,
}

impl<'a> Places<'a> {
    /// Reads it again. Of a text that cannot be read no place is known.
    pub fn of(source: &'a str) -> Self {
        Self { source, document: DeTable::parse(source).ok() }
    }

    /// An error about the text under `key`, or in the list there, of an endpoint by its number; about the whole file
    /// where it does not stand there.
    pub fn wrong(
        &self,
        endpoint: usize,
        key: &str,
        text: &str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Diagnostic {
        match self.find(endpoint, key, text) {
            Some(span) => Diagnostic::at(MANIFEST_FILE, self.source, span, code, message),
            None => Diagnostic::whole(MANIFEST_FILE, code, message),
        }
    }

    fn find(&self, endpoint: usize, key: &str, text: &str) -> Option<Range<usize>> {
        let endpoints = self.document.as_ref()?.get_ref().get("endpoint")?.get_ref().as_array()?;
        let value = endpoints.get(endpoint)?.get_ref().as_table()?.get(key)?;
        let is_it = |value: &&toml::Spanned<toml::de::DeValue<'_>>| value.get_ref().as_str() == Some(text);
        match value.get_ref().as_array() {
            Some(list) => list.iter().find(is_it).map(toml::Spanned::span),
            None => Some(value).filter(is_it).map(toml::Spanned::span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_manifest_says_is_found_in_the_endpoint_that_says_it() {
        let source = "[[endpoint]]\nhandler = \"main::a\"\n[[endpoint]]\nservices = [\n\"b\",\n  \"c\"]\nhandler = \
                      \"main::a\"\n";
        let places = Places::of(source);
        let place = |endpoint, key, text| {
            let wrong = places.wrong(endpoint, key, text, "x", "y");
            (wrong.line, wrong.column)
        };
        assert_eq!(place(0, "handler", "main::a"), (2, 11));
        assert_eq!(place(1, "handler", "main::a"), (7, 11));
        assert_eq!(place(1, "services", "c"), (6, 3));
        for (endpoint, key, text) in [(1, "services", "d"), (0, "services", "c"), (2, "handler", "main::a")] {
            assert_eq!(place(endpoint, key, text), (0, 0));
        }
        assert_eq!(Places::of("[").wrong(0, "handler", "main::a", "x", "y").line, 0);
    }
}
