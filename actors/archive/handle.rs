//! The others' side of the archive.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;

use super::Message;
use crate::model::Limits;
use crate::model::{EventId, Record};
use crate::runtime::Address;

/// What the archive and its handles see of one another.
#[derive(Debug)]
pub(super) struct Shared {
    /// See [`Handle::reserved`].
    pub(super) reserved: Cell<EventId>,
    /// The newest id given out.
    pub(super) newest: Cell<EventId>,
    /// See [`Handle::others_go_on`].
    pub(super) outlived: Cell<bool>,
    /// The newest event that was let go, until the archive takes note of it.
    pub(super) missed: Cell<Option<EventId>>,
    /// See [`Handle::lost`].
    pub(super) lost: Cell<u64>,
    /// The records that wait, oldest first.
    waiting: RefCell<VecDeque<Rc<Record>>>,
    /// Their bytes.
    bytes: Cell<usize>,
    /// What bounds them: what is beyond the history's own limits need not be written any more.
    limits: Cell<Limits>,
}

impl Shared {
    pub(super) fn new(newest: EventId, limits: Limits) -> Self {
        Self {
            reserved: Cell::new(EventId(0)),
            newest: Cell::new(newest),
            outlived: Cell::default(),
            missed: Cell::default(),
            lost: Cell::default(),
            waiting: RefCell::default(),
            bytes: Cell::default(),
            limits: Cell::new(limits),
        }
    }

    /// The oldest record that waits.
    pub(super) fn take(&self) -> Option<Rc<Record>> {
        let record = self.waiting.borrow_mut().pop_front()?;
        self.bytes.set(self.bytes.get() - record.bytes());
        Some(record)
    }

    /// Lets go of the oldest that wait, as newer ones fill the history.
    fn drop_oldest(&self) {
        let Limits { count, bytes, .. } = self.limits.get();
        while self.bytes.get() > bytes || self.waiting.borrow().len() > count {
            let Some(oldest) = self.take() else { return };
            self.missed.set(Some(oldest.id));
            self.lost.set(self.lost.get() + 1);
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

    /// Keeps an event. Ids must grow. Where they come faster than they can be written, the oldest
    /// that wait are let go, and with them all that are older: the newer ones fill the history.
    pub fn keep(&self, record: &Rc<Record>) {
        self.given_out(record.id);
        let shared = &self.shared;
        shared.bytes.set(shared.bytes.get() + record.bytes());
        shared.waiting.borrow_mut().push_back(Rc::clone(record));
        shared.drop_oldest();
        if shared.waiting.borrow().len() == 1 {
            // Refused only when the archive is gone.
            let _gone = self.address.try_send(Message::Waiting);
        }
    }

    /// Keeps as much as is within these limits from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.limits.set(limits);
        self.shared.drop_oldest();
        // Refused only when the archive is gone.
        let _gone = self.address.try_send(Message::SetLimits { limits });
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

    /// Others may publish when this daemon has ended, so the file will not have everything then.
    pub fn others_go_on(&self) {
        self.shared.outlived.set(true);
    }

    /// How many events were never written, as newer ones filled the history before they could be.
    pub fn lost(&self) -> u64 {
        self.shared.lost.get()
    }

    /// As if the clock had jumped since more was reserved.
    #[cfg(test)]
    pub(crate) fn set_reserved(&self, id: EventId) {
        self.shared.reserved.set(id);
    }

    /// How many events wait to be written.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.borrow().len()
    }
}
