//! The functions that the instrumenter writes into scripts. Their names are not for authors.

use std::future::poll_fn;
use std::task::Poll;

use rune::runtime::VmResult;
use rune::{ContextError, Module, vm_try};

use crate::fuel;

/// `::callboard::{__t, __y, __w}`.
pub(super) fn module() -> Result<Module, ContextError> {
    let mut module = Module::with_crate("callboard")?.with_unique("callboard::checkpoints");
    module
        .raw_function("__t", |stack, _, _, out| match fuel::checkpoint() {
            Ok(yields) => {
                vm_try!(out.store(stack, yields));
                VmResult::Ok(())
            }
            Err(stopped) => VmResult::Err(stopped),
        })
        .build()?;
    module.function("__y", yield_once).build()?;
    module.raw_function("__w", crate::weigh::weigh_through).build()?;
    Ok(module)
}

/// Lets the thread's other calls run before this one goes on.
async fn yield_once() {
    let mut yielded = false;
    poll_fn(|task| {
        if yielded {
            return Poll::Ready(());
        }
        yielded = true;
        task.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}
