//! The part of the archive that writes events down, and keeps the file small.

use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use async_io::Timer;
use futures_lite::FutureExt;

use super::frame::{self, HOLE_LENGTH};
use super::handle::Shared;
use super::header::DATA;
use super::store::Store;
use super::trouble::Trouble;
use super::window::Window;
use super::{Archive, Message, Progress};
use crate::model::Record;
use crate::runtime::{CancellationToken, Mailbox};

/// How long an event may wait for others, to be written with them.
const GROUP: Duration = Duration::from_millis(100);
/// Bytes after which a group is written earlier.
const CHUNK: usize = 256 << 10;
/// How often what has grown too old is looked for when nothing comes.
const IDLE: Duration = Duration::from_secs(30);

pub(super) struct Writer<'a> {
    name: Rc<str>,
    store: Store,
    salt: u32,
    window: Window,
    pending: Vec<u8>,
    progress: &'a Progress,
    shared: Rc<Shared>,
    trouble: Trouble,
    pause: Duration,
}

/// The daemon stops, and the file cannot be written.
#[derive(Debug)]
pub(super) struct GaveUp;

enum Wake {
    Message(Message),
    Due,
    Stop,
}

impl<'a> Writer<'a> {
    pub(super) fn new(archive: Archive, progress: &'a Progress) -> Self {
        Self {
            trouble: Trouble::new(Rc::clone(&archive.name)),
            name: archive.name,
            store: archive.store,
            salt: archive.header.salt,
            window: archive.window,
            pending: archive.pending,
            progress,
            shared: archive.shared,
            pause: archive.pause,
        }
    }

    /// Writes what comes until it is told to stop; then what is left.
    pub(super) async fn run(
        mut self,
        mut mailbox: Mailbox<Message>,
        stop: CancellationToken,
    ) -> Result<(), GaveUp> {
        let mut due = Instant::now() + GROUP;
        loop {
            let next = async {
                let message = mailbox.next().await;
                message.map_or(Wake::Stop, Wake::Message)
            };
            let waited = async {
                Timer::at(due).await;
                Wake::Due
            };
            let stopped = async {
                stop.cancelled().await;
                Wake::Stop
            };
            let wake = next.or(waited).or(stopped).await;
            let was_empty = self.pending.is_empty();
            let stopping = matches!(wake, Wake::Stop);
            let mut message = match wake {
                Wake::Message(message) => Some(message),
                Wake::Due => None,
                Wake::Stop => mailbox.try_recv(),
            };
            while let Some(told) = message {
                match told {
                    Message::Waiting => {}
                    Message::SetLimits { limits } => self.window.set_limits(limits),
                }
                message = mailbox.try_recv();
            }
            loop {
                // What was let go is older than all that wait.
                self.own_up();
                let Some(record) = self.shared.take() else {
                    break;
                };
                self.stage(&record, &stop).await?;
            }
            let now = Instant::now();
            if stopping || now >= due {
                self.window.expire(frame::micros(SystemTime::now()));
                self.flush(&stop).await?;
            }
            if stopping {
                return Ok(());
            }
            if self.pending.is_empty() {
                due = now + IDLE;
            } else if was_empty {
                due = now + GROUP;
            }
        }
    }

    /// Takes a record in, and writes if there is much.
    async fn stage(&mut self, record: &Record, stop: &CancellationToken) -> Result<(), GaveUp> {
        let now = frame::micros(SystemTime::now());
        match frame::length(record) {
            Some(length) if self.window.make_room(record.id, length, now) => {
                frame::put_record(record, self.salt, &mut self.pending);
                self.window
                    .push(record.id, frame::micros(record.at), length);
            }
            // Larger than all that may be kept.
            _ => {
                frame::put_hole(record.id, self.salt, &mut self.pending);
                self.window.push_hole(record.id, HOLE_LENGTH);
            }
        }
        if self.pending.len() >= CHUNK {
            self.prune();
        }
        if self.pending.len() >= CHUNK {
            self.flush(stop).await?;
        }
        Ok(())
    }

    /// Takes note of events that did not get here. The history in memory has let go of them too, so
    /// the log need not say anything.
    fn own_up(&mut self) {
        if let Some(id) = self.shared.missed.take() {
            frame::put_hole(id, self.salt, &mut self.pending);
            self.window.push_hole(id, HOLE_LENGTH);
        }
    }

    /// Forgets frames that are dropped before they were written: all in the file are dropped then,
    /// which a hole says in fewer bytes.
    fn prune(&mut self) {
        let useless = self
            .window
            .start()
            .saturating_sub(self.progress.written.get()) as usize;
        if useless > HOLE_LENGTH {
            let mut frames = Vec::new();
            frame::put_hole(self.window.dropped(), self.salt, &mut frames);
            frames.extend_from_slice(&self.pending[useless..]);
            self.pending = frames;
            self.window.moved((useless - HOLE_LENGTH) as u64);
        }
    }

    /// Writes all that is pending, after it has made room in the file. While that fails, it is tried
    /// again, and events wait in the mailbox.
    async fn flush(&mut self, stop: &CancellationToken) -> Result<(), GaveUp> {
        self.prune();
        if self.window.is_trim_due(self.progress.written.get()) {
            self.trim(stop).await?;
        }
        while !self.pending.is_empty() {
            let (store, frames) = (self.store.clone(), mem::take(&mut self.pending));
            let offset = self.progress.written.get();
            let (frames, outcome) = smol::unblock(move || {
                let outcome = store.write(&frames, offset);
                (frames, outcome)
            })
            .await;
            if self.trouble.note(outcome).is_some() {
                self.progress.written.set(offset + frames.len() as u64);
                self.progress.dirty.set(true);
            } else {
                self.pending = frames;
                self.rest(stop).await?;
            }
        }
        Ok(())
    }

    /// Moves what is kept to the file's beginning.
    async fn trim(&mut self, stop: &CancellationToken) -> Result<(), GaveUp> {
        // Held until it is done: no other header may be written while frames are on their way.
        let mut header = self.progress.header.lock().await;
        let end = self.progress.written.get();
        let start = self.window.start().min(end);
        loop {
            header.dropped = self.window.dropped();
            let (store, before) = (self.store.clone(), *header);
            let outcome = smol::unblock(move || store.trim(before, start, end)).await;
            if let Some(after) = self.trouble.note(outcome) {
                *header = after;
                self.window.moved(start - DATA);
                self.progress.written.set(after.synced);
                return Ok(());
            }
            header.turn += 2;
            self.rest(stop).await?;
        }
    }

    /// Waits before another try. There is none after one that failed during a stop.
    async fn rest(&self, stop: &CancellationToken) -> Result<(), GaveUp> {
        if stop.is_cancelled() {
            log::error!(
                "history file {}: the last events could not be written",
                self.name
            );
            return Err(GaveUp);
        }
        let pause = async {
            Timer::after(self.pause).await;
        };
        pause.or(stop.cancelled()).await;
        Ok(())
    }
}
