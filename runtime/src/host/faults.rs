//! `callboard::faults`: what native code must never do, for tests of what happens when it does.
//!
//! Invariant: no script can reach it, unless the program's `main` armed it; only a program for tests does.

use std::sync::atomic::{AtomicBool, Ordering};

use rune::runtime::{Value, VmResult};
use rune::{ContextError, Module};

static ARMED: AtomicBool = AtomicBool::new(false);

/// Puts the module into the engine of this process. To be called first in a program for tests, and nowhere else.
pub fn arm() {
    ARMED.store(true, Ordering::Release);
}

/// The module, where it was armed.
pub(super) fn module() -> Result<Option<Module>, ContextError> {
    if !ARMED.load(Ordering::Acquire) {
        return Ok(None);
    }
    let mut module = Module::with_crate_item("callboard", ["faults"])?;
    module.function("abort", || -> VmResult<()> { std::process::abort() }).build()?;
    module.function("exit", || -> VmResult<()> { std::process::exit(0) }).build()?;
    module
        .function("hang", || -> VmResult<()> {
            loop {
                std::hint::spin_loop();
            }
        })
        .build()?;
    module
        .function("stuck", || -> VmResult<()> {
            loop {
                std::thread::park();
            }
        })
        .build()?;
    // Memory that nobody can free any more.
    module
        .function("keep", |value: Value| -> VmResult<()> {
            std::mem::forget(value);
            VmResult::Ok(())
        })
        .build()?;
    Ok(Some(module))
}
