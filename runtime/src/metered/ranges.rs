//! `::std::ops`: ranges, comparisons as functions, closures and control flow.

use std::marker::PhantomData;

use rune::Any;
use rune::compile::{ContextError, Named};
use rune::runtime::{
    ControlFlow, Function as RuneFunction, MaybeTypeOf, Protocol, Range, RangeFrom, RangeFull,
    RangeInclusive, RangeTo, RangeToInclusive, TypeOf,
};
use rune::{FromValue, Module, ToValue, item};

use super::cost::Cost;
use super::table::{
    BOTH_ENDS, COUNTED_BOTH_ENDS, EQUALITY, FORWARD, Function, ORDER, Table, Trait, Type, free,
    free_protocol, hint, of, protocol, step, walk,
};

macro_rules! stand_ins {
    ($($name:ident)*) => {$(
        #[derive(Any)]
        #[rune(item = ::std::ops)]
        struct $name<T>
        where
            T: 'static + Named + FromValue + ToValue + MaybeTypeOf + TypeOf,
        {
            of: PhantomData<T>,
        }
    )*};
}

stand_ins! { RangeIter RangeInclusiveIter RangeFromIter }

const ENDS: &str = "compares the ends, which may be any values";

/// The rows of every kind of range: an example of one, and of one that is greater.
macro_rules! range {
    ($a:literal $b:literal $($row:expr),*) => {
        &[
            of("contains", Cost::Weigh, ENDS, concat!("((", $a, ").contains(2), (", $a, ").contains(99))")),
            protocol(&Protocol::PARTIAL_EQ, Cost::Weigh, ENDS, concat!("(", $a, ") == (", $b, ")")),
            protocol(&Protocol::EQ, Cost::Weigh, ENDS, concat!("std::ops::eq(", $a, ", ", $b, ")")),
            protocol(&Protocol::PARTIAL_CMP, Cost::Weigh, ENDS, concat!("(", $a, ") < (", $b, ")")),
            protocol(&Protocol::CMP, Cost::Weigh, ENDS, concat!("std::ops::cmp(", $a, ", ", $b, ")")),
            $($row),*
        ]
    };
    (iterates $a:literal $b:literal) => {
        range!($a $b
            free("iter", concat!("(", $a, ").iter().next()")),
            free_protocol(&Protocol::INTO_ITER, concat!("let s = 0; for i in ", $a, " { if i > 5 { break; } s += i; } s"))
        )
    };
}

/// The rows of an iterator over a range from both ends, whose length is known for numbers.
macro_rules! both_ends {
    ($range:literal $($len:ident)?) => {
        &[
            step(&Protocol::NEXT, concat!("(", $range, ").iter().next()")),
            step(&Protocol::NEXT_BACK, concat!("(", $range, ").iter().next_back()")),
            hint(&Protocol::SIZE_HINT, concat!("(", $range, ").iter().size_hint()")),
            $(hint(&Protocol::$len, concat!("(", $range, ").iter().len()")),)?
        ]
    };
}

macro_rules! from_start {
    ($range:literal) => {
        &[
            step(&Protocol::NEXT, concat!("(", $range, ").iter().next()")),
            hint(&Protocol::SIZE_HINT, concat!("(", $range, ").iter().size_hint()")),
        ]
    };
}

const CONTROL_FLOW: &[Function] = &[
    walk(
        &Protocol::PARTIAL_EQ,
        "use std::ops::ControlFlow; ControlFlow::Continue(1) == ControlFlow::Continue(1)",
    ),
    walk(
        &Protocol::EQ,
        "use std::ops::ControlFlow; std::ops::eq(ControlFlow::Break(1), ControlFlow::Continue(1))",
    ),
    walk(&Protocol::DEBUG_FMT, r#"format!("{:?}", std::ops::ControlFlow::Break(1))"#),
    protocol(&Protocol::CLONE, Cost::One, "a shallow copy", "std::ops::ControlFlow::Break(1).clone()"),
];

const FUNCTION: &[Function] = &[
    protocol(
        &Protocol::CLONE,
        Cost::One,
        "copies what the closure holds on to",
        "let n = 2; let f = |i| i + n; f.clone()(1)",
    ),
    free_protocol(&Protocol::DEBUG_FMT, r#"let f = || 1; format!("{:?}", f).len() > 0"#),
];

const BOTH: &str = "walks both values node by node";

/// `::std::ops`
pub(super) static TABLE: Table = Table {
    path: &["ops"],
    types: &[
        Type::new::<RangeFrom>("RangeFrom", &[ORDER], range!(iterates "1.." "2..")),
        Type::new::<RangeFromIter<i64>>("RangeFromIter<i64>", &[FORWARD], from_start!("1..")),
        Type::new::<RangeFromIter<u64>>("RangeFromIter<u64>", &[FORWARD], from_start!("1u64..")),
        Type::new::<RangeFromIter<char>>("RangeFromIter<char>", &[FORWARD], from_start!("'a'..")),
        Type::new::<RangeFull>("RangeFull", &[ORDER], range!(".." "..")),
        Type::new::<RangeInclusive>("RangeInclusive", &[ORDER], range!(iterates "1..=3" "1..=4")),
        Type::new::<RangeInclusiveIter<i64>>(
            "RangeInclusiveIter<i64>",
            &[COUNTED_BOTH_ENDS],
            both_ends!("1..=3" LEN),
        ),
        Type::new::<RangeInclusiveIter<u64>>(
            "RangeInclusiveIter<u64>",
            &[COUNTED_BOTH_ENDS],
            both_ends!("1u64..=3u64" LEN),
        ),
        Type::new::<RangeInclusiveIter<char>>(
            "RangeInclusiveIter<char>",
            &[BOTH_ENDS],
            both_ends!("'a'..='c'"),
        ),
        Type::new::<RangeToInclusive>("RangeToInclusive", &[ORDER], range!("..=3" "..=4")),
        Type::new::<RangeTo>("RangeTo", &[ORDER], range!("..3" "..4")),
        Type::new::<Range>("Range", &[ORDER], range!(iterates "1..3" "1..4")),
        Type::new::<RangeIter<i64>>("RangeIter<i64>", &[COUNTED_BOTH_ENDS], both_ends!("1..3" LEN)),
        Type::new::<RangeIter<u64>>("RangeIter<u64>", &[COUNTED_BOTH_ENDS], both_ends!("1u64..3u64" LEN)),
        Type::new::<RangeIter<char>>("RangeIter<char>", &[BOTH_ENDS], both_ends!("'a'..'c'")),
        Type::new::<ControlFlow>("ControlFlow", &[EQUALITY, &[Trait::Clone]], CONTROL_FLOW),
        Type::new::<RuneFunction>("Function", &[&[Trait::Clone]], FUNCTION),
    ],
    functions: &[
        of("partial_eq", Cost::Weigh, BOTH, "std::ops::partial_eq([1], [1])"),
        of("eq", Cost::Weigh, BOTH, "std::ops::eq([1], [1])"),
        of("partial_cmp", Cost::Weigh, BOTH, "std::ops::partial_cmp([1], [2])"),
        of("cmp", Cost::Weigh, BOTH, "std::ops::cmp([1], [2])"),
        of("hash", Cost::Hash, "hashes every node", "std::ops::hash([1, (2, 3)])"),
    ],
    also,
};

fn also(module: &mut Module) -> Result<(), ContextError> {
    module.reexport(["Generator"], item!(::std::ops::generator::Generator))?;
    module.reexport(["GeneratorState"], item!(::std::ops::generator::GeneratorState))
}
