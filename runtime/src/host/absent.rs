//! What is not there shows as nothing: `()` in a template string, and only there.

use rune::runtime::{OwnedTuple, Protocol, VmResult};
use rune::{ContextError, Module, vm_try};

/// The display of `()`.
pub(super) fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate("callboard")?.with_unique("callboard::absent");
    module
        .raw_function(&Protocol::DISPLAY_FMT, |stack, address, count, out| {
            let shows =
                vm_try!(stack.slice_at(address, count)).first().is_some_and(|v| v.into_unit().is_ok());
            if !shows {
                return VmResult::panic(
                    "a tuple cannot be shown in a template string; use format!(\"{:?}\", …)",
                );
            }
            vm_try!(out.store(stack, ()));
            VmResult::Ok(())
        })
        .build_associated::<OwnedTuple>()?;
    Ok(module)
}
