//! The queue of a slow thread: how many calls compute at one time, and who waits to begin.
//!
//! Invariant: as long as fewer than [`AT_ONCE`] calls compute, nobody waits; whoever waits begins in the order in
//! which they came. A call that waits for a service computes nothing and keeps nobody from beginning.
//! Not here: which calls come to a slow thread.
//!
//! **Why a queue here and none on the fast threads.** Calls that are cut into slices and take turns all become
//! slower with every call that comes: a hundred calls of ten milliseconds each end together after a second, most of
//! them past their deadline, and the work of all is lost. One after the other, the first is done after ten
//! milliseconds, the time that the last one waits says truly how far the thread is behind, and what would come too
//! late is refused at the door. On the fast threads calls are short, and taking turns is what keeps them so.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use runtime::run::{Call, Cost, Outcome};
use tokio::sync::oneshot;

/// Calls of one thread that compute at one time, taking turns.
const AT_ONCE: u32 = 4;

/// A thread's queue. Its clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue(Rc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    computing: Cell<u32>,
    waiting: RefCell<VecDeque<oneshot::Sender<Turn>>>,
}

/// The right to compute; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Queue);

impl Queue {
    /// Waits until the call may begin.
    pub(crate) async fn turn(&self) -> Turn {
        if self.0.waiting.borrow().is_empty() && self.0.computing.get() < AT_ONCE {
            return self.take();
        }
        let (begin, may_begin) = oneshot::channel();
        self.0.waiting.borrow_mut().push_back(begin);
        match may_begin.await {
            Ok(turn) => turn,
            // The queue is gone, and with it everybody who could come first.
            Err(_) => self.take(),
        }
    }

    fn take(&self) -> Turn {
        self.0.computing.set(self.0.computing.get() + 1);
        Turn(self.clone())
    }

    /// Lets those begin for whom there is room.
    fn advance(&self) {
        while self.0.computing.get() < AT_ONCE {
            let Some(next) = self.0.waiting.borrow_mut().pop_front() else { return };
            if next.is_closed() {
                continue;
            }
            // Whoever went away in this moment gives the turn back, which comes here again.
            let _ = next.send(self.take());
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let computing = &self.0.0.computing;
        computing.set(computing.get().saturating_sub(1));
        self.0.advance();
    }
}

/// A call that gives its turn back whenever it waits for something, and comes back without a queue.
pub(crate) struct InTurn {
    /// Where it had to wait for a turn.
    queue: Option<Queue>,
    turn: Option<Turn>,
    call: Call,
}

impl InTurn {
    /// The call has a turn to begin with, where it needs one.
    pub(crate) fn new(turn: Option<Turn>, call: Call) -> Self {
        Self { queue: turn.as_ref().map(|turn| turn.0.clone()), turn, call }
    }

    /// What it has used until now.
    pub(crate) fn cost(&self) -> Cost {
        self.call.cost()
    }
}

impl Future for InTurn {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<Outcome> {
        let this = &mut *self;
        if let (None, Some(queue)) = (&this.turn, &this.queue) {
            this.turn = Some(queue.take());
        }
        let polled = Pin::new(&mut this.call).poll(task);
        if polled.is_ready() || this.call.waits() {
            this.turn = None;
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[test]
    fn only_so_many_begin_and_the_others_in_the_order_in_which_they_came() {
        actix_rt::System::new().block_on(async {
            let queue = Queue::default();
            let mut first = Vec::new();
            for _ in 0..AT_ONCE {
                first.push(queue.turn().await);
            }
            let (one, gone, two) = (queue.turn(), queue.turn(), queue.turn());
            let (mut one, mut gone, mut two) = (Box::pin(one), Box::pin(gone), Box::pin(two));
            assert!(
                poll!(&mut one).is_pending() && poll!(&mut gone).is_pending() && poll!(&mut two).is_pending()
            );
            drop(gone);
            drop(first.pop());
            assert!(poll!(&mut two).is_pending());
            let Poll::Ready(turn) = poll!(&mut one) else { panic!("the first who waited begins") };
            drop(turn);
            assert!(poll!(&mut two).is_ready());
            drop(first);
            assert_eq!(queue.0.computing.get(), 0);
        });
    }

    #[test]
    fn a_turn_that_nobody_takes_any_more_goes_to_the_next() {
        actix_rt::System::new().block_on(async {
            let queue = Queue::default();
            let mut first = Vec::new();
            for _ in 0..AT_ONCE {
                first.push(queue.turn().await);
            }
            let (mut gone, mut next) = (Box::pin(queue.turn()), Box::pin(queue.turn()));
            assert!(poll!(&mut gone).is_pending() && poll!(&mut next).is_pending());
            drop(first.pop());
            // It was given the turn, and went away before it took it.
            drop(gone);
            assert!(poll!(&mut next).is_ready());
        });
    }
}
