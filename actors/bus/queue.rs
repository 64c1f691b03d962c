//! Messages of this node's publishers on their way through the bus.

use std::collections::VecDeque;

use super::entry::{self, Node};
use super::log::Unwritten;
use super::mutant::{self, Mutant};
use crate::messages::publisher::{Outcome, Receipt};
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
struct Batch {
    /// The numbers of its messages.
    first: u64,
    last: u64,
    receipts: Vec<Receipt>,
    reply: Receipts,
}

/// A receipt that is to come: of one event that the registry delivers.
#[derive(Debug)]
enum Expected {
    /// Nobody waits for it.
    ByNobody,
    /// The publisher of this message does.
    By(u64),
    /// It is known already, and only has its turn.
    Known(u64, Receipt),
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
    /// Receipts that are to come, in the order of the events that are being delivered.
    expected: VecDeque<Expected>,
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
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else {
            return;
        };
        self.batches.push_back(Batch {
            first: first.number,
            last: last.number,
            receipts: Vec::with_capacity(messages.len()),
            reply,
        });
        self.under_way.extend(messages);
    }

    /// What `node` is to write next, all in one entry; none when nothing waits.
    pub(super) fn next_write(&mut self, version: u8, node: Node) -> Option<Unwritten> {
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
            body: entry::pack(version, node, first, items),
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
                return *id <= read && !mutant::is_in(Mutant::TrustsAcknowledgements);
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

    /// The registry is about to deliver an event; with the number that a publisher waits for, if one does.
    pub(super) fn expect(&mut self, number: Option<u64>) {
        let expected = number.map_or(Expected::ByNobody, Expected::By);
        self.expected.push_back(expected);
    }

    /// A message has its receipt without being delivered; it comes in its turn.
    pub(super) fn settled(&mut self, number: u64, receipt: Receipt) {
        self.expected.push_back(Expected::Known(number, receipt));
        self.give_known();
    }

    /// The registry has delivered some.
    pub(super) fn delivered(&mut self, receipts: Vec<Receipt>) {
        for receipt in receipts {
            if let Some(Expected::By(number)) = self.expected.pop_front() {
                self.receipt(number, receipt);
            }
            self.give_known();
        }
    }

    fn give_known(&mut self) {
        while let Some(Expected::Known(number, receipt)) = self.expected.front() {
            let (number, receipt) = (*number, *receipt);
            self.expected.pop_front();
            self.receipt(number, receipt);
        }
    }

    fn receipt(&mut self, number: u64, receipt: Receipt) {
        // The first, unless a publisher before it was refused meanwhile.
        let Some(place) = self.place(number) else {
            return;
        };
        let batch = &mut self.batches[place];
        batch.receipts.push(receipt);
        if number == batch.last
            && let Some(batch) = self.batches.remove(place)
        {
            batch.reply.send(Ok(batch.receipts));
        }
    }

    /// Where the publisher is who sent a message.
    fn place(&self, number: u64) -> Option<usize> {
        let place = self.batches.partition_point(|batch| batch.last < number);
        let batch = self.batches.get(place)?;
        (batch.first <= number).then_some(place)
    }

    /// Gives up all messages that have not come back: how many of each publisher, and where it waits.
    pub(super) fn give_up(&mut self) -> Vec<(usize, Receipts)> {
        let Some(front) = self.take_waiting().first().map(|own| own.number) else {
            return Vec::new();
        };
        let place = self.batches.partition_point(|batch| batch.last < front);
        let given_up = self.batches.drain(place..);
        let given_up = given_up.map(|batch| {
            let messages = batch.last + 1 - batch.first.max(front);
            (messages as usize, batch.reply)
        });
        given_up.collect()
    }

    /// Takes out all messages that have not come back, though their publishers go on waiting.
    pub(super) fn take_waiting(&mut self) -> Vec<Own> {
        if !mutant::is_in(Mutant::StaysWritten) {
            self.written = 0;
        }
        self.acknowledged.clear();
        self.under_way.drain(..).collect()
    }

    /// Nobody waits for the receipt of a message that was taken out.
    pub(super) fn drop_waiting(&mut self, number: u64) {
        if let Some(place) = self.place(number) {
            self.batches.remove(place);
        }
    }

    /// Keeps an event that was delivered here alone, until it comes back from the stream.
    pub(super) fn keep_unreplicated(
        &mut self,
        number: u64,
        id: EventId,
        item: Vec<u8>,
        limits: Limits,
    ) {
        self.unreplicated_bytes += item.len() + Record::OVERHEAD;
        self.unreplicated
            .push_back(Unreplicated { number, id, item });
        while self.unreplicated.len() > limits.count || self.unreplicated_bytes > limits.bytes {
            self.drop_late();
            self.overflowed = true;
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
    pub(super) fn unreplicated_from(
        &self,
        version: u8,
        node: Node,
        start: usize,
    ) -> Vec<Unwritten> {
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
                version,
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use super::*;
    use crate::bus::entry::VERSION;
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
            body: entry::pack(
                VERSION,
                NODE,
                *numbers.start(),
                items.iter().map(Vec::as_slice),
            ),
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
        assert_eq!(queue.next_write(VERSION, NODE), Some(packed(0, 1..=2)));
        assert_eq!(queue.next_write(VERSION, NODE), Some(packed(0, 3..=4)));
        assert_eq!(queue.next_write(VERSION, NODE), None);
        for number in 1..=4 {
            assert_eq!(queue.settle(number), Settled::Awaited(Channel::Tcp));
        }
        // One is known at once, and waits for those before it.
        queue.expect(Some(1));
        queue.expect(None);
        queue.settled(2, receipt(12));
        queue.expect(Some(3));
        queue.expect(Some(4));
        queue.delivered([11, 99, 13, 14].map(receipt).to_vec());
        assert_eq!(queue.settle(4), Settled::Unknown);
        let receipts = block_on(answer.wait()).unwrap().unwrap();
        assert_eq!(receipts, [11, 12, 13, 14].map(receipt));
    }

    #[test]
    fn what_was_added_and_does_not_come_back_is_lost() {
        let mut queue = Queue::default();
        let id = EventId;
        queue.push((1..=3).map(small).collect(), runtime::reply().0);
        queue.next_write(VERSION, NODE);
        queue.added(id(13));
        queue.push(vec![small(4)], runtime::reply().0);
        queue.next_write(VERSION, NODE);
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
        queue.next_write(VERSION, NODE);
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
            assert_eq!(queue.next_write(VERSION, NODE).unwrap().count, count);
        }
        assert_eq!(queue.next_write(VERSION, NODE), None);
    }

    #[test]
    fn who_is_given_up_is_who_has_not_had_all_back() {
        let mut queue = Queue::default();
        let answers: Vec<_> = [1..=2, 3..=5, 6..=6]
            .map(|numbers| {
                let (reply, answer) = runtime::reply();
                queue.push(numbers.map(small).collect(), reply);
                answer
            })
            .into();
        for number in 1..=3 {
            queue.settle(number);
            queue.expect(Some(number));
        }
        let given_up: Vec<usize> = queue
            .give_up()
            .into_iter()
            .map(|(count, _)| count)
            .collect();
        assert_eq!(given_up, [2, 1]);
        queue.delivered([11, 12, 13].map(receipt).to_vec());
        let outcomes: Vec<_> = answers
            .into_iter()
            .map(|one| block_on(one.wait()))
            .collect();
        assert!(matches!(&outcomes[..], [Some(Ok(all)), None, None] if all.len() == 2));
    }

    #[test]
    fn late_ones_keep_their_ids_until_they_come_back() {
        let mut queue = Queue::default();
        let (reply, answer) = runtime::reply();
        queue.push(vec![own(1), own(2), own(3)], reply);
        queue.next_write(VERSION, NODE);
        assert_eq!(queue.settle(1), Settled::Awaited(Channel::Tcp));
        queue.settled(1, receipt(11));
        let limits = Limits {
            count: 2,
            bytes: 1 << 20,
            age: Duration::from_secs(1),
        };
        for (own, id) in queue.take_waiting().into_iter().zip([12, 13]) {
            queue.expect(Some(own.number));
            queue.keep_unreplicated(own.number, EventId(id), own.item, limits);
        }
        queue.delivered(vec![receipt(12), receipt(13)]);
        assert_eq!(block_on(answer.wait()).unwrap().unwrap().len(), 3);
        let unreplicated = queue.unreplicated_from(VERSION, NODE, 0);
        assert_eq!(unreplicated, [packed(12, 2..=2), packed(13, 3..=3)]);
        assert_eq!(
            queue.unreplicated_from(VERSION, NODE, 1),
            [packed(13, 3..=3)]
        );
        assert!(queue.unreplicated_from(VERSION, NODE, 2).is_empty() && !queue.overflowed());
        queue.keep_unreplicated(4, EventId(14), own(4).item, limits);
        assert!(queue.overflowed() && queue.unreplicated() == 2);
        queue.forget_overflow();
        assert!(!queue.overflowed());
        assert_eq!(queue.settle(3), Settled::Unreplicated(EventId(13)));
        assert!(!queue.overflowed());
        queue.keep_unreplicated(5, EventId(15), own(5).item, limits);
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
        for own in (1..=3).map(own).chain((4..=303).map(small)) {
            queue.keep_unreplicated(own.number, EventId(own.number), own.item, limits);
        }
        let mut writes = Vec::new();
        while let unreplicated @ 1.. = queue
            .unreplicated_from(VERSION, NODE, writes.iter().sum())
            .len()
        {
            writes.push(unreplicated);
        }
        assert_eq!(writes, [2, 256, 45]);
    }
}
