//! The registry on a bus: events that come with their ids, and clients that were on another node.
//!
//! A client that comes from another node may have seen an event that has not come here yet. It waits
//! until that has come ([`PATIENCE`]), and begins then.

use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use futures_lite::FutureExt;

use super::history::History;
use super::{Kept, Registry};
use crate::messages::registry::{Elsewhere, FromBus, Message};
use crate::model::{BusFigures, EventId, Resume, Sequence, Subscription, Target};
use crate::runtime::{CancellationToken, Mailbox, turn};
use crate::wire::report::Whole;
use crate::wire::sse::Frame;

/// How long a client may wait for what it has seen elsewhere; after that it gets a gap. Another node
/// that has to add that again may be as late as its pause before a new attempt to connect.
const PATIENCE: Duration = Duration::from_secs(6);
/// The most ids that are known besides the history's.
const BESIDES: usize = 1 << 18;

/// What the registry knows with a bus.
pub(super) struct OnBus {
    figures: Rc<BusFigures>,
    open: bool,
    /// Ids, in order, that streams may stand at though the history has no such event.
    besides: VecDeque<EventId>,
    /// Whether clients that come back wait until there is a hole.
    diverged: bool,
    /// The newest event that was in the history file at the start.
    recorded: Option<EventId>,
    /// Clients that wait, and by what they have seen.
    held: HashMap<u32, Held>,
    by_seen: BTreeSet<(EventId, u32)>,
}

/// A client that has seen more than this node.
pub(super) struct Held {
    subscription: Subscription,
    seen: EventId,
    until: Instant,
}

impl OnBus {
    pub(super) fn new(figures: Rc<BusFigures>, kept: Option<&Kept>) -> Self {
        let newest = kept.and_then(|kept| kept.recovered.records.last());
        Self {
            figures,
            open: false,
            besides: VecDeque::new(),
            diverged: false,
            recorded: newest.map(|record| record.id),
            held: HashMap::default(),
            by_seen: BTreeSet::new(),
        }
    }

    /// Whether an event is not in the history file yet.
    pub(super) fn is_news(&self, id: EventId) -> bool {
        self.recorded.is_none_or(|recorded| id > recorded)
    }
}

impl Registry {
    /// Takes in what the bus has kept, before there are clients.
    pub(super) async fn await_bus(
        &mut self,
        inbox: &mut Mailbox<Message>,
        stop: &CancellationToken,
    ) {
        while self.bus.as_ref().is_some_and(|bus| !bus.open) {
            let stopped = async {
                stop.cancelled().await;
                None
            };
            match inbox.next().or(stopped).await {
                Some(message) => self.handle(message).await,
                None => return,
            }
        }
    }

    pub(super) async fn handle_bus(&mut self, message: FromBus) {
        match message {
            FromBus::Begin { since } => {
                self.sequence = Sequence::at(since);
                self.history = History::new(self.settings.now().history, since);
            }
            FromBus::Open => {
                if let Some(bus) = &mut self.bus {
                    bus.open = true;
                }
            }
            FromBus::Execute {
                command,
                elsewhere,
                reply,
            } => reply.send(self.execute(*command, elsewhere)),
            FromBus::Disconnect { id } => {
                self.disconnect(&id);
            }
            FromBus::Count { target, reply } => reply.send(self.reached(&target)),
            FromBus::Diverged(diverged) => {
                if let Some(bus) = &mut self.bus {
                    bus.diverged = diverged;
                }
                self.release();
            }
            FromBus::Deliver { events, reply } => {
                let mut receipts = Vec::with_capacity(events.len());
                for event in events {
                    self.sequence.advance(event.id);
                    receipts.push(self.deliver(event.id, event.publication, event.channel));
                    self.pool.ready().await;
                    turn::pause().await;
                }
                reply.send(receipts);
            }
            FromBus::Missed { up_to, live } => self.missed(up_to, live),
        }
    }

    /// Tells everyone who may have missed something, now or when they come back.
    fn missed(&mut self, up_to: EventId, live: bool) {
        let last = self.sequence.last();
        self.history.forget(up_to);
        self.sequence.advance(up_to);
        self.stands_besides(self.sequence.last());
        self.routes
            .recipients(&[Target::All], None, &mut self.recipients);
        if live {
            let gap = Rc::new(Frame::gap(Some(last), self.history.oldest(), None));
            // Who is in the midst of a replay reads on behind it.
            let replaying = self.replays.keys();
            let mut told: Vec<u32> = self.recipients.iter().chain(replaying).copied().collect();
            self.counters.gaps += told.len() as u64;
            let mut json = Vec::new();
            self.pool.take_json(&mut told, &mut json);
            self.pool.send_all(&told, &gap);
            for client in json {
                let tokens = self.subscribes(client);
                let tokens: Vec<&str> = match tokens.iter().any(|token| token == "*") {
                    true => vec!["*"],
                    false => tokens.iter().map(String::as_str).collect(),
                };
                let gap = Frame::gap(Some(last), self.history.oldest(), Some(&tokens));
                self.pool.send_all(&[client], &Rc::new(gap));
            }
        }
        // So that who has missed nothing, or knows of it, has no gap when it comes back.
        for client in std::mem::take(&mut self.recipients) {
            if let Some(position) = self.position(self.pool.form(client)) {
                self.pool.send_all(&[client], &position);
            }
        }
        self.release();
    }

    /// Has a client wait that has seen more than this node; else its subscription goes on.
    pub(super) fn hold(
        &mut self,
        client: u32,
        subscription: Subscription,
        resume: Resume,
    ) -> Option<Subscription> {
        let (last, Some(bus)) = (self.sequence.last(), &mut self.bus) else {
            return Some(subscription);
        };
        match resume {
            Resume::After(Some(seen)) if seen > last || bus.diverged => {
                let until = Instant::now() + PATIENCE;
                let held = Held {
                    subscription,
                    seen,
                    until,
                };
                bus.held.insert(client, held);
                bus.by_seen.insert((seen, client));
                None
            }
            _ => Some(subscription),
        }
    }

    /// Begins the streams of those who need not wait any more.
    pub(super) fn release(&mut self) {
        let last = self.sequence.last();
        while let Some(bus) = &self.bus
            && !bus.diverged
            && let Some((seen, client)) = bus.by_seen.first().copied()
            && seen <= last
        {
            self.begin_held(client);
        }
    }

    fn begin_held(&mut self, client: u32) {
        if let Some(held) = self.let_go(client) {
            let resume = Resume::After(Some(held.seen));
            self.start(client, held.subscription, resume);
        }
    }

    /// Begins the streams of those who have waited too long, and tells how many there are.
    pub(super) fn tick_bus(&mut self) {
        let Some(bus) = &self.bus else { return };
        let now = Instant::now();
        let late = bus.held.iter().filter(|(_, held)| held.until <= now);
        for client in late.map(|(client, _)| *client).collect::<Vec<_>>() {
            self.begin_held(client);
        }
        self.count_own();
    }

    /// Has the bus know how many streams this node has.
    fn count_own(&self) {
        if let Some(bus) = &self.bus {
            bus.figures.own_clients.set(self.streams() as u64);
        }
    }

    /// Whether an id is none that this node knows: one that another gave out while it was cut off.
    /// What that lacked, or had besides, nobody here can tell; nor of any id while all is diverged.
    pub(super) fn is_foreign(&self, id: Option<EventId>) -> bool {
        id.zip(self.bus.as_ref()).is_some_and(|(id, bus)| {
            bus.diverged
                || self.history.reaches(id)
                    && !self.history.has(id)
                    && bus.besides.binary_search(&id).is_err()
        })
    }

    /// Streams may stand at an id that the history does not have.
    pub(super) fn stands_besides(&mut self, id: EventId) {
        if let Some(bus) = &mut self.bus {
            bus.besides.push_back(id);
            let oldest = self.history.oldest();
            while let Some(first) = bus.besides.front()
                && (bus.besides.len() > BESIDES || oldest.is_some_and(|oldest| *first < oldest))
            {
                bus.besides.pop_front();
            }
        }
    }

    /// Does not have a client wait any more.
    pub(super) fn let_go(&mut self, client: u32) -> Option<Held> {
        let bus = self.bus.as_mut()?;
        let held = bus.held.remove(&client)?;
        bus.by_seen.remove(&(held.seen, client));
        Some(held)
    }

    /// How many streams all nodes have, the others as each said last.
    pub(super) fn all_clients(&self) -> Option<u64> {
        Some(self.bus_figures()?.clients())
    }

    /// What this node counted, and the others; none without a bus.
    pub(super) fn whole(&self, clients: u64, elsewhere: Elsewhere) -> Option<Whole> {
        self.bus.as_ref().map(|_| Whole {
            clients: clients + elsewhere.clients,
            nodes: elsewhere.nodes,
            answered: 1 + elsewhere.answered,
        })
    }

    /// What the bus counts.
    pub(super) fn bus_figures(&self) -> Option<BusFigures> {
        self.count_own();
        Some((*self.bus.as_ref()?.figures).clone())
    }

    /// Whether other nodes may publish when this one has ended.
    pub(super) fn others_go_on(&self) -> bool {
        let nodes = self.bus.as_ref().map(|bus| bus.figures.nodes.get());
        nodes.is_some_and(|nodes| nodes != 1)
    }

    /// How many clients wait.
    pub(super) fn held_back(&self) -> usize {
        self.bus.as_ref().map_or(0, |bus| bus.held.len())
    }

    /// What a client that waits listens to.
    pub(super) fn waits(&self, client: u32) -> Option<&Subscription> {
        let held = self.bus.as_ref()?.held.get(&client)?;
        Some(&held.subscription)
    }
}
