//! Messages of this node's publishers on their way through the bus.

use std::collections::VecDeque;

use super::entry::{self, Node};
use super::link::Unwritten;
use crate::messages::publisher::{NotTaken, Outcome, Receipt};
use crate::model::Limits;
use crate::model::{Channel, EventId, Record};
use crate::runtime::Reply;

/// What one write takes at most: items, and bytes unless a single one has more.
const WRITE: (usize, usize) = (4096, 1 << 20);

/// Events that were delivered alone, in one write.
const LATE: usize = 256;

/// Where a publisher's receipts go.
type Receipts = Reply<Outcome>;

/// A message on its way, or another item.
#[derive(Debug)]
pub(super) struct Own {
    /// The how many-th of this node it is.
    pub(super) number: u64,
    /// The item, as the stream has it.
    pub(super) item: Vec<u8>,
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
struct Unreplicated {
    number: u64,
    id: EventId,
    item: Vec<u8>,
}

/// What an event of this node that comes back from the stream was to us.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// A publisher waits for its receipt; it came on this way.
    Awaited(Channel),
    /// It was delivered already, under this id.
    Unreplicated(EventId),
    /// It was given up.
    Unknown,
}

/// All messages on their way.
#[derive(Debug, Default)]
pub(super) struct Queue {
    batches: VecDeque<Batch>,
    /// Messages that have not come back, in their order, no number left out.
    under_way: VecDeque<Own>,
    /// How many of them are written, or being written.
    written: usize,
    /// Writes that Redis has acknowledged: the id, and the number of the last message.
    acknowledged: VecDeque<(EventId, u64)>,
    unreplicated: VecDeque<Unreplicated>,
    unreplicated_bytes: usize,
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

    /// What `node` is to write next, all in one entry; none when nothing waits.
    pub(super) fn next_write(&mut self, node: Node) -> Option<Unwritten> {
        let first = self.under_way.get(self.written)?.number;
        let mut bytes = 0;
        let fit = self.under_way.range(self.written..).take_while(|own| {
            bytes += own.item.len();
            own.number == first || bytes <= WRITE.1
        });
        let count = fit.take(WRITE.0).count();
        let end = self.written + count;
        let items = self.under_way.range(self.written..end);
        let items = items.map(|own| own.item.as_slice());
        self.written = end;
        Some(Unwritten {
            id: EventId(0),
            count,
            body: entry::pack(node, first, items),
        })
    }

    /// What was being written is in the stream, up to this id.
    pub(super) fn added(&mut self, id: EventId) {
        let last = self.written.checked_sub(1);
        let last = last.and_then(|last| self.under_way.get(last));
        // There is none where all have come back already.
        self.acknowledged.extend(last.map(|own| (id, own.number)));
    }

    /// The newest id of what has not come back.
    pub(super) fn acknowledged(&self) -> EventId {
        let newest = self.acknowledged.back();
        newest.map_or(EventId(0), |(id, _)| *id)
    }

    /// Whether something that was in the stream up to this id, which has been read, has not come back.
    pub(super) fn is_lost(&mut self, read: EventId) -> bool {
        let awaited = self.under_way.front().map_or(u64::MAX, |own| own.number);
        while let Some((id, last)) = self.acknowledged.front() {
            if *last >= awaited {
                return *id <= read;
            }
            self.acknowledged.pop_front();
        }
        false
    }

    /// An event of this node has come back.
    pub(super) fn settle(&mut self, number: u64) -> Settled {
        while self
            .unreplicated
            .front()
            .is_some_and(|unreplicated| unreplicated.number < number)
        {
            // Lost. If it was added again now, it would follow a higher number, and readers would drop it
            // as a copy.
            self.drop_late();
            self.overflowed = true;
        }
        if let Some(unreplicated) = self.unreplicated.front()
            && unreplicated.number == number
        {
            let id = unreplicated.id;
            self.drop_late();
            return Settled::Unreplicated(id);
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
        self.acknowledged.clear();
        Some((self.under_way.drain(..left).collect(), batch))
    }

    /// Keeps events that were delivered here alone, until they come back from the stream.
    pub(super) fn keep_unreplicated(
        &mut self,
        own: impl IntoIterator<Item = Own>,
        receipts: &[Receipt],
        limits: Limits,
    ) {
        for (own, receipt) in own.into_iter().zip(receipts) {
            self.unreplicated_bytes += own.item.len() + Record::OVERHEAD;
            self.unreplicated.push_back(Unreplicated {
                number: own.number,
                id: receipt.id,
                item: own.item,
            });
            while self.unreplicated.len() > limits.count || self.unreplicated_bytes > limits.bytes {
                self.drop_late();
                self.overflowed = true;
            }
        }
    }

    fn drop_late(&mut self) {
        if let Some(unreplicated) = self.unreplicated.pop_front() {
            self.unreplicated_bytes -= unreplicated.item.len() + Record::OVERHEAD;
        }
    }

    /// How many late ones there are.
    pub(super) fn unreplicated(&self) -> usize {
        self.unreplicated.len()
    }

    /// Some late ones from the `start`th on, each an entry of its own as ids need not follow one
    /// another; none when there are no more.
    pub(super) fn unreplicated_from(&self, node: Node, start: usize) -> Vec<Unwritten> {
        let mut bytes = 0;
        let rest = self
            .unreplicated
            .range(start.min(self.unreplicated.len())..);
        let fit = rest.enumerate().take_while(|(place, unreplicated)| {
            bytes += unreplicated.item.len();
            *place == 0 || *place < LATE && bytes <= WRITE.1
        });
        let entries = fit.map(|(_, unreplicated)| Unwritten {
            id: unreplicated.id,
            count: 1,
            body: entry::pack(
                node,
                unreplicated.number,
                std::iter::once(unreplicated.item.as_slice()),
            ),
        });
        entries.collect()
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
    pub(super) fn refuse(self, why: NotTaken) {
        self.reply.send(Err(why));
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use super::*;
    use crate::messages::publisher::Taken;
    use crate::runtime;
    use futures_lite::future::block_on;

    const NODE: Node = Node(7);

    fn own(number: u64) -> Own {
        Own {
            number,
            item: vec![number as u8; 400_000],
            channel: Channel::Tcp,
        }
    }

    fn small(number: u64) -> Own {
        Own {
            item: vec![0],
            ..own(number)
        }
    }

    fn packed(id: u64, numbers: std::ops::RangeInclusive<u64>) -> Unwritten {
        let items: Vec<_> = numbers.clone().map(|number| own(number).item).collect();
        Unwritten {
            id: EventId(id),
            count: items.len(),
            body: entry::pack(NODE, *numbers.start(), items.iter().map(Vec::as_slice)),
        }
    }

    fn receipt(id: u64) -> Receipt {
        Receipt {
            id: EventId(id),
            recipients: 0,
            how: Taken::Now,
        }
    }

    #[test]
    fn receipts_come_when_all_have_come_back() {
        let mut queue = Queue::default();
        let (reply, answer) = runtime::reply();
        queue.push((1..=4).map(own).collect(), reply);
        // A mebibyte at most.
        assert_eq!(queue.next_write(NODE), Some(packed(0, 1..=2)));
        assert_eq!(queue.next_write(NODE), Some(packed(0, 3..=4)));
        assert_eq!(queue.next_write(NODE), None);
        for number in 1..=4 {
            assert_eq!(queue.settle(number), Settled::Awaited(Channel::Tcp));
            queue.receipt(receipt(number + 10));
        }
        assert_eq!(queue.settle(4), Settled::Unknown);
        let receipts = block_on(answer.wait()).unwrap().unwrap();
        assert_eq!(receipts, [11, 12, 13, 14].map(receipt));
    }

    #[test]
    fn what_was_added_and_does_not_come_back_is_lost() {
        let mut queue = Queue::default();
        let id = EventId;
        queue.push((1..=3).map(small).collect(), runtime::reply().0);
        queue.next_write(NODE);
        queue.added(id(13));
        queue.push(vec![small(4)], runtime::reply().0);
        queue.next_write(NODE);
        queue.added(id(20));
        assert_eq!(queue.acknowledged(), id(20));
        assert!(!queue.is_lost(id(12)) && queue.is_lost(id(13)));
        for number in 1..=3 {
            queue.settle(number);
        }
        assert!(!queue.is_lost(id(19)) && queue.is_lost(id(20)));
        queue.settle(4);
        assert!(!queue.is_lost(id(30)));
        // It may come back before its acknowledgement.
        queue.push(vec![small(5)], runtime::reply().0);
        queue.next_write(NODE);
        queue.settle(5);
        queue.push(vec![small(6)], runtime::reply().0);
        queue.added(id(40));
        assert!(!queue.is_lost(id(50)));
    }

    #[test]
    fn a_write_is_bounded_unless_one_message_is_larger() {
        let mut queue = Queue::default();
        let large = Own {
            item: vec![0; 2 << 20],
            ..own(1)
        };
        queue.push(vec![large], runtime::reply().0);
        queue.push((2..=5000).map(small).collect(), runtime::reply().0);
        for count in [1, 4096, 5000 - 4096 - 1] {
            assert_eq!(queue.next_write(NODE).unwrap().count, count);
        }
        assert_eq!(queue.next_write(NODE), None);
    }

    #[test]
    fn late_ones_keep_their_ids_until_they_come_back() {
        let mut queue = Queue::default();
        let (reply, answer) = runtime::reply();
        queue.push(vec![own(1), own(2), own(3)], reply);
        queue.next_write(NODE);
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
        queue.keep_unreplicated(rest, &receipts, limits);
        batch.complete(receipts);
        assert_eq!(block_on(answer.wait()).unwrap().unwrap().len(), 3);
        let unreplicated = queue.unreplicated_from(NODE, 0);
        assert_eq!(unreplicated, [packed(12, 2..=2), packed(13, 3..=3)]);
        assert_eq!(queue.unreplicated_from(NODE, 1), [packed(13, 3..=3)]);
        assert!(queue.unreplicated_from(NODE, 2).is_empty() && !queue.overflowed());
        queue.keep_unreplicated([own(4)], &[receipt(14)], limits);
        assert!(queue.overflowed() && queue.unreplicated() == 2);
        queue.forget_overflow();
        assert!(!queue.overflowed());
        assert_eq!(queue.settle(3), Settled::Unreplicated(EventId(13)));
        assert!(!queue.overflowed());
        queue.keep_unreplicated([own(5)], &[receipt(15)], limits);
        // The one between is lost.
        assert_eq!(queue.settle(5), Settled::Unreplicated(EventId(15)));
        assert!(queue.overflowed() && queue.unreplicated() == 0);
    }

    #[test]
    fn late_ones_go_in_writes_of_bounded_size() {
        let mut queue = Queue::default();
        let limits = Limits {
            count: 1000,
            bytes: 1 << 30,
            age: Duration::from_secs(1),
        };
        let receipts: Vec<_> = (1..=303).map(receipt).collect();
        let unreplicated = (1..=3).map(own).chain((4..=303).map(small));
        queue.keep_unreplicated(unreplicated, &receipts, limits);
        let mut writes = Vec::new();
        while let unreplicated @ 1.. = queue.unreplicated_from(NODE, writes.iter().sum()).len() {
            writes.push(unreplicated);
        }
        assert_eq!(writes, [2, 256, 45]);
    }
}
