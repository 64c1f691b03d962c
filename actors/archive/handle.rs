//! The others' side of the archive.

use std::cell::Cell;
use std::fmt;
use std::rc::Rc;

use super::{Message, WAITING};
use crate::model::history::Limits;
use crate::model::{EventId, Record};
use crate::system::Address;

/// What the archive and its handles see of one another.
#[derive(Debug)]
pub(super) struct Shared {
    /// See [`Handle::reserved`].
    pub(super) reserved: Cell<EventId>,
    /// The newest id given out.
    pub(super) newest: Cell<EventId>,
    /// The newest event that found no room, until the archive takes note of it.
    pub(super) missed: Cell<Option<EventId>>,
    /// See [`Handle::lost`].
    pub(super) lost: Cell<u64>,
    /// Bytes of the records that wait.
    pub(super) waiting: Cell<usize>,
    /// Bytes that may wait.
    room: Cell<usize>,
}

impl Shared {
    pub(super) fn new(newest: EventId, room: usize) -> Self {
        Self {
            reserved: Cell::new(EventId(0)),
            newest: Cell::new(newest),
            missed: Cell::default(),
            lost: Cell::default(),
            waiting: Cell::default(),
            room: Cell::new(room),
        }
    }
}

/// Hands events to the archive without ever waiting; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    address: Address<Message>,
    shared: Rc<Shared>,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({:?})", self.shared)
    }
}

impl Handle {
    pub(super) fn new(address: Address<Message>, shared: Rc<Shared>) -> Self {
        Self { address, shared }
    }

    /// Keeps an event. Ids must grow. An event that finds no room is counted, and the file will have
    /// a hole: what is older is not recovered from it either.
    pub fn keep(&self, record: &Rc<Record>) {
        self.given_out(record.id);
        let shared = &self.shared;
        let waiting = shared.waiting.get();
        let fits = waiting == 0 || waiting + record.bytes() <= shared.room.get();
        let message = Message::Keep {
            record: Rc::clone(record),
        };
        if fits && self.address.depth() < WAITING && self.address.offer(message).is_ok() {
            shared.waiting.set(waiting + record.bytes());
        } else {
            shared.missed.set(Some(record.id));
            shared.lost.set(shared.lost.get() + 1);
        }
    }

    /// Keeps as much as is within these limits from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.room.set(limits.bytes);
        // Refused only when the archive is gone.
        let _gone = self.address.offer(Message::SetLimits { limits });
    }

    /// Tells of an id that was given out to an event that is not kept.
    pub fn given_out(&self, id: EventId) {
        let newest = &self.shared.newest;
        newest.set(newest.get().max(id));
    }

    /// The greatest id that may be given out now: see the [module](super). It moves on by itself.
    pub fn reserved(&self) -> EventId {
        self.shared.reserved.get()
    }

    /// How many events were not written, for want of room, while the daemon ran.
    pub fn lost(&self) -> u64 {
        self.shared.lost.get()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.address.depth()
    }
}
