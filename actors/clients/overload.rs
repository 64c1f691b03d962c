//! What there is too much of: bytes and messages that wait for clients, connections without a request, time
//! that a client has. Who sends waits, and who is behind is given up.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

use super::pool::{ClientPool, PLACE, REQUEST_TIME};
use super::queues::Queue;
use super::slot::Slot;
use crate::model::ClientKey;
use crate::wire::sse::frames_in_memory;

/// Messages that may wait for clients which had no turn yet, before the registry is held.
pub(super) const BACKLOG: usize = 1 << 18;
/// Bytes by which what waits for streams whose sockets take nothing may grow until that is looked at, as if
/// no event waited for several.
pub(super) const GROWTH: usize = 16 << 20;
/// Tenths of a second for which a stream may take nothing of what waits for it. On TCP the kernel's
/// own time, of the same length, ends it as a rule; on a Unix socket there is none.
pub(super) const WRITE_TIME: u32 = 400;

impl ClientPool {
    /// Says whether the registry is behind with what clients ask for. As long as it is, no further requests
    /// are read: with the registry they wait in the order in which they came, but here addresses take turns.
    pub fn hold_pending(&self, hold: bool) {
        self.held.set(hold);
    }

    /// Sets how many bytes may wait for a client beyond the event that is being written.
    pub fn set_limit(&self, limit: usize) {
        self.limit.set(limit);
    }

    /// Gives up some connections without a stream, of the address that has most of them, so that others
    /// find room; whether there are any.
    pub fn make_room(&self) -> bool {
        let limit = self.limit.get();
        self.inner.borrow_mut().give_up_pending(limit)
    }

    /// Gives a client as much time as it has for a request.
    pub fn give_time(&self, key: ClientKey) {
        self.look_at_clock();
        let due = self.now.get() + REQUEST_TIME;
        self.inner.borrow_mut().give_time(key, due);
    }

    /// Tells clients whose time for a request, or for reading a last answer, is over.
    pub fn expire(&self) {
        self.look_at_clock();
        self.inner
            .borrow_mut()
            .expire(self.now.get(), self.limit.get());
    }

    /// Bytes that are held for streams whose sockets take nothing: events, each once, and the places of all in
    /// the streams' mailboxes.
    pub fn stalled_bytes(&self) -> usize {
        let inner = self.inner.borrow();
        let stalled = inner.slots.iter().filter(|slot| slot.is_stalled());
        let own: usize = stalled
            .map(|slot| slot.unsent() + PLACE * slot.waiting.len())
            .sum();
        // A frame lives as long as it waits for somebody.
        own + frames_in_memory()
    }

    /// Those streams; the one for which most waits is the last.
    pub fn stalled(&self) -> Vec<u32> {
        let inner = self.inner.borrow();
        let stalled = (0..)
            .zip(&inner.slots)
            .filter(|(_, slot)| slot.is_stalled());
        let mut stalled: Vec<_> = stalled
            .map(|(at, slot)| (slot.bytes + PLACE * slot.waiting.len(), at))
            .collect();
        stalled.sort_unstable();
        stalled.into_iter().map(|(_, at)| at).collect()
    }

    /// Bytes that are held for a stream: of an event that waits for several it has a part.
    pub fn held(&self, index: u32) -> usize {
        self.inner.borrow().slots[index as usize].held()
    }

    /// Waits until much more waits for streams whose sockets take nothing.
    pub async fn grown(&self) {
        let grown = Rc::clone(&self.inner.borrow().grown);
        grown.given_then(()).await;
    }

    /// Gives a stream up, as one for which too much waits.
    pub fn give_up(&self, index: u32) {
        let inner = &mut *self.inner.borrow_mut();
        inner.slots[index as usize].flags.overflowing = true;
        inner.enqueue(index, Queue::Fast);
    }

    /// Gives up streams whose sockets have taken nothing of what waits for [`WRITE_TIME`].
    pub fn give_up_stalled(&self) {
        let now = self.now.get();
        let inner = &mut *self.inner.borrow_mut();
        for index in 0..inner.slots.len() as u32 {
            let slot = &mut inner.slots[index as usize];
            if slot.is_stalled() && now.saturating_sub(slot.wrote_at) > WRITE_TIME {
                slot.flags.overflowing = true;
                inner.enqueue(index, Queue::Fast);
            }
        }
    }

    /// Bytes that wait for all clients together; events for several are counted for each.
    pub fn waiting_bytes(&self) -> u64 {
        let inner = self.inner.borrow();
        inner.slots.iter().map(Slot::outstanding).sum()
    }

    /// Whether whoever has sent something since the last question has to wait until clients have had turns:
    /// one of those it was for has too much to do, or all together have.
    pub fn holds_sender(&self) -> bool {
        let mut inner = self.inner.borrow_mut();
        std::mem::take(&mut inner.pressed) || inner.backlog >= BACKLOG
    }

    /// Whether clients have had enough turns for more to be sent.
    pub fn is_ready(&self) -> bool {
        self.inner.borrow().is_ready()
    }

    /// Waits until clients have had enough turns for more to be sent.
    pub async fn ready(&self) {
        poll_fn(|context| self.poll_ready(context)).await;
    }

    /// As [`ClientPool::ready`], for who waits for several things in one `poll_fn`.
    pub fn poll_ready(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.borrow_mut();
        if inner.is_ready() {
            return Poll::Ready(());
        }
        inner.paused = Some(context.waker().clone());
        Poll::Pending
    }
}
