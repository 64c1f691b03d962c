//! The archive: kept events in a file, so that they survive a restart and `kill -9`.
//!
//! It is written behind delivery, in groups, on threads made for waiting: a group reaches the file at
//! the latest 100 ms after its first event, and the disk about two seconds later. After `kill -9` the
//! file lacks no more than the last second, after a power failure no more than the last five.
//!
//! # Why a log of checksummed frames (crc32fast)
//!
//! Tried with 100,000 events against it, redb refused every torn file whole and read flipped bytes as
//! events; fjall took 67 MB and 37 MB of memory. A log loses its torn tail alone, and never lies.
//!
//! # Ids
//!
//! The file says, durably, an id that is greater than any given out, [`RESERVE`] ahead of the clock.
//! After a stop that was not clean the next ids are greater than that one. So whoever gives ids out
//! asks [`Handle::reserved`] for each:
//!
//! * the clock's time, or the last id plus one, as long as that is no greater than the reserved one;
//! * else (the clock has jumped, or the disk fails) the last id plus one, until that is greater too;
//! * else (a disk that failed for millions of events) as if there was no file.
//!
//! # Holes
//!
//! While the disk is full, failing or too slow, events wait, as many as the history may have; then the
//! oldest that wait are let go. The file says so as soon as it can be written, and then any event up to
//! the last that is missing may be lost. The file has a [`header`], written twice, and [`frame`]s.
//!
//! # Only what is kept
//!
//! Which events are kept is the history's to decide, and a kept last value may be older than thousands that
//! were let go. When the file has half as much again as all that is kept, the history hands over everything
//! once more, in portions, as copies behind a base ([`frame`]), with what it knows of what was let go. New
//! events are written among the copies. When all copies are on disk the file begins at the base; what is
//! before it is there for nothing, and is as much or more, so all that counts moves to the beginning, and
//! the file is cut. Whenever a daemon is killed, one of the header's copies leads to everything.

pub(crate) mod frame;
mod handle;
mod header;
mod opening;
mod recovery;
mod store;
mod syncer;
#[cfg(test)]
mod tests;
mod trouble;
mod window;
mod writer;

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_lite::future::zip;
use smol::lock::Mutex;

use crate::model::{EventId, Record, Target};
use crate::runtime::{self, CancellationToken, Failure, Mailbox};

pub use self::handle::Handle;
use self::header::Header;
use self::store::Store;
use self::syncer::Syncer;
use self::window::Window;
use self::writer::Writer;

/// How far ids are reserved ahead of the clock.
pub const RESERVE: Duration = Duration::from_secs(60);
/// How many ids are reserved where ids are ahead of the clock already, as after a crash: then each is
/// the last one plus one. So daemons that crash again and again hardly move them on.
const ONES: u64 = 10_000_000;
/// How far ahead of the clock ids begin when a file was there whose ids cannot be read: further than
/// crashes have moved them on.
const UNKNOWN: Duration = Duration::from_secs(600);
/// How long a file that could not be written is left alone.
const PAUSE: Duration = Duration::from_secs(1);

/// What a file told after a restart.
#[derive(Debug)]
pub struct Recovered {
    /// The events, in the order of their ids: all that were kept, and some that were let go since.
    pub records: Vec<Record>,
    /// Of each of these targets everything up to an id was let go.
    pub marks: Vec<(Target, EventId)>,
    /// Every id to come must be greater. After a clean stop it is the newest given out.
    pub floor: EventId,
    /// Every event to be kept that is newer than this is among the records: a client that knows this
    /// id or a newer one has no gap. It is the floor after a stop that was not clean.
    pub since: EventId,
    /// Whether the last stop was clean, so that the file has everything up to the floor.
    pub clean: bool,
    /// What the log should say.
    pub notes: Vec<String>,
}

/// What the archive is told, by its [`Handle`].
#[derive(Debug)]
pub enum Message {
    /// Events wait to be written, where none did before.
    Waiting,
}

/// The archive itself.
pub struct Archive {
    /// The file's name, for the log.
    name: Rc<str>,
    store: Store,
    header: Header,
    window: Window,
    /// Frames that are not in the file yet; they are the end of the window.
    pending: Vec<u8>,
    shared: Rc<handle::Shared>,
    pause: Duration,
}

/// How far writing has come: the writer's to say, for the syncer to read under the header's lock.
#[derive(Debug)]
struct Progress {
    header: Mutex<Header>,
    /// Where the frames in the file end.
    written: Cell<u64>,
    /// Whether something was written since the last sync.
    dirty: Cell<bool>,
}

impl Archive {
    /// How others reach the archive, and where [`Archive::run`] gets that from.
    pub fn mailbox(&self) -> (Handle, Mailbox<Message>) {
        let (address, mailbox) = runtime::unbounded();
        (Handle::new(address, Rc::clone(&self.shared)), mailbox)
    }

    /// Writes until it is told to stop; then writes what waits, marks the stop as clean and returns.
    /// To be stopped after everyone who gives out ids.
    ///
    /// # Errors
    /// None: a file that cannot be written is tried again, and the log says so.
    pub async fn run(
        self,
        mailbox: Mailbox<Message>,
        stop: CancellationToken,
    ) -> Result<(), Failure> {
        let written = self.window.end() - self.pending.len() as u64;
        let progress = Progress {
            header: Mutex::new(self.header),
            written: Cell::new(written),
            dirty: Cell::new(false),
        };
        let syncer = Syncer::new(&self, &progress);
        let (finished, end) = runtime::cancellation();
        let writer = Writer::new(self, &progress);
        let keeping = async {
            let outcome = writer.run(mailbox, stop).await;
            finished.cancel();
            outcome
        };
        // The syncer ends by itself, never within a write.
        let (outcome, syncer) = zip(keeping, syncer.run(end)).await;
        if outcome.is_ok() {
            syncer.close().await;
        }
        Ok(())
    }
}
