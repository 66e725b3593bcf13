//! Which functions of the library a test has called.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use rune::Hash;

use super::native::Handler;

thread_local! {
    static CALLED: RefCell<HashSet<Hash>> = RefCell::new(HashSet::new());
}

/// The function, taking a note of its calls on their thread.
pub(super) fn noted(hash: Hash, handler: Handler) -> Handler {
    Arc::new(move |memory, address, count, output| {
        CALLED.with_borrow_mut(|called| called.insert(hash));
        handler(memory, address, count, output)
    })
}

/// The functions that were called on this thread since it was asked last.
pub(super) fn take() -> HashSet<Hash> {
    CALLED.take()
}
