//! `json!` and `json_push!`: JSON without objects, in one native call.
//!
//! `json!({ "id": id, "tags": ["a", tag] })` becomes `::callboard::__json(SHAPE, id, tag)`. Keys come
//! out in the order of writing. `json_push!(list, { … })` writes an element into a list in place.

use std::cell::RefCell;

use rune::ast;
use rune::macros::{MacroContext, ToTokens, TokenStream, quote};
use rune::runtime::{InstAddress, Memory, Output, VmResult};
use rune::{ContextError, Module, compile, vm_try};

use super::json::Json;
use super::json_build::Shapes;
use super::{call, json_write};
use crate::instrument::{JsonNode, Refusal, read_json};

thread_local! {
    /// The shapes of the unit that this thread compiles.
    static COLLECTED: RefCell<Shapes> = const { RefCell::new(Shapes(Vec::new())) };
}

/// Takes the shapes that the compilation on this thread has collected.
pub(crate) fn take_shapes() -> Shapes {
    COLLECTED.with(RefCell::take)
}

/// The functions that the macros become.
pub(super) fn functions() -> Result<Module, ContextError> {
    let mut module = Module::with_crate("callboard")?.with_unique("callboard::json_functions");
    module.raw_function("__json", build).build()?;
    module.raw_function("__json_push", push).build()?;
    Ok(module)
}

/// The macros, in a module that the instrumenter writes before their names: scripts use them unimported.
pub(super) fn macros() -> Result<Module, ContextError> {
    let mut module = Module::with_crate_item("callboard", ["__m"])?;
    module.macro_(["json"], json)?;
    module.macro_(["json_push"], json_push)?;
    Ok(module)
}

fn json(cx: &mut MacroContext<'_, '_, '_>, stream: &TokenStream) -> compile::Result<TokenStream> {
    expand(cx, stream, false)
}

fn json_push(cx: &mut MacroContext<'_, '_, '_>, stream: &TokenStream) -> compile::Result<TokenStream> {
    expand(cx, stream, true)
}

fn expand(
    cx: &mut MacroContext<'_, '_, '_>,
    stream: &TokenStream,
    target: bool,
) -> compile::Result<TokenStream> {
    let span = cx.input_span();
    let refused = |refusal: Refusal| compile::Error::msg(refusal.span, refusal.message);
    let (target, node) = read_json(stream, &span, target).map_err(refused)?;
    let mut shape = vec![String::new()];
    let mut values = Vec::new();
    write_node(cx, node, &mut shape, &mut values)?;
    let Some(number) = COLLECTED.with(|shapes| shapes.borrow_mut().add(shape)) else {
        return Err(compile::Error::msg(span, "a script may have at most 4096 different `json!` shapes"));
    };
    let number = cx.lit(i64::try_from(number).unwrap_or(i64::MAX))?;
    let mut out = TokenStream::new();
    match &target {
        Some(target) => {
            quote!(::callboard::__json_push).into_token_stream(cx)?.to_tokens(cx, &mut out)?;
            arguments(cx, &mut out, Some(target), &number, &values)?;
        }
        None => {
            quote!(::callboard::__json).into_token_stream(cx)?.to_tokens(cx, &mut out)?;
            arguments(cx, &mut out, None, &number, &values)?;
        }
    }
    Ok(out)
}

fn arguments(
    cx: &mut MacroContext<'_, '_, '_>,
    out: &mut TokenStream,
    target: Option<&ast::Expr>,
    number: &ast::Lit,
    values: &[ast::Expr],
) -> compile::Result<()> {
    let mut inner = TokenStream::new();
    if let Some(target) = target {
        quote!(#target,).into_token_stream(cx)?.to_tokens(cx, &mut inner)?;
    }
    quote!(#number).into_token_stream(cx)?.to_tokens(cx, &mut inner)?;
    for value in values {
        quote!(, #value).into_token_stream(cx)?.to_tokens(cx, &mut inner)?;
    }
    quote!((#inner)).into_token_stream(cx)?.to_tokens(cx, out)?;
    Ok(())
}

fn write_node(
    cx: &mut MacroContext<'_, '_, '_>,
    node: JsonNode,
    shape: &mut Vec<String>,
    values: &mut Vec<ast::Expr>,
) -> compile::Result<()> {
    fn piece(shape: &mut [String]) -> &mut String {
        shape.last_mut().expect("a shape has a piece from the start")
    }
    match node {
        JsonNode::Object(fields) => {
            piece(shape).push('{');
            for (index, (key, value)) in fields.into_iter().enumerate() {
                if index > 0 {
                    piece(shape).push(',');
                }
                let key = serde_json::Value::from(&*cx.resolve(key)?);
                piece(shape).push_str(&format!("{key}:"));
                write_node(cx, value, shape, values)?;
            }
            piece(shape).push('}');
        }
        JsonNode::List(items) => {
            piece(shape).push('[');
            for (index, item) in items.into_iter().enumerate() {
                if index > 0 {
                    piece(shape).push(',');
                }
                write_node(cx, item, shape, values)?;
            }
            piece(shape).push(']');
        }
        JsonNode::Value(expr) => {
            values.push(*expr);
            shape.push(String::new());
        }
    }
    Ok(())
}

/// `__json(SHAPE, values…)`: a new JSON text.
fn build(stack: &mut dyn Memory, addr: InstAddress, count: usize, out: Output) -> VmResult<()> {
    let mut text = rune::alloc::Vec::new();
    {
        let arguments = vm_try!(stack.slice_at(addr, count));
        let Some((number, values)) = arguments.split_first() else {
            return VmResult::panic("json! without a shape");
        };
        vm_try!(write(&mut text, vm_try!(number.as_integer::<usize>()), values));
    }
    let json = vm_try!(rune::runtime::Value::new(Json::own(text)));
    vm_try!(out.store(stack, json));
    VmResult::Ok(())
}

/// `__json_push(list, SHAPE, values…)`: another element of a list, in place.
fn push(stack: &mut dyn Memory, addr: InstAddress, count: usize, out: Output) -> VmResult<()> {
    {
        let arguments = vm_try!(stack.slice_at(addr, count));
        let [list, number, values @ ..] = arguments else {
            return VmResult::panic("json_push! without a list and a shape");
        };
        let number = vm_try!(number.as_integer::<usize>());
        // Written apart first: a value may be the list itself.
        let mut text = rune::alloc::Vec::new();
        vm_try!(write(&mut text, number, values));
        let mut list = vm_try!(list.borrow_mut::<Json>());
        vm_try!(list.push_text(&text));
    }
    vm_try!(out.store(stack, ()));
    VmResult::Ok(())
}

fn write(text: &mut rune::alloc::Vec<u8>, number: usize, values: &[rune::runtime::Value]) -> VmResult<()> {
    let written = vm_try!(call::with_current(|call| {
        let Some(shape) = call.shapes.get(number) else {
            return VmResult::panic("this json! has no shape in its unit");
        };
        let mut writer = json_write::Writer::new(text, call.response_max);
        for (index, piece) in shape.iter().enumerate() {
            vm_try!(writer.raw(piece.as_bytes()));
            if let Some(value) = values.get(index) {
                vm_try!(writer.value(value));
            }
        }
        VmResult::Ok(())
    }));
    written
}
