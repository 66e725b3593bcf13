//! `::std::cmp`: orderings, and the traits of things that compare.
//!
//! Invariant: the functions that a trait adds (`ne`, `lt`, `max`, …) go through the metered comparison
//! of their type. Not here: the comparisons themselves, which are rows of each type's table.

use std::cmp::Ordering;

use rune::compile::ContextError;
use rune::runtime::{Protocol, Value, VmError, VmResult};
use rune::{FromValue, Module};

use super::cost::Cost;
use super::native::{Handler, call};
use super::table::{EQUALITY, Function, Table, Type, of, protocol, unreached};
use crate::weigh;

const ORDERING: &[Function] = &[
    unreached(&Protocol::IS_VARIANT, Cost::Free),
    protocol(&Protocol::PARTIAL_EQ, Cost::Free, "constant time", "1.cmp(2).eq(2.cmp(3))"),
    unreached(&Protocol::EQ, Cost::Free),
    unreached(&Protocol::DEBUG_FMT, Cost::Free),
];

/// `::std::cmp`
pub(super) static TABLE: Table = Table {
    path: &["cmp"],
    types: &[Type::new::<Ordering>("Ordering", &[EQUALITY], ORDERING).declared(declare_ordering)],
    functions: &[
        of("min", Cost::Weigh, "compares both", "std::cmp::min([1, 2], [1, 3])"),
        of("max", Cost::Weigh, "compares both", "std::cmp::max([1, 2], [1, 3])"),
    ],
    also: define,
};

fn declare_ordering(module: &mut Module) -> Result<(), ContextError> {
    let mut ordering = module.ty::<Ordering>()?.make_enum(&["Less", "Equal", "Greater"])?;
    ordering.variant_mut(0)?.make_empty()?.constructor(|| Ordering::Less)?;
    ordering.variant_mut(1)?.make_empty()?.constructor(|| Ordering::Equal)?;
    ordering.variant_mut(2)?.make_empty()?.constructor(|| Ordering::Greater)?;
    Ok(())
}

/// What `<` and its like ask of an order.
type Test = fn(Ordering) -> bool;

/// Asks a comparison about two values.
fn ask<T: FromValue>(comparison: &Handler, a: &Value, b: &Value) -> Result<T, VmError> {
    Ok(T::from_value(call(comparison, [a.clone(), b.clone()])?)?)
}

fn answer<T>(result: Result<T, VmError>) -> VmResult<T> {
    match result {
        Ok(value) => VmResult::Ok(value),
        Err(error) => VmResult::Err(error),
    }
}

fn define(module: &mut Module) -> Result<(), ContextError> {
    let mut partial_eq = module.define_trait(["PartialEq"])?;
    partial_eq.handler(|cx| {
        let eq = cx.find(&Protocol::PARTIAL_EQ)?;
        cx.function("ne", move |a: Value, b: Value| answer(ask::<bool>(&eq, &a, &b).map(|equal| !equal)))?;
        Ok(())
    })?;
    for name in ["eq", "ne"] {
        partial_eq.function(name)?;
    }

    module.define_trait(["Eq"])?.handler(|cx| cx.find(&Protocol::EQ).map(drop))?;

    let mut partial_ord = module.define_trait(["PartialOrd"])?;
    partial_ord.handler(|cx| {
        let compare = cx.find(&Protocol::PARTIAL_CMP)?;
        let tests: [(&'static Protocol, Test); 4] = [
            (&Protocol::LT, Ordering::is_lt),
            (&Protocol::LE, Ordering::is_le),
            (&Protocol::GT, Ordering::is_gt),
            (&Protocol::GE, Ordering::is_ge),
        ];
        for (protocol, test) in tests {
            let compare = compare.clone();
            cx.find_or_define(protocol, move |a: Value, b: Value| {
                answer(ask::<Option<Ordering>>(&compare, &a, &b).map(|order| order.is_some_and(test)))
            })?;
        }
        Ok(())
    })?;
    for name in ["partial_cmp", "lt", "le", "gt", "ge"] {
        partial_ord.function(name)?;
    }

    let mut ord = module.define_trait(["Ord"])?;
    ord.handler(|cx| {
        let compare = cx.find(&Protocol::CMP)?;
        let min = compare.clone();
        cx.find_or_define(&Protocol::MIN, move |a: Value, b: Value| {
            answer(ask::<Ordering>(&min, &a, &b).map(|order| if order.is_gt() { b } else { a }))
        })?;
        cx.find_or_define(&Protocol::MAX, move |a: Value, b: Value| {
            answer(ask::<Ordering>(&compare, &a, &b).map(|order| if order.is_gt() { a } else { b }))
        })?;
        Ok(())
    })?;
    for name in ["cmp", "min", "max"] {
        ord.function(name)?;
    }
    Ok(())
}

/// The order of two values, as `cmp` has it, with what it walks on its own weighed.
pub(super) fn order(a: &Value, b: &Value) -> Result<Ordering, VmError> {
    weigh::before_compare(a)?;
    weigh::before_compare(b)?;
    Value::cmp(a, b).into_result()
}
