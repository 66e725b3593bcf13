//! The functions that the instrumenter writes into scripts. Their names are not for authors.

use rune::runtime::VmResult;
use rune::{ContextError, Module, vm_try};

use crate::fuel;

/// `::callboard::{__t, __w, __k, __i}`.
pub(super) fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate("callboard")?.with_unique("callboard::checkpoints");
    module
        .raw_function("__t", |stack, _, _, out| match fuel::checkpoint() {
            Ok(()) => {
                vm_try!(out.store(stack, ()));
                VmResult::Ok(())
            }
            Err(stopped) => VmResult::Err(stopped),
        })
        .build()?;
    module.raw_function("__w", crate::weigh::weigh_through).build()?;
    module
        .raw_function("__i", |stack, address, count, out| match vm_try!(stack.slice_at(address, count)) {
            [value] => {
                let value = value.clone();
                vm_try!(out.store(stack, value));
                VmResult::Ok(())
            }
            _ => VmResult::panic("callboard::__i takes one argument"),
        })
        .build()?;
    module.raw_function("__k", crate::cycles::note_through).build()?;
    Ok(module)
}
