//! What is kept of an event for replay.

use std::time::SystemTime;

use super::{Cost, EventId, Publication};

/// One event as it is kept for replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its id.
    pub id: EventId,
    /// When it was taken in.
    pub at: SystemTime,
    /// What it says, and to whom.
    pub publication: Publication,
    /// How many subscribers it went to, where its publisher gave it a key; else 0.
    pub recipients: u32,
}

impl Record {
    /// What keeping one costs besides its text: the struct and its allocations in memory, times,
    /// lengths and a checksum in a file.
    pub const OVERHEAD: usize = 128;

    /// What it counts for against a bound in bytes: its text and [`Record::OVERHEAD`].
    pub fn bytes(&self) -> usize {
        let publication = &self.publication;
        let except = publication
            .except
            .as_ref()
            .map_or(0, |id| id.as_str().len());
        let event = publication.event.as_ref().map_or(0, |event| event.len());
        let key = publication.key.as_ref().map_or(0, |key| key.len());
        let update = publication
            .update
            .as_ref()
            .map_or(0, |update| update.bytes());
        Self::OVERHEAD
            + key
            + update
            + publication.to.bytes()
            + except
            + event
            + publication.data.len()
    }
}

impl Cost for Record {
    fn cost(&self) -> usize {
        self.bytes()
    }
}
