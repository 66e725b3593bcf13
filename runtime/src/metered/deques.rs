//! `::std::collections::vec_deque`.

use rune::runtime::{Protocol, TypeHash, Value, Vec as RuneVec, VmError};

use super::containers::{VecDeque, vec_deque};
use super::cost::Cost;
use super::native::{self, arguments, call};
use super::sets;
use super::table::{
    COUNTED_BOTH_ENDS, Function, Name, ORDER, Table, Type, free, free_protocol, hint, nothing, of, step,
    walk, with,
};

const MOVES: &str = "moves up to all of the elements";

/// An example with a deque `d` of three numbers.
macro_rules! deque {
    ($example:literal) => {
        concat!("use std::collections::VecDeque; let d = VecDeque::from_iter([1, 2, 3]); ", $example)
    };
}

const DEQUE: &[Function] = &[
    free("new", "std::collections::VecDeque::new()"),
    of("with_capacity", Cost::Count(0), "allocates as asked", "std::collections::VecDeque::with_capacity(4)"),
    with(
        "from",
        RuneVec::HASH,
        Cost::Copy,
        "takes the elements over",
        "std::collections::VecDeque::from::<Vec>([1, 2])",
    ),
    of("extend", Cost::One, "the steps of the iterator are charged", deque!("d.extend([4]); d")).stores(),
    of("insert", Cost::Copy, MOVES, deque!("d.insert(1, 9); d")).stores(),
    free("iter", deque!("d.iter().count()")),
    free_protocol(&Protocol::INTO_ITER, deque!("let n = 0; for i in d { n += i; } n")),
    of("from_iter", Cost::AsItGoes, "the steps of the iterator are charged", deque!("d")).ours(from_iter),
    of("reserve", Cost::Count(1), "allocates as asked", deque!("d.reserve(9); d")),
    free("len", deque!("d.len()")),
    free("capacity", "std::collections::VecDeque::new().capacity()"),
    free("front", deque!("d.front()")),
    free("back", deque!("d.back()")),
    free("push_back", deque!("d.push_back(4); d")).stores(),
    free("push_front", deque!("d.push_front(4); d")).stores(),
    free("pop_front", deque!("(d.pop_front(), d)")),
    free("pop_back", deque!("(d.pop_back(), d)")),
    of("remove", Cost::Copy, MOVES, deque!("(d.remove(1), d)")),
    of("rotate_left", Cost::Copy, MOVES, deque!("d.rotate_left(1); d")),
    of("rotate_right", Cost::Copy, MOVES, deque!("d.rotate_right(1); d")),
    free_protocol(&Protocol::INDEX_GET, deque!("d[1]")),
    free_protocol(&Protocol::INDEX_SET, deque!("d[1] = 5; d")),
    walk(&Protocol::DEBUG_FMT, deque!(r#"format!("{:?}", d)"#)),
    walk(&Protocol::PARTIAL_EQ, deque!("(d == [1, 2, 3], d != [1])")),
    walk(&Protocol::EQ, deque!("std::ops::eq(d, VecDeque::new())")),
    walk(&Protocol::PARTIAL_CMP, deque!("d < VecDeque::from_iter([2])")),
    walk(&Protocol::CMP, deque!("d.cmp(VecDeque::from_iter([2]))")),
];

const ITER: &[Function] = &[
    step(&Protocol::NEXT, deque!("d.iter().next()")),
    step(&Protocol::NEXT_BACK, deque!("d.iter().next_back()")),
    hint(&Protocol::SIZE_HINT, deque!("d.iter().size_hint()")),
    hint(&Protocol::LEN, deque!("d.iter().len()")),
];

/// `::std::collections::vec_deque`
pub(super) static TABLE: Table = Table {
    path: &["collections", "vec_deque"],
    types: &[
        Type::new::<VecDeque>("VecDeque", &[ORDER], DEQUE),
        Type::new::<vec_deque::Iter>("Iter", &[COUNTED_BOTH_ENDS], ITER),
    ],
    functions: &[],
    also: nothing,
};

/// A deque of the elements of a vector.
pub(super) fn from_vec(items: RuneVec) -> Result<Value, VmError> {
    let name = Name::With("from", RuneVec::HASH);
    let from = native::rune(name.hash(VecDeque::HASH), &name);
    call(&from, [Value::try_from(items)?])
}

fn from_iter(given: &[Value]) -> Result<Value, VmError> {
    let [source] = arguments(given)?;
    from_vec(sets::items(source)?)
}
