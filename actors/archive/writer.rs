//! The part of the archive that writes events down, and keeps the file small.

use std::mem;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::FutureExt;

use super::frame;
use super::handle::{Item, Shared};
use super::header::DATA;
use super::store::Store;
use super::trouble::Trouble;
use super::window::Window;
use super::{Archive, Message, Progress};
use crate::runtime::{CancellationToken, Mailbox};

/// How long an event may wait for others, to be written with them.
const GROUP: Duration = Duration::from_millis(100);
/// Bytes after which a group is written earlier.
const CHUNK: usize = 256 << 10;
/// How long nothing need be looked for when nothing comes.
const IDLE: Duration = Duration::from_secs(30);

pub(super) struct Writer<'a> {
    name: Rc<str>,
    store: Store,
    salt: u32,
    window: Window,
    pending: Vec<u8>,
    /// The how many-th time copies are written, and where their base stands.
    base: Option<(u32, u64)>,
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
            trouble: Trouble::new(Rc::clone(&archive.name), Rc::clone(&archive.shared)),
            name: archive.name,
            store: archive.store,
            salt: archive.header.salt,
            window: archive.window,
            pending: archive.pending,
            base: None,
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
            let stopped = stop.cancelled_then(Wake::Stop);
            let wake = next.or(waited).or(stopped).await;
            let was_empty = self.pending.is_empty();
            let stopping = matches!(wake, Wake::Stop);
            if let Wake::Message(Message::Waiting) = wake {
                while mailbox.try_recv().is_some() {}
            }
            loop {
                // What was let go is older than all that wait.
                self.own_up();
                let Some(item) = self.shared.take() else {
                    break;
                };
                self.stage(item, &stop).await?;
            }
            let now = Instant::now();
            if stopping || now >= due {
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

    /// Takes something in, and writes if there is much.
    async fn stage(&mut self, item: Item, stop: &CancellationToken) -> Result<(), GaveUp> {
        match item {
            Item::Record(record) => {
                self.window.note(record.id);
                self.put(|salt, out| frame::put_record(&record, salt, out));
            }
            Item::Begin(time) => {
                self.base = Some((time, self.window.end()));
                self.put(frame::put_base);
            }
            Item::Copies(time, frames) if self.is_current(time) => {
                self.put(|_, out| out.extend(frames));
            }
            Item::End(time) if self.is_current(time) => return self.rebase(stop).await,
            // Some of them are missing.
            Item::Copies(..) | Item::End(_) => {}
        }
        self.note_size();
        if self.pending.len() >= CHUNK {
            self.let_go();
        }
        if self.pending.len() >= CHUNK {
            self.flush(stop).await?;
        }
        Ok(())
    }

    fn is_current(&self, time: u32) -> bool {
        self.base.is_some_and(|(begun, _)| begun == time) && self.shared.is_current(time)
    }

    /// Appends to what is pending.
    fn put(&mut self, put: impl FnOnce(u32, &mut Vec<u8>)) {
        let before = self.pending.len();
        put(self.salt, &mut self.pending);
        self.window.push(self.pending.len() - before);
    }

    fn note_size(&self) {
        self.shared.size.set(self.window.size());
    }

    /// Has the file begin later, if all before is let go; what was let go of each target is said once more,
    /// as the events that told it are gone then. What was never written need not be.
    fn let_go(&mut self) {
        let Some((oldest, marks)) = self.shared.let_go.borrow_mut().take() else {
            return;
        };
        let before = self.window.start();
        self.window.let_go(oldest);
        if self.window.start() == before {
            return;
        }
        self.put(|_, out| out.extend(marks));
        let written = self.progress.written.get();
        if let Some(useless) = self.window.start().checked_sub(written).filter(|n| *n > 0) {
            self.pending.drain(..useless as usize);
            self.window.cut(useless);
            // Its base may be gone.
            self.base = None;
            self.shared.stop_copying();
        }
        self.note_size();
    }

    /// Takes note of events that did not get here. The history in memory may have them still, and hands
    /// over everything again as soon as there is time; so the log need not say anything.
    fn own_up(&mut self) {
        if let Some(id) = self.shared.missed.take() {
            self.put(|salt, out| frame::put_hole(id, salt, out));
            self.window.miss(id);
        }
    }

    /// Has the file begin at the base, of which all is there.
    async fn rebase(&mut self, stop: &CancellationToken) -> Result<(), GaveUp> {
        self.flush(stop).await?;
        if let Some((_, base)) = self.base.take() {
            self.window.begin_at(base);
        }
        self.trim(stop).await?;
        self.shared.stop_copying();
        self.note_size();
        Ok(())
    }

    /// Writes all that is pending. While that fails, it is tried
    /// again, and events wait in the mailbox.
    async fn flush(&mut self, stop: &CancellationToken) -> Result<(), GaveUp> {
        self.let_go();
        if self.window.is_trim_due() {
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

    /// Moves what counts to the file's beginning if it fits there; else only says where it begins.
    async fn trim(&mut self, stop: &CancellationToken) -> Result<(), GaveUp> {
        // Held until it is done: no other header may be written while frames are on their way.
        let mut header = self.progress.header.lock().await;
        let end = self.progress.written.get();
        let start = self.window.start().min(end);
        let moves = self.window.is_trim_due();
        loop {
            let (store, before) = (self.store.clone(), *header);
            let outcome = smol::unblock(move || {
                if moves {
                    store.trim(before, start, end)
                } else {
                    store.begin_at(before, start, end)
                }
            })
            .await;
            if let Some(after) = self.trouble.note(outcome) {
                *header = after;
                if moves {
                    let by = start - DATA;
                    self.window.moved();
                    self.base = self
                        .base
                        .and_then(|(time, base)| Some((time, base.checked_sub(by)?)));
                }
                self.progress.written.set(after.synced);
                return Ok(());
            }
            header.turn += 3;
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
