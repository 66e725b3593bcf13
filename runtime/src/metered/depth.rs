//! How deep native functions may call each other: through a script, or through the values that they walk.
//!
//! A vector can hold itself, and an iterator can be wrapped a hundred thousand times; whatever walks one
//! goes down the native stack, which has no check of its own.

use std::cell::Cell;

use rune::runtime::VmError;

use crate::fuel::{self, Stop};

/// Deep enough for every honest value, and a small part of the stack that a script runs on.
const DEEPEST: u32 = 4_000;

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// Takes the levels of a call that stops in the middle off its thread.
pub(crate) fn take() -> u32 {
    DEPTH.replace(0)
}

/// Puts them back when it goes on.
pub(crate) fn put(depth: u32) {
    DEPTH.set(depth);
}

/// One level; left when it is dropped, also when a function panics.
pub(super) struct Level(());

impl Level {
    /// Goes down one level.
    ///
    /// # Errors
    /// There are too many already.
    #[inline]
    pub(super) fn enter() -> Result<Self, VmError> {
        DEPTH.with(|depth| {
            if depth.get() >= DEEPEST {
                return Err(fuel::stop(Stop::Depth));
            }
            depth.set(depth.get() + 1);
            Ok(Self(()))
        })
    }
}

impl Drop for Level {
    #[inline]
    fn drop(&mut self) {
        DEPTH.with(|depth| depth.set(depth.get() - 1));
    }
}
