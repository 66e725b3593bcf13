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

/// Charges for every node of `value`: one unit, one more when it holds others, and for texts by length.
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
    macro_rules! ends {
        ($($range:ty: $($end:ident)+;)*) => {
            $(if kind == <$range>::HASH && let Ok(range) = value.borrow_ref::<$range>() {
                $(queue(std::slice::from_ref(&range.$end), pending)?;)+
                return fuel::charge(1);
            })*
        };
    }
    ends! {
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

#[cfg(test)]
mod tests {
    use quotas::units::Fuel;

    use super::*;
    use crate::fuel::{Meter, now_nanos};

    const FUEL: u64 = 100_000;

    /// What a weighing burnt, or nothing when it was stopped.
    fn burnt(weighing: impl FnOnce() -> Result<(), VmError>) -> Option<u64> {
        let mut meter = Meter::new(Fuel::new(FUEL), now_nanos() + 10_000_000_000, None);
        let weighed = meter.enter(weighing);
        assert_eq!(weighed.is_err(), meter.stopped().is_some());
        weighed.ok().map(|()| FUEL - meter.left().get())
    }

    fn vec(values: impl IntoIterator<Item = Value>) -> Value {
        let mut vec = RuneVec::new();
        for value in values {
            vec.push(value).unwrap();
        }
        Value::try_from(vec).unwrap()
    }

    #[test]
    fn numbers_cost_one_and_a_vector_as_many_as_it_has() {
        assert_eq!(burnt(|| weigh(&Value::from(1))), Some(1));
        assert_eq!(burnt(|| weigh(&vec((0..10).map(Value::from)))), Some(11));
        assert_eq!(burnt(|| weigh(&vec([vec([]), vec([])]))), Some(5));
    }

    #[test]
    fn a_text_costs_by_its_length() {
        let text = Value::try_from("x".repeat(6400).as_str()).unwrap();
        assert_eq!(burnt(|| weigh(&text)), Some(101));
    }

    #[test]
    fn a_shared_value_is_weighed_as_often_as_it_is_reached_and_no_further_than_the_fuel() {
        let mut shared = vec([]);
        for _ in 0..10 {
            shared = vec([shared.clone(), shared]);
        }
        assert!(burnt(|| weigh(&shared)).unwrap() > 1 << 11);
        for _ in 0..40 {
            shared = vec([shared.clone(), shared]);
        }
        assert_eq!(burnt(|| weigh(&shared)), None);
    }

    #[test]
    fn a_vector_that_holds_itself_is_stopped() {
        let ring = vec([]);
        ring.borrow_mut::<RuneVec>().unwrap().push(ring.clone()).unwrap();
        assert_eq!(burnt(|| weigh(&ring)), None);
        ring.borrow_mut::<RuneVec>().unwrap().clear();
    }

    #[test]
    fn a_deep_value_needs_no_native_stack() {
        let mut deep = vec([]);
        for _ in 0..20_000 {
            deep = vec([deep]);
        }
        assert!(burnt(|| weigh(&deep)).is_some());
        // Dropping it in one go would need the stack.
        loop {
            // The borrow must end before the vector is dropped: Rune's guards do not see to that.
            let inner = deep.borrow_mut::<RuneVec>().unwrap().pop();
            let Some(inner) = inner else { break };
            deep = inner;
        }
    }

    #[test]
    fn what_passes_the_instrumenter_is_not_charged_unless_it_is_a_struct() {
        for value in [Value::from(1), vec([Value::from(1)]), Value::try_from("x").unwrap()] {
            assert_eq!(burnt(|| before_compare(&value)), Some(0));
        }
    }
}
