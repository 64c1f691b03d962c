//! The account: what each client saw against what it should have seen. Ids are the same on all
//! nodes and grow in each stream, so the order is the same too.

use std::collections::{BTreeMap, HashMap};

use super::client::{Client, Seen, Sightings};
use super::publishers::Sent;

/// The sums.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) acknowledged: usize,
    pub(crate) delivered: usize,
    pub(crate) gaps: usize,
    /// Events that a gap stands for.
    pub(crate) covered: usize,
    pub(crate) duplicates: usize,
    pub(crate) losses: usize,
    /// The first of the faults, in words.
    pub(crate) faults: Vec<String>,
}

/// Everything that is known, by id.
pub(crate) struct Ledger<'a> {
    sent: BTreeMap<u64, &'a Sent>,
}

impl Figures {
    fn fault(&mut self, text: String) {
        if self.faults.len() < 20 {
            self.faults.push(text);
        }
    }
}

impl<'a> Ledger<'a> {
    /// Brings together what the publishers were told and what the clients say; no event has two ids.
    pub(crate) fn new(
        publishers: &'a [Vec<Sent>],
        sightings: &Sightings,
        figures: &mut Figures,
    ) -> Self {
        let mut sent = BTreeMap::new();
        let mut ids = HashMap::new();
        for (publisher, events) in publishers.iter().enumerate() {
            for (number, event) in events.iter().enumerate() {
                if let Some((id, _)) = event.answer() {
                    figures.acknowledged += 1;
                    assert!(sent.insert(id, event).is_none(), "{id} was given twice");
                    ids.insert((publisher, number), id);
                }
            }
        }
        for (id, event) in sightings {
            if *ids.entry(*event).or_insert(*id) != *id {
                figures.duplicates += 1;
                figures.fault(format!("{event:?} came as {id} and as {}", ids[event]));
            }
            sent.entry(*id).or_insert(&publishers[event.0][event.1]);
        }
        Self { sent }
    }

    /// Goes through the life of one client.
    pub(crate) fn check(&self, number: usize, client: &Client, figures: &mut Figures) {
        let due = self
            .sent
            .iter()
            .filter(|(_, sent)| sent.answer().is_some() && client.interest.meets(&sent.target));
        let due: Vec<u64> = due.map(|(id, _)| *id).collect();
        let (mut next, mut reached, mut gap) = (0, None, false);
        for seen in &client.log {
            let (Seen::Event(id) | Seen::Position(id)) = *seen else {
                gap |= matches!(seen, Seen::Gap { .. });
                figures.gaps += usize::from(matches!(seen, Seen::Gap { .. }));
                continue;
            };
            let is_event = matches!(seen, Seen::Event(_));
            figures.delivered += usize::from(is_event);
            match reached {
                None => next = due.partition_point(|due| *due <= id),
                // Who has seen what this node does not know is told of it, and where the node stands.
                Some(_) if gap && !is_event => {}
                Some(reached) if id < reached || (is_event && id == reached) => {
                    figures.duplicates += 1;
                    figures.fault(format!("client {number}: {seen:?} after {reached}"));
                }
                Some(_) => {}
            }
            // What was due and has not come must be behind a gap.
            while let Some(missing) = due.get(next).filter(|due| **due < id) {
                next += 1;
                figures.covered += usize::from(gap);
                figures.losses += usize::from(!gap);
                if !gap {
                    figures.fault(format!("client {number}: {missing} is lost before {id}"));
                }
            }
            // A position is an event's id, which may have come just now.
            if due.get(next) == Some(&id) {
                next += 1;
                if !is_event && reached != Some(id) {
                    figures.covered += usize::from(gap);
                    figures.losses += usize::from(!gap);
                }
            }
            gap &= is_event;
            reached = Some(id);
        }
    }
}
