//! The traits of iterators: every function that works through one, built on its metered `NEXT`.
//!
//! Invariant: whatever takes items in a loop charges for each, and allocates nothing on the word of an
//! iterator about how many there will be.
//! Not here: the iterators themselves.

use rune::alloc::String;
use rune::compile::ContextError;
use rune::runtime::{
    Function, InstAddress, Memory, Object, OwnedTuple, Protocol, TypeHash, Value, Vec as RuneVec, VmError,
    VmResult,
};
use rune::{FromValue, Hash, Module, Params, ToValue};

use super::containers::{HashMap, HashSet, VecDeque};
use super::iterators::Once;
use super::native::{self, Handler, arguments, call};
use super::{maps, sets};
use crate::fuel;

/// One function that a trait brings.
pub struct TraitFunction {
    /// How it is called.
    pub name: &'static str,
    /// The type that tells it apart, as in `collect::<Vec>`.
    pub parameter: Option<Hash>,
    /// Why it is metered as it is.
    pub reason: &'static str,
    /// A script that calls it.
    pub example: &'static str,
    make: Make,
}

enum Make {
    /// Rune's: it only wraps the iterator.
    Adaptor,
    /// Works through the iterator.
    Consumer(fn(&Next, &[Value]) -> Result<Value, VmError>),
}

/// The metered `NEXT` of the type that the trait is implemented for.
pub(crate) struct Next(Handler);

impl Next {
    fn call(&self, iterator: &Value) -> Result<Option<Value>, VmError> {
        fuel::charge(1)?;
        Ok(Option::from_value(call(&self.0, [iterator.clone()])?)?)
    }
}

const WRAPS: &str = "constant time: it only wraps the iterator";
const EACH: &str = "charges each item: what it calls for them may be native";

const fn adaptor(name: &'static str, example: &'static str) -> TraitFunction {
    TraitFunction { name, parameter: None, reason: WRAPS, example, make: Make::Adaptor }
}

const fn consumer(
    name: &'static str,
    run: fn(&Next, &[Value]) -> Result<Value, VmError>,
    example: &'static str,
) -> TraitFunction {
    TraitFunction { name, parameter: None, reason: EACH, example, make: Make::Consumer(run) }
}

const fn into<T: TypeHash>(
    name: &'static str,
    run: fn(&Next, &[Value]) -> Result<Value, VmError>,
    example: &'static str,
) -> TraitFunction {
    TraitFunction { name, parameter: Some(T::HASH), reason: EACH, example, make: Make::Consumer(run) }
}

/// What `::std::iter::Iterator` brings.
pub static ITERATOR: &[TraitFunction] = &[
    adaptor("chain", "[1].iter().chain([2]).collect::<Vec>()"),
    adaptor("enumerate", "['a', 'b'].iter().enumerate().collect::<Vec>()"),
    adaptor("filter", "[1, 2, 3].iter().filter(|n| n > 1).collect::<Vec>()"),
    adaptor("map", "[1, 2, 3].iter().map(|n| n + 1).collect::<Vec>()"),
    adaptor(
        "filter_map",
        "[1, 2].iter().filter_map(|n| if n > 1 { Some(n) } else { None }).collect::<Vec>()",
    ),
    adaptor("flat_map", "[1, 2].iter().flat_map(|n| [n, n]).collect::<Vec>()"),
    adaptor("peekable", "let it = [1, 2].iter().peekable(); (it.peek(), it.next())"),
    adaptor("skip", "[1, 2, 3].iter().skip(1).collect::<Vec>()"),
    adaptor("take", "[1, 2, 3].iter().take(2).collect::<Vec>()"),
    adaptor("into_iter", "[1, 2].iter().into_iter().count()"),
    consumer("count", count, "[1, 2, 3].iter().count()"),
    consumer("fold", fold, "[1, 2, 3].iter().fold(10, |sum, n| sum + n)"),
    consumer("reduce", reduce, "([1, 2, 3].iter().reduce(|a, b| a * b), [].iter().reduce(|a, b| a))"),
    consumer("find", find, "([1, 2, 3].iter().find(|n| n > 1), [1].iter().find(|n| n > 1))"),
    consumer("any", any, "([1, 2].iter().any(|n| n > 1), [1].iter().any(|n| n > 1))"),
    consumer("all", all, "([1, 2].iter().all(|n| n > 1), [2].iter().all(|n| n > 1))"),
    into::<RuneVec>("collect", collect_vec, "(1..4).iter().collect::<Vec>()"),
    into::<VecDeque>("collect", collect_deque, "(1..4).iter().collect::<std::collections::VecDeque>()"),
    into::<HashSet>("collect", collect_set, "[1, 1].iter().collect::<std::collections::HashSet>()"),
    into::<HashMap>("collect", collect_map, "[(1, 2)].iter().collect::<std::collections::HashMap>()"),
    into::<Object>("collect", collect_object, r#"[("a", 2)].iter().collect::<Object>()"#),
    into::<OwnedTuple>("collect", collect_tuple, "(1..4).iter().collect::<Tuple>()"),
    into::<String>("collect", collect_text, r#"['a', "bc"].iter().collect::<String>()"#),
    into::<i64>("sum", sum::<i64>, "[1, 2, 3].iter().sum::<i64>()"),
    into::<u64>("sum", sum::<u64>, "[1u64, 2u64].iter().sum::<u64>()"),
    into::<f64>("sum", sum::<f64>, "[1.5, 2.5].iter().sum::<f64>()"),
    into::<i64>("product", product::<i64>, "[1, 2, 3].iter().product::<i64>()"),
    into::<u64>("product", product::<u64>, "[1u64, 2u64].iter().product::<u64>()"),
    into::<f64>("product", product::<f64>, "[1.5, 2.5].iter().product::<f64>()"),
];

/// What `::std::iter::DoubleEndedIterator` brings.
pub static DOUBLE_ENDED: &[TraitFunction] = &[adaptor("rev", "[1, 2, 3].iter().rev().collect::<Vec>()")];

/// Rune does not let its trait context be named, so what is done with one is a macro.
macro_rules! bring {
    ($cx:ident, $functions:expr, $next:expr) => {
        for function in $functions {
            let handler = function.handler($next);
            let run = move |m: &mut dyn Memory, at: InstAddress, count, out| handler(m, at, count, out);
            match function.parameter {
                Some(parameter) => $cx.raw_function(Params::new(function.name, [parameter]), run)?,
                None => $cx.raw_function(function.name, run)?,
            };
        }
    };
}

impl TraitFunction {
    fn handler(&self, next: &Handler) -> Handler {
        let handler = match self.make {
            // Rune defines them alike for every type.
            Make::Adaptor => native::method::<Once>(self.name),
            Make::Consumer(run) => {
                let next = Next(next.clone());
                native::handler(move |given| run(&next, given))
            }
        };
        #[cfg(test)]
        let handler = super::coverage::noted(self.key(), handler);
        handler
    }
}

/// Defines the traits in the module of iterators.
pub(super) fn define(module: &mut Module) -> Result<(), ContextError> {
    let mut exact = module.define_trait(["ExactSizeIterator"])?;
    exact.handler(|cx| cx.find(&Protocol::LEN).map(drop))?;
    exact.function("len")?;

    let mut iterator = module.define_trait(["Iterator"])?;
    iterator.handler(|cx| {
        let next = cx.find(&Protocol::NEXT)?;
        cx.find_or_define(&Protocol::SIZE_HINT, |_: Value| (0usize, None::<usize>))?;
        let nth = Next(next.clone());
        cx.find_or_define(&Protocol::NTH, move |iterator: Value, n: usize| skip(&nth, &iterator, n))?;
        cx.function(&Protocol::INTO_ITER, |iterator: Value| iterator)?;
        bring!(cx, ITERATOR, &next);
        Ok(())
    })?;
    for function in ITERATOR {
        match function.parameter {
            Some(parameter) => iterator.function(Params::new(function.name, [parameter]))?,
            None => iterator.function(function.name)?,
        };
    }
    for name in ["next", "nth", "size_hint"] {
        iterator.function(name)?;
    }

    let mut double_ended = module.define_trait(["DoubleEndedIterator"])?;
    double_ended.handler(|cx| {
        let next_back = cx.find(&Protocol::NEXT_BACK)?;
        let nth = Next(next_back.clone());
        cx.find_or_define(&Protocol::NTH_BACK, move |iterator: Value, n: usize| skip(&nth, &iterator, n))?;
        bring!(cx, DOUBLE_ENDED, &next_back);
        Ok(())
    })?;
    for name in ["next_back", "nth_back", "rev"] {
        double_ended.function(name)?;
    }
    Ok(())
}

#[cfg(test)]
impl TraitFunction {
    /// What a test knows it by, whatever type it is called on.
    pub(super) fn key(&self) -> Hash {
        let name = Hash::associated_function(Hash::EMPTY, self.name);
        self.parameter.map_or(name, |of| name.with_function_parameters(Hash::parameters([of])))
    }
}

/// The item after the next `n`.
fn skip(next: &Next, iterator: &Value, mut n: usize) -> VmResult<Option<Value>> {
    loop {
        match next.call(iterator) {
            Ok(Some(_)) if n > 0 => n -= 1,
            Ok(item) => return VmResult::Ok(item),
            Err(error) => return VmResult::Err(error),
        }
    }
}

fn value(result: impl ToValue) -> Result<Value, VmError> {
    Ok(result.to_value()?)
}

fn function(argument: &Value) -> Result<Function, VmError> {
    Ok(Function::from_value(argument.clone())?)
}

fn count(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    let mut items = 0usize;
    while next.call(iterator)?.is_some() {
        items += 1;
    }
    value(items)
}

fn fold(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    let [iterator, start, f] = arguments(given)?;
    let f = function(f)?;
    let mut folded = start.clone();
    while let Some(item) = next.call(iterator)? {
        folded = f.call((folded, item)).into_result()?;
    }
    Ok(folded)
}

fn reduce(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    let [iterator, f] = arguments(given)?;
    let f = function(f)?;
    let Some(mut reduced) = next.call(iterator)? else { return value(None::<Value>) };
    while let Some(item) = next.call(iterator)? {
        reduced = f.call((reduced, item)).into_result()?;
    }
    value(Some(reduced))
}

/// The first item for which the function answers `wanted`.
fn first(next: &Next, given: &[Value], wanted: bool) -> Result<Option<Value>, VmError> {
    let [iterator, f] = arguments(given)?;
    let f = function(f)?;
    while let Some(item) = next.call(iterator)? {
        if f.call::<bool>((item.clone(),)).into_result()? == wanted {
            return Ok(Some(item));
        }
    }
    Ok(None)
}

fn find(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    value(first(next, given, true)?)
}

fn any(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    value(first(next, given, true)?.is_some())
}

fn all(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    value(first(next, given, false)?.is_none())
}

/// The items, without a first allocation on the word of the iterator: its hint may be anything.
fn items(next: &Next, given: &[Value]) -> Result<RuneVec, VmError> {
    let [iterator] = arguments(given)?;
    let mut items = RuneVec::new();
    while let Some(item) = next.call(iterator)? {
        items.push(item)?;
    }
    Ok(items)
}

fn collect_vec(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    Ok(Value::try_from(items(next, given)?)?)
}

fn collect_tuple(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    Ok(Value::tuple(items(next, given)?.into_inner())?)
}

fn collect_deque(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    super::deques::from_vec(items(next, given)?)
}

fn collect_set(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    let set = sets::empty()?;
    while let Some(item) = next.call(iterator)? {
        sets::insert(&[set.clone(), item])?;
    }
    Ok(set)
}

fn collect_map(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    let map = maps::empty()?;
    while let Some(item) = next.call(iterator)? {
        let (key, held) = <(Value, Value)>::from_value(item)?;
        maps::insert(&[map.clone(), key, held])?;
    }
    Ok(map)
}

fn collect_object(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    let mut object = Object::new();
    while let Some(item) = next.call(iterator)? {
        let (key, held) = <(String, Value)>::from_value(item)?;
        object.insert(key, held)?;
    }
    Ok(Value::try_from(object)?)
}

fn collect_text(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    let mut text = String::new();
    while let Some(item) = next.call(iterator)? {
        if let Ok(letter) = item.as_char() {
            text.try_push(letter)?;
        } else {
            let piece = item.borrow_ref::<String>()?;
            fuel::charge(u64::try_from(piece.len()).unwrap_or(u64::MAX) / 64)?;
            text.try_push_str(&piece)?;
        }
    }
    Ok(Value::try_from(text)?)
}

/// Numbers that iterators add up and multiply.
trait Number: Sized + FromValue + ToValue {
    const ZERO: Self;
    const ONE: Self;
    fn add(self, other: Self) -> Option<Self>;
    fn multiply(self, other: Self) -> Option<Self>;
}

macro_rules! integers {
    ($($number:ty)*) => {$(
        impl Number for $number {
            const ZERO: Self = 0;
            const ONE: Self = 1;
            fn add(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }
            fn multiply(self, other: Self) -> Option<Self> {
                self.checked_mul(other)
            }
        }
    )*};
}
integers!(i64 u64);

impl Number for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    fn add(self, other: Self) -> Option<Self> {
        Some(self + other)
    }
    fn multiply(self, other: Self) -> Option<Self> {
        Some(self * other)
    }
}

fn total<N: Number>(
    next: &Next,
    given: &[Value],
    start: N,
    step: fn(N, N) -> Option<N>,
) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    // Rune begins with the first item, which differs from beginning with the neutral one for -0.0.
    let mut total = match next.call(iterator)? {
        Some(first) => N::from_value(first)?,
        None => start,
    };
    while let Some(item) = next.call(iterator)? {
        total = step(total, N::from_value(item)?).ok_or_else(|| VmError::panic("numeric overflow"))?;
    }
    value(total)
}

fn sum<N: Number>(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    total(next, given, N::ZERO, N::add)
}

fn product<N: Number>(next: &Next, given: &[Value]) -> Result<Value, VmError> {
    total(next, given, N::ONE, N::multiply)
}
