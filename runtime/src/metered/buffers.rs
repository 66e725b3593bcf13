//! `::std::bytes`.

use rune::runtime::{Bytes, Protocol};

use super::cost::Cost;
use super::table::{Function, ORDER, Table, Trait, Type, free, free_protocol, nothing, of, protocol};

const COPIES: &str = "copies the bytes";
const MOVES: &str = "moves the bytes behind the place";
const COMPARES: &str = "compares byte by byte";

const BYTES: &[Function] = &[
    free("new", "Bytes::new()"),
    of("with_capacity", Cost::Count(0), "allocates as asked", "Bytes::with_capacity(4)"),
    of("from_vec", Cost::Copy, "reads every element", r#"Bytes::from_vec([b'a', b'b'])"#),
    of("into_vec", Cost::Scan, "makes a value of every byte", r#"b"ab".into_vec()"#),
    of("as_vec", Cost::Scan, "makes a value of every byte", r#"b"ab".as_vec()"#),
    of("extend", Cost::CopyOf(1), "copies what is added", r#"let b = b"ab"; b.extend(b"cd"); b"#),
    of("extend_str", Cost::CopyOf(1), "copies what is added", r#"let b = b"ab"; b.extend_str("cd"); b"#),
    free("pop", r#"let b = b"ab"; (b.pop(), b)"#),
    free("push", r#"let b = b"ab"; b.push(b'c'); b"#),
    of("remove", Cost::Copy, MOVES, r#"let b = b"abc"; (b.remove(1), b)"#),
    of("insert", Cost::Copy, MOVES, r#"let b = b"abc"; b.insert(1, b'x'); b"#),
    protocol(
        &Protocol::INDEX_GET,
        Cost::Slice,
        "a range copies that part",
        r#"let b = b"abc"; (b[0], b[1..])"#,
    ),
    free_protocol(&Protocol::INDEX_SET, r#"let b = b"abc"; b[0] = b'x'; b"#),
    free("first", r#"(b"ab".first(), b"".first())"#),
    free("last", r#"b"ab".last()"#),
    free("len", r#"b"ab".len()"#),
    free("is_empty", r#"(b"".is_empty(), b"a".is_empty())"#),
    free("capacity", "Bytes::new().capacity()"),
    free("clear", r#"let b = b"ab"; b.clear(); b"#),
    of("reserve", Cost::Count(1), "allocates as asked", r#"let b = b"ab"; b.reserve(9); b"#),
    of("reserve_exact", Cost::Count(1), "allocates as asked", r#"let b = b"ab"; b.reserve_exact(9); b"#),
    of("shrink_to_fit", Cost::Copy, "may move the bytes", r#"let b = b"ab"; b.shrink_to_fit(); b"#),
    protocol(&Protocol::CLONE, Cost::Copy, COPIES, r#"b"ab".clone()"#),
    protocol(&Protocol::PARTIAL_EQ, Cost::CopyOf(0), COMPARES, r#"(b"ab" == b"ab", b"a" == b"b")"#),
    protocol(&Protocol::EQ, Cost::CopyOf(0), COMPARES, r#"std::ops::eq(b"ab", b"ab")"#),
    protocol(&Protocol::PARTIAL_CMP, Cost::CopyOf(0), COMPARES, r#"b"ab" < b"ac""#),
    protocol(&Protocol::CMP, Cost::CopyOf(0), COMPARES, r#"b"ab".cmp(b"ac")"#),
    protocol(&Protocol::HASH, Cost::CopyOf(0), "reads the bytes", r#"std::ops::hash(b"ab")"#),
    protocol(&Protocol::DEBUG_FMT, Cost::Scan, "writes byte by byte", r#"format!("{:?}", b"ab")"#),
];

/// `::std::bytes`
pub(super) static TABLE: Table = Table {
    path: &["bytes"],
    types: &[Type::new::<Bytes>("Bytes", &[&[Trait::Clone], ORDER], BYTES)],
    functions: &[],
    also: nothing,
};
