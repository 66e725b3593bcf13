//! Rune's diagnostics in our own form, at the author's own places.

use rune::ast::Spanned;
use rune::compile::LinkerError;
use rune::diagnostics::{Diagnostic as Found, FatalDiagnosticKind, WarningDiagnostic};
use rune::{SourceId, Sources};

use super::loader::Loader;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::instrument::sentence;

/// Errors and warnings.
pub(super) fn translate(
    found: &rune::Diagnostics,
    sources: &Sources,
    loader: &Loader,
) -> (Diagnostics, Diagnostics) {
    let mut errors = Diagnostics::new();
    let mut warnings = Diagnostics::new();
    for diagnostic in found.diagnostics() {
        match diagnostic {
            Found::Fatal(fatal) => match fatal.kind() {
                FatalDiagnosticKind::CompileError(error) => {
                    let message = error.to_string();
                    errors.push(at(
                        sources,
                        loader,
                        fatal.source_id(),
                        error.span(),
                        "script.compile",
                        &message,
                    ));
                }
                FatalDiagnosticKind::LinkError(LinkerError::MissingFunction { hash, spans }) => {
                    for (span, source) in spans.iter() {
                        let message = format!("There is no function here to call ({hash})");
                        errors.push(at(sources, loader, *source, *span, "script.missing_function", &message));
                    }
                }
                other => errors.push(Diagnostic::whole(
                    "callboard.toml",
                    "script.compile",
                    sentence(&other.to_string()),
                )),
            },
            Found::Warning(warning) if is_ours(warning, sources, loader) => {}
            Found::Warning(warning) => {
                let message = warning.to_string();
                warnings.push(
                    at(sources, loader, warning.source_id(), warning.span(), "script.warning", &message)
                        .warning(),
                );
            }
            _ => {}
        }
    }
    (errors, warnings)
}

/// Warnings of what the instrumentation wrote, and of patterns that authors are told to write: the tuple of a
/// join fits what it is given.
fn is_ours(warning: &WarningDiagnostic, sources: &Sources, loader: &Loader) -> bool {
    // Which kind it is, is told by its text alone.
    if warning.to_string() == "Pattern might panic" {
        return true;
    }
    let source = sources.get(warning.source_id()).and_then(|source| loader.source(source.name()));
    source.is_some_and(|(_, instrumented)| instrumented.is_inserted(warning.span().start.into_usize()))
}

fn at(
    sources: &Sources,
    loader: &Loader,
    source: SourceId,
    span: rune::ast::Span,
    code: &'static str,
    message: &str,
) -> Diagnostic {
    let message = sentence(message);
    let file = sources.get(source).map_or("callboard.toml", |source| source.name());
    match loader.source(file) {
        Some((text, instrumented)) => {
            let start = instrumented.original(span.start.into_usize());
            let end = instrumented.original(span.end.into_usize());
            let hint = template_after_return(text, start, end);
            Diagnostic::at(file, text, start..end.max(start), code, message).with_hint(hint)
        }
        None => Diagnostic::whole("callboard.toml", code, message),
    }
}

/// Rune ends `return` and `break` before a template string, and its own message does not say so.
fn template_after_return(text: &str, start: usize, end: usize) -> Option<String> {
    let word = text.get(start..end).filter(|word| matches!(*word, "return" | "break"))?;
    let is_template = text.get(end..)?.trim_start().starts_with('`');
    is_template.then(|| format!("a template string after `{word}` needs parentheses: `{word} (`…`)`"))
}
