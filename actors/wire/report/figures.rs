//! The daemon's figures at one moment, from which `/status`, the log, `/metrics` and `/live` are made.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::LogLevel;
use crate::model::{BusFigures, Channel, Counters, Histogram};

/// What the registry knows in numbers.
#[derive(Debug, Clone)]
pub struct Figures {
    /// Such as `2.0.0`.
    pub version: &'static str,
    /// Since the start.
    pub running: Duration,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Whether a new GET on an open stream replaces its subscription.
    pub reinit: bool,
    /// Subscribers' connections now.
    pub clients: Clients,
    /// What has happened.
    pub counters: Counters,
    /// Events written, replayed ones too, one for each subscriber.
    pub events_sent: u64,
    /// Bytes written to subscribers.
    pub bytes_sent: u64,
    /// Bytes that wait for subscribers now.
    pub waiting_bytes: u64,
    /// Who is there, in all tokens of which that is known.
    pub presence: Presence,
    /// Events kept for replay now.
    pub history_events: u64,
    /// Bytes they are counted with.
    pub history_bytes: u64,
    /// Tokens, prefixes and `*` of which events are kept.
    pub history_targets: u64,
    /// Those of which it is known exactly what was let go.
    pub history_marks: u64,
    /// Kept events that were let go, by the reason.
    pub history_let_go: [(&'static str, u64); 3],
    /// Events that were never written to the history file.
    pub history_lost: u64,
    /// Whether the history file can be written; none without one.
    pub history_writable: Option<bool>,
    /// What waits now, by who is to take it.
    pub queues: Vec<(&'static str, u64)>,
    /// How long rounds of the event loop took.
    pub loop_delay: Histogram,
    /// From an event's id to its last write, of a sample of events.
    pub delivery: Histogram,
    /// Log lines that nobody can read.
    pub log_dropped: u64,
    /// What the bus counts, if there is one.
    pub bus: Option<BusFigures>,
}

/// Subscribers' connections by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Clients {
    /// Those without a stream: before it or after it.
    pub new: u64,
    /// Streams that are getting kept events.
    pub replay: u64,
    /// Streams that get events as they are published.
    pub sse: u64,
}

impl Clients {
    /// By the names that they have in answers.
    pub fn by_state(&self) -> [(&'static str, u64); 3] {
        [
            ("new", self.new),
            ("replay", self.replay),
            ("sse", self.sse),
        ]
    }

    /// All connections.
    pub fn connected(&self) -> u64 {
        self.new + self.streams()
    }

    /// Those with a stream.
    pub fn streams(&self) -> u64 {
        self.replay + self.sse
    }
}

impl Figures {
    /// Messages taken in, by the way they came; every way is named, also an unused one.
    pub fn messages(&self) -> BTreeMap<&'static str, u64> {
        let taken = &self.counters.messages;
        let count = |channel: Channel| taken.get(&channel).copied().unwrap_or_default();
        let bus = self.bus.as_ref().map(|_| Channel::Bus);
        Channel::ALL
            .into_iter()
            .chain(bus)
            .map(|channel| (channel.name(), count(channel)))
            .collect()
    }
}

/// The word for a level, as options and commands have it.
pub fn level_word(level: LogLevel) -> &'static str {
    match level {
        LogLevel::Quiet => "quiet",
        LogLevel::Normal => "normal",
        LogLevel::Debug => "debug",
    }
}

/// Figures of presence.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Presence {
    /// Tokens with somebody there.
    pub tokens: u64,
    /// Members now, each counted in each of its tokens.
    pub members: u64,
    /// How many came.
    pub joins: u64,
    /// How many went.
    pub leaves: u64,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn figures() -> Figures {
        Figures {
            version: "2.0.0",
            running: Duration::from_secs(26),
            log_level: LogLevel::Normal,
            reinit: false,
            clients: Clients {
                new: 1,
                replay: 2,
                sse: 3,
            },
            counters: Counters::default(),
            events_sent: 0,
            bytes_sent: 0,
            waiting_bytes: 0,
            presence: Presence::default(),
            history_events: 0,
            history_bytes: 0,
            history_targets: 0,
            history_marks: 0,
            history_let_go: [("count", 0), ("age", 0), ("bytes", 0)],
            history_lost: 0,
            history_writable: None,
            queues: vec![("logger", 4)],
            loop_delay: Histogram::default(),
            delivery: Histogram::default(),
            log_dropped: 0,
            bus: None,
        }
    }

    #[test]
    fn every_channel_is_named() {
        let mut figures = figures();
        figures.counters.messages.insert(Channel::Unix, 7);
        let expected = [
            ("fifo", 0),
            ("http", 0),
            ("mercure", 0),
            ("tcp", 0),
            ("unix", 7),
        ];
        assert_eq!(figures.messages(), expected.into());
        assert_eq!(figures.clients.connected(), 6);
    }
}
