//! `::std::collections::hash_set`, and what maps and sets share.

use std::sync::LazyLock;

use rune::runtime::{Protocol, Value, Vec as RuneVec, VmError};
use rune::{Any, FromValue, ToValue};

use super::containers::{self, HashSet, Inside, hash_set};
use super::cost::Cost;
use super::native::{self, Handler, arguments, call};
use super::table::{
    COUNTED, EQUALITY, FORWARD, Function, Table, Trait, Type, free, free_protocol, hint, nothing, of,
    protocol, step, walk,
};
use crate::{fuel, weigh};

const KEY: &str = "hashes the member node by node";
const GROWS: &str = "hashes the member node by node, and every member when the set grows";
const AS_READ: &str = "its iterator charges for every member that it looks up";

const SET: &[Function] = &[
    free("new", "std::collections::HashSet::new()"),
    of("with_capacity", Cost::Count(0), "allocates as asked", "std::collections::HashSet::with_capacity(4).len()"),
    free("len", "std::collections::HashSet::from_iter([1, 1]).len()"),
    free("is_empty", "std::collections::HashSet::new().is_empty()"),
    free("capacity", "std::collections::HashSet::new().capacity()"),
    of("insert", Cost::AsItGoes, GROWS, "let s = std::collections::HashSet::new(); (s.insert(1), s.insert(1), s)").ours(insert).stores(),
    of("remove", Cost::Key, KEY, "let s = std::collections::HashSet::from_iter([1]); (s.remove(1), s.remove(1), s)"),
    of("contains", Cost::Key, KEY, "let s = std::collections::HashSet::from_iter([1]); (s.contains(1), s.contains(2))"),
    of("clear", Cost::Copy, "drops every member", "let s = std::collections::HashSet::from_iter([1]); s.clear(); s"),
    of("difference", Cost::AsItGoes, AS_READ, "std::collections::HashSet::from_iter([1, 2]).difference(std::collections::HashSet::from_iter([2])).collect::<Vec>()").ours(difference),
    of("extend", Cost::AsItGoes, "as many inserts", "let s = std::collections::HashSet::new(); s.extend([1, 1]); s").ours(extend).stores(),
    of("intersection", Cost::AsItGoes, AS_READ, "std::collections::HashSet::from_iter([1, 2]).intersection(std::collections::HashSet::from_iter([2])).collect::<Vec>()").ours(intersection),
    of("union", Cost::AsItGoes, AS_READ, "let u = std::collections::HashSet::from_iter([1, 2]).union(std::collections::HashSet::from_iter([2, 3])).collect::<Vec>(); u.sort(); u").ours(union),
    free("iter", "std::collections::HashSet::from_iter([1]).iter().count()"),
    free_protocol(&Protocol::INTO_ITER, "let n = 0; for i in std::collections::HashSet::from_iter([1]) { n += i; } n"),
    of("from_iter", Cost::AsItGoes, "as many inserts", "std::collections::HashSet::from_iter([1, 1])").ours(from_iter),
    walk(&Protocol::DEBUG_FMT, r#"format!("{:?}", std::collections::HashSet::from_iter([1]))"#),
    protocol(&Protocol::CLONE, Cost::Copy, "copies the members", "std::collections::HashSet::from_iter([1]).clone()"),
    walk(&Protocol::PARTIAL_EQ, "std::collections::HashSet::from_iter([1, 2]) == std::collections::HashSet::from_iter([2, 1])"),
    walk(&Protocol::EQ, "std::ops::eq(std::collections::HashSet::from_iter([1]), std::collections::HashSet::new())"),
];

const ITER: &[Function] = &[
    step(&Protocol::NEXT, "std::collections::HashSet::from_iter([1]).iter().next()"),
    hint(&Protocol::SIZE_HINT, "std::collections::HashSet::from_iter([1]).iter().size_hint()"),
    hint(&Protocol::LEN, "std::collections::HashSet::from_iter([1]).iter().len()"),
];

const LOOKS_UP: &str = "charges every member that it looks up, node by node";

const DIFFERENCE: &[Function] = &[
    protocol(
        &Protocol::NEXT,
        Cost::AsItGoes,
        LOOKS_UP,
        "std::collections::HashSet::from_iter([1]).difference(std::collections::HashSet::new()).next()",
    )
    .ours(next::<Difference>),
    protocol(
        &Protocol::SIZE_HINT,
        Cost::One,
        "asks the members",
        "std::collections::HashSet::from_iter([1]).difference(std::collections::HashSet::new()).size_hint()",
    )
    .ours(size_hint::<Difference>),
];
const INTERSECTION: &[Function] = &[
    protocol(&Protocol::NEXT, Cost::AsItGoes, LOOKS_UP, "std::collections::HashSet::from_iter([1]).intersection(std::collections::HashSet::new()).next()").ours(next::<Intersection>),
    protocol(&Protocol::SIZE_HINT, Cost::One, "asks the members", "std::collections::HashSet::from_iter([1]).intersection(std::collections::HashSet::from_iter([2, 3])).size_hint()").ours(size_hint::<Intersection>),
];
const UNION: &[Function] = &[protocol(
    &Protocol::NEXT,
    Cost::AsItGoes,
    LOOKS_UP,
    "std::collections::HashSet::from_iter([1]).union(std::collections::HashSet::new()).next()",
)
.ours(next_of_union)];

/// `::std::collections::hash_set`
pub(super) static TABLE: Table = Table {
    path: &["collections", "hash_set"],
    types: &[
        Type::new::<HashSet>("HashSet", &[&[Trait::Clone], EQUALITY], SET),
        Type::new::<hash_set::Iter>("Iter", &[COUNTED], ITER),
        Type::new::<Difference>("Difference", &[FORWARD], DIFFERENCE),
        Type::new::<Intersection>("Intersection", &[FORWARD], INTERSECTION),
        Type::new::<Union>("Union", &[FORWARD], UNION),
    ],
    functions: &[],
    also: nothing,
};

static NEW: LazyLock<Handler> = LazyLock::new(|| native::method::<HashSet>("new"));
static INSERT: LazyLock<Handler> = LazyLock::new(|| native::method::<HashSet>("insert"));
static CONTAINS: LazyLock<Handler> = LazyLock::new(|| native::method::<HashSet>("contains"));

/// What a function without arguments makes.
pub(super) fn make(new: &Handler) -> Result<Value, VmError> {
    native::call_without_arguments(new)
}

/// A set without members.
pub(super) fn empty() -> Result<Value, VmError> {
    make(&NEW)
}

/// Weighs all that inserting `key` hashes: the key, and all others when the collection grows.
pub(super) fn before_insert(inside: &Inside, collection: &Value, key: &Value) -> Result<(), VmError> {
    weigh::before_hash(key)?;
    if inside.is_full(collection)? {
        containers::each_entry(collection, |key, _| key.map_or(Ok(()), weigh::before_hash))?;
    }
    Ok(())
}

/// The items of anything that can be iterated over; its own steps charge for them.
pub(super) fn items(source: &Value) -> Result<RuneVec, VmError> {
    let mut items = RuneVec::new();
    items.extend(source.clone()).into_result()?;
    Ok(items)
}

/// `HashSet::insert`
pub(super) fn insert(given: &[Value]) -> Result<Value, VmError> {
    let [set, key] = arguments(given)?;
    before_insert(&containers::SET, set, key)?;
    call(&INSERT, [set.clone(), key.clone()])
}

fn extend(given: &[Value]) -> Result<Value, VmError> {
    let [set, members] = arguments(given)?;
    for member in items(members)? {
        insert(&[set.clone(), member])?;
    }
    Ok(Value::from(()))
}

fn from_iter(given: &[Value]) -> Result<Value, VmError> {
    let [members] = arguments(given)?;
    let set = empty()?;
    extend(&[set.clone(), members.clone()])?;
    Ok(set)
}

/// The members of one set that are, or are not, in another.
struct Members {
    /// Rune's iterator over the one.
    iterator: Value,
    other: Value,
    shared: bool,
}

impl Members {
    fn new(set: &Value, other: &Value, shared: bool) -> Result<Self, VmError> {
        Ok(Self { iterator: call(&containers::SET.iter, [set.clone()])?, other: other.clone(), shared })
    }

    fn next(&self) -> Result<Option<Value>, VmError> {
        while let Some(member) = containers::SET.next(&self.iterator)? {
            fuel::charge(1)?;
            weigh::before_hash(&member)?;
            let found = call(&CONTAINS, [self.other.clone(), member.clone()])?.as_bool()?;
            if found == self.shared {
                return Ok(Some(member));
            }
        }
        Ok(None)
    }
}

/// What is in the first set and not in the second.
#[derive(Any)]
#[rune(item = ::std::collections::hash_set)]
struct Difference {
    members: Members,
}

/// What is in both sets.
#[derive(Any)]
#[rune(item = ::std::collections::hash_set)]
struct Intersection {
    members: Members,
}

/// What is in either set: the members of the longer, then those that only the shorter has.
#[derive(Any)]
#[rune(item = ::std::collections::hash_set)]
struct Union {
    longer: Value,
    missing: Members,
}

trait HasMembers: Any {
    fn members(&self) -> &Members;
}

impl HasMembers for Difference {
    fn members(&self) -> &Members {
        &self.members
    }
}

impl HasMembers for Intersection {
    fn members(&self) -> &Members {
        &self.members
    }
}

fn difference(given: &[Value]) -> Result<Value, VmError> {
    let [set, other] = arguments(given)?;
    Ok(Value::new(Difference { members: Members::new(set, other, false)? })?)
}

/// The sets, the longer first.
fn longer_first<'a>(a: &'a Value, b: &'a Value) -> Result<(&'a Value, &'a Value), VmError> {
    let len = |set: &Value| Ok::<_, VmError>(call(&containers::SET.len, [set.clone()])?.as_usize()?);
    Ok(if len(a)? >= len(b)? { (a, b) } else { (b, a) })
}

fn intersection(given: &[Value]) -> Result<Value, VmError> {
    let [set, other] = arguments(given)?;
    let (longer, shorter) = longer_first(other, set)?;
    Ok(Value::new(Intersection { members: Members::new(shorter, longer, true)? })?)
}

fn union(given: &[Value]) -> Result<Value, VmError> {
    let [set, other] = arguments(given)?;
    let (longer, shorter) = longer_first(set, other)?;
    let missing = Members::new(shorter, longer, false)?;
    Ok(Value::new(Union { longer: call(&containers::SET.iter, [longer.clone()])?, missing })?)
}

fn next<Iter: HasMembers>(given: &[Value]) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    fuel::charge(1)?;
    Ok(iterator.borrow_ref::<Iter>()?.members().next()?.to_value()?)
}

fn next_of_union(given: &[Value]) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    fuel::charge(1)?;
    let union = iterator.borrow_ref::<Union>()?;
    if let Some(member) = containers::SET.next(&union.longer)? {
        return Ok(Some(member).to_value()?);
    }
    Ok(union.missing.next()?.to_value()?)
}

fn size_hint<Iter: HasMembers>(given: &[Value]) -> Result<Value, VmError> {
    let [iterator] = arguments(given)?;
    let hint = native::protocol::<hash_set::Iter>(&Protocol::SIZE_HINT);
    let members = iterator.borrow_ref::<Iter>()?.members().iterator.clone();
    let (_, most) = <(usize, Option<usize>)>::from_value(call(&hint, [members])?)?;
    Ok((0usize, most).to_value()?)
}
