//! The argument of `json!`: objects and lists as in JSON, with an expression wherever a value stands.
//!
//! The same reader serves twice: the instrumenter visits the expressions that it finds, and the macro
//! itself (`host::json_macro`) turns the same tree into a shape and its values.

use rune::ast::{self, Spanned};
use rune::macros::TokenStream;
use rune::parse::Parser;

use super::Refusal;
use super::visit::{Edits, parser};

/// What may stand in a `json!` argument.
pub(crate) enum Node {
    /// An object: keys as they stand in the source (string literals) and values.
    Object(Vec<(ast::LitStr, Node)>),
    /// A list.
    List(Vec<Node>),
    /// Any expression.
    Value(Box<ast::Expr>),
}

/// Reads one `json!` value, and for `json_push!` the target before it.
pub(crate) fn read(
    stream: &TokenStream,
    call: &dyn Spanned,
    target: bool,
) -> Result<(Option<ast::Expr>, Node), Refusal> {
    let mut parser = Parser::from_token_stream(stream, call.span());
    read_all(&mut parser, call, target)
}

fn read_all(
    parser: &mut Parser<'_>,
    call: &dyn Spanned,
    target: bool,
) -> Result<(Option<ast::Expr>, Node), Refusal> {
    let target = if target {
        let target = parser.parse::<ast::Expr>()?;
        parser.parse::<ast::Comma>()?;
        Some(target)
    } else {
        None
    };
    if parser.is_eof()? {
        return Err(Refusal::new(call.span(), "script.json", "`json!` needs a value")
            .hint("for example json!({ \"name\": name })"));
    }
    let node = node(parser)?;
    parser.try_consume::<ast::Comma>()?;
    if !parser.is_eof()? {
        return Err(Refusal::new(call.span(), "script.json", "`json!` takes one value")
            .hint("separate the fields of one object with commas: json!({ \"a\": 1, \"b\": 2 })"));
    }
    Ok((target, node))
}

fn node(parser: &mut Parser<'_>) -> Result<Node, Refusal> {
    if parser.peek::<ast::OpenBrace>()? {
        return object(parser);
    }
    if parser.peek::<ast::OpenBracket>()? {
        parser.parse::<ast::OpenBracket>()?;
        let mut items = Vec::new();
        while !parser.peek::<ast::CloseBracket>()? {
            items.push(node(parser)?);
            if !parser.try_consume::<ast::Comma>()? {
                break;
            }
        }
        parser.parse::<ast::CloseBracket>()?;
        return Ok(Node::List(items));
    }
    Ok(Node::Value(Box::new(parser.parse::<ast::Expr>()?)))
}

fn object(parser: &mut Parser<'_>) -> Result<Node, Refusal> {
    parser.parse::<ast::OpenBrace>()?;
    let mut fields = Vec::new();
    while !parser.peek::<ast::CloseBrace>()? {
        let key = parser.parse::<ast::Expr>()?;
        let ast::Expr::Lit(ast::ExprLit { lit: ast::Lit::Str(key), .. }) = key else {
            return Err(Refusal::new(
                key.span(),
                "script.json",
                "A key of `json!` is a string in double quotes",
            )
            .hint(
                "json!({ \"name\": name }); for keys that are only known when it runs use an object: #{}",
            ));
        };
        parser.parse::<ast::Colon>()?;
        fields.push((key, node(parser)?));
        if !parser.try_consume::<ast::Comma>()? {
            break;
        }
    }
    parser.parse::<ast::CloseBrace>()?;
    Ok(Node::Object(fields))
}

/// Visits the expressions of a `json!` or `json_push!` call.
pub(super) fn walk(edits: &mut Edits<'_>, call: &ast::MacroCall, target: bool) -> Result<(), Refusal> {
    let (target, node) = read_all(&mut parser(&call.input, call), call, target)?;
    if let Some(target) = target {
        edits.expr(&target)?;
    }
    walk_node(edits, &node)
}

fn walk_node(edits: &mut Edits<'_>, node: &Node) -> Result<(), Refusal> {
    match node {
        Node::Object(fields) => fields.iter().try_for_each(|(_, value)| walk_node(edits, value)),
        Node::List(items) => items.iter().try_for_each(|item| walk_node(edits, item)),
        Node::Value(expr) => edits.expr(expr),
    }
}
