//! A stream of messages: whom they are for, and when they are published.

use crate::ledger::Target;
use crate::publisher::Channel;

/// When messages are published.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Pace {
    /// As long as fewer than this are on their way.
    InFlight(u64),
    /// So many a second; the stamp is when it was due, so waiting counts.
    PerSecond(f64),
    /// As fast as the server takes them.
    Max,
}

/// Whom the messages of a lane are for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Order {
    Always(Target),
    /// Each of so many tokens in its turn.
    RoundRobin(u32),
    /// All to the first, and the very last to the second, who so shows that all were taken in.
    Then(Target, Target),
}

/// A stream of messages.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) order: Order,
    pub(crate) pace: Pace,
    pub(crate) count: u64,
    /// Messages in one write.
    pub(crate) batch: u64,
    pub(crate) channel: Channel,
}

impl Lane {
    /// Whom the message is for that comes after `sent` others.
    pub(crate) fn target(&self, sent: u64) -> Target {
        match self.order {
            Order::Always(target) => target,
            Order::Then(_, last) if sent + 1 == self.count => last,
            Order::Then(target, _) => target,
            Order::RoundRobin(tokens) => Target::Token((sent % u64::from(tokens)) as u32),
        }
    }
}
