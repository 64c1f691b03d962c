//! Reading the history file after a restart, whatever state it was left in.

use std::collections::VecDeque;
use std::io::{self, BufReader, Read};

use super::frame::{self, Entry, HEAD, Head};
use super::header::Header;
use super::window::Window;
use crate::model::Limits;
use crate::model::{EventId, Record};

/// What was read.
pub(super) struct Found {
    /// The records within the limits.
    pub(super) records: VecDeque<Record>,
    /// Where they stand.
    pub(super) window: Window,
    /// The newest id that the file knows of, or none.
    pub(super) newest: EventId,
    /// Whether the file ends within a frame.
    pub(super) torn: bool,
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
        torn: false,
    };
    let mut last = EventId(0);
    loop {
        let offset = found.window.end();
        let (entry, size) = match next(&mut frames, length, offset, header.salt)? {
            Next::Frame(entry, size) => (entry, size),
            Next::Torn => {
                found.torn = true;
                break;
            }
            Next::Wrong => break,
        };
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

/// What is found at an offset.
enum Next {
    /// A frame, and its size.
    Frame(Entry, usize),
    /// The file's end, before a frame's.
    Torn,
    /// Something that was not written so.
    Wrong,
}

fn next(frames: &mut impl Read, length: u64, offset: u64, salt: u32) -> io::Result<Next> {
    let left = length.saturating_sub(offset);
    let mut head = [0; HEAD];
    if left < HEAD as u64 {
        return Ok(Next::Torn);
    }
    frames.read_exact(&mut head)?;
    let head = Head::decode(head);
    let Some(size) = head.body() else {
        return Ok(Next::Wrong);
    };
    if (HEAD + size) as u64 > left {
        return Ok(Next::Torn);
    }
    let mut body = vec![0; size];
    frames.read_exact(&mut body)?;
    let entry = head.entry(&body, salt);
    Ok(entry.map_or(Next::Wrong, |entry| Next::Frame(entry, HEAD + size)))
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
