//! Marked: a call that stands on the board whenever it is on its thread.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Slot;
use crate::routes::EndpointEntry;

/// A call of an endpoint. Where there is no board it is only the call.
pub(crate) struct Marked<C> {
    /// There until it is dropped: what a script holds is dropped on the board, too.
    call: Option<C>,
    entry: Arc<EndpointEntry>,
    slot: Option<Rc<Slot>>,
}

impl<C> Marked<C> {
    pub(crate) fn new(call: C, entry: Arc<EndpointEntry>, slot: Option<Rc<Slot>>) -> Self {
        Self { call: Some(call), entry, slot }
    }

    /// The call itself, until it is dropped.
    pub(crate) fn get(&self) -> Option<&C> {
        self.call.as_ref()
    }
}

impl<C: Future + Unpin> Future for Marked<C> {
    type Output = C::Output;

    fn poll(self: Pin<&mut Self>, task: &mut Context<'_>) -> Poll<C::Output> {
        let this = self.get_mut();
        let Some(call) = &mut this.call else { return Poll::Pending };
        let _marking = this.slot.as_ref().map(|slot| slot.mark(&this.entry.label));
        let polled = Pin::new(call).poll(task);
        if polled.is_ready() {
            this.call = None;
        }
        polled
    }
}

impl<C> Drop for Marked<C> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            let _marking = self.slot.as_ref().map(|slot| slot.mark(&self.entry.label));
            drop(call);
        }
    }
}
