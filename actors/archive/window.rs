//! What of the history file is kept, and how much of it is there for nothing.

use std::collections::VecDeque;

use super::frame;
use super::header::DATA;
use crate::model::Limits;
use crate::model::{EventId, Record};

/// What a record counts for besides its frame: no more than [`Record::bytes`] says, so that the file
/// keeps whatever the history in memory keeps.
const BESIDES: usize = Record::OVERHEAD - frame::FIXED;

/// A frame in the file.
#[derive(Debug, Clone, Copy)]
struct Place {
    id: EventId,
    /// Microseconds since 1970.
    at: u64,
    offset: u64,
}

/// The frames within the limits. They are the end of the file; what is before them is dropped, and
/// its room is used again as soon as it is as large as they are, so the file never has more than
/// twice what is kept.
#[derive(Debug)]
pub(super) struct Window {
    limits: Limits,
    kept: VecDeque<Place>,
    end: u64,
    dropped: EventId,
}

impl Window {
    /// Of a file that keeps nothing up to `dropped`, and whose first frame is to stand at `end`.
    pub(super) fn new(limits: Limits, dropped: EventId, end: u64) -> Self {
        Self {
            limits,
            kept: VecDeque::new(),
            end,
            dropped,
        }
    }

    /// Drops what is too old at `now`, and so much that a record with a frame of `length` bytes fits
    /// within the limits; whether it does at all. Of a record that does not, nothing before it, nor
    /// itself, is kept.
    pub(super) fn make_room(&mut self, id: EventId, length: usize, now: u64) -> bool {
        self.expire(now);
        let limits = self.limits;
        let bytes = length + BESIDES;
        if limits.count == 0 || bytes > limits.bytes {
            self.drop_to(id);
            return false;
        }
        while self.kept.len() >= limits.count || self.bytes() + bytes > limits.bytes {
            self.drop_first();
        }
        true
    }

    /// Sets other limits; the next record is the first to feel them.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes in the frame of `length` bytes that comes next in the file.
    pub(super) fn push(&mut self, id: EventId, at: u64, length: usize) {
        let offset = self.end;
        self.kept.push_back(Place { id, at, offset });
        self.end += length as u64;
    }

    /// Takes in a hole's frame: nothing up to `id` is kept any more.
    pub(super) fn push_hole(&mut self, id: EventId, length: usize) {
        self.drop_to(id);
        self.skip(length);
    }

    /// Drops what is too old at `now`, in microseconds since 1970.
    pub(super) fn expire(&mut self, now: u64) {
        let age = u64::try_from(self.limits.age.as_micros()).unwrap_or(u64::MAX);
        while self
            .kept
            .front()
            .is_some_and(|place| place.at.saturating_add(age) < now)
        {
            self.drop_first();
        }
    }

    /// Drops everything up to `id`.
    pub(super) fn drop_to(&mut self, id: EventId) {
        while self.kept.front().is_some_and(|place| place.id <= id) {
            self.drop_first();
        }
        self.dropped = self.dropped.max(id);
    }

    fn drop_first(&mut self) {
        if let Some(place) = self.kept.pop_front() {
            self.dropped = self.dropped.max(place.id);
        }
    }

    /// The newest id that is not kept.
    pub(super) fn dropped(&self) -> EventId {
        self.dropped
    }

    /// How many records are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// Where the next frame goes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where what is kept begins.
    pub(super) fn start(&self) -> u64 {
        self.kept.front().map_or(self.end, |place| place.offset)
    }

    /// Takes in a frame that is not kept.
    pub(super) fn skip(&mut self, length: usize) {
        self.end += length as u64;
    }

    /// Whether the dropped part of the first `written` bytes is as large as all that is kept.
    pub(super) fn is_trim_due(&self, written: u64) -> bool {
        let dropped = self.start().min(written) - DATA;
        dropped > 0 && dropped >= self.end - self.start()
    }

    /// What is kept has been moved by `bytes` towards the beginning.
    pub(super) fn moved(&mut self, bytes: u64) {
        for place in &mut self.kept {
            place.offset -= bytes;
        }
        self.end -= bytes;
    }

    /// What the kept records count for.
    fn bytes(&self) -> usize {
        (self.end - self.start()) as usize + self.kept.len() * BESIDES
    }
}
