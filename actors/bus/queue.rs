//! Messages of this node's publishers on their way through the bus.

use std::collections::VecDeque;
use std::rc::Rc;

use super::link::Unwritten;
use crate::model::history::Limits;
use crate::model::{Channel, EventId, Record};
use crate::registry::{Away, Outcome, Receipt};
use crate::system::Reply;

/// What one write takes at most: messages, and bytes unless a single one has more.
const WRITE: (usize, usize) = (512, 1 << 20);

/// Where a publisher's receipts go.
type Receipts = Reply<Outcome>;

/// A message on its way.
#[derive(Debug, Clone)]
pub(super) struct Own {
    /// The how many-th of this node it is.
    pub(super) number: u64,
    /// Its body in the stream.
    pub(super) body: Rc<[u8]>,
    /// How it came.
    pub(super) channel: Channel,
}

/// What one publisher waits for.
#[derive(Debug)]
pub(super) struct Batch {
    /// How many messages.
    count: usize,
    receipts: Vec<Receipt>,
    reply: Receipts,
}

/// An event that was delivered here alone, under an id of this node's.
#[derive(Debug)]
struct Late {
    number: u64,
    id: EventId,
    body: Rc<[u8]>,
}

/// What an event of this node that comes back from the stream was to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// A publisher waits for its receipt; it came on this way.
    Awaited(Channel),
    /// It was delivered already, under this id.
    Late(EventId),
    /// It was given up.
    Unknown,
}

/// All messages on their way.
#[derive(Debug, Default)]
pub(super) struct Queue {
    batches: VecDeque<Batch>,
    /// Messages that have not come back, in their order.
    under_way: VecDeque<Own>,
    /// How many of them are written, or being written.
    written: usize,
    late: VecDeque<Late>,
    late_bytes: usize,
    /// Whether there were more late ones than may wait.
    overflowed: bool,
}

impl Queue {
    /// Takes in what one publisher sent at once.
    pub(super) fn push(&mut self, messages: Vec<Own>, reply: Receipts) {
        self.batches.push_back(Batch {
            count: messages.len(),
            receipts: Vec::with_capacity(messages.len()),
            reply,
        });
        self.under_way.extend(messages);
    }

    /// What is to be written next; empty when nothing waits.
    pub(super) fn next_write(&mut self) -> Vec<Unwritten> {
        let mut messages = Vec::new();
        let mut bytes = 0;
        for own in self.under_way.range(self.written..).take(WRITE.0) {
            bytes += own.body.len();
            if bytes > WRITE.1 && !messages.is_empty() {
                break;
            }
            messages.push((EventId(0), Rc::clone(&own.body)));
        }
        self.written += messages.len();
        messages
    }

    /// Nothing of what is under way counts as written any more.
    pub(super) fn write_again(&mut self) {
        self.written = 0;
    }

    /// An event of this node has come back.
    pub(super) fn settle(&mut self, number: u64) -> Settled {
        if let Some(late) = self.late.front()
            && late.number == number
        {
            let id = late.id;
            self.drop_late();
            return Settled::Late(id);
        }
        match self.under_way.front() {
            Some(own) if own.number == number => {
                let channel = own.channel;
                self.under_way.pop_front();
                self.written = self.written.saturating_sub(1);
                Settled::Awaited(channel)
            }
            _ => Settled::Unknown,
        }
    }

    /// The next awaited event was delivered.
    pub(super) fn receipt(&mut self, receipt: Receipt) {
        let Some(batch) = self.batches.front_mut() else {
            return;
        };
        batch.receipts.push(receipt);
        if batch.receipts.len() == batch.count
            && let Some(batch) = self.batches.pop_front()
        {
            batch.reply.send(Ok(batch.receipts));
        }
    }

    /// Takes out the messages of the publisher that has waited longest, all of them from one channel.
    pub(super) fn take_batch(&mut self) -> Option<(Vec<Own>, Batch)> {
        let batch = self.batches.pop_front()?;
        let left = batch.count - batch.receipts.len();
        self.written = 0;
        Some((self.under_way.drain(..left).collect(), batch))
    }

    /// Keeps events that were delivered here alone, until they come back from the stream.
    pub(super) fn keep_late(
        &mut self,
        own: impl IntoIterator<Item = Own>,
        receipts: &[Receipt],
        limits: Limits,
    ) {
        for (own, receipt) in own.into_iter().zip(receipts) {
            self.late_bytes += own.body.len() + Record::OVERHEAD;
            self.late.push_back(Late {
                number: own.number,
                id: receipt.id,
                body: own.body,
            });
            while self.late.len() > limits.count || self.late_bytes > limits.bytes {
                self.drop_late();
                self.overflowed = true;
            }
        }
    }

    fn drop_late(&mut self) {
        if let Some(late) = self.late.pop_front() {
            self.late_bytes -= late.body.len() + Record::OVERHEAD;
        }
    }

    /// How many late ones there are.
    pub(super) fn late(&self) -> usize {
        self.late.len()
    }

    /// Some late ones from the `start`th on, with their ids; none when there are no more.
    pub(super) fn late_from(&self, start: usize) -> Vec<Unwritten> {
        let rest = self.late.range(start.min(self.late.len())..);
        rest.take(WRITE.0)
            .map(|late| (late.id, Rc::clone(&late.body)))
            .collect()
    }

    /// Whether there were more late ones than may wait.
    pub(super) fn overflowed(&self) -> bool {
        self.overflowed
    }

    /// What was too much is told.
    pub(super) fn forget_overflow(&mut self) {
        self.overflowed = false;
    }
}

impl Batch {
    /// Answers with these receipts, after those that are there.
    pub(super) fn complete(mut self, receipts: Vec<Receipt>) {
        self.receipts.extend(receipts);
        self.reply.send(Ok(self.receipts));
    }

    /// Answers that its messages were not taken in.
    pub(super) fn refuse(self, why: Away) {
        self.reply.send(Err(why));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use super::*;
    use crate::system;
    use futures_lite::future::block_on;

    fn own(number: u64) -> Own {
        Own {
            number,
            body: Rc::from(vec![number as u8; 400_000]),
            channel: Channel::Tcp,
        }
    }

    fn receipt(id: u64) -> Receipt {
        Receipt {
            id: EventId(id),
            recipients: 0,
        }
    }

    #[test]
    fn receipts_come_when_all_have_come_back() {
        let mut queue = Queue::default();
        let (reply, answer) = system::reply();
        queue.push((1..=4).map(own).collect(), reply);
        assert_eq!(queue.next_write().len(), 2, "a mebibyte at most");
        assert_eq!(queue.next_write().len(), 2);
        assert!(queue.next_write().is_empty());
        for number in 1..=4 {
            assert_eq!(queue.settle(number), Settled::Awaited(Channel::Tcp));
            queue.receipt(receipt(number + 10));
        }
        assert_eq!(queue.settle(4), Settled::Unknown);
        let receipts = block_on(answer.wait()).unwrap().unwrap();
        assert_eq!(receipts, [11, 12, 13, 14].map(receipt));
    }

    #[test]
    fn what_was_not_written_is_written_again() {
        let mut queue = Queue::default();
        queue.push(vec![own(1), own(2)], system::reply().0);
        assert_eq!(queue.next_write().len(), 2);
        assert_eq!(queue.settle(1), Settled::Awaited(Channel::Tcp));
        queue.write_again();
        assert_eq!(queue.next_write(), [(EventId(0), own(2).body)]);
    }

    #[test]
    fn late_ones_keep_their_ids_until_they_come_back() {
        let mut queue = Queue::default();
        let (reply, answer) = system::reply();
        queue.push(vec![own(1), own(2), own(3)], reply);
        queue.next_write();
        assert_eq!(queue.settle(1), Settled::Awaited(Channel::Tcp));
        queue.receipt(receipt(11));
        let (rest, batch) = queue.take_batch().unwrap();
        assert!(queue.take_batch().is_none());
        let limits = Limits {
            count: 2,
            bytes: 1 << 20,
            age: Duration::from_secs(1),
        };
        let receipts = vec![receipt(12), receipt(13)];
        queue.keep_late(rest, &receipts, limits);
        batch.complete(receipts);
        assert_eq!(block_on(answer.wait()).unwrap().unwrap().len(), 3);
        assert_eq!(queue.late_from(0)[1], (EventId(13), own(3).body));
        assert!(queue.late_from(2).is_empty() && !queue.overflowed());
        queue.keep_late([own(4)], &[receipt(14)], limits);
        assert!(queue.overflowed() && queue.late() == 2);
        queue.forget_overflow();
        assert!(!queue.overflowed());
        assert_eq!(queue.settle(3), Settled::Late(EventId(13)));
    }
}
