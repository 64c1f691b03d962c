//! The registry on a bus: events that come with their ids, and clients that were on another node.
//!
//! A client that comes from another node may have seen an event that has not come here yet. It waits
//! until that has come ([`PATIENCE`]), and begins then.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::{Duration, Instant};

use foldhash::HashMap;
use futures_lite::FutureExt;

use super::history::{History, Lost};
use super::inherit::Inheriting;
use super::session::Phase;
use super::{Kept, Registry};
use crate::messages::publisher::Receipt;
use crate::messages::registry::{Elsewhere, FromBus, Incoming, Message, Subject};
use crate::model::publication::Targets;
use crate::model::{
    Bounded, BusFigures, Cost, EventId, Resume, Sequence, Subscription, Target, Token,
};
use crate::runtime::{CancellationToken, Mailbox, timer, turn};
use crate::wire::report::Whole;
use crate::wire::sse::Frame;

/// How long a client may wait for what it has seen elsewhere; after that it gets a gap. Another node
/// that has to add that again may be as late as its pause before a new attempt to connect.
const PATIENCE: Duration = Duration::from_secs(6);
/// How many ids are remembered besides the history's.
const GIVEN: usize = 1 << 18;

impl Cost for EventId {}

/// What the registry knows with a bus.
pub(super) struct OnBus {
    pub(super) figures: Rc<BusFigures>,
    open: bool,
    /// The newest ids, in order, that streams may stand at, whether or not the history has such events.
    given: Bounded<EventId>,
    /// Whether clients that come back wait until there is a gap marker.
    pub(super) diverged: bool,
    /// The newest event that was in the history file at the start.
    recorded: Option<EventId>,
    /// What is still to come from another node, before there are clients.
    pub(super) inheriting: Option<Inheriting>,
    /// Clients that wait, and by what they have seen.
    held: HashMap<u32, Held>,
    by_seen: BTreeSet<(EventId, u32)>,
}

/// A client that has seen more than this node.
pub(super) struct Held {
    subscription: Subscription,
    recent_of: Vec<(Token, usize)>,
    seen: EventId,
    until: Instant,
}

impl OnBus {
    pub(super) fn new(figures: Rc<BusFigures>, kept: Option<&Kept>) -> Self {
        let newest = kept.and_then(|kept| kept.recovered.records.last());
        Self {
            figures,
            open: false,
            given: Bounded::new(),
            diverged: false,
            recorded: newest.map(|record| record.id),
            inheriting: None,
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
    /// Takes in what the bus has kept, and what another node has besides, before there are clients.
    pub(super) async fn await_bus(
        &mut self,
        inbox: &mut Mailbox<Message>,
        stop: &CancellationToken,
    ) {
        while let Some(bus) = &self.bus
            && (!bus.open || bus.inheriting.is_some())
        {
            let due = bus.inheriting.as_ref().and_then(Inheriting::due);
            let stopped = stop.cancelled_then(None);
            let message = async { inbox.next().await.map(Some) };
            let late = async {
                timer(due).await;
                Some(None)
            };
            match message.or(stopped).or(late).await {
                Some(Some(message)) => self.handle(message).await,
                Some(None) => {}
                None => return,
            }
            self.look_at_inheriting().await;
        }
    }

    pub(super) async fn handle_bus(&mut self, message: FromBus) {
        match message {
            FromBus::Begin { since } => {
                self.sequence = Sequence::at(since);
                let history = History::new(self.settings.now().history.clone(), since);
                let file = std::mem::replace(&mut self.history, history);
                if let Some(bus) = &mut self.bus {
                    bus.inheriting = Some(Inheriting::expected(since, file, bus.recorded));
                }
            }
            FromBus::Open => {
                if let Some(bus) = &mut self.bus {
                    bus.open = true;
                    bus.inheriting.as_mut().map(Inheriting::may_begin);
                }
            }
            FromBus::Execute {
                command,
                elsewhere,
                reply,
            } => reply.send(self.execute(*command, elsewhere)),
            FromBus::Disconnect { id, until } => {
                self.disconnect_until(&id, until);
            }
            FromBus::Count { target, reply } => reply.send(self.reached(&target)),
            FromBus::Diverged(diverged) => {
                if let Some(bus) = &mut self.bus {
                    bus.diverged = diverged;
                }
                self.release();
            }
            FromBus::Peer { about, node, text } => match (about, node) {
                (Subject::Presence, node) => {
                    if node.is_none() {
                        self.ask_for_history().await;
                    }
                    self.hear_presence(node, &text);
                }
                (Subject::History, Some(node)) => self.hear_history(node, &text).await,
                (Subject::History, None) => {}
            },
            FromBus::Lacks { id, targets } => self.lacks(id, &targets),
            FromBus::Deliver { events, reply } => {
                let mut receipts = Vec::with_capacity(events.len());
                for event in events {
                    self.sequence.advance(event.id);
                    receipts.push(self.deliver_once(event));
                    self.pool.ready().await;
                    turn::pause().await;
                }
                reply.send(receipts);
            }
            FromBus::Missed { up_to, live } => self.missed(up_to, live),
        }
    }

    /// Delivers an event, unless its key says that it was delivered before: what is first in the stream's
    /// order counts, on all nodes alike.
    fn deliver_once(&mut self, event: Incoming) -> Receipt {
        let Incoming {
            id,
            publication,
            channel,
        } = event;
        if publication.key.is_some() {
            self.keys.forget(id);
            if let Some(receipt) = self.keys.known(&publication) {
                self.stand_at(id);
                self.release();
                return receipt;
            }
        }
        self.deliver(id, publication, channel)
    }

    /// Tells everyone who may have missed something, now or when they come back.
    fn missed(&mut self, up_to: EventId, live: bool) {
        let last = self.sequence.last();
        self.history.forget(up_to);
        self.sequence.advance(up_to);
        self.stand_at(self.sequence.last());
        self.routes
            .recipients(&[Target::All], None, &mut self.recipients);
        if live {
            // Who is in the midst of a replay reads on behind it.
            let replaying = self.replays.clients();
            let told = self.recipients.iter().copied().chain(replaying).collect();
            self.tell_gap(last, told);
        }
        // So that who has missed nothing, or knows of it, has no gap when it comes back.
        let all = std::mem::take(&mut self.recipients);
        self.give_positions(&all);
        self.release();
    }

    /// Tells those who listen to some targets, now or when they come back, that an event is not here.
    fn lacks(&mut self, id: EventId, targets: &Targets) {
        let last = self.sequence.last();
        let targets = targets.as_slice();
        for target in targets {
            self.history.mark(target, id);
        }
        self.sequence.advance(id);
        self.stand_at(id);
        self.routes.recipients(targets, None, &mut self.recipients);
        let live = std::mem::take(&mut self.recipients);
        let replaying = self.replays.listening(targets);
        let told = live.iter().chain(replaying).copied().collect();
        self.tell_gap(last, told);
        self.give_positions(&live);
        self.release();
    }

    fn give_positions(&mut self, clients: &[u32]) {
        for client in clients {
            if let Some(position) = self.position(self.pool.form(*client)) {
                self.pool.send_all(&[*client], &position);
            }
        }
    }

    /// Tells streams that anything after an id may be missing. Those with the same oldest event get the
    /// same frame.
    fn tell_gap(&mut self, after: EventId, told: Vec<u32>) {
        self.counters.gaps += told.len() as u64;
        let mut frames: HashMap<Option<EventId>, Rc<Frame>> = HashMap::default();
        for client in told {
            let replayed = self.replays.get(client).cloned();
            let Some(subscription) = replayed.or_else(|| self.routes.subscription(client)) else {
                continue;
            };
            let form = self.pool.form(client);
            if form.is_json() {
                let subscription = Subscription {
                    form,
                    ..subscription
                };
                let frame = self.gap_frame(Some(after), &subscription, &Lost::OfAny);
                self.pool.send_all(&[client], &Rc::new(frame));
                continue;
            }
            let oldest = self.history.oldest(&subscription);
            let frame = || Rc::new(Frame::gap(Some(after), oldest, None));
            let frame = frames.entry(oldest).or_insert_with(frame);
            self.pool.send_all(&[client], frame);
        }
    }

    /// Has a client wait that has seen more than this node; else its subscription goes on.
    pub(super) fn hold(
        &mut self,
        client: u32,
        subscription: Subscription,
        resume: Resume,
        recent_of: Vec<(Token, usize)>,
    ) -> Option<(Subscription, Vec<(Token, usize)>)> {
        let (last, Some(bus)) = (self.sequence.last(), &mut self.bus) else {
            return Some((subscription, recent_of));
        };
        match resume {
            Resume::After(Some(seen)) if seen > last || bus.diverged => {
                let until = Instant::now() + PATIENCE;
                let held = Held {
                    subscription,
                    recent_of,
                    seen,
                    until,
                };
                bus.held.insert(client, held);
                bus.by_seen.insert((seen, client));
                self.enter(client, Phase::Waiting);
                None
            }
            _ => Some((subscription, recent_of)),
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
            self.start(client, held.subscription, resume, &held.recent_of);
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
            bus.figures.own_clients.set(self.sessions.streams() as u64);
        }
    }

    /// Whether an id is none that this node knows: one that another gave out while it was cut off.
    /// What that lacked, or had besides, nobody here can tell; nor of any id while all is diverged.
    pub(super) fn is_foreign(&self, id: EventId) -> bool {
        let Some(bus) = &self.bus else { return false };
        let known = || self.history.has(id) || bus.given.binary_search(&id).is_ok();
        // Of longer ago it is only known which ids a node may have given out by itself: the odd ones.
        let remembered = bus.given.front().is_some_and(|first| *first <= id);
        let alone = id.0 % 2 == 1;
        bus.diverged || self.history.reaches(id) && (remembered || alone) && !known()
    }

    /// Streams may stand at an id.
    pub(super) fn stand_at(&mut self, id: EventId) {
        if let Some(bus) = &mut self.bus {
            bus.given.push(id);
            bus.given.pop_beyond(GIVEN, usize::MAX);
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

    /// What a client that waits listens to.
    pub(super) fn waits(&self, client: u32) -> Option<&Subscription> {
        let held = self.bus.as_ref()?.held.get(&client)?;
        Some(&held.subscription)
    }
}
