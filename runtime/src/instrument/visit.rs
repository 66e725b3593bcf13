//! The walk over a source's tree that collects where checkpoints go.

use rune::ast::{self, Spanned};
use rune::macros::TokenStream;
use rune::parse::Parser;

use super::{Refusal, json_args, range};

/// A checkpoint.
pub(super) const CHECKPOINT: &str = " ::callboard::__t();";
/// What every module of a script sees without an import of its own.
pub(super) const PRELUDE: &str = "use ::callboard::prelude::*; ";
const WEIGH: &str = "::callboard::__w(";
const NOTE: &str = "::callboard::__k(";
const COPY: &str = "::callboard::__i(";

/// The widest field that a format may ask for.
const FORMAT_WIDTH: usize = 1024;

/// Macros whose arguments are expressions between commas, and whether what they print is weighed.
const EXPRESSION_MACROS: &[(&str, bool)] = &[
    ("format", true),
    ("panic", true),
    ("assert", true),
    ("assert_eq", true),
    ("assert_ne", true),
    ("vec", false),
    ("template", false),
    ("stringify", false),
    ("line", false),
    ("file", false),
];

/// The insertions found so far.
pub(super) struct Edits<'a> {
    source: &'a str,
    found: Vec<(usize, &'static str)>,
}

type Walk = Result<(), Refusal>;

impl<'a> Edits<'a> {
    pub(super) fn new(source: &'a str) -> Self {
        Self { source, found: Vec::new() }
    }

    /// The insertions, in an order that a stable sort by place keeps right.
    pub(super) fn finish(self) -> Vec<(usize, &'static str)> {
        self.found
    }

    fn insert(&mut self, at: usize, piece: &'static str) {
        self.found.push((at, piece));
    }

    fn checkpoint(&mut self, at: usize) {
        self.insert(at, CHECKPOINT);
    }

    /// A module begins at `start`: it sees the prelude.
    pub(super) fn file(&mut self, file: &ast::File, start: usize) -> Walk {
        self.insert(start, PRELUDE);
        for (item, _) in &file.items {
            self.item(item)?;
        }
        Ok(())
    }

    fn item(&mut self, item: &ast::Item) -> Walk {
        match item {
            ast::Item::Fn(function) => self.function(function),
            ast::Item::Impl(item) => item.functions.iter().try_for_each(|function| self.function(function)),
            ast::Item::Mod(item) => match &item.body {
                ast::ItemModBody::InlineBody(body) => self.file(&body.file, range(&body.open).1),
                _ => Ok(()),
            },
            ast::Item::MacroCall(call) => Err(Refusal::new(
                call.span(),
                "script.macro",
                "A macro cannot make items here: what it makes could not be metered",
            )),
            // Constants are evaluated by the compiler, under its own limits; the rest has no code in it.
            _ => Ok(()),
        }
    }

    fn function(&mut self, function: &ast::ItemFn) -> Walk {
        if function.const_token.is_some() {
            return Err(Refusal::new(
                function.fn_token.span(),
                "script.const_fn",
                "A `const fn` cannot be metered",
            )
            .hint("write `fn`"));
        }
        self.body(&function.body)
    }

    /// A block that is entered again and again: it begins with a checkpoint.
    fn body(&mut self, block: &ast::Block) -> Walk {
        self.checkpoint(range(&block.open).1);
        self.block(block)
    }

    /// A block and what it is. Where Rune takes an operand from a variable in place, it does so after the block that
    /// the variable belongs to, and finds nothing there: `1 + { let one = 1; one }`. A copy is made in time.
    fn block(&mut self, block: &ast::Block) -> Walk {
        let (last, before) = match block.statements.split_last() {
            Some((ast::Stmt::Expr(last), before)) => (Some(last), before),
            _ => (None, &block.statements[..]),
        };
        self.statements(before)?;
        last.map_or(Ok(()), |last| self.value(last))
    }

    /// What a block or a branch is.
    fn value(&mut self, expr: &ast::Expr) -> Walk {
        match expr {
            ast::Expr::Path(_) => self.within(COPY, expr),
            other => self.expr(other),
        }
    }

    fn statements(&mut self, statements: &[ast::Stmt]) -> Walk {
        for statement in statements {
            match statement {
                ast::Stmt::Local(local) => self.expr(&local.expr)?,
                ast::Stmt::Item(item, _) => self.item(item)?,
                ast::Stmt::Expr(expr) => self.expr(expr)?,
                ast::Stmt::Semi(semi) => self.expr(&semi.expr)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn condition(&mut self, condition: &ast::Condition) -> Walk {
        match condition {
            ast::Condition::Expr(expr) => self.expr(expr),
            ast::Condition::ExprLet(binding) => self.expr(&binding.expr),
            _ => Ok(()),
        }
    }

    fn exprs<'e>(&mut self, exprs: impl IntoIterator<Item = &'e ast::Expr>) -> Walk {
        exprs.into_iter().try_for_each(|expr| self.expr(expr))
    }

    pub(super) fn expr(&mut self, expr: &ast::Expr) -> Walk {
        match expr {
            ast::Expr::Path(_) | ast::Expr::Lit(_) | ast::Expr::Continue(_) => Ok(()),
            ast::Expr::Assign(e) => self.assign(e),
            ast::Expr::While(e) => {
                self.condition(&e.condition)?;
                self.body(&e.body)
            }
            ast::Expr::Loop(e) => self.body(&e.body),
            ast::Expr::For(e) => {
                self.expr(&e.iter)?;
                self.body(&e.body)
            }
            ast::Expr::Let(e) => self.expr(&e.expr),
            ast::Expr::If(e) => {
                self.condition(&e.condition)?;
                self.block(&e.block)?;
                for branch in &e.expr_else_ifs {
                    self.condition(&branch.condition)?;
                    self.block(&branch.block)?;
                }
                e.expr_else.as_ref().map_or(Ok(()), |branch| self.block(&branch.block))
            }
            ast::Expr::Match(e) => {
                self.expr(&e.expr)?;
                for (branch, _) in &e.branches {
                    self.exprs(branch.condition.as_ref().map(|(_, guard)| guard))?;
                    self.value(&branch.body)?;
                }
                Ok(())
            }
            ast::Expr::Call(e) => {
                self.expr(&e.expr)?;
                self.exprs(e.args.iter().map(|(argument, _)| argument))
            }
            ast::Expr::FieldAccess(e) => self.expr(&e.expr),
            ast::Expr::Binary(e) => self.binary(e),
            ast::Expr::Unary(e) => self.expr(&e.expr),
            ast::Expr::Index(e) => self.exprs([&*e.target, &*e.index]),
            ast::Expr::Break(e) => self.exprs(e.expr.as_deref()),
            ast::Expr::Yield(e) => self.exprs(e.expr.as_deref()),
            ast::Expr::Return(e) => self.exprs(e.expr.as_deref()),
            ast::Expr::Block(e) => self.block_expr(e),
            ast::Expr::Await(e) => self.expr(&e.expr),
            ast::Expr::Try(e) => self.expr(&e.expr),
            ast::Expr::Select(e) => {
                for (branch, _) in &e.branches {
                    match branch {
                        ast::ExprSelectBranch::Pat(branch) => self.exprs([&branch.expr, &branch.body])?,
                        ast::ExprSelectBranch::Default(branch) => self.expr(&branch.body)?,
                        _ => {}
                    }
                }
                Ok(())
            }
            ast::Expr::Closure(e) => self.closure(e),
            ast::Expr::Object(e) => {
                let values = e.assignments.iter().filter_map(|(field, _)| field.assign.as_ref());
                self.exprs(values.map(|(_, value)| value))
            }
            ast::Expr::Tuple(e) => self.exprs(e.items.iter().map(|(item, _)| item)),
            ast::Expr::Vec(e) => self.exprs(e.items.iter().map(|(item, _)| item)),
            ast::Expr::Range(e) => {
                self.exprs(e.start.as_deref())?;
                self.exprs(e.end.as_deref())
            }
            ast::Expr::Empty(e) => self.expr(&e.expr),
            ast::Expr::Group(e) => self.expr(&e.expr),
            ast::Expr::MacroCall(call) => self.macro_call(call),
            other => Err(Refusal::new(
                other.span(),
                "script.unsupported",
                "This kind of expression cannot be metered",
            )),
        }
    }

    fn block_expr(&mut self, e: &ast::ExprBlock) -> Walk {
        if e.const_token.is_some() {
            return Err(Refusal::new(
                e.block.open.span(),
                "script.const_fn",
                "A `const` block cannot be metered",
            )
            .hint("leave `const` out"));
        }
        if e.async_token.is_some() { self.body(&e.block) } else { self.block(&e.block) }
    }

    fn closure(&mut self, e: &ast::ExprClosure) -> Walk {
        match &*e.body {
            ast::Expr::Block(body)
                if body.async_token.is_none() && body.const_token.is_none() && body.label.is_none() =>
            {
                self.body(&body.block)
            }
            body => {
                let (start, end) = range(body);
                self.insert(start, "{");
                self.checkpoint(start);
                self.insert(start, " ");
                self.expr(body)?;
                self.insert(end, "}");
                Ok(())
            }
        }
    }

    fn binary(&mut self, e: &ast::ExprBinary) -> Walk {
        let compares = matches!(
            e.op,
            ast::BinOp::Eq(_)
                | ast::BinOp::Neq(_)
                | ast::BinOp::Lt(_)
                | ast::BinOp::Gt(_)
                | ast::BinOp::Lte(_)
                | ast::BinOp::Gte(_)
        );
        if compares && !is_literal(&e.lhs) && !is_literal(&e.rhs) {
            self.weighed(&e.lhs)?;
        } else {
            self.expr(&e.lhs)?;
        }
        self.expr(&e.rhs)
    }

    /// What a value is put into is noted, unless it is plain that what is put in holds nothing.
    fn assign(&mut self, e: &ast::ExprAssign) -> Walk {
        match &*e.lhs {
            _ if is_literal(&e.rhs) || is_arithmetic(&e.rhs) => self.expr(&e.lhs)?,
            ast::Expr::FieldAccess(field) => self.within(NOTE, &field.expr)?,
            ast::Expr::Index(index) => {
                self.within(NOTE, &index.target)?;
                self.expr(&index.index)?;
            }
            other => self.expr(other)?,
        }
        self.expr(&e.rhs)
    }

    fn weighed(&mut self, expr: &ast::Expr) -> Walk {
        self.within(WEIGH, expr)
    }

    fn within(&mut self, call: &'static str, expr: &ast::Expr) -> Walk {
        let (start, end) = range(expr);
        self.insert(start, call);
        self.expr(expr)?;
        self.insert(end, ")");
        Ok(())
    }

    fn macro_call(&mut self, call: &ast::MacroCall) -> Walk {
        let (start, end) = range(&call.path);
        // The template macro is made by the lexer: its path stands for the whole template string.
        let path = self.source.get(start..end).unwrap_or_default();
        let name = if path.starts_with('`') { "template" } else { path.rsplit("::").next().unwrap_or(path) };
        if name == "json" || name == "json_push" {
            if path == name {
                self.insert(start, "::callboard::__m::");
            }
            return json_args::walk(self, call, name == "json_push");
        }
        let Some((_, weighs)) = EXPRESSION_MACROS.iter().find(|(known, _)| *known == name) else {
            return Err(Refusal::new(
                call.span(),
                "script.macro",
                format!("There is no macro `{name}!` that can be metered"),
            )
            .hint("the macros are format!, panic!, assert!, assert_eq!, assert_ne!, vec!, json! and json_push!; \
                   to write to the log use callboard::log"));
        };
        if name == "stringify" {
            return Ok(());
        }
        let mut parser = Parser::from_token_stream(&call.input, call.span());
        let mut first = true;
        while !parser.is_eof()? {
            let argument = parser.parse::<ast::Expr>()?;
            let value = match &argument {
                ast::Expr::Assign(named) => &*named.rhs,
                other => other,
            };
            if first && *weighs {
                self.format_widths(value)?;
            }
            first = false;
            if *weighs && !is_literal(value) {
                self.weighed(value)?;
            } else {
                self.expr(value)?;
            }
            if !parser.try_consume::<ast::Comma>()? {
                break;
            }
        }
        Ok(parser.eof()?)
    }

    /// A format string may ask for a field of any width; the field is filled in one native call.
    fn format_widths(&self, format: &ast::Expr) -> Walk {
        let (start, end) = range(format);
        if is_literal(format) && self.has_escape_in_field(start, end) {
            return Err(Refusal::new(
                format.span(),
                "script.format_width",
                "A field of a format is written without escapes",
            ));
        }
        let mut digits = 0usize;
        for letter in self.source.get(start..end).unwrap_or_default().chars() {
            digits = match letter.to_digit(10) {
                Some(digit) => digits.saturating_mul(10).saturating_add(digit as usize),
                None => 0,
            };
            if digits > FORMAT_WIDTH && is_literal(format) && self.in_field(start, end, digits) {
                return Err(Refusal::new(
                    format.span(),
                    "script.format_width",
                    format!("A format may ask for a field of at most {FORMAT_WIDTH} characters"),
                ));
            }
        }
        Ok(())
    }

    /// Whether a field's digits may hide behind escapes. `\u{31}` in the text outside of fields is fine.
    fn has_escape_in_field(&self, start: usize, end: usize) -> bool {
        let text = self.source.get(start..end).unwrap_or_default();
        let plain = text.replace("\\u{", "\\u(");
        plain.split('{').skip(1).any(|field| field.split('}').next().unwrap_or(field).contains('\\'))
    }

    /// Whether a number stands inside the braces of a format's field rather than in its text.
    fn in_field(&self, start: usize, end: usize, number: usize) -> bool {
        let text = self.source.get(start..end).unwrap_or_default();
        let number = number.to_string();
        text.split('{').skip(1).any(|field| field.split('}').next().unwrap_or(field).contains(&number))
    }
}

/// True for what a comparison walks in a single step.
fn is_literal(expr: &ast::Expr) -> bool {
    match expr {
        ast::Expr::Lit(_) => true,
        ast::Expr::Unary(unary) => is_literal(&unary.expr),
        ast::Expr::Group(group) => is_literal(&group.expr),
        _ => false,
    }
}

/// True for what makes a number, a text or a truth value, whatever it is made of.
fn is_arithmetic(expr: &ast::Expr) -> bool {
    match expr {
        // `a && b` is `b`, whatever that is.
        ast::Expr::Binary(binary) => {
            !matches!(binary.op, ast::BinOp::As(_) | ast::BinOp::And(_) | ast::BinOp::Or(_))
        }
        ast::Expr::Unary(unary) => matches!(unary.op, ast::UnOp::Neg(_) | ast::UnOp::Not(_)),
        ast::Expr::Group(group) => is_arithmetic(&group.expr),
        _ => false,
    }
}

/// A stream's tokens are counted before they are parsed, so that a parser of them ends.
pub(super) fn parser<'a>(stream: &'a TokenStream, call: &ast::MacroCall) -> Parser<'a> {
    Parser::from_token_stream(stream, call.span())
}
