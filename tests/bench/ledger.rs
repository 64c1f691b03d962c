//! What was published and what has come of it: one bit for each delivery that is expected.

use crate::histogram::Histogram;

/// Whom a message is for. Token `n` is called `tokn` on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    All,
    Token(u32),
}

/// Where a client stands: its number, its token, and its number among that token's clients.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) client: u32,
    pub(crate) token: u32,
    pub(crate) rank: u32,
}

#[derive(Debug)]
struct Message {
    /// When it was published: nanoseconds, strictly growing; what it is known by.
    stamp: u64,
    target: Target,
    lane: usize,
    /// The bit of its first receiver.
    first_bit: u64,
    /// Receivers that it is still on its way to.
    left: u32,
}

/// What is known of the messages of one lane.
#[derive(Debug)]
pub(crate) struct Tally {
    pub(crate) published: u64,
    pub(crate) expected: u64,
    pub(crate) received: u64,
    /// Messages that are still on their way to somebody.
    pub(crate) in_flight: u64,
    /// From publishing to each receiver.
    pub(crate) latency: Histogram,
    /// From publishing to the last receiver.
    pub(crate) last_receiver: Histogram,
}

impl Tally {
    fn new() -> Self {
        Self {
            published: 0,
            expected: 0,
            received: 0,
            in_flight: 0,
            latency: Histogram::new(),
            last_receiver: Histogram::new(),
        }
    }
}

/// All messages of a run.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Clients of each token.
    tokens: Vec<u32>,
    messages: Vec<Message>,
    /// Where messages begin that may still be on their way.
    oldest: usize,
    seen: Vec<u64>,
    bits: u64,
    pub(crate) lanes: Vec<Tally>,
    /// Deliveries that had come before.
    pub(crate) doubled: u64,
    /// Deliveries to clients of another token.
    pub(crate) misrouted: u64,
    /// Deliveries of what was never published.
    pub(crate) unknown: u64,
}

impl Ledger {
    pub(crate) fn new(tokens: Vec<u32>) -> Self {
        Self {
            tokens,
            messages: Vec::new(),
            oldest: 0,
            seen: Vec::new(),
            bits: 0,
            lanes: Vec::new(),
            doubled: 0,
            misrouted: 0,
            unknown: 0,
        }
    }

    /// A further lane; its number.
    pub(crate) fn lane(&mut self) -> usize {
        self.lanes.push(Tally::new());
        self.lanes.len() - 1
    }

    /// Enters a message that was due at `now` and returns its stamp.
    pub(crate) fn publish(&mut self, lane: usize, target: Target, now: u64) -> u64 {
        let last = self.messages.last().map_or(0, |message| message.stamp);
        let stamp = now.max(last + 1);
        let receivers = match target {
            Target::All => self.tokens.iter().sum(),
            Target::Token(token) => self.tokens.get(token as usize).copied().unwrap_or(0),
        };
        self.messages.push(Message {
            stamp,
            target,
            lane,
            first_bit: self.bits,
            left: receivers,
        });
        self.bits += u64::from(receivers);
        self.seen.resize(self.bits.div_ceil(64) as usize, 0);
        let tally = &mut self.lanes[lane];
        tally.published += 1;
        tally.expected += u64::from(receivers);
        tally.in_flight += u64::from(receivers > 0);
        stamp
    }

    /// Enters a delivery. `next` is where the client's next message probably is.
    pub(crate) fn arrived(&mut self, place: Place, next: &mut usize, stamp: u64, now: u64) {
        let is_next = |at: &usize| {
            let message = self.messages.get(*at);
            message.is_some_and(|message| message.stamp == stamp)
        };
        let found = Some(*next).filter(is_next).map_or_else(
            || {
                self.messages
                    .binary_search_by_key(&stamp, |message| message.stamp)
            },
            Ok,
        );
        let Ok(at) = found else {
            self.unknown += 1;
            return;
        };
        *next = at + 1;
        let message = &mut self.messages[at];
        let number = match message.target {
            Target::All => place.client,
            Target::Token(token) if token == place.token => place.rank,
            Target::Token(_) => {
                self.misrouted += 1;
                return;
            }
        };
        let bit = message.first_bit + u64::from(number);
        let (word, mask) = (&mut self.seen[(bit / 64) as usize], 1 << (bit % 64));
        if *word & mask != 0 {
            self.doubled += 1;
            return;
        }
        *word |= mask;
        let tally = &mut self.lanes[message.lane];
        tally.received += 1;
        let time = now.saturating_sub(stamp);
        tally.latency.add(time);
        if message.left > 0 {
            message.left -= 1;
            if message.left == 0 {
                tally.in_flight -= 1;
                tally.last_receiver.add(time);
            }
        }
    }

    /// Waits no longer for what is on its way: it counts as lost, unless it comes after all.
    pub(crate) fn give_up(&mut self) {
        for message in &mut self.messages[self.oldest..] {
            if std::mem::take(&mut message.left) > 0 {
                self.lanes[message.lane].in_flight -= 1;
            }
        }
        self.oldest = self.messages.len();
    }

    /// Whether nothing is on its way.
    pub(crate) fn quiet(&self) -> bool {
        self.lanes.iter().all(|tally| tally.in_flight == 0)
    }

    /// Deliveries so far.
    pub(crate) fn received(&self) -> u64 {
        self.lanes.iter().map(|tally| tally.received).sum()
    }

    /// Deliveries that never came.
    pub(crate) fn lost(&self) -> u64 {
        let missing = |tally: &Tally| tally.expected - tally.received;
        self.lanes.iter().map(missing).sum()
    }
}
