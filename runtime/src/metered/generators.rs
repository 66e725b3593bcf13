//! `::std::ops::generator`, `::std::stream` and `::std::future`.

use rune::runtime::{Future, Generator, GeneratorState, Protocol, Stream};

use super::cost::Cost;
use super::table::{EQUALITY, FORWARD, Function, Table, Trait, Type, nothing, of, protocol, step, walk};

mod stand_in {
    use rune::Any;

    /// Rune's iterator over what a generator yields.
    #[derive(Any)]
    #[rune(item = ::std::ops::generator)]
    pub(crate) struct Iter;
}

const RUNS: &str = "runs the script to its next yield; the script has checkpoints of its own";

const GENERATOR: &[Function] = &[
    of(
        "next",
        Cost::One,
        RUNS,
        "let g = || { yield 1; yield 2; }; let g = g(); (g.next(), g.next(), g.next())",
    )
    .goes_on(),
    of(
        "resume",
        Cost::One,
        RUNS,
        "let g = || { let n = yield 1; n + 1 }; let g = g(); (g.resume(()), g.resume(5))",
    )
    .goes_on(),
    of(
        "iter",
        Cost::One,
        "its steps are charged",
        "let g = || { yield 1; yield 2; }; g().iter().collect::<Vec>()",
    ),
    protocol(
        &Protocol::INTO_ITER,
        Cost::One,
        "its steps are charged",
        "let g = || { yield 1; yield 2; }; let s = 0; for i in g() { s += i; } s",
    ),
    protocol(
        &Protocol::DEBUG_FMT,
        Cost::One,
        "constant time",
        r#"let g = || { yield 1; }; format!("{:?}", g()).len() > 0"#,
    ),
    protocol(
        &Protocol::CLONE,
        Cost::One,
        "copies its stack, which is counted as memory",
        "let g = || { yield 1; yield 2; }; let g = g(); g.next(); (g.clone().next(), g.next())",
    ),
];

const ITER: &[Function] =
    &[step(&Protocol::NEXT, "let g = || { yield 1; }; let g = g().iter(); (g.next(), g.next())").goes_on()];

const STATE: &[Function] = &[
    walk(
        &Protocol::PARTIAL_EQ,
        "let g = || { yield 1; }; let a = g(); let b = g(); a.resume(()) == b.resume(())",
    ),
    walk(
        &Protocol::EQ,
        "let g = || { yield 1; }; let a = g(); let b = g(); std::ops::eq(a.resume(()), b.resume(()))",
    ),
    walk(&Protocol::DEBUG_FMT, r#"let g = || { yield 1; }; format!("{:?}", g().resume(()))"#),
    protocol(
        &Protocol::CLONE,
        Cost::One,
        "a shallow copy",
        "let g = || { yield 1; }; g().resume(()).clone()",
    ),
];

/// `::std::ops::generator`
pub(super) static GENERATORS: Table = Table {
    path: &["ops", "generator"],
    types: &[
        Type::new::<Generator>("Generator", &[&[Trait::Clone]], GENERATOR),
        Type::new::<stand_in::Iter>("Iter", &[FORWARD], ITER),
        Type::new::<GeneratorState>("GeneratorState", &[EQUALITY, &[Trait::Clone]], STATE),
    ],
    functions: &[],
    also: nothing,
};

const STREAM: &[Function] = &[
    of(
        "next",
        Cost::One,
        RUNS,
        "let s = async || { yield 1; yield 2; }; let s = s(); (s.next().await, s.next().await, s.next().await)",
    )
    .goes_on(),
    of(
        "resume",
        Cost::One,
        RUNS,
        "let s = async || { let n = yield 1; n + 1 }; let s = s(); (s.resume(()).await, s.resume(5).await)",
    )
    .goes_on(),
    protocol(
        &Protocol::DEBUG_FMT,
        Cost::One,
        "constant time",
        r#"let s = async || { yield 1; }; format!("{:?}", s()).len() > 0"#,
    ),
    protocol(
        &Protocol::CLONE,
        Cost::One,
        "copies its stack, which is counted as memory",
        "let s = async || { yield 1; }; let s = s(); s.clone().next().await",
    ),
];

/// `::std::stream`
pub(super) static STREAMS: Table = Table {
    path: &["stream"],
    types: &[Type::new::<Stream>("Stream", &[&[Trait::Clone]], STREAM)],
    functions: &[],
    also: nothing,
};

/// `::std::future`
pub(super) static FUTURES: Table = Table {
    path: &["future"],
    types: &[Type::new::<Future>("Future", &[], &[])],
    functions: &[of(
        "join",
        Cost::Copy,
        "polls every future",
        "std::future::join([async { 1 }, async { 2 }]).await",
    )],
    also: nothing,
};
