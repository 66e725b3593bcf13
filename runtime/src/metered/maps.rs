//! `::std::collections::hash_map` and `::std::object`.
//!
//! Invariant: what hashing walks is weighed before every hash, also when a map grows and hashes all of
//! its keys again: a key can lead to a vector that has grown since it was inserted.

use std::sync::LazyLock;

use rune::FromValue;
use rune::runtime::{Object, Protocol, Value, VmError};

use super::containers::{self, HashMap, hash_map};
use super::cost::Cost;
use super::native::{self, Handler, arguments, call};
use super::sets;
use super::table::{
    COUNTED, EQUALITY, FORWARD, Function, Table, Trait, Type, free, free_protocol, hint, nothing, of,
    protocol, step, walk,
};

const KEY: &str = "hashes the key node by node";
const GROWS: &str = "hashes the key node by node, and every key when the map grows";

const MAP: &[Function] = &[
    free("new", "std::collections::HashMap::new()"),
    of(
        "with_capacity",
        Cost::Count(0),
        "allocates as asked",
        "std::collections::HashMap::with_capacity(4).len()",
    ),
    free("len", "std::collections::HashMap::from_iter([(1, 2)]).len()"),
    free("capacity", "std::collections::HashMap::new().capacity()"),
    free("is_empty", "std::collections::HashMap::new().is_empty()"),
    of(
        "insert",
        Cost::AsItGoes,
        GROWS,
        r#"let m = std::collections::HashMap::new(); (m.insert((1, "a"), 2), m.insert((1, "a"), 3), m)"#,
    )
    .ours(insert)
    .stores(),
    of("get", Cost::Key, KEY, "let m = std::collections::HashMap::from_iter([(1, 2)]); (m.get(1), m.get(2))"),
    of(
        "contains_key",
        Cost::Key,
        KEY,
        "let m = std::collections::HashMap::from_iter([(1, 2)]); (m.contains_key(1), m.contains_key(2))",
    ),
    of(
        "remove",
        Cost::Key,
        KEY,
        "let m = std::collections::HashMap::from_iter([(1, 2)]); (m.remove(1), m.remove(1), m)",
    ),
    of(
        "clear",
        Cost::Copy,
        "drops every entry",
        "let m = std::collections::HashMap::from_iter([(1, 2)]); m.clear(); m",
    ),
    free("iter", "std::collections::HashMap::from_iter([(1, 2)]).iter().count()"),
    free_protocol(
        &Protocol::INTO_ITER,
        "let n = 0; for (k, v) in std::collections::HashMap::from_iter([(1, 2)]) { n += v; } n",
    ),
    of("from_iter", Cost::AsItGoes, "as many inserts", "std::collections::HashMap::from_iter([(1, 2)])")
        .ours(from_iter),
    free("keys", "std::collections::HashMap::from_iter([(1, 2)]).keys().count()"),
    free("values", "std::collections::HashMap::from_iter([(1, 2)]).values().count()"),
    of(
        "extend",
        Cost::AsItGoes,
        "as many inserts",
        "let m = std::collections::HashMap::new(); m.extend([(1, 2)]); m",
    )
    .ours(extend)
    .stores(),
    protocol(
        &Protocol::INDEX_SET,
        Cost::AsItGoes,
        GROWS,
        "let m = std::collections::HashMap::new(); m[1] = 2; m",
    )
    .ours(index_set),
    protocol(&Protocol::INDEX_GET, Cost::Key, KEY, "std::collections::HashMap::from_iter([(1, 2)])[1]"),
    walk(&Protocol::DEBUG_FMT, r#"format!("{:?}", std::collections::HashMap::from_iter([(1, 2)]))"#),
    protocol(
        &Protocol::CLONE,
        Cost::Copy,
        "copies the entries",
        "std::collections::HashMap::from_iter([(1, 2)]).clone()",
    ),
    walk(
        &Protocol::PARTIAL_EQ,
        "std::collections::HashMap::from_iter([(1, 2)]) == std::collections::HashMap::from_iter([(1, 2)])",
    ),
    walk(
        &Protocol::EQ,
        "std::ops::eq(std::collections::HashMap::from_iter([(1, 2)]), std::collections::HashMap::new())",
    ),
];

const ITER: &[Function] = &[
    step(&Protocol::NEXT, "std::collections::HashMap::from_iter([(1, 2)]).iter().next()"),
    hint(&Protocol::SIZE_HINT, "std::collections::HashMap::from_iter([(1, 2)]).iter().size_hint()"),
];
const KEYS: &[Function] = &[
    step(&Protocol::NEXT, "std::collections::HashMap::from_iter([(1, 2)]).keys().next()"),
    hint(&Protocol::SIZE_HINT, "std::collections::HashMap::from_iter([(1, 2)]).keys().size_hint()"),
];
const VALUES: &[Function] = &[
    step(&Protocol::NEXT, "std::collections::HashMap::from_iter([(1, 2)]).values().next()"),
    hint(&Protocol::SIZE_HINT, "std::collections::HashMap::from_iter([(1, 2)]).values().size_hint()"),
];

/// `::std::collections::hash_map`
pub(super) static TABLE: Table = Table {
    path: &["collections", "hash_map"],
    types: &[
        Type::new::<HashMap>("HashMap", &[&[Trait::Clone], EQUALITY], MAP),
        Type::new::<hash_map::Iter>("Iter", &[FORWARD], ITER),
        Type::new::<hash_map::Keys>("Keys", &[FORWARD], KEYS),
        Type::new::<hash_map::Values>("Values", &[FORWARD], VALUES),
    ],
    functions: &[],
    also: nothing,
};

static NEW: LazyLock<Handler> = LazyLock::new(|| native::method::<HashMap>("new"));
static INSERT: LazyLock<Handler> = LazyLock::new(|| native::method::<HashMap>("insert"));

/// A map without entries.
pub(super) fn empty() -> Result<Value, VmError> {
    // The result takes the place of an argument, so one is given; Rune's function asks for none.
    sets::make(&NEW)
}

/// `HashMap::insert`
pub(super) fn insert(given: &[Value]) -> Result<Value, VmError> {
    let [map, key, value] = arguments(given)?;
    sets::before_insert(&containers::MAP, map, key)?;
    call(&INSERT, [map.clone(), key.clone(), value.clone()])
}

fn index_set(given: &[Value]) -> Result<Value, VmError> {
    insert(given)?;
    Ok(Value::from(()))
}

fn extend(given: &[Value]) -> Result<Value, VmError> {
    let [map, entries] = arguments(given)?;
    for entry in sets::items(entries)? {
        let (key, value) = <(Value, Value)>::from_value(entry)?;
        insert(&[map.clone(), key, value])?;
    }
    Ok(Value::from(()))
}

fn from_iter(given: &[Value]) -> Result<Value, VmError> {
    let [entries] = arguments(given)?;
    let map = empty()?;
    extend(&[map.clone(), entries.clone()])?;
    Ok(map)
}

const HASHES: &str = "hashes the key";

const OBJECT: &[Function] = &[
    free("new", "Object::new()"),
    of("with_capacity", Cost::Count(0), "allocates as asked", "Object::with_capacity(4)"),
    free("len", "#{ a: 1 }.len()"),
    free("is_empty", "(#{}.is_empty(), #{ a: 1 }.is_empty())"),
    of(
        "insert",
        Cost::CopyOf(1),
        HASHES,
        r#"let o = #{ a: 1 }; (o.insert("a", 2), o.insert("b", 3), o.len())"#,
    )
    .stores(),
    of("remove", Cost::CopyOf(1), HASHES, r#"let o = #{ a: 1 }; (o.remove("a"), o.remove("a"), o)"#),
    of("clear", Cost::Copy, "drops every entry", "let o = #{ a: 1 }; o.clear(); o"),
    of("contains_key", Cost::CopyOf(1), HASHES, r#"(#{ a: 1 }.contains_key("a"), #{}.contains_key("a"))"#),
    of("get", Cost::CopyOf(1), HASHES, r#"(#{ a: 1 }.get("a"), #{}.get("a"))"#),
    walk(&Protocol::PARTIAL_EQ, "(#{ a: 1 } == #{ a: 1 }, #{ a: 1 } != #{})"),
    walk(&Protocol::EQ, "std::ops::eq(#{ a: [1] }, #{ a: [1] })"),
    protocol(&Protocol::CLONE, Cost::Copy, "copies the entries", "#{ a: 1 }.clone()"),
    walk(&Protocol::DEBUG_FMT, r#"format!("{:?}", #{ a: #{ b: 1 } })"#),
    free("iter", "#{ a: 1 }.iter().collect::<Vec>()"),
    free("keys", "#{ a: 1 }.keys().collect::<Vec>()"),
    free("values", "#{ a: 1 }.values().collect::<Vec>()"),
    free_protocol(&Protocol::INTO_ITER, "let n = 0; for (k, v) in #{ a: 1 } { n += v; } n"),
];

const OBJECT_ITER: &[Function] = &[
    step(&Protocol::NEXT, "#{ a: 1 }.iter().next()"),
    hint(&Protocol::SIZE_HINT, "#{ a: 1 }.iter().size_hint()"),
    hint(&Protocol::LEN, "#{ a: 1 }.iter().len()"),
];
const OBJECT_KEYS: &[Function] = &[
    step(&Protocol::NEXT, "#{ a: 1 }.keys().next()"),
    hint(&Protocol::SIZE_HINT, "#{ a: 1 }.keys().size_hint()"),
    hint(&Protocol::LEN, "#{ a: 1 }.keys().len()"),
];
const OBJECT_VALUES: &[Function] = &[
    step(&Protocol::NEXT, "#{ a: 1 }.values().next()"),
    hint(&Protocol::SIZE_HINT, "#{ a: 1 }.values().size_hint()"),
    hint(&Protocol::LEN, "#{ a: 1 }.values().len()"),
];

mod object {
    use rune::Any;

    macro_rules! stand_ins {
        ($($name:ident)*) => {$(
            #[derive(Any)]
            #[rune(item = ::std::object)]
            pub(crate) struct $name;
        )*};
    }
    stand_ins! { Iter Keys Values }
}

/// `::std::object`
pub(super) static OBJECTS: Table = Table {
    path: &["object"],
    types: &[
        Type::new::<Object>("Object", &[&[Trait::Clone], EQUALITY], OBJECT),
        Type::new::<object::Iter>("Iter", &[COUNTED], OBJECT_ITER),
        Type::new::<object::Keys>("Keys", &[COUNTED], OBJECT_KEYS),
        Type::new::<object::Values>("Values", &[COUNTED], OBJECT_VALUES),
    ],
    functions: &[],
    also: nothing,
};
