//! Native functions as Rune keeps them: found in its own library, and called from here.
//!
//! Not here: what a call of one costs (`cost`).

use std::sync::{Arc, LazyLock};

use rune::runtime::{
    InstAddress, Memory, Output, Protocol, RuntimeContext, TypeHash, Value, VmError, VmResult,
};
use rune::{Context, Hash};
use serde::Deserialize;
use serde::de::IntoDeserializer;
use serde::de::value::Error as SerdeError;

/// A native function.
pub(crate) type Handler =
    Arc<dyn Fn(&mut dyn Memory, InstAddress, usize, Output) -> VmResult<()> + Send + Sync>;

/// A native function of ours: from its arguments to its result.
pub(crate) type Body = fn(&[Value]) -> Result<Value, VmError>;

/// Rune's own library, without a meter.
static RUNE: LazyLock<RuntimeContext> = LazyLock::new(|| {
    let context = Context::with_config(false).expect("rune's own modules do not clash");
    context.runtime().expect("there is memory for rune's own modules")
});

/// The first cell of the memory that a function is called with. Rune has no public way to make an
/// output, but they are part of its serialised instructions: a number.
static FIRST_CELL: LazyLock<Output> = LazyLock::new(|| {
    let cell: Result<Output, SerdeError> = Output::deserialize(0u64.into_deserializer());
    cell.expect("an output is serialised as a number")
});

/// Rune's function with this hash.
///
/// # Panics
/// Rune has no such function: a row of a table that names nothing, which every start would find.
pub(crate) fn rune(hash: Hash, name: &dyn std::fmt::Debug) -> Handler {
    RUNE.function(&hash).cloned().unwrap_or_else(|| panic!("rune has no function {name:?} ({hash})"))
}

/// Rune's function `name` of the type `T`.
pub(crate) fn method<T: TypeHash>(name: &'static str) -> Handler {
    rune(Hash::associated_function(T::HASH, name), &name)
}

/// Calls a native function.
pub(crate) fn call<const N: usize>(handler: &Handler, mut arguments: [Value; N]) -> Result<Value, VmError> {
    const { assert!(N > 0, "the result takes the place of the first argument") };
    handler(&mut arguments, InstAddress::ZERO, N, *FIRST_CELL).into_result()?;
    Ok(Value::take(&mut arguments[0]))
}

/// Makes a function of ours one that Rune can call.
pub(crate) fn handler<F>(body: F) -> Handler
where
    F: 'static + Fn(&[Value]) -> Result<Value, VmError> + Send + Sync,
{
    Arc::new(move |memory, address, count, output| {
        let result = match memory.slice_at(address, count) {
            Ok(arguments) => body(arguments),
            Err(error) => Err(VmError::from(error)),
        };
        match result.and_then(|value| Ok(output.store(memory, value)?)) {
            Ok(()) => VmResult::Ok(()),
            Err(error) => VmResult::Err(error),
        }
    })
}

/// The arguments of a call, when there are as many as there must be.
pub(crate) fn arguments<const N: usize>(given: &[Value]) -> Result<&[Value; N], VmError> {
    given
        .try_into()
        .map_err(|_| VmError::panic(format!("wrong number of arguments: {} instead of {N}", given.len())))
}

/// Calls a native function that takes no arguments.
pub(crate) fn call_without_arguments(handler: &Handler) -> Result<Value, VmError> {
    let mut result = [Value::empty()];
    handler(&mut result, InstAddress::ZERO, 0, *FIRST_CELL).into_result()?;
    Ok(Value::take(&mut result[0]))
}

/// Rune's function of the type `T` for a protocol.
pub(crate) fn protocol<T: TypeHash>(protocol: &'static Protocol) -> Handler {
    rune(Hash::associated_function(T::HASH, protocol.hash), &protocol.name)
}
