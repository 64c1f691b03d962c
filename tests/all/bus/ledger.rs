//! The account: what each client saw against what it should have seen. In each stream ids grow, and
//! where all events have the same id on all nodes, their order is the same too.

use std::collections::{BTreeSet, HashMap};

use support::crowd::client::{Client, Seen, Sightings};
use support::crowd::publishers::Sent;
use support::life::{Fate, Life};

/// The sums.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) acknowledged: usize,
    pub(crate) delivered: usize,
    /// Events that have one id on some node, and another elsewhere.
    pub(crate) renamed: usize,
    pub(crate) gaps: usize,
    /// Events that a gap stands for.
    pub(crate) covered: usize,
    pub(crate) duplicates: usize,
    pub(crate) losses: usize,
    /// The first of the faults, in words.
    pub(crate) faults: Vec<String>,
    /// The first gaps, in words, with what was seen before each.
    pub(crate) told: Vec<String>,
}

/// An event: its publisher, and its number there.
type Event = (usize, usize);

/// Everything that is known: of each event what was sent, and its ids.
pub(crate) struct Ledger<'a> {
    events: HashMap<Event, (&'a Sent, BTreeSet<u64>)>,
    named: &'a Sightings,
}

impl Figures {
    fn gap(&mut self, text: String) {
        self.gaps += 1;
        if self.told.len() < 20 {
            self.told.push(text);
        }
    }

    fn fault(&mut self, text: String) {
        if self.faults.len() < 20 {
            self.faults.push(text);
        }
    }
}

impl<'a> Ledger<'a> {
    /// Brings together what the publishers were told and what the clients say.
    pub(crate) fn new(
        publishers: &'a [Vec<Sent>],
        sightings: &'a Sightings,
        figures: &mut Figures,
    ) -> Self {
        let mut events: HashMap<Event, (&Sent, BTreeSet<u64>)> = HashMap::new();
        let mut given = BTreeSet::new();
        for (publisher, sent) in publishers.iter().enumerate() {
            for (number, sent) in sent.iter().enumerate() {
                let (_, ids) = events
                    .entry((publisher, number))
                    .or_insert((sent, BTreeSet::new()));
                if let Some((id, _)) = sent.answer() {
                    figures.acknowledged += 1;
                    assert!(given.insert(id), "{id} was given twice");
                    ids.insert(id);
                }
            }
        }
        for (id, event) in sightings {
            events.get_mut(event).unwrap().1.insert(*id);
        }
        let renamed = events.values().filter(|(_, ids)| ids.len() > 1);
        figures.renamed = renamed.count();
        Self {
            events,
            named: sightings,
        }
    }

    /// Goes through the life of one client.
    pub(crate) fn check(&self, number: usize, client: &Client, figures: &mut Figures) {
        let mut life = Life::default();
        for (at, seen) in client.log.iter().enumerate() {
            let (id, event) = match *seen {
                Seen::Event(id) => (id, Some(self.named[&id])),
                Seen::Position(id) => (id, None),
                Seen::Gap { .. } => {
                    life.gap();
                    let before = &client.log[at.saturating_sub(4)..=at];
                    figures.gap(format!("client {number}: {before:?}"));
                    continue;
                }
                _ => continue,
            };
            figures.delivered += usize::from(event.is_some());
            let wrong = life.sees(id, event);
            if let Some(reached) = wrong.behind {
                figures.duplicates += 1;
                figures.fault(format!("client {number}: {seen:?} after {reached}"));
            }
            if let (Some(event), true) = (event, wrong.twice) {
                figures.duplicates += 1;
                figures.fault(format!("client {number}: {event:?} twice, now {id}"));
            }
        }
        for (event, (sent, ids)) in &self.events {
            if sent.answer().is_none() || !client.interest.meets(&sent.target) {
                continue;
            }
            match life.fate(event, ids) {
                Fate::Well => {}
                Fate::Covered => figures.covered += 1,
                Fate::Lost => {
                    figures.losses += 1;
                    figures.fault(format!("client {number}: {event:?}, {ids:?}, is lost"));
                }
            }
        }
    }
}
