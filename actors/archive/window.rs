//! Which part of the history file counts.

use std::collections::VecDeque;

use super::header::DATA;
use crate::model::EventId;

/// How far apart the places are that are known.
const SPACING: u64 = 8 << 10;

/// The frames that count: those from `start` to `end`. What is before them is there for nothing.
#[derive(Debug)]
pub(super) struct Window {
    start: u64,
    end: u64,
    /// Any event up to this id may be missing.
    missing: EventId,
    /// Some places of events, and the events' ids: all that stands before is older.
    places: VecDeque<(u64, EventId)>,
}

impl Window {
    /// Of a file whose first frame is to stand at `start`.
    pub(super) fn new(missing: EventId, start: u64) -> Self {
        Self {
            start,
            end: start,
            missing,
            places: VecDeque::new(),
        }
    }

    /// Takes in a frame of `length` bytes that comes next in the file.
    pub(super) fn push(&mut self, length: usize) {
        self.end += length as u64;
    }

    /// A new event, newer than all, stands at the end.
    pub(super) fn note(&mut self, id: EventId) {
        let known = self.places.back().map_or(self.start, |(place, _)| *place);
        if self.end >= known + SPACING {
            self.places.push_back((self.end, id));
        }
    }

    /// Nothing that is older than `oldest` is kept: what counts begins behind as much of it as is known.
    pub(super) fn let_go(&mut self, oldest: EventId) {
        while let Some((place, id)) = self.places.front()
            && *id <= oldest
        {
            self.start = self.start.max(*place);
            self.places.pop_front();
        }
    }

    /// Any event up to this id may be missing.
    pub(super) fn miss(&mut self, id: EventId) {
        self.missing = self.missing.max(id);
    }

    /// The newest id that may be missing.
    pub(super) fn missing(&self) -> EventId {
        self.missing
    }

    /// Where the next frame goes.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where what counts begins.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Has what counts begin later.
    pub(super) fn begin_at(&mut self, start: u64) {
        self.start = self.start.max(start);
        self.places.retain(|(place, _)| *place > start);
    }

    /// So many bytes that were to be written at the start are not.
    pub(super) fn cut(&mut self, bytes: u64) {
        self.start -= bytes;
        self.end -= bytes;
        self.places
            .iter_mut()
            .for_each(|(place, _)| *place -= bytes);
    }

    /// The bytes of what counts.
    pub(super) fn size(&self) -> u64 {
        self.end - self.start
    }

    /// Whether all that counts fits in front of itself.
    pub(super) fn is_trim_due(&self) -> bool {
        let unused = self.start - DATA;
        unused > 0 && unused >= self.size()
    }

    /// What counts has been moved to the file's beginning.
    pub(super) fn moved(&mut self) {
        let by = self.start - DATA;
        self.end -= by;
        self.start = DATA;
        self.places.iter_mut().for_each(|(place, _)| *place -= by);
    }
}
