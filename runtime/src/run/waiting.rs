//! The calls of a thread that wait: a switch that is turned off wakes them, so that they end at once.

use std::cell::RefCell;
use std::task::Waker;

use slab::Slab;

thread_local! {
    static WAITING: RefCell<Slab<Waker>> = const { RefCell::new(Slab::new()) };
}

/// Wakes all calls of this thread that wait for something: they look at the switches before they go on.
pub fn wake_waiting() {
    // Whoever is woken may touch the list.
    let wakers: Vec<Waker> =
        WAITING.with(|waiting| waiting.borrow().iter().map(|(_, waker)| waker.clone()).collect());
    wakers.iter().for_each(Waker::wake_by_ref);
}

/// A call's place among those that wait, kept for all its waits.
#[derive(Default)]
pub(super) struct Place(Option<usize>);

impl Place {
    /// It waits, and is woken by this.
    pub(super) fn enter(&mut self, waker: &Waker) {
        WAITING.with(|waiting| {
            let mut waiting = waiting.borrow_mut();
            match self.0 {
                Some(place) => waiting[place].clone_from(waker),
                None => self.0 = Some(waiting.insert(waker.clone())),
            }
        });
    }

    /// It does not wait any more.
    pub(super) fn leave(&mut self) {
        if let Some(place) = self.0.take() {
            // A thread that ends has dropped its list already; then nobody is left to be woken.
            let _ = WAITING.try_with(|waiting| waiting.borrow_mut().try_remove(place));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}
