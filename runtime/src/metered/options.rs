//! `::std::option` and `::std::result`.

use rune::compile::ContextError;
use rune::runtime::{Protocol, Value, VmResult};
use rune::{Any, Module};

use super::cost::Cost;
use super::iterators::steps;
use super::table::{
    BOTH_ENDS, Function, ORDER, Table, Trait, Type, free, free_protocol, hint, nothing, of, protocol, step,
    unreached, walk,
};

const CALLS: &str = "calls one function, once";
const WRITES: &str = "writes the message";

const OPTION: &[Function] = &[
    unreached(&Protocol::IS_VARIANT, Cost::Free),
    of("expect", Cost::Weigh, WRITES, r#"Some(1).expect("message")"#),
    free("is_some", "(Some(1).is_some(), None.is_some())"),
    free("is_none", "(Some(1).is_none(), None.is_none())"),
    free("iter", "Some(1).iter().count()"),
    free_protocol(&Protocol::INTO_ITER, "let n = 0; for i in Some(1) { n += i; } n"),
    of("and_then", Cost::One, CALLS, "Some(1).and_then(|n| Some(n + 1))"),
    of("map", Cost::One, CALLS, "(Some(1).map(|n| n + 1), None.map(|n| n))"),
    free("take", "let o = Some(1); (o.take(), o)"),
    free("transpose", "(Some(Ok(1)).transpose(), None.transpose())"),
    free("unwrap", "Some(1).unwrap()"),
    free("unwrap_or", "None.unwrap_or(2)"),
    of("unwrap_or_else", Cost::One, CALLS, "None.unwrap_or_else(|| 3)"),
    free("ok_or", "(Some(1).ok_or(2), None.ok_or(2))"),
    of("ok_or_else", Cost::One, CALLS, "None.ok_or_else(|| 2)"),
    protocol(&Protocol::CLONE, Cost::One, "clones what is inside, at its own cost", "Some([1]).clone()"),
    walk(&Protocol::PARTIAL_EQ, "(Some(1) == Some(1), Some(1) == None)"),
    walk(&Protocol::EQ, "std::ops::eq(Some([1]), Some([1]))"),
    walk(&Protocol::PARTIAL_CMP, "(Some(1) < Some(2), None < Some(1))"),
    walk(&Protocol::CMP, "Some(1).cmp(Some(2))"),
    protocol(&Protocol::HASH, Cost::Hash, "hashes every node", "std::ops::hash(Some(1))"),
    walk(&Protocol::DEBUG_FMT, r#"format!("{:?}", (Some(1), None))"#),
    unreached(&Protocol::TRY, Cost::Free),
];

const OPTION_ITER: &[Function] = &[
    steps!(@one NEXT "next" "Some(1).iter()"),
    steps!(@one NEXT_BACK "next_back" "Some(1).iter()"),
    steps!(@one SIZE_HINT "size_hint" "Some(1).iter()"),
    free_protocol(&Protocol::CLONE, "Some(1).iter().clone().next()"),
];

#[derive(Any)]
#[rune(item = ::std::option)]
struct Iter;

/// `::std::option`
pub(super) static OPTIONS: Table = Table {
    path: &["option"],
    types: &[
        Type::new::<Option<Value>>("Option", &[&[Trait::Clone], ORDER], OPTION).declared(declare_option),
        Type::new::<Iter>("Iter", &[BOTH_ENDS, &[Trait::Clone]], OPTION_ITER),
    ],
    functions: &[],
    also: nothing,
};

fn declare_option(module: &mut Module) -> Result<(), ContextError> {
    let mut option = module.ty::<Option<Value>>()?.make_enum(&["Some", "None"])?;
    option.variant_mut(0)?.make_unnamed(1)?.constructor(Option::Some)?;
    option.variant_mut(1)?.make_empty()?.constructor(|| Option::None)?;
    module.index_function(&Protocol::GET, 0, |option: &Option<Value>| match option {
        Some(value) => VmResult::Ok(value.clone()),
        None => VmResult::panic("`None` has no field"),
    })?;
    Ok(())
}

const RESULT: &[Function] = &[
    unreached(&Protocol::IS_VARIANT, Cost::Free),
    free("ok", "(Ok(1).ok(), Err(1).ok())"),
    free("is_ok", "(Ok(1).is_ok(), Err(1).is_ok())"),
    free("is_err", "(Ok(1).is_err(), Err(1).is_err())"),
    of("unwrap", Cost::Weigh, WRITES, "Ok(1).unwrap()"),
    free("unwrap_or", "Err(1).unwrap_or(2)"),
    of("unwrap_or_else", Cost::One, CALLS, "Err(1).unwrap_or_else(|e| e + 1)"),
    of("expect", Cost::Weigh, WRITES, r#"Ok(1).expect("message")"#),
    of("and_then", Cost::One, CALLS, "Ok(1).and_then(|n| Ok(n + 1))"),
    of("map", Cost::One, CALLS, "(Ok(1).map(|n| n + 1), Err(1).map(|n| n))"),
    protocol(&Protocol::CLONE, Cost::One, "clones what is inside, at its own cost", "Ok([1]).clone()"),
    walk(&Protocol::PARTIAL_EQ, "(Ok(1) == Ok(1), Ok(1) == Err(1))"),
    walk(&Protocol::EQ, "std::ops::eq(Ok([1]), Ok([1]))"),
    walk(&Protocol::PARTIAL_CMP, "(Ok(1) < Ok(2), Err(1) < Ok(1))"),
    walk(&Protocol::CMP, "Ok(1).cmp(Ok(2))"),
    protocol(
        &Protocol::HASH,
        Cost::Hash,
        "hashes every node",
        "(std::ops::hash(Ok(1)), std::ops::hash(Err(1)))",
    ),
    walk(&Protocol::DEBUG_FMT, r#"format!("{:?}", (Ok(1), Err("e")))"#),
    unreached(&Protocol::TRY, Cost::Free),
];

/// `::std::result`
pub(super) static RESULTS: Table = Table {
    path: &["result"],
    types: &[Type::new::<Result<Value, Value>>("Result", &[&[Trait::Clone], ORDER], RESULT)
        .declared(declare_result)],
    functions: &[],
    also: nothing,
};

fn declare_result(module: &mut Module) -> Result<(), ContextError> {
    let mut result = module.ty::<Result<Value, Value>>()?.make_enum(&["Ok", "Err"])?;
    result.variant_mut(0)?.make_unnamed(1)?.constructor(Result::Ok)?;
    result.variant_mut(1)?.make_unnamed(1)?.constructor(Result::Err)?;
    module.index_function(&Protocol::GET, 0, |result: &Result<Value, Value>| {
        let (Ok(value) | Err(value)) = result;
        value.clone()
    })?;
    Ok(())
}
