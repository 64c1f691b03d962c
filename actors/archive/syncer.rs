//! The part of the archive that puts on disk what was written, and reserves ids ahead.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use async_io::Timer;
use futures_lite::FutureExt;

use super::handle::Shared;
use super::header::Header;
use super::store::Store;
use super::trouble::Trouble;
use super::{Archive, ONES, Progress, RESERVE, frame};
use crate::model::EventId;
use crate::runtime::CancellationToken;

/// How often there is a look at what is to be done.
const PERIOD: Duration = Duration::from_secs(2);

pub(super) struct Syncer<'a> {
    store: Store,
    shared: Rc<Shared>,
    progress: &'a Progress,
    trouble: Trouble,
    period: Duration,
}

/// The greatest id to be reserved: [`RESERVE`] beyond the clock, and [`ONES`] beyond `newest`.
pub(super) fn ahead(newest: EventId) -> EventId {
    reserve(newest, 1)
}

/// Half of that: when no more than this is left, more is reserved.
fn enough(newest: EventId) -> EventId {
    reserve(newest, 2)
}

fn reserve(newest: EventId, part: u64) -> EventId {
    let by_clock = frame::micros(SystemTime::now()) + RESERVE.as_micros() as u64 / part;
    let by_ones = newest.0 + ONES / part;
    EventId(by_clock.max(by_ones).min(EventId::END - 1))
}

impl<'a> Syncer<'a> {
    pub(super) fn new(archive: &Archive, progress: &'a Progress) -> Self {
        Self {
            store: archive.store.clone(),
            shared: Rc::clone(&archive.shared),
            progress,
            trouble: Trouble::new(Rc::clone(&archive.name), Rc::clone(&archive.shared)),
            period: PERIOD.min(archive.pause * 2),
        }
    }

    /// Looks after the file until `end`, and gives itself back.
    pub(super) async fn run(mut self, end: CancellationToken) -> Self {
        loop {
            let pause = async {
                Timer::after(self.period).await;
            };
            pause.or(end.cancelled()).await;
            if end.is_cancelled() {
                return self;
            }
            self.look().await;
        }
    }

    async fn look(&mut self) {
        let mut header = self.progress.header.lock().await;
        let newest = self.shared.newest.get();
        if header.reserved < enough(newest) {
            self.write(&mut header, |next| next.reserved = ahead(newest))
                .await;
        } else if self.progress.dirty.take() {
            let store = self.store.clone();
            let outcome = smol::unblock(move || store.sync()).await;
            if self.trouble.note(outcome).is_none() {
                self.progress.dirty.set(true);
            }
        }
    }

    /// Marks the file as complete; where others go on, up to now, as if one more id had been given out.
    pub(super) async fn close(mut self) {
        let mut header = self.progress.header.lock().await;
        let outlived = self.shared.outlived.get();
        let EventId(newest) = self.shared.newest.get();
        self.write(&mut header, |next| {
            next.clean = true;
            next.newest = EventId(newest + u64::from(outlived));
            if outlived {
                next.complete = next.newest;
            }
        })
        .await;
    }

    /// Writes a changed header.
    async fn write(&mut self, header: &mut Header, change: impl FnOnce(&mut Header)) {
        // Even if it fails, one copy of this turn may be there.
        header.turn += 1;
        let mut next = Header {
            synced: self.progress.written.get(),
            ..*header
        };
        change(&mut next);
        self.progress.dirty.set(false);
        let store = self.store.clone();
        let outcome = smol::unblock(move || store.write_header(&next)).await;
        if self.trouble.note(outcome).is_some() {
            *header = next;
            self.shared.reserved.set(next.reserved);
        } else {
            self.progress.dirty.set(true);
        }
    }
}
