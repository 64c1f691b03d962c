//! What the registry does with what the bus tells it, as far as streams can see it: who gets what, who waits, who
//! gets a gap when it comes back.

use std::collections::BTreeSet;

use crate::messages::publisher::{Receipt, Taken};
use crate::messages::registry::{FromBus, Incoming};
use crate::model::EventId;

/// How long a client may wait for what it has seen elsewhere, in microseconds.
const PATIENCE: u64 = 6_000_000;

/// One thing that a client saw.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen {
    Gap,
    Event(u64),
    Position(u64),
}

/// A subscriber to everything, through its life.
#[derive(Debug, Default)]
pub(super) struct Client {
    pub(super) log: Vec<Seen>,
    pub(super) last: Option<u64>,
    /// Where it is.
    pub(super) node: Option<usize>,
}

impl Client {
    fn see(&mut self, seen: Seen) {
        if let Seen::Event(id) | Seen::Position(id) = seen {
            self.last = Some(id);
        }
        self.log.push(seen);
    }
}

/// A node's registry.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) open: bool,
    /// The newest id.
    pub(super) last: u64,
    history: Vec<u64>,
    /// Up to here something may be missing.
    missing: u64,
    given: BTreeSet<u64>,
    diverged: bool,
    live: BTreeSet<usize>,
    /// Clients that wait: what each has seen, and until when.
    held: Vec<(usize, u64, u64)>,
}

impl Registry {
    pub(super) fn new(position: EventId) -> Self {
        Self {
            open: false,
            last: position.0,
            history: Vec::new(),
            missing: position.0,
            given: BTreeSet::new(),
            diverged: false,
            live: BTreeSet::new(),
            held: Vec::new(),
        }
    }

    pub(super) fn deliver(
        &mut self,
        events: Vec<Incoming>,
        clients: &mut [Client],
    ) -> Vec<Receipt> {
        let mut receipts = Vec::with_capacity(events.len());
        for Incoming { id, .. } in events {
            assert!(id.0 > self.last, "{id} comes behind {}", self.last);
            self.last = id.0;
            for client in &self.live {
                clients[*client].see(Seen::Event(id.0));
            }
            receipts.push(Receipt {
                id,
                recipients: self.live.len(),
                how: Taken::Now,
            });
            self.history.push(id.0);
            self.given.insert(id.0);
            self.release(clients);
        }
        receipts
    }

    pub(super) fn tell(&mut self, told: FromBus, clients: &mut [Client]) {
        match told {
            FromBus::Begin { since } => {
                *self = Self {
                    open: self.open,
                    ..Self::new(since)
                };
            }
            FromBus::Open => self.open = true,
            FromBus::Diverged(diverged) => {
                self.diverged = diverged;
                self.release(clients);
            }
            FromBus::Missed { up_to, live } => {
                self.missing = self.missing.max(up_to.0);
                self.last = self.last.max(up_to.0);
                self.given.insert(self.last);
                for client in &self.live {
                    if live {
                        clients[*client].see(Seen::Gap);
                    }
                    clients[*client].see(Seen::Position(self.last));
                }
                self.release(clients);
            }
            _ => {}
        }
    }

    /// A client comes.
    pub(super) fn enter(&mut self, client: usize, now: u64, clients: &mut [Client]) {
        match clients[client].last {
            Some(seen) if seen > self.last || self.diverged => {
                self.held.push((client, seen, now + PATIENCE));
            }
            _ => self.start(client, clients),
        }
    }

    /// A client goes.
    pub(super) fn leave(&mut self, client: usize) {
        self.live.remove(&client);
        self.held.retain(|(held, ..)| *held != client);
    }

    /// Lets those go on who have waited too long.
    pub(super) fn tick(&mut self, now: u64, clients: &mut [Client]) {
        self.go_on(clients, |_, until| until <= now);
    }

    fn release(&mut self, clients: &mut [Client]) {
        let (diverged, last) = (self.diverged, self.last);
        self.go_on(clients, |seen, _| !diverged && seen <= last);
    }

    fn go_on(&mut self, clients: &mut [Client], may: impl Fn(u64, u64) -> bool) {
        let (go, stay) = std::mem::take(&mut self.held)
            .into_iter()
            .partition(|(_, seen, until)| may(*seen, *until));
        self.held = stay;
        for (client, ..) in go {
            self.start(client, clients);
        }
    }

    fn start(&mut self, index: usize, clients: &mut [Client]) {
        let client = &mut clients[index];
        let from = client.last.map_or(self.last, |seen| {
            let known = self.given.contains(&seen);
            let first = self.given.first();
            let remembered = first.is_some_and(|first| *first <= seen) || seen % 2 == 1;
            let foreign = self.diverged || seen > self.missing && remembered && !known;
            if seen > self.last || foreign || seen < self.missing {
                client.see(Seen::Gap);
            }
            seen.min(self.last)
        });
        let newer = self.history.partition_point(|id| *id <= from);
        for id in &self.history[newer..] {
            client.see(Seen::Event(*id));
        }
        client.see(Seen::Position(self.last));
        self.live.insert(index);
    }
}
