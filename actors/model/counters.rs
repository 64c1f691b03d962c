//! What has happened, in numbers that never go back while the process lives.

use std::collections::BTreeMap;

/// The way a message came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Channel {
    /// The named pipe.
    Fifo,
    /// Text or JSON lines on a TCP control port.
    Tcp,
    /// Text or JSON lines on a Unix socket.
    Unix,
    /// HTTP on a control port or Unix socket.
    Http,
    /// By POST to the Mercure hub, or from the hub itself.
    Mercure,
    /// By the bus, from another node.
    Bus,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Fifo, Self::Tcp, Self::Unix, Self::Http, Self::Mercure];

    /// Its name in logs and figures.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fifo => "fifo",
            Self::Tcp => "tcp",
            Self::Unix => "unix",
            Self::Http => "http",
            Self::Mercure => "mercure",
            Self::Bus => "bus",
        }
    }
}

/// The registry's counters.
#[derive(Debug, Clone, Default)]
pub struct Counters {
    /// Connections of subscribers, ever.
    pub connections: u64,
    /// The most connections of subscribers at one time.
    pub most_connected: u64,
    /// Subscriptions entered, replaced ones included.
    pub subscriptions: u64,
    /// Subscriptions that took the place of one on an open stream.
    pub reinits: u64,
    /// Messages taken in, by the way they came.
    pub messages: BTreeMap<Channel, u64>,
    /// Messages and requests refused, by the reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// Messages with bytes that were no UTF-8, which were replaced.
    pub invalid_utf8: u64,
    /// Streams that began with kept events.
    pub replays: u64,
    /// Streams that began with a gap.
    pub gaps: u64,
    /// Clients disconnected because they read too slowly.
    pub slow: u64,
}

impl Counters {
    /// Messages taken in on all ways.
    pub fn all_messages(&self) -> u64 {
        self.messages.values().sum()
    }

    /// Counts messages or requests that were refused for a reason.
    pub fn refuse(&mut self, reason: &'static str, count: u64) {
        *self.refused.entry(reason).or_default() += count;
    }

    /// Messages and requests refused for all reasons.
    pub fn all_refused(&self) -> u64 {
        self.refused.values().sum()
    }
}
