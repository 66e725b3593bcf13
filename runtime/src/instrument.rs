//! Instrumentation: checkpoints are written into the source before it is compiled.
//!
//! Rune's own budget does not reach code that native functions call back into, so the meter is part of
//! the program: every function, closure and loop body begins with a call of `::callboard::__t`, what a
//! comparison or a format could walk without end is weighed first by `::callboard::__w`, and what an assignment
//! puts something into is noted by `::callboard::__k`. The variable that a block is leaves it through
//! `::callboard::__i`, for Rune's sake.
//!
//! Invariant: everything is inserted on the line where it stands, nothing is removed, and an offset of
//! the instrumented text leads back to the author's own through [`Instrumented::original`].
//! Not here: what a checkpoint does (`fuel`), how deep a source may nest (`nesting`).

mod json_args;
mod visit;

pub(crate) use json_args::{Node as JsonNode, read as read_json};

use rune::SourceId;
use rune::ast::{self, Span, Spanned};
use rune::parse::Parser;

use crate::diagnostic::Diagnostic;

/// Raised by one whenever checkpoints or costs change: units that were metered otherwise are compiled anew.
pub const METERING_VERSION: u32 = 4;

/// A source with its checkpoints, and the way back to what the author wrote.
#[derive(Debug, Clone)]
pub struct Instrumented {
    /// What is compiled.
    pub text: String,
    /// For each insertion, in order: where in the author's text, and how many bytes.
    insertions: Vec<(usize, usize)>,
}

impl Instrumented {
    /// The byte of the author's text that byte `offset` of the instrumented text stands for.
    pub fn original(&self, offset: usize) -> usize {
        let mut added = 0;
        for &(at, length) in &self.insertions {
            if at + added >= offset {
                break;
            }
            if at + added + length > offset {
                return at;
            }
            added += length;
        }
        offset - added
    }
}

impl Instrumented {
    /// Whether byte `offset` of the instrumented text was inserted.
    pub fn is_inserted(&self, offset: usize) -> bool {
        let mut added = 0;
        for &(at, length) in &self.insertions {
            if at + added > offset {
                return false;
            }
            if at + added + length > offset {
                return true;
            }
            added += length;
        }
        false
    }
}

/// Why a source cannot be instrumented: the place in the author's text, a stable code and a sentence.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) span: Span,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Refusal {
    pub(crate) fn new(span: Span, code: &'static str, message: impl Into<String>) -> Self {
        Self { span, code, message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<rune::compile::Error> for Refusal {
    fn from(error: rune::compile::Error) -> Self {
        Self::new(error.span(), "script.syntax", sentence(&error.to_string()))
    }
}

/// Rune's messages begin small and name tokens in its own words; a person reads them in ours.
pub(crate) fn sentence(message: &str) -> String {
    let mut letters = message.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Writes the checkpoints into `source`. The nesting of the source must have been checked before.
///
/// # Errors
/// The source does not parse, or uses something that cannot be metered; the diagnostic says where.
pub fn instrument(file: &str, source: &str) -> Result<Instrumented, Box<Diagnostic>> {
    write(source).map_err(|refusal| Box::new(diagnose(file, source, refusal)))
}

fn write(source: &str) -> Result<Instrumented, Refusal> {
    let mut parser = Parser::new(source, SourceId::EMPTY, false);
    let file = parser.parse_all::<ast::File>()?;
    let mut edits = visit::Edits::new(source);
    // Attributes and a shebang stay first.
    let start = file.items.first().map_or(0, |(item, _)| range(item).0);
    edits.file(&file, start)?;
    let mut inserted = edits.finish();
    inserted.sort_by_key(|(at, _)| *at);

    let mut text = String::with_capacity(source.len() + inserted.len() * 24);
    let mut insertions = Vec::with_capacity(inserted.len());
    let mut from = 0;
    for (at, piece) in inserted {
        text.push_str(&source[from..at]);
        text.push_str(piece);
        insertions.push((at, piece.len()));
        from = at;
    }
    text.push_str(&source[from..]);
    Ok(Instrumented { text, insertions })
}

fn diagnose(file: &str, source: &str, refusal: Refusal) -> Diagnostic {
    let start = refusal.span.start.into_usize();
    let end = refusal.span.end.into_usize();
    Diagnostic::at(file, source, start..end, refusal.code, refusal.message).with_hint(refusal.hint)
}

/// The span of a node as byte offsets.
pub(crate) fn range(node: &dyn Spanned) -> (usize, usize) {
    let span = node.span();
    (span.start.into_usize(), span.end.into_usize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> String {
        write(source).unwrap_or_else(|refusal| panic!("{source}: {refusal:?}")).text
    }

    const T: &str = visit::CHECKPOINT;

    #[test]
    fn every_body_begins_with_a_checkpoint_on_its_own_line() {
        let cases: &[(&str, String)] = &[
            ("pub fn f() {}", format!("pub fn f() {{{T}}}")),
            ("async fn f() { 1 }", format!("async fn f() {{{T} 1 }}")),
            ("fn f() { loop { 1; } }", format!("fn f() {{{T} loop {{{T} 1; }} }}")),
            ("fn f() { while g() {} }", format!("fn f() {{{T} while g() {{{T}}} }}")),
            ("fn f() { for x in y {} }", format!("fn f() {{{T} for x in y {{{T}}} }}")),
            ("fn f() { |x| x + 1 }", format!("fn f() {{{T} |x| {{{T} x + 1}} }}")),
            ("fn f() { |x| { x; } }", format!("fn f() {{{T} |x| {{{T} x; }} }}")),
            ("fn f() { async { loop {} } }", format!("fn f() {{{T} async {{{T} loop {{{T}}} }} }}")),
            ("fn f() { async || 1 }", format!("fn f() {{{T} async || {{{T} 1}} }}")),
            ("async fn f() { || loop {} }", format!("async fn f() {{{T} || {{{T} loop {{{T}}}}} }}")),
            ("impl F { fn f(self) {} }", format!("impl F {{ fn f(self) {{{T}}} }}")),
            ("mod m { fn f() {} }", format!("mod m {{ fn f() {{{T}}} }}")),
        ];
        for (source, wanted) in cases {
            assert_eq!(text(source).replace(visit::PRELUDE, ""), *wanted, "{source}");
        }
    }

    #[test]
    fn template_strings_and_macro_arguments_are_reached() {
        let closure = format!("|| {{{T} 1}}");
        for source in [
            "fn f() { `${g(|| 1)}` }",
            "fn f() { `a ${`b ${g(|| 1)}`} c` }",
            "fn f() { vec![1, g(|| 1)] }",
            "fn f() { format!(\"{}\", g(|| 1)) }",
            "fn f() { format!(\"{a}\", a = g(|| 1)) }",
            "fn f() { panic!(\"{}\", g(|| 1)) }",
            "fn f() { json!({ \"a\": [1, g(|| 1)], \"b\": { \"c\": 1 } }) }",
            "fn f() { json!([g(|| 1), { \"a\": 1 }]) }",
        ] {
            assert!(text(source).contains(&closure), "{source}: {}", text(source));
        }
    }

    #[test]
    fn what_a_comparison_walks_is_weighed_unless_one_side_is_a_literal() {
        assert!(text("fn f() { a == b }").contains("::callboard::__w(a) == b"));
        assert!(text("fn f() { a.b() < c }").contains("::callboard::__w(a.b()) < c"));
        assert!(!text("fn f() { a == 1 }").contains("__w"));
        assert!(!text("fn f() { -1 < a }").contains("__w"));
        assert!(!text("fn f() { \"x\" != a }").contains("__w"));
    }

    #[test]
    fn what_an_assignment_writes_into_is_noted_unless_it_is_given_a_number_or_a_text() {
        for (source, wanted) in [
            ("fn f() { a.b = c; }", "::callboard::__k(a).b = c;"),
            ("fn f() { a.b.c = d(); }", "::callboard::__k(a.b).c = d();"),
            ("fn f() { a[i] = b && c; }", "::callboard::__k(a)[i] = b && c;"),
            ("fn f() { a().0 = b; }", "::callboard::__k(a()).0 = b;"),
            ("fn f() { a.b = 1; }", " a.b = 1;"),
            ("fn f() { a.b = c + 1; }", " a.b = c + 1;"),
            ("fn f() { a = b; }", " a = b;"),
        ] {
            assert!(text(source).contains(wanted), "{source}: {}", text(source));
        }
    }

    #[test]
    fn the_variable_that_a_block_is_comes_out_of_it_as_a_copy() {
        for (source, wanted) in [
            (
                "fn f() { let a = 1 + { let b = 1; b }; a }",
                "1 + { let b = 1; ::callboard::__i(b) }; ::callboard::__i(a) }",
            ),
            ("fn f() { match a { b => b, _ => 1 } }", "{ b => ::callboard::__i(b), _ => 1 }"),
            ("fn f() { if a { b } else { c } }", "if a { ::callboard::__i(b) } else { ::callboard::__i(c) }"),
            ("fn f() { || { a } }", " ::callboard::__i(a) }"),
        ] {
            assert!(text(source).contains(wanted), "{source}: {}", text(source));
        }
    }

    #[test]
    fn what_cannot_be_metered_is_refused_by_name() {
        for (source, code) in [
            ("const fn f() { 1 }", "script.const_fn"),
            ("fn f() { dbg!(1) }", "script.macro"),
            ("fn f() { println!(\"a\") }", "script.macro"),
            ("fn f() { json!({ a: 1 }) }", "script.json"),
            ("fn f() { format!(\"{:>100000000}\", 1) }", "script.format_width"),
            ("fn f() { format!(\"{:>\\u{31}\\u{30}00000000}\", 1) }", "script.format_width"),
            ("fn f() { format!(\"{:>\\x31\\x3000000000}\", 1) }", "script.format_width"),
            ("fn f( {", "script.syntax"),
        ] {
            let error = instrument("main.rn", source).expect_err(source);
            assert_eq!(error.code, code, "{source}: {error:?}");
        }
    }

    #[test]
    fn an_offset_leads_back_to_the_authors_own() {
        let source = "fn f() { loop { x; } }\nfn g() { a == b }";
        let instrumented = write(source).unwrap();
        for (word, at) in [("x; }", 16), ("a)", 32), ("b }", 37), ("fn g", 23)] {
            let found = instrumented.text.find(word).unwrap();
            assert_eq!(instrumented.original(found), at, "{word}: {}", instrumented.text);
        }
    }
}
