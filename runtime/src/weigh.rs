//! Weighing: how much a value costs to walk, charged before something walks it.
//!
//! Native code compares, hashes and prints whole values in one go, and a value can be small in memory
//! and endless to walk: `a = [a, a]`, fifty times over, has 2^50 paths. A weighing goes the same way
//! node by node, charges for each and stops where the fuel stops.
//!
//! Invariant: a weighing keeps its own stack, so the depth of a value never reaches the native one.
//! Not here: which functions weigh what (`metered`).

use rune::alloc::String;
use rune::runtime::{
    Bytes, ControlFlow, GeneratorState, InstAddress, Memory, Object, Output, Range, RangeFrom,
    RangeInclusive, RangeTo, RangeToInclusive, TypeHash, TypeValue, Value, Vec as RuneVec, VmError, VmResult,
};
use rune::vm_try;

use crate::fuel::{self, Stop};
use crate::metered::containers;

/// How many nodes may wait to be weighed: more than a call's memory can hold values.
const PENDING: usize = 1 << 21;
/// So many bytes of a text weigh as much as one node.
const BYTES_PER_NODE: u64 = 64;

/// Which nodes a walk goes into. The others are charged and passed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Into {
    /// Values of script structs and enums. Rune compares and prints these without asking a function;
    /// everything else goes through a metered one, which charges for itself.
    Structs,
    /// Vectors and tuples, which Rune hashes without asking a function.
    Lists,
    /// All that can hold a value.
    Everything,
}

/// Charges one unit for every node of `value`, and for its texts by their length.
///
/// # Errors
/// The call was stopped: its fuel did not reach to the end of the value, or its time did not.
pub fn weigh(value: &Value) -> Result<(), VmError> {
    walk(value, Into::Everything, Into::Everything)
}

/// Weighs what an operation on `value` walks on its own before it reaches the next metered function.
pub(crate) fn before_operation(value: &Value) -> Result<(), VmError> {
    walk(value, Into::Everything, Into::Structs)
}

/// Weighs what hashing `key` walks on its own before it reaches the next metered function.
pub(crate) fn before_hash(key: &Value) -> Result<(), VmError> {
    walk(key, Into::Lists, Into::Lists)
}

/// Weighs what a function that hashes what `value` holds walks on its own.
pub(crate) fn before_hash_inside(value: &Value) -> Result<(), VmError> {
    walk(value, Into::Everything, Into::Lists)
}

/// Weighs what comparing `value` to another walks on its own; nothing but for structs and enums.
pub(crate) fn before_compare(value: &Value) -> Result<(), VmError> {
    if may_hold_structs(value) { walk(value, Into::Structs, Into::Structs) } else { Ok(()) }
}

/// `::callboard::__w(value)`: gives its argument back, weighed. Instrumented scripts put it around what
/// an operator compares or a format prints. Numbers, texts and collections pass at once: the metered
/// functions that the operator calls for them charge as they go.
pub fn weigh_through(
    memory: &mut dyn Memory,
    address: InstAddress,
    count: usize,
    output: Output,
) -> VmResult<()> {
    let [value] = vm_try!(memory.slice_at(address, count)) else {
        return VmResult::panic("callboard::__w takes one argument");
    };
    vm_try!(before_compare(value));
    let value = value.clone();
    vm_try!(output.store(memory, value));
    VmResult::Ok(())
}

fn may_hold_structs(value: &Value) -> bool {
    matches!(value.as_type_value(), Ok(TypeValue::Struct(_) | TypeValue::TupleStruct(_)))
}

fn walk(value: &Value, first: Into, then: Into) -> Result<(), VmError> {
    let mut pending = Vec::new();
    expand(value, first, &mut pending)?;
    while let Some(value) = pending.pop() {
        expand(&value, then, &mut pending)?;
    }
    Ok(())
}

/// Charges for one node and queues those below it. A node that is borrowed elsewhere counts as a leaf:
/// whatever would walk it next fails on the same borrow.
fn expand(value: &Value, into: Into, pending: &mut Vec<Value>) -> Result<(), VmError> {
    let Ok(kind) = value.as_type_value() else { return fuel::charge(1) };
    match (kind, into) {
        (TypeValue::Struct(fields), Into::Structs | Into::Everything) => queue(fields.data(), pending),
        (TypeValue::TupleStruct(fields), Into::Structs | Into::Everything) => queue(fields.data(), pending),
        (TypeValue::Tuple(items), Into::Lists | Into::Everything) => queue(&items, pending),
        (TypeValue::Object(object), Into::Everything) => queue_object(&object, pending),
        (TypeValue::NotTypedAnyObj(_), into) => expand_native(value, into, pending),
        _ => fuel::charge(1),
    }
}

fn expand_native(value: &Value, into: Into, pending: &mut Vec<Value>) -> Result<(), VmError> {
    let kind = value.type_hash();
    if kind == RuneVec::HASH {
        if into != Into::Structs
            && let Ok(items) = value.borrow_ref::<RuneVec>()
        {
            return queue(&items, pending);
        }
        return fuel::charge(1);
    }
    if kind == String::HASH {
        return text(value.borrow_ref::<String>().map_or(0, |text| text.len()));
    }
    if kind == Bytes::HASH {
        return text(value.borrow_ref::<Bytes>().map_or(0, |bytes| bytes.len()));
    }
    if into != Into::Everything {
        return fuel::charge(1);
    }
    macro_rules! pair {
        ($($range:ty: $($field:ident)+;)*) => {
            $(if kind == <$range>::HASH && let Ok(range) = value.borrow_ref::<$range>() {
                return queue(&[$(range.$field.clone()),+], pending);
            })*
        };
    }
    pair! {
        Range: start end;
        RangeInclusive: start end;
        RangeFrom: start;
        RangeTo: end;
        RangeToInclusive: end;
    }
    if kind == <Option<Value>>::HASH
        && let Ok(option) = value.borrow_ref::<Option<Value>>()
    {
        return queue(option.as_slice(), pending);
    }
    if kind == <Result<Value, Value>>::HASH
        && let Ok(result) = value.borrow_ref::<Result<Value, Value>>()
    {
        let (Ok(inner) | Err(inner)) = &*result;
        return queue(std::slice::from_ref(inner), pending);
    }
    if kind == ControlFlow::HASH
        && let Ok(flow) = value.borrow_ref::<ControlFlow>()
    {
        let (ControlFlow::Continue(inner) | ControlFlow::Break(inner)) = &*flow;
        return queue(std::slice::from_ref(inner), pending);
    }
    if kind == GeneratorState::HASH
        && let Ok(state) = value.borrow_ref::<GeneratorState>()
    {
        let (GeneratorState::Yielded(inner) | GeneratorState::Complete(inner)) = &*state;
        return queue(std::slice::from_ref(inner), pending);
    }
    // The collections hash their keys as they are compared, so a key is weighed as one.
    containers::each_entry(value, |key, held| {
        if let Some(key) = key {
            before_hash(key)?;
        }
        held.map_or(Ok(()), |held| queue(std::slice::from_ref(held), pending))
    })?;
    fuel::charge(1)
}

fn queue(values: &[Value], pending: &mut Vec<Value>) -> Result<(), VmError> {
    fuel::charge(1 + u64::try_from(values.len()).unwrap_or(u64::MAX))?;
    // Leaves were charged just now, so only what holds something waits.
    for value in values {
        let leaf = matches!(
            value.as_type_value(),
            Ok(TypeValue::Unit | TypeValue::EmptyStruct(_) | TypeValue::NotTypedInline(_))
        );
        if !leaf {
            if pending.len() >= PENDING {
                return Err(fuel::stop(Stop::Memory));
            }
            pending.push(value.clone());
        }
    }
    Ok(())
}

fn queue_object(object: &Object, pending: &mut Vec<Value>) -> Result<(), VmError> {
    for (key, value) in object {
        text(key.len())?;
        queue(std::slice::from_ref(value), pending)?;
    }
    fuel::charge(1)
}

fn text(bytes: usize) -> Result<(), VmError> {
    fuel::charge(1 + u64::try_from(bytes).unwrap_or(u64::MAX) / BYTES_PER_NODE)
}
