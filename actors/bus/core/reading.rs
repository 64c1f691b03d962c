//! What comes from the stream: delivered, unless it is a copy, or this node's own and delivered before.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Action, Core, Now, Phase};
use crate::bus::entry::{Body, Entry, Item, Node};
use crate::bus::log::{AHEAD, RESIDUES};
use crate::bus::mutant::{self, Mutant};
use crate::bus::queue::Settled;
use crate::bus::tail::LogTail;
use crate::messages::publisher::{Receipt, Taken};
use crate::messages::registry::{FromBus, Incoming};
use crate::model::bus_figures::count;
use crate::model::publication::Targets;
use crate::model::{Channel, EventId, Limits, Publication};

/// Entries that a read brings at most at first, and those that it ever does.
const PAGE: (usize, usize) = (16, 1000);
/// About how many bytes it is to bring at most, as far as entries before tell.
const PAGE_BYTES: usize = 4 << 20;
/// Events that are delivered together, about.
const TOGETHER: usize = 1000;
/// From one item's id to the next one's: what lies between is for nodes that are alone.
const STEP: u64 = 2;
/// How far this node has come.
#[derive(Debug)]
pub(super) struct Reading {
    /// The newest entry read; none before the first meeting.
    seen: Option<EventId>,
    /// The newest id that a stream of this node may stand at.
    given: EventId,
    /// Which ids are this node's own while it is alone: of 2 x [`RESIDUES`] numbers the odd one with this
    /// place among them.
    residue: u64,
    /// The newest number had of each node. Nodes are few, and each start of one costs 16 bytes.
    numbers: HashMap<Node, u64>,
    tail: LogTail,
    /// How many entries the next read may bring.
    page: usize,
    /// Whether others have added something while events of this node wait to be added.
    diverged: bool,
    /// A gap is owed to the streams. It goes out before the next delivery, or at the end of this batch, and
    /// covers what was read before it.
    owes_gap: bool,
    /// Whether streams have got events of this node alone since the last gap.
    diverged_since_gap: bool,
    /// When it was logged last that something was passed over.
    logged: Option<Instant>,
}

impl Reading {
    pub(super) fn new(tail: LogTail, given: EventId, residue: u64) -> Self {
        Self {
            seen: None,
            given,
            // Until the log says another.
            residue,
            numbers: HashMap::new(),
            tail,
            page: PAGE.0,
            diverged: false,
            owes_gap: false,
            diverged_since_gap: false,
            logged: None,
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

    /// Gives out an id of this node's own.
    pub(super) fn give(&mut self, now: Now) -> EventId {
        self.given = self.own(EventId(now.micros.max(self.given.0 + 1)));
        self.given
    }

    /// Gives out the next id of this node's own, whatever the time is: what others have added since is
    /// newer.
    fn step(&mut self) -> EventId {
        self.given = self.own(EventId(self.given.0 + 1));
        self.given
    }

    /// The first of this node's own ids from one on.
    fn own(&self, EventId(least): EventId) -> EventId {
        let own = 2 * self.residue + 1;
        EventId(least + own.wrapping_sub(least) % (2 * RESIDUES))
    }

    pub(super) fn residue(&self) -> u64 {
        self.residue
    }

    pub(super) fn set_residue(&mut self, residue: u64) {
        self.residue = if mutant::is_in(Mutant::SharesIds) {
            0
        } else {
            residue
        };
    }

    /// Streams begin at this id, whatever was before.
    pub(super) fn begin(&mut self, at: EventId) {
        (self.seen, self.given) = (Some(at), at);
    }

    pub(super) fn page(&self) -> usize {
        self.page
    }

    pub(super) fn tail(&self) -> &LogTail {
        &self.tail
    }

    pub(super) fn oldest(&self) -> Option<EventId> {
        self.tail.oldest()
    }

    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.tail.set_limits(limits);
    }

    /// Holds nothing of what was before.
    pub(super) fn forget(&mut self) {
        self.tail = LogTail::new(self.tail.limits());
    }

    /// Streams get something alone.
    pub(super) fn part(&mut self) {
        self.diverged_since_gap = true;
    }

    pub(super) fn diverged(&self) -> bool {
        self.diverged
    }

    /// A gap marker stands behind all that was diverged.
    pub(super) fn unmix(&mut self) {
        self.diverged = false;
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

impl Core {
    /// Delivers entries in their order.
    pub(super) fn digest(&mut self, entries: Vec<Entry>) {
        self.reading.turn_page(&entries);
        let mut together = Vec::new();
        let latest = self.now.micros + AHEAD;
        let mut foreign = 0;
        for entry in entries {
            // What is too far ahead is taken away; a stream must never stand there.
            let too_far = entry.id.0 > latest;
            if entry.is_foreign() || too_far {
                foreign += 1;
                if !too_far {
                    self.reading.see(entry.id.max(self.reading.seen()));
                }
                continue;
            }
            if self.queue.is_lost(EventId(entry.id.0.saturating_sub(1))) {
                // What was before it is seen to first, and this is read again ([`super::serving`]).
                break;
            }
            if entry.previous > self.reading.seen() {
                self.deliver(&mut together);
                self.missed(entry.previous, true);
            }
            self.reading.see(entry.id);
            if self.entry(&entry, &mut together) {
                self.reading.tail.hold(entry);
            }
            if together.len() >= TOGETHER {
                self.deliver(&mut together);
            }
        }
        if foreign > 0 {
            self.pass_over(
                foreign,
                &format!("{foreign} entries that hasses did not write"),
            );
        }
        self.deliver(&mut together);
    }

    /// Delivers what one entry says; whether that was news.
    fn entry(&mut self, entry: &Entry, together: &mut Vec<Incoming>) -> bool {
        match Body::read(&entry.body) {
            Some(Body::Items {
                node,
                number,
                items,
            }) => {
                let count = items.len() as u64;
                let had = self.reading.have(node, number + count - 1);
                // Of a write that was repeated together with more, the rest is news.
                let copies = if mutant::is_in(Mutant::TakesCopies) {
                    0
                } else {
                    (had + 1).saturating_sub(number)
                };
                if copies >= count {
                    return false;
                }
                let first = entry.id.0.saturating_sub(STEP * (count - 1));
                let ids = (first..).step_by(STEP as usize);
                let all = ids.zip(number..).zip(items);
                for ((id, number), item) in all.skip(copies as usize) {
                    self.item(EventId(id), node, number, item, together);
                }
            }
            Some(Body::GapMarker { node, live }) => {
                self.deliver(together);
                let streams = !matches!(self.phase, Phase::Starting(_)) && node != self.node;
                if let Phase::Joined(joined) = &mut self.phase
                    && live
                    && streams
                {
                    joined.stop_looking(&self.nodes);
                }
                self.missed(entry.id, live && streams);
            }
            None => {
                self.pass_over(1, "an entry of a newer version");
                self.deliver(together);
                self.missed(entry.id, true);
            }
        }
        true
    }

    /// Counts what was passed over, and says so, at most once a second.
    fn pass_over(&mut self, how_many: usize, what: &str) {
        count(&self.figures.passed_over, how_many);
        let (now, logged) = (self.now.at, self.reading.logged);
        if logged.is_none_or(|logged| now - logged >= Duration::from_secs(1)) {
            self.reading.logged = Some(now);
            log::warn!("the bus {} has {what}; passed over", self.place);
        }
    }

    fn item(
        &mut self,
        id: EventId,
        node: Node,
        number: u64,
        item: Item,
        together: &mut Vec<Incoming>,
    ) {
        match item {
            Item::Event(publication)
                if node != self.node
                    && publication.data.len() > self.settings.now().max_message =>
            {
                let bytes = publication.data.len();
                let what = format!("a message of {bytes} bytes, which is more than --max-message");
                self.pass_over(1, &what);
                self.lacks(id, publication.to, together);
            }
            Item::Newer(targets) => {
                self.pass_over(1, "a message of a newer version");
                self.lacks(id, targets, together);
            }
            Item::Event(publication) => {
                count(&self.figures.read, 1);
                self.arrived(id, node, number, publication, together);
            }
            Item::Disconnect(client, until) => {
                // What was published before it goes first.
                self.deliver(together);
                if node != self.node {
                    self.disconnect(client, until);
                } else if let Settled::Awaited(_) = self.queue.settle(number) {
                    self.nobody_got(number, id);
                }
            }
        }
    }

    /// This node's subscribers of some targets lack an event.
    fn lacks(&mut self, id: EventId, targets: Targets, together: &mut Vec<Incoming>) {
        self.deliver(together);
        if id <= self.reading.given {
            // Streams have newer ids already.
            return self.miss(together);
        }
        self.tell_gap();
        self.reading.gave(id);
        self.cast(FromBus::Lacks { id, targets });
    }

    fn nobody_got(&mut self, number: u64, id: EventId) {
        let receipt = Receipt {
            id,
            recipients: 0,
            how: Taken::Now,
        };
        self.queue.settled(number, receipt);
    }

    fn arrived(
        &mut self,
        id: EventId,
        node: Node,
        number: u64,
        publication: Publication,
        together: &mut Vec<Incoming>,
    ) {
        let settled = if node == self.node {
            self.queue.settle(number)
        } else {
            Settled::Unknown
        };
        let (channel, awaited) = match settled {
            Settled::Unreplicated(given) => {
                self.reading.diverged |= id != given;
                self.figures.waiting.set(self.queue.unreplicated() as u64);
                return;
            }
            Settled::Awaited(channel) => (channel, true),
            Settled::Unknown => (Channel::Bus, false),
        };
        if self.queue.unreplicated() > 0 {
            // Other nodes have this event before the ones that this node delivered while it was detached.
            self.reading.diverged = true;
            if std::mem::take(&mut self.reading.diverged_since_gap) {
                self.miss(together);
            }
            self.cast(FromBus::Diverged(true));
        }
        let newest = together.last().map(|event| event.id);
        if id <= newest.unwrap_or(self.reading.given) {
            // Streams have newer ids already.
            self.miss(together);
            if awaited {
                self.nobody_got(number, id);
            }
            return;
        }
        self.queue.expect(awaited.then_some(number));
        together.push(Incoming {
            id,
            publication,
            channel,
        });
    }

    fn deliver(&mut self, together: &mut Vec<Incoming>) {
        let events = std::mem::take(together);
        let Some(last) = events.last() else { return };
        self.tell_gap();
        self.reading.gave(last.id);
        self.actions.push(Action::Deliver(events));
    }

    /// What is read next cannot come in its place here.
    fn miss(&mut self, together: &mut Vec<Incoming>) {
        self.deliver(together);
        if !std::mem::replace(&mut self.reading.owes_gap, true) {
            // Reserve the gap's id now, so that events that are read before the gap is sent get greater
            // ids.
            self.reading.step();
        }
    }

    /// Tells streams of a gap, if that is still to be done.
    pub(super) fn tell_gap(&mut self) {
        if std::mem::take(&mut self.reading.owes_gap) {
            self.reading.diverged_since_gap = false;
            let up_to = self.reading.given;
            self.cast(FromBus::Missed { up_to, live: true });
        }
    }

    /// Events up to an id may be missing here.
    pub(super) fn missed(&mut self, up_to: EventId, live: bool) {
        let live = std::mem::take(&mut self.reading.owes_gap) || live;
        self.reading.diverged_since_gap &= !live;
        // Streams that were told stand where no other does, so that one which comes back is told too.
        let up_to = if live && up_to <= self.reading.given {
            self.reading.step()
        } else {
            up_to
        };
        self.reading.gave(up_to);
        self.cast(FromBus::Missed { up_to, live });
    }
}

#[cfg(test)]
#[path = "reading_tests.rs"]
mod tests;
