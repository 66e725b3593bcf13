//! The collections whose Rust types Rune keeps to itself: maps, sets and deques.
//!
//! A stand-in with the same item path has the same type hash, which is all that registering functions
//! for a type needs; what is inside is reached through Rune's own functions.
//! Not here: the functions that scripts call (`maps`, `sets`, `deques`).

use std::sync::LazyLock;

use rune::runtime::{Protocol, TypeHash, Value, VmError};
use rune::{Any, FromValue, Hash};

use super::native::{self, Handler, call};

/// Rune's map.
#[derive(Any)]
#[rune(item = ::std::collections::hash_map)]
pub(crate) struct HashMap;

/// Rune's set.
#[derive(Any)]
#[rune(item = ::std::collections::hash_set)]
pub(crate) struct HashSet;

/// Rune's deque.
#[derive(Any)]
#[rune(item = ::std::collections::vec_deque)]
pub(crate) struct VecDeque;

pub(crate) mod hash_map {
    //! The iterators of a map.
    use rune::Any;

    /// Over its pairs.
    #[derive(Any)]
    #[rune(item = ::std::collections::hash_map)]
    pub(crate) struct Iter;
    /// Over its keys.
    #[derive(Any)]
    #[rune(item = ::std::collections::hash_map)]
    pub(crate) struct Keys;
    /// Over its values.
    #[derive(Any)]
    #[rune(item = ::std::collections::hash_map)]
    pub(crate) struct Values;
}

pub(crate) mod hash_set {
    //! The iterator of a set.
    use rune::Any;

    /// Over its members.
    #[derive(Any)]
    #[rune(item = ::std::collections::hash_set)]
    pub(crate) struct Iter;
}

pub(crate) mod vec_deque {
    //! The iterator of a deque.
    use rune::Any;

    /// Over its elements.
    #[derive(Any)]
    #[rune(item = ::std::collections::vec_deque)]
    pub(crate) struct Iter;
}

/// Rune's functions to look into one kind of collection.
pub(crate) struct Inside {
    pub(crate) len: Handler,
    pub(crate) capacity: Handler,
    pub(crate) iter: Handler,
    pub(crate) next: Handler,
}

impl Inside {
    fn of<Collection: TypeHash, Iter: TypeHash>() -> Self {
        Self {
            len: native::method::<Collection>("len"),
            capacity: native::method::<Collection>("capacity"),
            iter: native::method::<Collection>("iter"),
            next: native::rune(Hash::associated_function(Iter::HASH, &Protocol::NEXT), &"next"),
        }
    }

    /// Whether the next insertion moves every entry, and so hashes every key again.
    pub(crate) fn is_full(&self, collection: &Value) -> Result<bool, VmError> {
        let len = call(&self.len, [collection.clone()])?.as_usize()?;
        Ok(len == call(&self.capacity, [collection.clone()])?.as_usize()?)
    }

    /// The next element of an iterator that `iter` made.
    pub(crate) fn next(&self, iterator: &Value) -> Result<Option<Value>, VmError> {
        Ok(Option::from_value(call(&self.next, [iterator.clone()])?)?)
    }
}

pub(crate) static MAP: LazyLock<Inside> = LazyLock::new(Inside::of::<HashMap, hash_map::Iter>);
pub(crate) static SET: LazyLock<Inside> = LazyLock::new(Inside::of::<HashSet, hash_set::Iter>);
pub(crate) static DEQUE: LazyLock<Inside> = LazyLock::new(Inside::of::<VecDeque, vec_deque::Iter>);

fn inside(collection: &Value) -> Option<&'static Inside> {
    let kind = collection.type_hash();
    if kind == HashMap::HASH {
        Some(&MAP)
    } else if kind == HashSet::HASH {
        Some(&SET)
    } else if kind == VecDeque::HASH {
        Some(&DEQUE)
    } else {
        None
    }
}

/// How many entries a map, set or deque has; none when it is something else.
pub(crate) fn length(value: &Value) -> usize {
    inside(value)
        .and_then(|inside| call(&inside.len, [value.clone()]).ok()?.as_usize().ok())
        .unwrap_or_default()
}

/// Shows each entry of a map, set or deque as its key and its value; shows nothing of other values.
pub(crate) fn each_entry(
    value: &Value,
    mut show: impl FnMut(Option<&Value>, Option<&Value>) -> Result<(), VmError>,
) -> Result<(), VmError> {
    let Some(inside) = inside(value) else { return Ok(()) };
    // Borrowed elsewhere: whatever would walk it next fails in the same way.
    let Ok(entries) = call(&inside.iter, [value.clone()]) else { return Ok(()) };
    let kind = value.type_hash();
    while let Some(entry) = inside.next(&entries)? {
        crate::fuel::charge(1)?;
        if kind == HashMap::HASH {
            let (key, held) = <(Value, Value)>::from_value(entry)?;
            show(Some(&key), Some(&held))?;
        } else if kind == HashSet::HASH {
            show(Some(&entry), None)?;
        } else {
            show(None, Some(&entry))?;
        }
    }
    Ok(())
}
