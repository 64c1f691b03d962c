//! The file itself: opening, locking, and the writes that must never tear it.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::header::{ANY_MAGIC, COPY, DATA, Header, LENGTH};
use crate::runtime::Failure;

/// Bytes moved at once by a trim.
const CHUNK: usize = 64 << 10;

/// How old a file may be that was made for this start.
const YOUNG: Duration = Duration::from_secs(10);

/// How long a daemon that is about to end may still have the file.
const ENDING: Duration = Duration::from_secs(1);

/// The open, locked file. It goes to threads made for waiting; no two of its writers touch the same
/// bytes at one time.
#[derive(Debug, Clone)]
pub(super) struct Store(Arc<File>);

impl Store {
    /// Opens the file, or makes it, for this daemon alone.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(0o640);
        let made = options.clone().create_new(true).open(path);
        let (file, made) = match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                (options.open(path), false)
            }
            outcome => (outcome, true),
        };
        let named = |error: &dyn std::fmt::Display| {
            Failure(format!("history file {}: {error}", path.display()))
        };
        let file = file.map_err(|error| named(&error))?;
        if !file.metadata().map_err(|error| named(&error))?.is_file() {
            return Err(named(&"is there, and is no regular file"));
        }
        lock(&file).map_err(|error| match error {
            TryLockError::WouldBlock => named(&"another daemon uses it"),
            TryLockError::Error(error) => named(&error),
        })?;
        if made {
            // Whatever the umask is.
            let mode = file.set_permissions(Permissions::from_mode(0o640));
            mode.map_err(|error| named(&error))?;
        }
        Ok(Self(Arc::new(file)))
    }

    /// Whether the file begins as a history file of whatever version does, as far as it goes.
    pub(super) fn is_ours(&self) -> bool {
        let mut bytes = [0; ANY_MAGIC.len()];
        let there = self.length().unwrap_or(0).min(bytes.len() as u64) as usize;
        let beginning = &mut bytes[..there];
        let read = self.0.read_exact_at(beginning, 0);
        read.is_ok() && ANY_MAGIC.starts_with(beginning)
    }

    /// Whether nothing was ever written to the file, as far as one can tell: it is empty and as
    /// young as a file that was made for this start, perhaps by root.
    pub(super) fn is_new(&self) -> bool {
        self.0.metadata().is_ok_and(|metadata| {
            let age = metadata.created().map(|made| made.elapsed());
            // Where the file system does not tell, or the clock went back, there is nothing to go by.
            let young = !age.is_ok_and(|age| age.is_ok_and(|age| age > YOUNG));
            metadata.len() == 0 && young
        })
    }

    /// The frames from there to the end.
    pub(super) fn frames(&self, start: u64) -> io::Result<impl Read> {
        let mut file = &*self.0;
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    }

    /// How long the file is.
    pub(super) fn length(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    /// The newer of the header's copies, and how many of them are as they were written.
    pub(super) fn header(&self) -> (Option<Header>, usize) {
        let copies = [0, COPY].map(|offset| {
            let mut bytes = [0; LENGTH];
            self.0.read_exact_at(&mut bytes, offset).ok()?;
            Header::decode(&bytes)
        });
        let good = copies.iter().flatten();
        (
            good.clone().max_by_key(|header| header.turn).copied(),
            good.count(),
        )
    }

    /// Writes the header, durably, behind the frames that it speaks of. One copy after the other, so
    /// that one is good at any time.
    pub(super) fn write_header(&self, header: &Header) -> io::Result<()> {
        self.sync()?;
        for offset in [0, COPY] {
            self.0.write_all_at(&header.encode(), offset)?;
            self.sync()?;
        }
        Ok(())
    }

    /// Writes frames.
    pub(super) fn write(&self, frames: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(frames, offset)
    }

    /// Ends the file there.
    pub(super) fn cut(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    /// Puts on disk what was written.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    /// Has the frames begin at `start`, and gives the header that says so.
    pub(super) fn begin_at(&self, header: Header, start: u64, end: u64) -> io::Result<Header> {
        let header = Header {
            turn: header.turn + 1,
            start,
            synced: end,
            ..header
        };
        self.write_header(&header)?;
        Ok(header)
    }

    /// Moves the frames from `start` to `end` to the beginning, where at least as many bytes are
    /// free, and gives the header that says so. At every moment one of the header's copies on disk
    /// leads to all of them.
    pub(super) fn trim(&self, header: Header, start: u64, end: u64) -> io::Result<Header> {
        let away = Header {
            turn: header.turn + 1,
            start,
            synced: header.synced.max(start),
            ..header
        };
        // The frames that it leads to come first.
        self.sync()?;
        self.0.write_all_at(&away.encode(), 0)?;
        self.sync()?;
        let mut chunk = vec![0; CHUNK.min((end - start) as usize)];
        let mut from = start;
        while from < end {
            let chunk = &mut chunk[..CHUNK.min((end - from) as usize)];
            self.0.read_exact_at(chunk, from)?;
            self.0.write_all_at(chunk, from - start + DATA)?;
            from += chunk.len() as u64;
        }
        self.sync()?;
        let back = Header {
            turn: header.turn + 2,
            start: DATA,
            synced: end - start + DATA,
            // What still stands behind is older, and looks as if it was written so.
            sealed: true,
            ..header
        };
        self.0.write_all_at(&back.encode(), COPY)?;
        self.sync()?;
        self.cut(back.synced)?;
        let open = Header {
            turn: header.turn + 3,
            sealed: false,
            ..back
        };
        self.sync()?;
        self.0.write_all_at(&open.encode(), 0)?;
        self.sync()?;
        Ok(open)
    }
}

/// Locks the file, with some patience: the last daemon's end may wait for the disk, and a process
/// that was being started from it may hold its descriptors for a moment.
fn lock(file: &File) -> Result<(), TryLockError> {
    let end = Instant::now() + ENDING;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < end => {
                thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome,
        }
    }
}
