//! Values that may hold themselves, and their end.
//!
//! Rune counts references, so that a value that holds itself (`node.parent = node`) is never freed: each call of such
//! a script would leave memory behind. Native values only hold what was there before them, so that the last link of
//! every cycle is made by putting something into what was there already: by an assignment to a field or an index, by a
//! function like `push`, or by code of the script that goes on in a generator, a stream or an iterator and finds there
//! what it keeps. All of them tell this module ([`note`]) what was put into. It is noted for the rest of the call, and
//! emptied when the call ends: no cycle is left. A future needs no note: who waits for it has taken it over.
//!
//! This is the first half of synchronous cycle collection (Bacon and Rajan, "Concurrent Cycle Collection in
//! Reference Counted Systems", 2001): candidates are buffered where a count could hide a cycle. The second half, trial
//! deletion, is not needed, since a call's end frees everything.
//!
//! Invariant: what nobody else holds any more is let go while the call runs, too, so that a script has the memory that
//! it has without this; what is noted here counts as the script's memory.
//! Not here: what a call left behind all the same (`run`).

use std::cmp::Ordering;
use std::mem::MaybeUninit;
use std::sync::LazyLock;

use rune::alloc::{HashSet, String, Vec};
use rune::runtime::{
    Bytes, InstAddress, Memory, Output, OwnedTuple, Type, TypeHash, Value, VmError, VmResult,
};
use rune::{Hash, vm_try};

use crate::fuel;
use crate::host::call;
use crate::metered::native::{self, Handler};

/// So few noted values are not looked through.
const FEW: usize = 64;
/// So many are looked through for one unit of fuel.
const LOOKS_PER_FUEL: usize = 16;

/// What is noted of one call.
#[derive(Default)]
pub struct Noted {
    values: Vec<Value>,
    places: HashSet<*const usize>,
    /// With how many it is looked which of them nobody else holds.
    look_at: usize,
}

/// Rune's own `drop`: it empties a value for everybody who holds it.
static EMPTY: LazyLock<Handler> =
    LazyLock::new(|| native::rune(Hash::type_hash(rune::item!(::std::mem::drop)), &"drop"));

/// Whether the counts of references are where this engine's version has them. Where not, everything that was noted is
/// kept to the end of its call.
static HAS_COUNTS: LazyLock<bool> = LazyLock::new(|| {
    let Ok(value) = Value::vec(Vec::new()) else { return false };
    let one = holders(&value);
    let others = [value.clone(), value.clone()];
    let three = holders(&value);
    drop(others);
    (one, three, holders(&value)) == (Some(1), Some(3), Some(1))
});

/// Notes that something was put into `target`: these values, or what cannot be told.
///
/// # Errors
/// The script has no memory left, or was stopped.
pub(crate) fn note(target: &Value, put: Option<&[Value]>) -> Result<(), VmError> {
    if put.is_some_and(|put| put.iter().all(holds_nothing)) {
        return Ok(());
    }
    // Outside of a call, where constants are evaluated, nothing can be assigned.
    match call::current() {
        Ok(call) => call.noted.borrow_mut().add(target),
        Err(_) => Ok(()),
    }
}

/// `::callboard::__k(target)`: gives its argument back, noted. Instrumented scripts put it around what an assignment
/// writes into.
pub(crate) fn note_through(
    memory: &mut dyn Memory,
    address: InstAddress,
    count: usize,
    output: Output,
) -> VmResult<()> {
    let [target] = vm_try!(memory.slice_at(address, count)) else {
        return VmResult::panic("callboard::__k takes one argument");
    };
    vm_try!(note(target, None));
    let target = target.clone();
    vm_try!(output.store(memory, target));
    VmResult::Ok(())
}

impl Noted {
    /// Whether anything is noted.
    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    fn add(&mut self, value: &Value) -> Result<(), VmError> {
        let Some(place) = place(value) else { return Ok(()) };
        if !self.places.try_insert(place).map_err(VmError::panic)? {
            return Ok(());
        }
        self.values.try_push(value.clone()).map_err(VmError::panic)?;
        if self.values.len() < self.look_at.max(FEW) {
            return Ok(());
        }
        fuel::charge((self.values.len() / LOOKS_PER_FUEL) as u64)?;
        if *HAS_COUNTS {
            let places = &mut self.places;
            self.values.retain(|value| {
                let is_held = holders(value).is_some_and(|holders| holders > 1);
                if let Some(place) = self::place(value).filter(|_| !is_held) {
                    places.remove(&place);
                }
                is_held
            });
        }
        self.look_at = self.values.len() * 2;
        Ok(())
    }

    /// Empties everything, which takes stack for each level that it nests.
    pub(crate) fn empty(self) {
        for value in self.values {
            // What is in use by somebody, or empty already, needs nothing.
            drop(native::call(&EMPTY, [value]));
        }
    }
}

/// Numbers, texts and the like hold no value of a script. All that the engine keeps without a place of its own on the
/// heap is among them.
fn holds_nothing(value: &Value) -> bool {
    const SUCH: [Hash; 10] = [
        <i64 as TypeHash>::HASH,
        <u64 as TypeHash>::HASH,
        <f64 as TypeHash>::HASH,
        <bool as TypeHash>::HASH,
        <char as TypeHash>::HASH,
        <String as TypeHash>::HASH,
        <Bytes as TypeHash>::HASH,
        <Type as TypeHash>::HASH,
        <Ordering as TypeHash>::HASH,
        <Hash as TypeHash>::HASH,
    ];
    /// What stands where a value was taken away.
    static EMPTY: LazyLock<Hash> = LazyLock::new(|| Value::empty().type_hash());
    let hash = value.type_hash();
    // `()` is kept in place, and says that it is a tuple.
    let is_unit = || hash == OwnedTuple::HASH && value.into_unit().is_ok();
    SUCH.contains(&hash) || hash == *EMPTY || is_unit()
}

/// Where a value lies that can hold others: the same place for all who hold it. Nothing for any other.
#[allow(unsafe_code)]
fn place(value: &Value) -> Option<*const usize> {
    const { assert!(size_of::<Value>() == 2 * size_of::<usize>()) };
    if holds_nothing(value) {
        return None;
    }
    // SAFETY: a value is two words, as the assertion says, and they may hold anything.
    let words = unsafe { std::mem::transmute_copy::<Value, [MaybeUninit<*const usize>; 2]>(value) };
    // SAFETY: a value is an enum of which one variant is kept in place, which was ruled out above, and the others are
    // one pointer each. The enum's tag is in the first word, so that the pointer, which is aligned, is the second.
    Some(unsafe { words[1].assume_init() })
}

/// How many hold a value; nothing where that is not known.
#[allow(unsafe_code)]
fn holders(value: &Value) -> Option<usize> {
    let place = place(value)?;
    // SAFETY: what lies there is one of the engine's two shared headers, `repr(C)` both, whose second word is the
    // count of references (`any_obj::Shared` and `value::dynamic::Shared` of the version that `Cargo.toml` pins). It is
    // a `Cell` of this thread, and alive as long as `value`, which is borrowed.
    Some(unsafe { place.add(1).read() })
}
