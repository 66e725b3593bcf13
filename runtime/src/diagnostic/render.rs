//! Rendering: diagnostics as text for a person, in rustc's look.
//!
//! Invariant: nothing is printed that was not cleaned here, whoever made the diagnostic.
//! Not here: choosing which diagnostics are kept.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{Diagnostic, EXCERPT_MAX, Severity, TEXT_MAX, clean};

/// Renders the diagnostics one under the other, and how many more there are.
pub(super) fn report(diagnostics: &[Diagnostic], more: usize, colour: bool) -> String {
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(renderer.render(&[group(diagnostic)]).trim_end());
        text.push_str("\n\n");
    }
    text.truncate(text.trim_end().len());
    if more > 0 {
        text.push_str(&format!("\n\nand {more} more"));
    }
    text
}

fn group(diagnostic: &Diagnostic) -> Group<'static> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title =
        level.primary_title(clean(&diagnostic.message, TEXT_MAX)).id(clean(&diagnostic.code, TEXT_MAX));
    let file = clean(&diagnostic.file, TEXT_MAX);
    let group = match (&diagnostic.excerpt, diagnostic.line) {
        (_, 0) => title.element(Origin::path(file)),
        (None, line) => title
            .element(Origin::path(file).line(line as usize).char_column(diagnostic.column.max(1) as usize)),
        (Some(excerpt), line) => {
            let excerpt = clean(excerpt, EXCERPT_MAX);
            let span = bytes_of(&excerpt, diagnostic.column, diagnostic.length);
            title.element(
                Snippet::source(excerpt)
                    .line_start(line as usize)
                    .path(file)
                    .annotation(AnnotationKind::Primary.span(span)),
            )
        }
    };
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(clean(hint, TEXT_MAX))),
        None => group,
    }
}

/// The bytes of a line that a column and a length in characters mean, as far as the line goes.
fn bytes_of(line: &str, column: u32, length: u32) -> Range<usize> {
    let byte_at = |char: usize| line.char_indices().nth(char).map_or(line.len(), |(byte, _)| byte);
    let first = column.saturating_sub(1) as usize;
    byte_at(first)..byte_at(first.saturating_add(length.max(1) as usize))
}
