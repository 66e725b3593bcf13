//! The calls of a thread that wait: a switch that is turned off wakes them, so that they end at once.

use std::cell::RefCell;
use std::task::Waker;

thread_local! {
    static WAITING: RefCell<Vec<Option<Waker>>> = const { RefCell::new(Vec::new()) };
}

/// Wakes every call of this thread that waits; each asks again whether it may go on.
pub fn wake_waiting() {
    let wakers: Vec<Waker> = WAITING.with(|waiting| waiting.borrow().iter().flatten().cloned().collect());
    wakers.iter().for_each(Waker::wake_by_ref);
}

/// A call's place among those that wait.
#[derive(Default)]
pub(super) struct Place(Option<usize>);

impl Place {
    pub(super) fn enter(&mut self, waker: &Waker) {
        WAITING.with(|waiting| {
            let mut waiting = waiting.borrow_mut();
            let place = *self.0.get_or_insert_with(|| {
                waiting.iter().position(Option::is_none).unwrap_or_else(|| {
                    waiting.push(None);
                    waiting.len() - 1
                })
            });
            match &mut waiting[place] {
                Some(known) => known.clone_from(waker),
                empty => *empty = Some(waker.clone()),
            }
        });
    }

    pub(super) fn leave(&mut self) {
        if let Some(place) = self.0.take() {
            // A thread that ends has dropped its list already; then nobody is left to be woken.
            let _ = WAITING.try_with(|waiting| {
                if let Some(slot) = waiting.borrow_mut().get_mut(place) {
                    *slot = None;
                }
            });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.leave();
    }
}
