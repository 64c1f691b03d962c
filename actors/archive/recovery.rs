//! Reading the history file after a restart, whatever state it was left in.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read};

use super::frame::{self, Entry, HEAD, Head};
use super::header::Header;
use super::window::Window;
use crate::model::history::Limits;
use crate::model::{EventId, Record};

/// What was read.
pub(super) struct Found {
    /// The records within the limits.
    pub(super) records: VecDeque<Record>,
    /// Where they stand.
    pub(super) window: Window,
    /// The newest id that the file knows of, or none.
    pub(super) newest: EventId,
}

/// Reads the frames of a file from `header.start` on, where `frames` begins; `length` is that of the
/// whole file. Reading ends at the first frame that is not as it was written.
pub(super) fn read(
    frames: impl Read,
    length: u64,
    header: &Header,
    limits: Limits,
    now: u64,
) -> io::Result<Found> {
    let mut frames = BufReader::with_capacity(64 << 10, frames);
    let mut found = Found {
        records: VecDeque::new(),
        window: Window::new(limits, header.dropped, header.start),
        newest: header.dropped,
    };
    let mut last = EventId(0);
    while let Some((entry, size)) = next(&mut frames, length, found.window.end(), header.salt)? {
        match entry {
            Entry::Record(record) => {
                if record.id <= last {
                    // Left over from before a trim.
                    break;
                }
                last = record.id;
                found.take(record, size, now);
            }
            Entry::Hole(id) => {
                found.window.push_hole(id, size);
                found.newest = found.newest.max(id);
            }
        }
        found.drop_others();
    }
    found.window.expire(now);
    found.drop_others();
    Ok(found)
}

/// The frame at `offset`, and its size; `None` when there is none as it was written.
fn next(
    frames: &mut impl Read,
    length: u64,
    offset: u64,
    salt: u32,
) -> io::Result<Option<(Entry, usize)>> {
    let left = length.saturating_sub(offset);
    let mut head = [0; HEAD];
    if left < HEAD as u64 {
        return Ok(None);
    }
    frames.read_exact(&mut head)?;
    let head = Head::decode(head);
    let body = head.body().filter(|body| (HEAD + body) as u64 <= left);
    let Some(size) = body else {
        return Ok(None);
    };
    let mut body = vec![0; size];
    frames.read_exact(&mut body)?;
    Ok(head.entry(&body, salt).map(|entry| (entry, HEAD + size)))
}

impl Found {
    fn take(&mut self, record: Record, size: usize, now: u64) {
        self.newest = self.newest.max(record.id);
        let dropped = record.id <= self.window.dropped();
        if !dropped && self.window.make_room(record.id, size, now) {
            self.window.push(record.id, frame::micros(record.at), size);
            self.records.push_back(record);
        } else {
            self.window.skip(size);
        }
    }

    /// Lets go of the records that the window dropped.
    fn drop_others(&mut self) {
        while self.records.len() > self.window.len() {
            self.records.pop_front();
        }
    }
}
