//! Nesting: is a script flat enough to be parsed and compiled?
//!
//! Invariant: what passes makes the parser, the compiler and everything else that walks the syntax tree recurse
//! a bounded number of times; they would end the process on a script that is nested deeper than their stack.
//! Not here: whether the script means anything.
//!
//! The engine's own lexer reads the script, so that the check and the parser never disagree about where a
//! string, a template or a comment ends. Two numbers are bounded: open brackets, and *links*: every token that
//! can put one expression into another (operators, calls, dots, keywords, closures), summed over all brackets
//! that are open. Links are forgotten where a statement or an element of a list ends.

use rune::SourceId;
use rune::ast::{Delimiter, Kind, Span, Spanned, Token};
use rune::parse::Parser;

use crate::diagnostic::Diagnostic;

/// The largest script, in bytes.
pub const SOURCE_MAX: usize = 256 << 10;
/// The longest line, in characters.
pub const LINE_MAX: usize = 20_000;
/// The longest name, in bytes: the engine gives up on names of 16 KiB.
pub const NAME_MAX: usize = 1_000;
/// The most brackets, braces, parentheses and template strings that may be open at one place.
pub const DEPTH_MAX: usize = 128;
/// The most links that may hang on each other at one place.
pub const LINKS_MAX: usize = 1_000;

/// Checks a script before it is parsed.
///
/// # Errors
/// It is too large or too deeply nested, its brackets do not match, or it has no tokens that could be parsed.
pub fn check(file: &str, source: &str) -> Result<(), Box<Diagnostic>> {
    if source.len() > SOURCE_MAX {
        return Err(Box::new(
            Diagnostic::whole(file, "script.too_large", "a script has at most 256KiB")
                .with_hint("put parts of it into files of their own".to_owned()),
        ));
    }
    let mut from = 0;
    for line in source.split_inclusive('\n') {
        let text = line.trim_end_matches('\n');
        if text.len() > LINE_MAX && text.chars().count() > LINE_MAX {
            let message = "a line has at most 20000 characters";
            return Err(Box::new(Diagnostic::at(
                file,
                source,
                from..from + 1,
                "script.line_too_long",
                message,
            )));
        }
        from += line.len();
    }
    let refuse = |problem: Problem| {
        let span = problem.span.start.into_usize()..problem.span.end.into_usize();
        Box::new(Diagnostic::at(file, source, span, problem.code, problem.message).with_hint(problem.hint))
    };
    scan(source, false).map_err(refuse)?;
    if source.starts_with("#!") {
        // The line is skipped by one way of parsing and read by the other; both have to be bounded.
        scan(source, true).map_err(refuse)?;
    }
    Ok(())
}

/// Why a script is refused, and where.
struct Problem {
    span: Span,
    code: &'static str,
    message: String,
    hint: Option<String>,
}

fn scan(source: &str, shebang: bool) -> Result<(), Problem> {
    let mut parser = Parser::new(source, SourceId::EMPTY, shebang);
    let mut scan = Scan::default();
    loop {
        // What cannot be read as tokens must not reach the parser: it may go on behind what it cannot read.
        match parser.is_eof().and_then(|end| if end { Ok(None) } else { parser.parse::<Token>().map(Some) }) {
            Ok(Some(token)) => scan.token(token)?,
            Ok(None) => return scan.end(),
            Err(error) => {
                let (span, message) = (error.span(), error.to_string());
                return Err(Problem { span, code: "script.syntax", message, hint: None });
            }
        }
    }
}

/// What is open between two brackets.
struct Frame {
    open: Delimiter,
    span: Span,
    links: usize,
    /// A closure's or a type's arguments may be open, in which a comma ends nothing.
    open_ended: bool,
}

#[derive(Default)]
struct Scan {
    /// The statement outside of all brackets.
    outside: Statement,
    frames: Vec<Frame>,
    depth: usize,
    links: usize,
    last: Option<Kind>,
    before_last: Option<Kind>,
}

#[derive(Default)]
struct Statement {
    links: usize,
    open_ended: bool,
}

impl Scan {
    fn token(&mut self, token: Token) -> Result<(), Problem> {
        let Token { kind, span, .. } = token;
        let length = span.end.into_usize() - span.start.into_usize();
        if matches!(kind, Kind::Ident(_) | Kind::Label(_)) && length > NAME_MAX {
            let message = format!("a name has at most {NAME_MAX} bytes, this one has {length}");
            return Err(Problem { span, code: "script.name_too_long", message, hint: None });
        }
        match kind {
            Kind::Open(open) => self.open(open, span)?,
            Kind::Close(close) => self.close(close, span)?,
            Kind::SemiColon => self.forget(true),
            Kind::Comma => self.forget(false),
            _ => {
                if self.last == Some(Kind::Close(Delimiter::Brace)) && begins_statement(kind) {
                    self.forget(true);
                }
                if matches!(kind, Kind::Pipe | Kind::Lt) {
                    *self.innermost().1 = true;
                }
                let is_attribute = kind == Kind::Bang && self.last == Some(Kind::Pound);
                if is_link(kind) && !is_attribute {
                    self.link(span)?;
                }
            }
        }
        self.before_last = self.last.replace(kind);
        Ok(())
    }

    fn open(&mut self, open: Delimiter, span: Span) -> Result<(), Problem> {
        let is_attribute = self.last == Some(Kind::Pound)
            || (self.last == Some(Kind::Bang) && self.before_last == Some(Kind::Pound));
        if open == Delimiter::Empty && self.last == Some(Kind::Close(Delimiter::Brace)) {
            self.forget(true);
        }
        if !is_attribute {
            self.link(span)?;
        }
        // A template string opens an empty bracket and a parenthesis within; it counts once.
        if open != Delimiter::Empty {
            self.depth += 1;
        }
        if self.depth > DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} brackets and template strings are open here");
            let hint = Some("put the inner parts into functions of their own".to_owned());
            return Err(Problem { span, code: "script.too_nested", message, hint });
        }
        self.frames.push(Frame { open, span, links: 0, open_ended: false });
        Ok(())
    }

    fn close(&mut self, close: Delimiter, span: Span) -> Result<(), Problem> {
        let unbalanced = |message: String| Problem { span, code: "script.unbalanced", message, hint: None };
        let Some(frame) = self.frames.pop() else {
            return Err(unbalanced(format!("this {} closes nothing", closing(close))));
        };
        if frame.open != close {
            return Err(unbalanced(format!(
                "this has to be a {}, not a {}",
                closing(frame.open),
                closing(close)
            )));
        }
        self.links -= frame.links;
        if close != Delimiter::Empty {
            self.depth -= 1;
        }
        Ok(())
    }

    fn end(&self) -> Result<(), Problem> {
        match self.frames.last() {
            None => Ok(()),
            Some(frame) => Err(Problem {
                span: frame.span,
                code: "script.unbalanced",
                message: format!("this is never closed by a {}", closing(frame.open)),
                hint: None,
            }),
        }
    }

    fn link(&mut self, span: Span) -> Result<(), Problem> {
        *self.innermost().0 += 1;
        self.links += 1;
        if self.links <= LINKS_MAX {
            return Ok(());
        }
        let message = format!("more than {LINKS_MAX} operators, calls and keywords hang on each other here");
        let hint = Some("split the statement into several".to_owned());
        Err(Problem { span, code: "script.too_chained", message, hint })
    }

    /// The links of the statement that is read, and whether a comma ends nothing in it.
    fn innermost(&mut self) -> (&mut usize, &mut bool) {
        match self.frames.last_mut() {
            Some(frame) => (&mut frame.links, &mut frame.open_ended),
            None => (&mut self.outside.links, &mut self.outside.open_ended),
        }
    }

    /// Begins a new statement, or with a comma a new element, whose links do not hang on those before.
    fn forget(&mut self, is_statement: bool) {
        let (links, open_ended) = self.innermost();
        if is_statement {
            *open_ended = false;
        } else if *open_ended {
            return;
        }
        let forgotten = std::mem::take(links);
        self.links -= forgotten;
    }
}

/// Whether a token behind a closing brace begins a new statement, item or arm: no expression goes on with it,
/// and none that waits for a block after the brace can.
fn begins_statement(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Ident(_)
            | Kind::Label(_)
            | Kind::Byte(_)
            | Kind::ByteStr(_)
            | Kind::Char(_)
            | Kind::Number(_)
            | Kind::Str(_)
            | Kind::True
            | Kind::False
            | Kind::SelfValue
            | Kind::SelfType
            | Kind::Super
            | Kind::Crate
            | Kind::Underscore
            | Kind::Pound
            | Kind::Pub
            | Kind::Async
            | Kind::Const
            | Kind::Fn
            | Kind::Use
            | Kind::Mod
            | Kind::Struct
            | Kind::Enum
            | Kind::Impl
            | Kind::Let
            | Kind::If
            | Kind::While
            | Kind::For
            | Kind::Loop
            | Kind::Match
            | Kind::Select
            | Kind::Return
            | Kind::Break
            | Kind::Continue
            | Kind::Yield
    )
}

/// Whether a token can put one expression into another. What is not known to be harmless is a link.
fn is_link(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::Ident(_)
            | Kind::Label(_)
            | Kind::Byte(_)
            | Kind::ByteStr(_)
            | Kind::Char(_)
            | Kind::Number(_)
            | Kind::Str(_)
            | Kind::Shebang(_)
            | Kind::True
            | Kind::False
            | Kind::SelfValue
            | Kind::SelfType
            | Kind::Super
            | Kind::Crate
            | Kind::Underscore
            | Kind::Pound
            | Kind::Pub
            | Kind::Fn
            | Kind::Use
            | Kind::Mod
            | Kind::Struct
            | Kind::Enum
            | Kind::Impl
    )
}

fn closing(bracket: Delimiter) -> &'static str {
    match bracket {
        Delimiter::Parenthesis => "`)`",
        Delimiter::Brace => "`}`",
        Delimiter::Bracket => "`]`",
        // The lexer makes an empty bracket of a template string, and has no other kind.
        _ => "closing backtick",
    }
}

#[cfg(test)]
mod tests;
