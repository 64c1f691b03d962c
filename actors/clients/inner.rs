//! All slots, and the queues of those that have something to do.

use std::collections::VecDeque;
use std::rc::Rc;
use std::task::Waker;

use super::overload::{BACKLOG, GROWTH};
use super::pool::{PLACE, Totals};
use super::queues::{Queue, Queues};
use super::slot::Slot;
use crate::messages::client::{Ending, Message};
use crate::model::ClientKey;
use crate::runtime::Signal;

/// All slots, and who waits for a turn.
pub(super) struct Inner {
    pub(super) slots: Vec<Slot>,
    pub(super) vacant: Vec<u32>,
    pub(super) queues: Queues,
    /// Sum of `unpolled`, and the number of over_soft_limit slots: what the registry is held by.
    pub(super) backlog: usize,
    pub(super) over_soft_limit: usize,
    /// Whether something was sent to one of those.
    pub(super) pressed: bool,
    pub(super) paused: Option<Waker>,
    /// By how much what waits for streams whose sockets take nothing has grown since that was said last, and to
    /// whom it is said.
    pub(super) growth: usize,
    pub(super) grown: Rc<Signal>,
    pub(super) requests: VecDeque<(u32, ClientKey)>,
    /// How many have no complete request.
    pub(super) awaiting_request: usize,
    pub(super) lingering: VecDeque<(u32, ClientKey)>,
    /// Those that carry the streams of others.
    pub(super) carriers: Vec<u32>,
    pub(super) totals: Totals,
}

/// Takes the next key whose time has come.
fn due(queue: &mut VecDeque<(u32, ClientKey)>, now: u32) -> Option<ClientKey> {
    let &(at, key) = queue.front()?;
    if at > now {
        return None;
    }
    queue.pop_front();
    Some(key)
}

impl Inner {
    /// Whether no more waits for clients than they can soon be given.
    pub(super) fn is_ready(&self) -> bool {
        self.backlog < BACKLOG && self.over_soft_limit == 0
    }

    /// Gives up connections where more than `most` have not sent a whole request.
    pub(super) fn give_up_awaiting_request(&mut self, most: usize, limit: usize) {
        while self.awaiting_request > most && self.give_up_pending(limit) {}
    }

    /// Gives up a connection without a stream, the oldest of the address that has the most; whether
    /// there was one.
    pub(super) fn give_up_pending(&mut self, limit: usize) -> bool {
        let Some(key) = self.queues.pending.oldest_of_most() else {
            return false;
        };
        self.asked(key.index);
        // It has its turn soon, and does not count until then: the next one to go is another.
        self.queues.pending.leave(key.index);
        let end = Ending::LimitReached;
        self.post(key.index, Message::Finish { end }, true, limit);
        true
    }

    /// A client does not await its request any more; whether it did.
    pub(super) fn asked(&mut self, index: u32) -> bool {
        let flags = &mut self.slots[index as usize].flags;
        let was = std::mem::replace(&mut flags.awaiting_request, false);
        self.awaiting_request -= usize::from(was);
        if was {
            self.queues.pending.set_idle(index, false);
        }
        was
    }

    /// Whether a client is there that has no open stream, and so has a time.
    fn has_time(&self, key: ClientKey) -> bool {
        let slot = &self.slots[key.index as usize];
        slot.generation == key.generation && !slot.flags.is_open()
    }

    /// Gives a client its time anew.
    pub(super) fn give_time(&mut self, key: ClientKey, due: u32) {
        self.requests.push_back((due, key));
    }

    /// Whether what is counted over all slots is the sum of what each slot says.
    fn is_consistent(&self) -> bool {
        let unpolled = self.slots.iter().map(|slot| slot.unpolled as usize).sum();
        let over = self.slots.iter().filter(|slot| slot.flags.over_soft_limit);
        (self.backlog, self.over_soft_limit) == (unpolled, over.count())
    }

    /// Tells clients whose time is over.
    pub(super) fn expire(&mut self, now: u32, limit: usize) {
        debug_assert!(self.is_consistent());
        while let Some(key) = due(&mut self.requests, now).or_else(|| due(&mut self.lingering, now))
        {
            if self.has_time(key) {
                self.post(key.index, Message::Expired, true, limit);
            }
        }
        // Nearly all have opened their streams at once, and need not be remembered for so long.
        while let Some((_, key)) = self.requests.front()
            && !self.has_time(*key)
        {
            self.requests.pop_front();
        }
        if self.requests.is_empty() {
            // A rush of connections is over: its memory goes back.
            self.requests.shrink_to_fit();
        }
    }

    /// Lets the registry go on, if clients have had enough turns by now.
    pub(super) fn go_on(&mut self) {
        if self.backlog < BACKLOG / 2
            && self.over_soft_limit == 0
            && let Some(waker) = self.paused.take()
        {
            waker.wake();
        }
    }

    /// Puts a message into a mailbox, and the client into a queue if it can do something about it.
    pub(super) fn post(&mut self, index: u32, message: Message, fast: bool, limit: usize) {
        let slot = &mut self.slots[index as usize];
        if slot.life.is_none() {
            return;
        }
        let (flags, before) = (slot.flags, slot.bytes);
        let mut wakes = flags.writable || !flags.is_open();
        if let Message::Event(frame) = &message {
            slot.bytes += frame.bytes(flags.chunked).len();
        }
        slot.waiting.push(message);
        // What is behind the first event is a part of it all, which nearly always is little.
        let behind = if slot.bytes > limit / 2 {
            slot.behind()
        } else {
            0
        };
        let flags = &mut slot.flags;
        if flags.writable && behind > limit / 2 && !flags.over_soft_limit {
            flags.over_soft_limit = true;
            self.over_soft_limit += 1;
        }
        self.pressed |= flags.over_soft_limit;
        flags.overflowing = !flags.writable && behind > limit;
        wakes |= flags.overflowing;
        if wakes {
            slot.unpolled += 1;
            self.backlog += 1;
            self.enqueue(index, if fast { Queue::Fast } else { Queue::Bulk });
        } else {
            self.growth += PLACE + slot.bytes - before;
            if self.growth >= GROWTH {
                self.growth = 0;
                self.grown.give();
            }
        }
    }

    /// Gives a client a turn, unless it waits for one already.
    pub(super) fn enqueue(&mut self, index: u32, queue: Queue) {
        let flags = &mut self.slots[index as usize].flags;
        if !std::mem::replace(&mut flags.queued, true) {
            let queue = if flags.awaiting_request {
                Queue::Pending
            } else {
                queue
            };
            self.queues.push(index, queue);
        }
    }
}
