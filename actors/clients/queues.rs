//! The clients that have something to do, in three queues, and whose turn is next.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::pending::Pending;
use super::pool::ClientPool;
use crate::http2::Corked;

/// Of each [`BULK_EVERY`] polls one is kept for the bulk queue while both have work.
const BULK_EVERY: usize = 4;
/// Turns between two looks at the clock, unless much was read or written, or a handshake done, before.
const LOOK_EVERY: usize = 16;
/// Bytes read and written that make it worth a look at the clock.
pub(super) const MUCH: usize = 64 * 1024;

/// Which queue a client stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Sockets that became ready, and events for few recipients.
    Fast,
    /// Events for many recipients, and clients that have had much already.
    Bulk,
    /// Connections whose requests are not complete: TLS handshakes and requests cost far more than a
    /// delivery does, and whoever connects decides how many there are. Among them turns go round from
    /// address to address ([`Pending`]).
    Pending,
}

/// The three queues.
#[derive(Debug, Default)]
pub(super) struct Queues {
    pub(super) fast: VecDeque<u32>,
    pub(super) bulk: VecDeque<u32>,
    pub(super) pending: Pending,
    /// Bytes read and written since the last look at the clock; a handshake counts as [`MUCH`].
    pub(super) moved: usize,
    /// Turns that open streams have had. A slice may be over after one of them, so it goes on with the shares
    /// where the last one left off.
    turns: usize,
}

impl Queues {
    pub(super) fn push(&mut self, index: u32, queue: Queue) {
        match queue {
            Queue::Fast => self.fast.push_back(index),
            Queue::Bulk => self.bulk.push_back(index),
            Queue::Pending => self.pending.push(index),
        }
    }

    /// The open stream that has the next turn. Bulk keeps its share, so that neither
    /// queue starves the other, and a message for one client does not wait behind a broadcast.
    fn next_stream(&mut self) -> Option<u32> {
        let bulk_first = self.turns.is_multiple_of(BULK_EVERY);
        self.turns = self.turns.wrapping_add(1);
        let next = match bulk_first.then(|| self.bulk.pop_front()).flatten() {
            Some(index) => Some(index),
            None => self.fast.pop_front(),
        };
        next.or_else(|| self.bulk.pop_front())
    }

    /// Whether it is worth a look at the clock before the given turn of a slice.
    fn is_worth_a_look(&mut self, turn: usize) -> bool {
        let worth = turn % LOOK_EVERY == LOOK_EVERY - 1 || self.moved >= MUCH;
        if worth {
            self.moved = 0;
        }
        worth
    }

    /// Whether nobody waits for a turn.
    fn is_empty(&self) -> bool {
        self.fast.is_empty() && self.bulk.is_empty() && self.pending.waiting() == 0
    }
}

impl ClientPool {
    /// Gives clients their turns, for about `time` and at most `turns` of open streams; whether some
    /// still wait for one. `idle`: no service actor has anything to do.
    ///
    /// Connections without a complete request come behind the streams, and have as much time as has
    /// passed without them, or all of it when nobody else has anything to do: so a flood of
    /// handshakes, of which one may take many milliseconds, leaves half of the time to all others.
    pub(super) fn slice(&self, turns: usize, time: Duration, idle: bool) -> bool {
        let began = self.look_at_clock();
        let streams = self.turn_of_streams(turns, began, time);
        self.turn_of_pending(time, idle && !streams);
        self.corked.borrow_mut().drain(..).for_each(Corked::flush);
        !self.inner.borrow().queues.is_empty()
    }

    /// Whether some streams still wait for a turn.
    fn turn_of_streams(&self, turns: usize, began: Instant, time: Duration) -> bool {
        for turn in 0..turns {
            let mut inner = self.inner.borrow_mut();
            if inner.queues.is_worth_a_look(turn) && began.elapsed() >= time {
                return true;
            }
            let next = inner.queues.next_stream();
            drop(inner);
            match next {
                Some(index) => self.poll(index),
                None => return false,
            }
        }
        true
    }

    fn turn_of_pending(&self, time: Duration, alone: bool) {
        if self.held.get() || self.inner.borrow().queues.pending.waiting() == 0 {
            return;
        }
        let began = Instant::now();
        if !alone && began < self.pending_from.get() {
            return;
        }
        for turn in 0.. {
            let mut inner = self.inner.borrow_mut();
            if inner.queues.is_worth_a_look(turn) && began.elapsed() >= time {
                break;
            }
            let next = inner.queues.pending.next();
            drop(inner);
            match next {
                Some(index) => self.poll(index),
                None => break,
            }
        }
        let now = Instant::now();
        self.pending_from.set(now + (now - began));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slice may be over after one turn that wrote much; the next one does not begin with the same queue.
    #[test]
    fn short_slices_starve_neither_queue() {
        let mut queues = Queues::default();
        queues.bulk.extend(0..100);
        queues.fast.extend(100..200);
        let turns: Vec<u32> = (0..40).filter_map(|_| queues.next_stream()).collect();
        let of_bulk = turns.iter().filter(|client| **client < 100).count();
        assert_eq!((of_bulk, turns.len()), (40 / BULK_EVERY, 40));
    }
}
