//! A call's own stack: so that it can be stopped in the middle of anything, and go on later.
//!
//! A script runs on the stack of a coroutine. When its time slice is used up, whatever it is doing, in a plain
//! function as in an async one, in a closure that native code calls or in the native code itself, it gives its
//! thread to the other calls at its next checkpoint and goes on where it was when its turn comes again.
//!
//! Invariant: what belongs to the thread while a call runs (meter, memory limit, call context, depth) is taken
//! off before another call can run. A stack is used by one poll at a time; one that waits for nothing is given
//! back, so that there are only as many as calls that were stopped in the middle.
//! Not here: when a slice is over (`fuel`).

use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use rune::Vm;

use crate::metered::depth;

/// How many stacks a thread keeps for the next calls.
const KEPT: usize = 32;
/// The size of a stack, unless something else was said. Pages that were never used cost nothing.
const SIZE: usize = 256 * 1024 * 1024;

static STACK_SIZE: AtomicUsize = AtomicUsize::new(SIZE);

thread_local! {
    /// Whoever runs on a stack of its own, and may give the thread away.
    static RUNNING: Cell<*const Yielder<(), ()>> = const { Cell::new(ptr::null()) };
    static FREE: RefCell<Vec<DefaultStack>> = const { RefCell::new(Vec::new()) };
    /// A machine without a program. It lives as long as the process, since a stopped call may outlive its thread's
    /// own values.
    static NOBODY: &'static Vm = Box::leak(Box::new(Vm::new(Arc::default(), Arc::default())));
}

/// Sets how large the stacks of calls are from now on, in bytes. What a script holds may nest as deep as its
/// memory allows, and dropping it takes stack for each level.
pub fn set_stack_size(bytes: usize) {
    STACK_SIZE.store(bytes, Ordering::Relaxed);
}

/// A piece of work on a stack of its own, which was not finished yet.
pub(super) struct OnStack<T: 'static>(Coroutine<(), (), T>);

/// How far a piece of work has come.
pub(super) enum Progress<T: 'static> {
    /// It was stopped in the middle.
    Paused(OnStack<T>),
    /// It is done.
    Done(T),
}

impl<T: 'static> OnStack<T> {
    /// Work that has not begun; nothing when the system has no memory for a stack.
    pub(super) fn new(work: impl FnOnce() -> T + 'static) -> Result<Self, Box<dyn FnOnce() -> T>> {
        let free = FREE.with(|free| free.borrow_mut().pop());
        let Some(stack) = free.or_else(|| DefaultStack::new(STACK_SIZE.load(Ordering::Relaxed)).ok()) else {
            return Err(Box::new(work));
        };
        Ok(Self(Coroutine::with_stack(stack, move |yielder, ()| {
            /// Nobody runs here any more, also when the work panicked.
            struct Leave;
            impl Drop for Leave {
                fn drop(&mut self) {
                    RUNNING.set(ptr::null());
                }
            }
            let _leave = Leave;
            RUNNING.set(yielder);
            work()
        })))
    }

    /// Lets the work go on until it is done or stops in the middle. A panic of the work goes on here.
    ///
    /// `is_light`, asked at the end, says whether the stack may be kept: one that was used deeply holds memory.
    pub(super) fn resume(mut self, is_light: impl FnOnce(&T) -> bool) -> Progress<T> {
        match self.0.resume(()) {
            CoroutineResult::Yield(()) => Progress::Paused(self),
            CoroutineResult::Return(value) => {
                let stack = self.0.into_stack();
                FREE.with(|free| {
                    let mut free = free.borrow_mut();
                    if free.len() < KEPT && is_light(&value) {
                        free.push(stack);
                    }
                });
                Progress::Done(value)
            }
        }
    }
}

/// Gives the thread to others and returns when it is this call's turn again. False when whoever runs has no
/// stack of its own.
///
/// **Rune's own thread-local** says which unit native functions call back into. A guard on the script's stack sets it
/// and puts back what it found; guards of calls that end in another order than they began would put back one another's,
/// and count another's references down. So a call leaves the thread to nobody's unit ([`NOBODY`]), whose guard
/// stands on this stack, too: the first thing that happens when it goes on is that its own unit is put back. While
/// nobody runs, what stands there is nobody's or nothing, whatever the order, and only that is ever counted down.
#[allow(unsafe_code)]
pub(crate) fn pause() -> bool {
    let running = RUNNING.replace(ptr::null());
    if running.is_null() {
        return false;
    }
    let depth = depth::take();
    NOBODY.with(|nobody| *nobody).with(|| {
        // SAFETY: `RUNNING` is set by the coroutine that runs now, to a yielder that lives on its stack as long as
        // it runs, and is cleared whenever it stops running: here, and when it ends. So the pointer is that of the
        // coroutine whose stack this function was called on, and its yielder outlives this call.
        unsafe { (*running).suspend(()) };
    });
    depth::put(depth);
    RUNNING.set(running);
    true
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use super::*;

    fn counts_to(to: u32) -> OnStack<u32> {
        let work = move || {
            let mut count = 0;
            while count < to {
                count += 1;
                assert!(pause());
            }
            count
        };
        OnStack::new(work).unwrap_or_else(|_| panic!("there is memory for a stack"))
    }

    #[test]
    fn work_that_is_paused_goes_on_where_it_was_beside_other_work() {
        let (mut one, mut other) = (Some(counts_to(3)), Some(counts_to(5)));
        let mut done = Vec::new();
        while one.is_some() || other.is_some() {
            for work in [&mut one, &mut other] {
                match work.take().map(|work| work.resume(|_| true)) {
                    Some(Progress::Paused(paused)) => *work = Some(paused),
                    Some(Progress::Done(count)) => done.push(count),
                    None => {}
                }
            }
        }
        assert_eq!(done, [3, 5]);
        assert!(!pause(), "nobody runs on a stack of its own here");
    }

    #[test]
    fn work_that_panics_or_is_dropped_in_the_middle_drops_what_it_holds() {
        let held = Rc::new(());
        for panics in [true, false] {
            let inner = Rc::clone(&held);
            let work = OnStack::new(move || {
                let _held = inner;
                pause();
                assert!(!panics, "on purpose");
                pause();
            });
            let work = work.unwrap_or_else(|_| panic!("there is memory for a stack"));
            let Progress::Paused(work) = work.resume(|_| true) else { panic!("it pauses") };
            let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match panics {
                true => drop(work.resume(|_| true)),
                false => drop(work),
            }));
            assert_eq!((ended.is_err(), Rc::strong_count(&held)), (panics, 1));
        }
        assert!(!pause());
    }
}
