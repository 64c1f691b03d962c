//! The figures of one moment, as they are kept for curves.

use std::time::SystemTime;

use super::Cost;

/// The figures of one moment; those from `messages` to `gaps` count from the daemon's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// When.
    pub at: SystemTime,
    /// Connections of subscribers.
    pub clients: u64,
    /// Streams that were getting kept events.
    pub replaying: u64,
    /// Messages taken in.
    pub messages: u64,
    /// Events written.
    pub events: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Clients disconnected because they were too slow.
    pub slow: u64,
    /// Streams that began with kept events.
    pub replays: u64,
    /// Streams that began with a gap.
    pub gaps: u64,
    /// Events kept.
    pub history: u64,
}

impl Cost for Sample {}
