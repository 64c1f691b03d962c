//! The others' side of the archive.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use super::{Message, frame};
use crate::model::{Bounded, Cost, EventId, Limits, Record, Target};
use crate::runtime::Address;

/// Bytes that wait to be written beside which no more copies are handed over.
const COPIES: usize = 1 << 20;
/// The file has so much more than half as much again as what is kept, before that is written once more.
const SLACK: u64 = 64 << 10;

/// What waits to be written.
#[derive(Debug)]
pub(super) enum Item {
    /// A new event.
    Record(Rc<Record>),
    /// What is kept follows once more: the how many-th time.
    Begin(u32),
    /// Frames of it.
    Copies(u32, Vec<u8>),
    /// It is all there.
    End(u32),
}

impl Cost for Item {
    fn cost(&self) -> usize {
        match self {
            Self::Record(record) => record.bytes(),
            Self::Copies(_, frames) => frames.len(),
            Self::Begin(_) | Self::End(_) => 0,
        }
    }
}

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
    /// Whether the last write to the file failed.
    pub(super) failing: Cell<bool>,
    /// The bytes that count in the file.
    pub(super) size: Cell<u64>,
    /// See [`Handle::let_go`].
    pub(super) let_go: RefCell<Option<(EventId, Vec<u8>)>>,
    /// The how many-th time copies are written.
    time: Cell<u32>,
    copying: Cell<Copying>,
    /// Whether the file lacks something that the history may have.
    lacks: Cell<bool>,
    salt: u32,
    /// What waits, oldest first.
    waiting: RefCell<Bounded<Item>>,
    /// What bounds it: what is beyond the history's own limits need not be written any more.
    limits: Cell<Limits>,
}

/// How far it is with copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Copying {
    /// There are none.
    #[default]
    No,
    /// They are being handed over.
    Begun,
    /// All are handed over, and not all are on disk.
    Ended,
}

impl Shared {
    pub(super) fn new(newest: EventId, limits: Limits, salt: u32) -> Self {
        Self {
            reserved: Cell::new(EventId(0)),
            newest: Cell::new(newest),
            outlived: Cell::default(),
            missed: Cell::default(),
            lost: Cell::default(),
            failing: Cell::default(),
            size: Cell::default(),
            let_go: RefCell::default(),
            time: Cell::default(),
            copying: Cell::default(),
            lacks: Cell::default(),
            salt,
            waiting: RefCell::default(),
            limits: Cell::new(limits),
        }
    }

    /// The oldest that waits.
    pub(super) fn take(&self) -> Option<Item> {
        self.waiting.borrow_mut().pop()
    }

    /// Whether copies of that time are of use.
    pub(super) fn is_current(&self, time: u32) -> bool {
        self.time.get() == time && self.copying.get() != Copying::No
    }

    /// The copies are on disk, or will never be.
    pub(super) fn stop_copying(&self) {
        self.copying.set(Copying::No);
    }

    fn push(&self, item: Item) -> bool {
        self.waiting.borrow_mut().push(item);
        self.drop_oldest();
        self.waiting.borrow().len() == 1
    }

    /// Lets go of the oldest that wait, as newer ones fill the history.
    fn drop_oldest(&self) {
        let Limits { count, bytes, .. } = self.limits.get();
        let mut waiting = self.waiting.borrow_mut();
        while let Some(item) = waiting.pop_beyond(count, bytes) {
            match item {
                Item::Record(oldest) => {
                    self.missed.set(Some(oldest.id));
                    self.lost.set(self.lost.get() + 1);
                    self.lacks.set(true);
                }
                // The others of that time are of no use then.
                _ => self.stop_copying(),
            }
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

    fn push(&self, item: Item) {
        if self.shared.push(item) {
            // Refused only when the archive is gone.
            let _gone = self.address.try_send(Message::Waiting);
        }
    }

    /// Keeps an event. Ids must grow. Where they come faster than they can be written, the oldest
    /// that wait are let go: the newer ones fill the history.
    pub fn keep(&self, record: &Rc<Record>) {
        self.given_out(record.id);
        self.push(Item::Record(Rc::clone(record)));
    }

    /// Nothing that is older than `oldest` is kept any more; `marks`, a portion of them, says what was let
    /// go of each target. So the file can begin later, which costs no copies.
    pub fn let_go(&self, oldest: EventId, marks: Vec<u8>) {
        *self.shared.let_go.borrow_mut() = Some((oldest, marks));
    }

    /// Whether everything that is kept, about `kept` bytes of it, is to be written once more: the file has
    /// too much besides, or lacks something.
    pub fn wants_copies(&self, kept: u64) -> bool {
        let most = kept + kept / 2 + SLACK;
        let calm = self.waiting() == 0;
        // Copies of what is lacking must not make a file that is full already half as large again.
        let lacks = self.shared.lacks.get() && calm && self.shared.size.get() <= kept / 2;
        // What was let go at the front costs no copies: that comes first.
        let large = self.shared.size.get() > most && self.shared.let_go.borrow().is_none();
        self.shared.copying.get() == Copying::No && (large || lacks)
    }

    /// Begins to hand over everything that is kept.
    pub fn begin_copies(&self) {
        let time = self.shared.time.get() + 1;
        self.shared.time.set(time);
        self.shared.copying.set(Copying::Begun);
        self.shared.lacks.set(false);
        self.push(Item::Begin(time));
    }

    /// Whether copies are to be handed over, and none of them was lost.
    pub fn takes_copies(&self) -> bool {
        self.shared.copying.get() == Copying::Begun
    }

    /// Whether there is room for a portion of copies.
    pub fn has_room(&self) -> bool {
        self.shared.waiting.borrow().bytes() < COPIES.min(self.shared.limits.get().bytes / 4)
    }

    /// Puts an event into a portion.
    pub fn copy(&self, record: &Record, portion: &mut Vec<u8>) {
        frame::put_copy(record, self.shared.salt, portion);
    }

    /// Puts into a portion what was let go of a target.
    pub fn copy_mark(&self, target: &Target, id: EventId, portion: &mut Vec<u8>) {
        frame::put_mark(target, id, self.shared.salt, portion);
    }

    /// Puts into a portion that any event up to an id may be missing.
    pub fn copy_missing(&self, id: EventId, portion: &mut Vec<u8>) {
        frame::put_hole(id, self.shared.salt, portion);
    }

    /// Hands a portion over.
    pub fn hand_over(&self, portion: Vec<u8>) {
        self.push(Item::Copies(self.shared.time.get(), portion));
    }

    /// All is handed over.
    pub fn end_copies(&self) {
        if self.takes_copies() {
            self.shared.copying.set(Copying::Ended);
            self.push(Item::End(self.shared.time.get()));
        }
    }

    /// Keeps as much as is within these limits from now on.
    pub fn set_limits(&self, limits: Limits) {
        self.shared.limits.set(limits);
        self.shared.drop_oldest();
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

    /// Whether the file cannot be written at present.
    pub fn is_failing(&self) -> bool {
        self.shared.failing.get()
    }

    /// As if the clock had jumped since more was reserved.
    #[cfg(test)]
    pub(crate) fn set_reserved(&self, id: EventId) {
        self.shared.reserved.set(id);
    }

    /// How many events, and portions of copies, wait to be written.
    pub fn waiting(&self) -> usize {
        self.shared.waiting.borrow().len()
    }
}
