//! Reading the history file after a restart, whatever state it was left in.
//!
//! It is read twice. Where it begins with a base, the copies up to the next base come first, as all of them
//! are older than the events that were written among them. A later base is one that was never finished: its
//! copies are there a second time.

use std::io::{self, BufReader, Read};

use super::frame::{Entry, HEAD, Head};
use super::header::Header;
use super::window::Window;
use crate::model::{Bounded, EventId, Limits, Record, Target};

/// How many times as many bytes are read as may be kept, before the oldest events are let go: a file has at
/// most twice of what is kept, so one with more was made for other limits.
const TIMES: usize = 4;

/// What was read.
pub(super) struct Found {
    /// The events, in the order of their ids.
    pub(super) records: Bounded<Record>,
    /// Of each of these targets everything up to an id was let go.
    pub(super) marks: Vec<(Target, EventId)>,
    /// Where the frames stand.
    pub(super) window: Window,
    /// The newest id that the file knows of, or none.
    pub(super) newest: EventId,
    /// Whether the file ends within a frame.
    pub(super) torn: bool,
    limits: Limits,
}

/// Reads the frames of a file from `header.start` on, where what `open` gives begins each time; `length` is
/// that of the whole file. Reading ends at the first frame that is not as it was written.
pub(super) fn read<R: Read>(
    open: impl Fn() -> io::Result<R>,
    length: u64,
    header: &Header,
    limits: Limits,
) -> io::Result<Found> {
    let mut found = Found {
        records: Bounded::new(),
        marks: Vec::new(),
        window: Window::new(header.dropped, header.start),
        newest: header.dropped,
        torn: false,
        limits,
    };
    let length = if header.sealed {
        length.min(header.synced)
    } else {
        length
    };
    let longest = limits.bytes.max(LEAST);
    let frames = || -> io::Result<_> {
        Ok(Frames {
            file: BufReader::with_capacity(64 << 10, open()?),
            offset: header.start,
            length,
            salt: header.salt,
            longest,
            body: Vec::new(),
        })
    };
    found.take_base(frames()?)?;
    found.take_news(frames()?, header)?;
    Ok(found)
}

/// No body is so long that is worth keeping, whatever the limits are.
const LEAST: usize = 1 << 20;

/// The frames of a file, one after the other.
struct Frames<R> {
    file: BufReader<R>,
    offset: u64,
    length: u64,
    salt: u32,
    longest: usize,
    body: Vec<u8>,
}

/// What is found at an offset.
enum Next {
    /// A frame, and its size.
    Frame(Entry, usize),
    /// One that is longer than all that may be kept, its id, and its size.
    Long(EventId, usize),
    /// The file's end, before a frame's.
    Torn,
    /// Something that was not written so.
    Wrong,
}

impl<R: Read> Frames<R> {
    fn next(&mut self) -> io::Result<Next> {
        let left = self.length.saturating_sub(self.offset);
        let mut head = [0; HEAD];
        if left < HEAD as u64 {
            return Ok(Next::Torn);
        }
        self.file.read_exact(&mut head)?;
        let head = Head::decode(head);
        let Some(size) = head.body() else {
            return Ok(Next::Wrong);
        };
        if (HEAD + size) as u64 > left {
            return Ok(Next::Torn);
        }
        let whole = HEAD + size;
        self.offset += whole as u64;
        if size > self.longest {
            return self.pass_over(head, size);
        }
        self.body.resize(size, 0);
        self.file.read_exact(&mut self.body)?;
        let entry = head.entry(&self.body, self.salt);
        Ok(entry.map_or(Next::Wrong, |entry| Next::Frame(entry, whole)))
    }

    /// Reads a frame that is too long to be kept, and holds nothing of it but its id: what a file says of
    /// its lengths need not be so.
    fn pass_over(&mut self, head: Head, size: usize) -> io::Result<Next> {
        let mut check = head.check(self.salt);
        let mut left = size;
        let mut id = None;
        self.body.resize(64 << 10, 0);
        while left > 0 {
            let part = left.min(self.body.len());
            self.file.read_exact(&mut self.body[..part])?;
            let part = &self.body[..part];
            id = id.or_else(|| Head::id_of(part));
            check.update(part);
            left -= part.len();
        }
        let right = head.is_right(check);
        let id = id.filter(|_| right);
        Ok(id.map_or(Next::Wrong, |id| Next::Long(id, HEAD + size)))
    }
}

impl Found {
    /// Takes in what a base says that is whole.
    fn take_base(&mut self, mut frames: Frames<impl Read>) -> io::Result<()> {
        let Next::Frame(Entry::Base, _) = frames.next()? else {
            return Ok(());
        };
        loop {
            match frames.next()? {
                Next::Frame(Entry::Copy(record), _) => self.take(record),
                // The second time that it is read it counts.
                Next::Frame(Entry::Record(_) | Entry::Hole(_) | Entry::Mark(..), _)
                | Next::Long(..) => {}
                Next::Frame(Entry::Base, _) | Next::Torn | Next::Wrong => return Ok(()),
            }
        }
    }

    /// Takes in what was written as it came.
    fn take_news(&mut self, mut frames: Frames<impl Read>, header: &Header) -> io::Result<()> {
        let mut last = EventId(0);
        loop {
            let size = match frames.next()? {
                Next::Frame(Entry::Record(record), size) => {
                    if record.id <= last {
                        // Left over from before a trim.
                        break;
                    }
                    last = record.id;
                    self.window.note(record.id);
                    if record.id > header.dropped || !header.is_old {
                        self.take(record);
                    }
                    size
                }
                Next::Frame(Entry::Hole(id), size) => {
                    self.miss(id);
                    size
                }
                Next::Long(id, size) => {
                    self.miss(id);
                    size
                }
                Next::Frame(Entry::Mark(target, id), size) => {
                    // Once more, and true whoever wrote it.
                    self.marks.push((target, id));
                    size
                }
                Next::Frame(Entry::Base | Entry::Copy(_), size) => size,
                Next::Torn => {
                    self.torn = true;
                    break;
                }
                Next::Wrong => break,
            };
            self.window.push(size);
        }
        Ok(())
    }

    fn miss(&mut self, id: EventId) {
        self.window.miss(id);
        self.newest = self.newest.max(id);
    }

    fn take(&mut self, record: Record) {
        let before = self.records.back().map_or(EventId(0), |last| last.id);
        self.newest = self.newest.max(record.id);
        if record.id <= before {
            return;
        }
        self.records.push(record);
        let most = self.limits.bytes.saturating_mul(TIMES).max(LEAST);
        while let Some(oldest) = self.records.pop_beyond(usize::MAX, most) {
            self.window.miss(oldest.id);
        }
    }
}
