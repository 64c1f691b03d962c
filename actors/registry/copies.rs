//! What is kept, handed over to the history file once more when that has grown: in portions, so that
//! neither a publisher nor a subscriber waits for all of it.

use std::time::{Duration, Instant, SystemTime};

use super::Registry;
use crate::model::EventId;

/// Bytes of one portion: what a publication hands over, besides its own event.
const PORTION: usize = 64 << 10;
/// Marks of one portion.
const MARKS: usize = 1024;
/// The history file is told what was let go each time that it is so many bytes.
const LET_GO: u64 = 16 << 10;
/// With more marks than that they are handed over with copies alone.
const FEW: usize = 256;
/// How long portions are handed over in one turn of the clock.
const TIME: Duration = Duration::from_millis(2);

/// How far it is.
#[derive(Debug)]
pub(super) enum Copies {
    /// Events newer than the first id are to be handed over, up to the second.
    Events(EventId, EventId),
    /// The marks from this place on are.
    Marks(usize),
}

impl Registry {
    /// Begins to hand over what is kept, if the history file asks for it.
    pub(super) fn look_at_file(&mut self) {
        let Some(archive) = &self.archive else { return };
        if self.copies.is_none() && archive.wants_copies(self.history.written()) {
            archive.begin_copies();
            self.copies = Some(Copies::Events(EventId(0), self.sequence.last()));
        }
        let began = Instant::now();
        while self.copies.is_some() && self.hand_over() && began.elapsed() < TIME {}
    }

    /// Tells the history file what was let go, if that is much: it need not have that any more.
    pub(super) fn tell_let_go(&mut self) {
        let Some(archive) = &self.archive else { return };
        let let_go = self.history.packed_let_go();
        if let_go < self.told_let_go + LET_GO || self.history.marks() > FEW {
            return;
        }
        self.told_let_go = let_go;
        let mut marks = Vec::new();
        for (target, id) in self.history.marks_from(0, self.history.mark_places()) {
            archive.copy_mark(&target, id, &mut marks);
        }
        archive.copy_missing(self.history.missing(), &mut marks);
        let behind_all = EventId(self.sequence.last().0 + 1);
        archive.let_go(self.history.oldest_id().unwrap_or(behind_all), marks);
    }

    /// Hands over the next portion; whether there may be room for another.
    pub(super) fn hand_over(&mut self) -> bool {
        let (Some(copies), Some(archive)) = (&mut self.copies, &self.archive) else {
            return false;
        };
        if !archive.takes_copies() {
            // The disk was too slow for them.
            self.copies = None;
            return false;
        }
        if !archive.has_room() {
            return false;
        }
        let mut portion = Vec::new();
        match copies {
            Copies::Events(after, up_to) => {
                let (history, mut newest) = (&self.history, *after);
                let now = (Instant::now(), SystemTime::now());
                let more = history.draw_every(*after, |kept| {
                    if kept.id > *up_to || portion.len() >= PORTION {
                        return false;
                    }
                    newest = kept.id;
                    if let Some(record) = history.record(&kept, now) {
                        archive.copy(&record, &mut portion);
                    }
                    true
                });
                *after = newest;
                if more.is_none_or(|next| next > *up_to) {
                    *copies = Copies::Marks(0);
                }
            }
            Copies::Marks(from) => {
                let mut count = 0;
                let marks = self.history.marks_from(*from, MARKS);
                for (target, id) in marks {
                    archive.copy_mark(&target, id, &mut portion);
                    count += 1;
                }
                *from += MARKS;
                if count == 0 && *from >= self.history.mark_places() {
                    archive.copy_missing(self.history.missing(), &mut portion);
                    archive.hand_over(portion);
                    archive.end_copies();
                    self.copies = None;
                    return false;
                }
            }
        }
        archive.hand_over(portion);
        true
    }
}
