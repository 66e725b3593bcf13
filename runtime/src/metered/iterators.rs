//! `::std::iter` and `::std::slice`: the iterators that others are made of.
//!
//! Rune keeps their Rust types to itself; see `containers` for what a stand-in is.
//! Not here: what is done with their items (`traits`).

use rune::Any;
use rune::runtime::Protocol;

use super::cost::Cost;
use super::table::{BOTH_ENDS, COUNTED_BOTH_ENDS, Function, Table, Type, free, hint, nothing, of, step};
use super::traits;

macro_rules! stand_ins {
    ($($name:ident)*) => {$(
        #[derive(Any)]
        #[rune(item = ::std::iter)]
        pub(crate) struct $name;
    )*};
}

stand_ins! { Rev Chain Enumerate Filter Map FilterMap FlatMap Peekable Skip Take Empty Once }

pub(crate) mod slice {
    //! The iterator of vectors and tuples.
    use rune::Any;

    /// Rune's iterator over values that lie next to each other.
    #[derive(Any)]
    #[rune(item = ::std::slice)]
    pub(crate) struct Iter;
}

/// The steps of an iterator from both ends, each with an example that ends with the function's name.
macro_rules! steps {
    ($iterator:literal: $($protocol:ident $method:literal)*) => {
        &[$(steps!(@one $protocol $method $iterator)),*]
    };
    (@one NEXT $method:literal $iterator:literal) => {
        step(&Protocol::NEXT, concat!("let it = ", $iterator, "; it.", $method, "()"))
    };
    (@one NEXT_BACK $method:literal $iterator:literal) => {
        step(&Protocol::NEXT_BACK, concat!("let it = ", $iterator, "; it.", $method, "()"))
    };
    (@one $protocol:ident $method:literal $iterator:literal) => {
        hint(&Protocol::$protocol, concat!("let it = ", $iterator, "; it.", $method, "()"))
    };
}
pub(super) use steps;

const PEEKABLE: &[Function] = &[
    step(&Protocol::NEXT, "let it = [1].iter().peekable(); (it.next(), it.next())").goes_on(),
    step(&Protocol::NEXT_BACK, "[1, 2].iter().peekable().next_back()").goes_on(),
    hint(&Protocol::SIZE_HINT, "[1, 2].iter().peekable().size_hint()"),
    hint(&Protocol::LEN, "[1, 2].iter().peekable().len()"),
    of("peek", Cost::One, "takes one step", "[1, 2].iter().peekable().peek()").goes_on(),
];

const FLAT_MAP: &[Function] = &[
    step(&Protocol::NEXT, "(0..3).iter().flat_map(|n| [n, n]).next()").goes_on(),
    step(&Protocol::NEXT_BACK, "(0..3).iter().flat_map(|n| [n, n]).next_back()").goes_on(),
    hint(&Protocol::SIZE_HINT, "(0..3).iter().flat_map(|n| [n, n]).size_hint()"),
];

const SLICE: &[Function] = &[
    step(&Protocol::NEXT, "[1, 2].iter().next()"),
    step(&Protocol::NEXT_BACK, "[1, 2].iter().next_back()"),
    step(&Protocol::NTH, "[1, 2].iter().nth(1)"),
    hint(&Protocol::SIZE_HINT, "[1, 2].iter().size_hint()"),
    // Rune gives it no `len` method, since it does not implement `ExactSizeIterator`.
    hint(&Protocol::LEN, "[1, 2].iter().enumerate().len()"),
];

/// `::std::iter`
pub(super) static TABLE: Table = Table {
    path: &["iter"],
    types: &[
        Type::new::<Rev>(
            "Rev",
            &[COUNTED_BOTH_ENDS],
            steps! {
                "(0..3).iter().rev()": NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint" LEN "len"
            },
        ),
        Type::new::<Chain>(
            "Chain",
            &[COUNTED_BOTH_ENDS],
            steps! {
                "(0..3).iter().chain(4..6)":
                NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint" LEN "len"
            },
        ),
        Type::new::<Enumerate>(
            "Enumerate",
            &[COUNTED_BOTH_ENDS],
            steps! {
                "(0..3).iter().enumerate()":
                NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint" LEN "len"
            },
        ),
        Type::new::<Filter>(
            "Filter",
            &[BOTH_ENDS],
            steps! {
                "(0..9).iter().filter(|n| n > 4)": NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint"
            },
        ),
        Type::new::<Map>(
            "Map",
            &[COUNTED_BOTH_ENDS],
            steps! {
                "(0..3).iter().map(|n| n + 4)":
                NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint" LEN "len"
            },
        ),
        Type::new::<FilterMap>(
            "FilterMap",
            &[BOTH_ENDS],
            steps! {
                "(0..3).iter().filter_map(|n| if n > 1 { Some(n) } else { None })":
                NEXT "next" NEXT_BACK "next_back"
            },
        ),
        Type::new::<FlatMap>("FlatMap", &[BOTH_ENDS], FLAT_MAP),
        Type::new::<Peekable>("Peekable", &[COUNTED_BOTH_ENDS], PEEKABLE),
        Type::new::<Skip>(
            "Skip",
            &[COUNTED_BOTH_ENDS],
            steps! {
                "(0..9).iter().skip(2)": NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint" LEN "len"
            },
        ),
        Type::new::<Take>(
            "Take",
            &[COUNTED_BOTH_ENDS],
            steps! {
                "[1, 2, 3].iter().enumerate().take(2)":
                NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint" LEN "len"
            },
        ),
        Type::new::<Empty>(
            "Empty",
            &[BOTH_ENDS],
            steps! {
                "std::iter::empty()": NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint"
            },
        ),
        Type::new::<Once>(
            "Once",
            &[BOTH_ENDS],
            steps! {
                "std::iter::once(1)": NEXT "next" NEXT_BACK "next_back" SIZE_HINT "size_hint"
            },
        ),
    ],
    functions: &[
        free("range", "std::iter::range(1, 4).collect::<Vec>()"),
        free("empty", "std::iter::empty().count()"),
        free("once", "std::iter::once(1).count()"),
    ],
    also: traits::define,
};

/// `::std::slice`
pub(super) static SLICES: Table = Table {
    path: &["slice"],
    types: &[Type::new::<slice::Iter>("Iter", &[BOTH_ENDS], SLICE)],
    functions: &[],
    also: nothing,
};
