//! `::std::vec` and `::std::tuple`.
//!
//! Not here: how a vector is sorted (`sort`), its iterator (`iterators`).

use rune::runtime::{OwnedTuple, Protocol, Vec as RuneVec};

use super::cost::Cost;
use super::sort;
use super::table::{
    Function, ORDER, Table, Trait, Type, free, free_protocol, nothing, of, protocol, unreached, walk,
};

const MOVES: &str = "moves the elements behind the place";
const SLICE: &str = "a range copies that part; an index takes constant time";

const VEC: &[Function] = &[
    free("new", "Vec::new()"),
    of("with_capacity", Cost::Count(0), "allocates as asked", "Vec::with_capacity(4)"),
    free("len", "[1, 2].len()"),
    free("is_empty", "([].is_empty(), [1].is_empty())"),
    free("capacity", "[].capacity()"),
    of("get", Cost::Slice, SLICE, "let v = [1, 2, 3]; (v.get(0), v.get(9), v.get(1..), v.get(..=1))"),
    of("clear", Cost::Copy, "drops every element", "let v = [1]; v.clear(); v"),
    of("extend", Cost::One, "the steps of the iterator are charged", "let v = [1]; v.extend(2..4); v")
        .stores(),
    free("iter", "[1, 2].iter().count()"),
    free("pop", "let v = [1]; (v.pop(), v.pop())"),
    free("push", "let v = []; v.push(1); v").stores(),
    of("remove", Cost::Copy, MOVES, "let v = [1, 2, 3]; (v.remove(0), v)"),
    of("insert", Cost::Copy, MOVES, "let v = [1, 2]; v.insert(1, 3); v").stores(),
    of(
        "sort_by",
        Cost::AsItGoes,
        "charges a unit for every four comparisons, and ends with the first that fails",
        "let v = [2, 3, 1, 3, 0]; v.sort_by(|a, b| b.cmp(a)); v",
    )
    .ours(sort::sort_by),
    of(
        "sort",
        Cost::AsItGoes,
        "charges a unit for every four comparisons, and ends with the first that fails",
        r#"let v = [5, 2, 9, 1, 1, 7, 3]; v.sort(); let w = ["b", "a"]; w.sort(); (v, w)"#,
    )
    .ours(sort::sort),
    free_protocol(&Protocol::INTO_ITER, "let n = 0; for i in [1, 2] { n += i; } n"),
    protocol(&Protocol::INDEX_GET, Cost::Slice, SLICE, "let v = [1, 2, 3]; (v[1], v[1..])"),
    free_protocol(&Protocol::INDEX_SET, "let v = [1, 2]; std::iter::once(0).count(); v[1] = 3; v"),
    of("resize", Cost::Count(1), "writes every new element", "let v = [1]; v.resize(3, 0); v").stores(),
    walk(&Protocol::DEBUG_FMT, r#"format!("{:?}", [1, [2, "x"]])"#),
    protocol(&Protocol::CLONE, Cost::Copy, "copies the elements", "let v = [1]; v.clone()"),
    walk(&Protocol::PARTIAL_EQ, "([1, 2] == [1, 2], [1] != [2], [1, 2] == (1..3).iter())"),
    walk(&Protocol::EQ, "std::ops::eq([1, 2], [1, 2])"),
    walk(&Protocol::PARTIAL_CMP, "([1, 2] < [1, 3], [1].partial_cmp([2]))"),
    walk(&Protocol::CMP, "[1, 2].cmp([1, 3])"),
    unreached(&Protocol::HASH, Cost::Hash),
];

/// `::std::vec`
pub(super) static TABLE: Table = Table {
    path: &["vec"],
    types: &[Type::new::<RuneVec>("Vec", &[&[Trait::Clone], ORDER], VEC)],
    functions: &[],
    also: nothing,
};

const TUPLE: &[Function] = &[
    free("len", "(1, 2).len()"),
    free("is_empty", "(1, 2).is_empty()"),
    of("get", Cost::Slice, SLICE, "let t = (1, 2); (t.get(0), t.get(9), t.get(1..))"),
    free("iter", "(1, 2).iter().count()"),
    free_protocol(&Protocol::INTO_ITER, "let n = 0; for i in (1, 2) { n += i; } n"),
    walk(&Protocol::PARTIAL_EQ, "((1, 2) == (1, 2), (1, 2) != (1, 2))"),
    walk(&Protocol::EQ, "std::ops::eq((1, 2), (1, 2))"),
    walk(&Protocol::PARTIAL_CMP, "(1, 2) < (1, 3)"),
    walk(&Protocol::CMP, "(1, 2).cmp((1, 3))"),
    protocol(&Protocol::CLONE, Cost::Copy, "clones every element, each at its own cost", "(1, 2).clone()"),
    unreached(&Protocol::HASH, Cost::Hash),
    walk(&Protocol::DEBUG_FMT, r#"format!("{:?}", (1, (2, 'c')))"#),
];

/// `::std::tuple`
pub(super) static TUPLES: Table = Table {
    path: &["tuple"],
    types: &[Type::new::<OwnedTuple>("Tuple", &[&[Trait::Clone], ORDER], TUPLE)],
    functions: &[],
    also: nothing,
};
