//! Modules of a script, found in its bundle and nowhere else.

use std::collections::BTreeMap;

use rune::alloc::path::Path;
use rune::ast::Spanned;
use rune::compile::{self, SourceLoader};
use rune::item::ComponentRef;
use rune::{Item, Source};

use crate::bundle::Bundle;
use crate::diagnostic::Diagnostics;
use crate::instrument::{Instrumented, instrument};
use crate::nesting;

/// The instrumented sources of one bundle, by file.
pub(super) struct Loader {
    sources: BTreeMap<String, (String, Instrumented)>,
}

impl Loader {
    /// Checks and instruments every script of the bundle, used or not: a file that is broken is told now.
    pub(super) fn new(bundle: &Bundle) -> Result<Self, Diagnostics> {
        let mut sources = BTreeMap::new();
        let mut wrong = Diagnostics::new();
        for (path, text) in bundle.scripts() {
            match nesting::check(path.as_str(), text).and_then(|()| instrument(path.as_str(), text)) {
                Ok(instrumented) => {
                    sources.insert(path.as_str().to_owned(), (text.to_owned(), instrumented));
                }
                Err(diagnostic) => wrong.push(*diagnostic),
            }
        }
        wrong.unless_errors(Self { sources })
    }

    /// The author's text of a file, and the way from the instrumented one to it.
    pub(super) fn source(&self, file: &str) -> Option<(&str, &Instrumented)> {
        self.sources.get(file).map(|(text, instrumented)| (text.as_str(), instrumented))
    }

    fn find(&self, parts: &[&str]) -> Option<&str> {
        let inside = parts.join("/");
        let beside = parts[1.min(parts.len())..].join("/");
        [inside, beside]
            .iter()
            .filter(|path| !path.is_empty())
            .flat_map(|path| [format!("{path}.rn"), format!("{path}/mod.rn")])
            .find_map(|path| self.sources.get_key_value(&path).map(|(known, _)| known.as_str()))
    }
}

impl SourceLoader for Loader {
    fn load(&mut self, _: &Path, item: &Item, span: &dyn Spanned) -> compile::Result<Source> {
        let mut parts = Vec::new();
        for component in item {
            match component {
                ComponentRef::Str(part) => parts.push(part),
                _ => return Err(compile::Error::msg(span, "a module inside of a function cannot be a file")),
            }
        }
        let Some(file) = self.find(&parts) else {
            let wanted = parts.join("/");
            return Err(compile::Error::msg(
                span,
                format!("there is no file {wanted}.rn or {wanted}/mod.rn in the bundle"),
            ));
        };
        let text = &self.sources[file].1.text;
        Ok(Source::with_path(file, text, file)?)
    }
}
