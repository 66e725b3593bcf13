//! Costs: what a native function is charged for before it runs.
//!
//! Invariant: a charge is made before the work, and is at least in proportion to it: one unit stands for
//! some 20 to 50 nanoseconds. Not here: the meter itself (`fuel`).

use rune::alloc::String;
use rune::runtime::{Bytes, Object, OwnedTuple, TypeHash, TypeValue, Value, Vec as RuneVec, VmError};

use super::containers;
use crate::fuel;
use crate::weigh;

/// What a function of the library costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// Nothing: it takes constant time, and no native function calls it in a loop.
    Free,
    /// One unit.
    One,
    /// A copy of every argument, or another fast pass over them: a unit for 64 bytes.
    Copy,
    /// A copy of this argument.
    CopyOf(usize),
    /// A slow pass over every argument, a letter at a time: a unit for 8 bytes.
    Scan,
    /// As many units as this argument, a number, says elements, divided by 4; no more than memory allows.
    Count(usize),
    /// A copy of the first argument when the second is a range; nothing when it is a number.
    Slice,
    /// The nodes of every argument, as far as the function walks them by itself.
    Weigh,
    /// The nodes of the first argument that hashing walks by itself.
    Hash,
    /// The nodes of the second argument, a key, that hashing walks by itself.
    Key,
    /// The function charges as it works: the reason says how.
    AsItGoes,
}

impl Cost {
    /// In words, for the reference.
    pub fn words(&self) -> &'static str {
        match self {
            Self::Free => "nothing",
            Self::One => "1",
            Self::Copy | Self::CopyOf(_) => "bytes ÷ 64",
            Self::Scan => "bytes ÷ 8",
            Self::Count(_) => "elements ÷ 4",
            Self::Slice => "bytes ÷ 64 for a range",
            Self::Weigh | Self::Hash | Self::Key => "nodes",
            Self::AsItGoes => "as it goes",
        }
    }
}

impl Cost {
    /// Charges for a call with these arguments.
    pub(super) fn charge(self, arguments: &[Value]) -> Result<(), VmError> {
        match self {
            Cost::Free | Cost::AsItGoes => Ok(()),
            Cost::One => fuel::charge(1),
            Cost::Copy => fuel::charge(1 + total(arguments) / 64),
            Cost::CopyOf(index) => fuel::charge(1 + arguments.get(index).map_or(0, bytes) / 64),
            Cost::Scan => fuel::charge(1 + total(arguments) / 8),
            Cost::Count(index) => fuel::charge(1 + arguments.get(index).map_or(0, count) / 4),
            Cost::Slice => match arguments {
                [items, index] if !is_inline(index) => fuel::charge(1 + bytes(items) / 64),
                _ => Ok(()),
            },
            Cost::Weigh => arguments.iter().try_for_each(weigh::before_operation),
            Cost::Hash => arguments.first().map_or(Ok(()), weigh::before_hash_inside),
            Cost::Key => arguments.get(1).map_or(Ok(()), weigh::before_hash),
        }
    }
}

fn is_inline(value: &Value) -> bool {
    matches!(value.as_type_value(), Ok(TypeValue::Unit | TypeValue::NotTypedInline(_)))
}

fn total(values: &[Value]) -> u64 {
    values.iter().map(bytes).fold(0, u64::saturating_add)
}

/// A number that says how many elements to make. A number that no memory could hold is charged for as
/// much as there is, so that the call ends for the want of memory and not of fuel.
fn count(value: &Value) -> u64 {
    let asked = value.as_integer::<u64>().unwrap_or(0);
    asked.min(u64::try_from(rune::alloc::limit::get()).unwrap_or(u64::MAX))
}

/// About how many bytes a value holds itself, without those it leads to.
fn bytes(value: &Value) -> u64 {
    const ELEMENT: usize = size_of::<Value>();
    let kind = value.type_hash();
    let bytes = if kind == String::HASH {
        value.borrow_ref::<String>().map_or(0, |text| text.len())
    } else if kind == RuneVec::HASH {
        value.borrow_ref::<RuneVec>().map_or(0, |items| items.len() * ELEMENT)
    } else if kind == Bytes::HASH {
        value.borrow_ref::<Bytes>().map_or(0, |bytes| bytes.len())
    } else if kind == Object::HASH {
        // Each key is copied, too.
        value.borrow_ref::<Object>().map_or(0, |object| object.len() * 4 * ELEMENT)
    } else if kind == OwnedTuple::HASH {
        value.borrow_ref::<OwnedTuple>().map_or(0, |items| items.len() * ELEMENT)
    } else {
        containers::length(value) * 2 * ELEMENT
    };
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
