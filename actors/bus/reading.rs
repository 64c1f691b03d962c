//! What comes from the stream: delivered, unless it is a copy, or this node's own and delivered before.

use std::collections::HashMap;

use super::entry::{Body, Entry, Item, Node};
use super::figures::count;
use super::held::Held;
use super::queue::Settled;
use super::{Bus, FromBus, Incoming, gone};
use crate::model::history::Limits;
use crate::model::{Channel, ClientId, EventId, Publication};
use crate::registry::{Message, Receipt};
use crate::system::{self, Failure};

/// Entries that a read brings at most at first, and those that it ever does.
const PAGE: (usize, usize) = (16, 1000);
/// About how many bytes it is to bring at most, as far as entries before tell.
const PAGE_BYTES: usize = 4 << 20;
/// Events that are delivered together, about.
const TOGETHER: usize = 1000;

/// How far this node has come.
#[derive(Debug)]
pub(super) struct Reading {
    /// The newest entry read; none before the first meeting.
    seen: Option<EventId>,
    /// The newest id that a stream of this node may stand at.
    given: EventId,
    /// The newest number had of each node. Nodes are few, and each start of one costs 16 bytes.
    numbers: HashMap<Node, u64>,
    held: Held,
    /// How many entries the next read may bring.
    page: usize,
    /// Whether others have added something while events of this node wait to be added.
    mixed: bool,
}

impl Reading {
    pub(super) fn new(held: Held, given: EventId) -> Self {
        Self {
            seen: None,
            given,
            numbers: HashMap::new(),
            held,
            page: PAGE.0,
            mixed: false,
        }
    }

    pub(super) fn began(&self) -> bool {
        self.seen.is_some()
    }

    pub(super) fn seen(&self) -> EventId {
        self.seen.unwrap_or(EventId(0))
    }

    pub(super) fn see(&mut self, id: EventId) {
        self.seen = Some(id);
    }

    pub(super) fn given(&self) -> EventId {
        self.given
    }

    /// This node has given out an id.
    pub(super) fn gave(&mut self, id: EventId) {
        self.given = self.given.max(id);
    }

    /// Streams begin at this id, whatever was before.
    pub(super) fn begin(&mut self, at: EventId) {
        (self.seen, self.given) = (Some(at), at);
    }

    pub(super) fn page(&self) -> usize {
        self.page
    }

    pub(super) fn held(&self) -> &Held {
        &self.held
    }

    pub(super) fn oldest(&self) -> Option<EventId> {
        self.held.oldest()
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.held.set_limits(limits);
    }

    /// Holds nothing of what was before.
    pub(super) fn forget(&mut self) {
        self.held = Held::new(self.held.limits());
    }

    pub(super) fn take_mixed(&mut self) -> bool {
        std::mem::take(&mut self.mixed)
    }

    /// All of a node up to a number is had now; up to which it was before.
    fn have(&mut self, node: Node, number: u64) -> u64 {
        let newest = self.numbers.entry(node).or_default();
        std::mem::replace(newest, number.max(*newest))
    }

    /// Pages grow while there is more to read, and a full one has no more bytes than it may.
    fn turn_page(&mut self, entries: &[Entry]) {
        let bytes: usize = entries.iter().map(|entry| entry.body.len() + 64).sum();
        let fit = (PAGE_BYTES * entries.len()).checked_div(bytes);
        self.page = match fit {
            Some(fit) if entries.len() >= self.page => fit.min(2 * self.page).clamp(1, PAGE.1),
            _ => PAGE.0,
        };
    }
}

/// Events that are delivered together, and whether a publisher of this node waits for each.
#[derive(Default)]
struct Together {
    events: Vec<Incoming>,
    awaited: Vec<bool>,
    /// Whether none of them is there, and streams have just been told that they missed some.
    told: bool,
}

impl Bus {
    /// Delivers entries in their order.
    pub(super) async fn digest(&mut self, entries: Vec<Entry>) -> Result<(), Failure> {
        self.reading.turn_page(&entries);
        let mut together = Together::default();
        for entry in entries {
            if entry.previous > self.reading.seen() {
                self.deliver(&mut together).await?;
                self.missed(entry.previous, true)?;
            }
            self.reading.see(entry.id);
            match Body::read(&entry.body) {
                Some(Body::Items {
                    node,
                    number,
                    items,
                }) => {
                    let count = items.len() as u64;
                    let had = self.reading.have(node, number + count - 1);
                    // Of a write that was repeated together with more, the rest is news.
                    let copies = (had + 1).saturating_sub(number);
                    if copies >= count {
                        continue;
                    }
                    let ids = (entry.id.0 + 1).saturating_sub(count)..;
                    let all = ids.zip(number..).zip(items);
                    for ((id, number), item) in all.skip(copies as usize) {
                        self.item(EventId(id), node, number, item, &mut together)
                            .await?;
                    }
                }
                Some(Body::Hole { node, live }) => {
                    self.deliver(&mut together).await?;
                    self.missed(entry.id, live && node != self.node)?;
                }
                None => {
                    log::warn!("the bus {} has an entry that cannot be read", self.url);
                    self.deliver(&mut together).await?;
                    self.missed(entry.id, true)?;
                }
            }
            self.reading.held.hold(entry);
            if together.events.len() >= TOGETHER {
                self.deliver(&mut together).await?;
            }
        }
        self.deliver(&mut together).await
    }

    async fn item(
        &mut self,
        id: EventId,
        node: Node,
        number: u64,
        item: Item,
        together: &mut Together,
    ) -> Result<(), Failure> {
        match item {
            Item::Event(publication) => {
                count(&self.figures.read, 1);
                self.arrived(id, node, number, publication, together).await
            }
            Item::Disconnect(client) => {
                // What was published before it goes first.
                self.deliver(together).await?;
                self.disconnect(id, node, number, client)
            }
        }
    }

    async fn arrived(
        &mut self,
        id: EventId,
        node: Node,
        number: u64,
        publication: Publication,
        together: &mut Together,
    ) -> Result<(), Failure> {
        let settled = match node == self.node {
            true => self.queue.settle(number),
            false => Settled::Unknown,
        };
        let (channel, awaited) = match settled {
            Settled::Late(given) => {
                self.reading.mixed |= id != given;
                self.figures.waiting.set(self.queue.late() as u64);
                return Ok(());
            }
            Settled::Awaited(channel) => (channel, true),
            Settled::Unknown => (Channel::Bus, false),
        };
        self.reading.mixed |= self.queue.late() > 0;
        let newest = together.events.last().map(|event| event.id);
        if id <= newest.unwrap_or(self.reading.given) {
            // Streams have newer ids already.
            if !together.told {
                self.deliver(together).await?;
                self.missed(self.reading.given, true)?;
                together.told = true;
            }
            if awaited {
                self.queue.receipt(Receipt { id, recipients: 0 });
            }
            return Ok(());
        }
        together.told = false;
        together.events.push(Incoming {
            id,
            publication,
            channel,
        });
        together.awaited.push(awaited);
        Ok(())
    }

    /// Ends the streams with an id, unless it was this node that was asked to.
    fn disconnect(
        &mut self,
        id: EventId,
        node: Node,
        number: u64,
        client: ClientId,
    ) -> Result<(), Failure> {
        if node != self.node {
            let (reply, _nobody_waits) = system::reply();
            let disconnect = Message::Disconnect { id: client, reply };
            return self.forward(disconnect);
        }
        if let Settled::Awaited(_) = self.queue.settle(number) {
            self.queue.receipt(Receipt { id, recipients: 0 });
        }
        Ok(())
    }

    async fn deliver(&mut self, together: &mut Together) -> Result<(), Failure> {
        let Together {
            events, awaited, ..
        } = std::mem::take(together);
        let Some(last) = events.last() else {
            return Ok(());
        };
        self.reading.gave(last.id);
        let (reply, answer) = system::reply();
        self.tell(FromBus::Deliver { events, reply })?;
        let receipts = answer.wait().await.ok_or_else(gone)?;
        for (receipt, _) in receipts
            .into_iter()
            .zip(awaited)
            .filter(|(_, awaited)| *awaited)
        {
            self.queue.receipt(receipt);
        }
        Ok(())
    }

    /// Events up to an id may be missing here.
    pub(super) fn missed(&mut self, up_to: EventId, live: bool) -> Result<(), Failure> {
        self.reading.gave(up_to);
        self.tell(FromBus::Missed { up_to, live })
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
