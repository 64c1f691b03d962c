//! The account: what each client saw against what it should have seen. In each stream ids grow, and
//! where all events have the same id on all nodes, their order is the same too.

use std::collections::{BTreeSet, HashMap};

use support::crowd::client::{Client, Seen, Sightings};
use support::crowd::publishers::Sent;

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

/// What a gap stands for: from the last id before it that Redis gave, as a node that is alone knows nothing
/// of the others, to the first id behind it.
struct Hole {
    from: u64,
    to: u64,
}

/// Whether Redis gave it, and not a node that was alone.
fn is_of_all(id: u64) -> bool {
    id.is_multiple_of(2)
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
        let (mut began, mut reached, mut of_all, mut gap) = (None, 0, 0, false);
        let mut holes: Vec<Hole> = Vec::new();
        // Behind how many holes each event was seen last.
        let mut had: HashMap<Event, usize> = HashMap::new();
        for (at, seen) in client.log.iter().enumerate() {
            let (Seen::Event(id) | Seen::Position(id)) = *seen else {
                let is_gap = matches!(seen, Seen::Gap { .. });
                gap |= is_gap;
                if is_gap {
                    let before = &client.log[at.saturating_sub(4)..=at];
                    figures.gap(format!("client {number}: {before:?}"));
                }
                continue;
            };
            let is_event = matches!(seen, Seen::Event(_));
            began.get_or_insert(id);
            if gap {
                holes.push(Hole {
                    from: of_all.min(id),
                    to: reached.max(id),
                });
            } else if id < reached || is_event && id == reached {
                figures.duplicates += 1;
                figures.fault(format!("client {number}: {seen:?} after {reached}"));
            }
            if is_event {
                figures.delivered += 1;
                let event = self.named[&id];
                if had.insert(event, holes.len()) == Some(holes.len()) {
                    figures.duplicates += 1;
                    figures.fault(format!("client {number}: {event:?} twice, now {id}"));
                }
            }
            // Who has seen what this node does not know is told of it, and where the node stands.
            gap &= is_event;
            reached = id;
            if is_of_all(id) {
                of_all = id;
            }
        }
        let Some(began) = began else { return };
        for (event, (sent, ids)) in &self.events {
            let (Some(first), Some(last)) = (ids.first(), ids.last()) else {
                continue;
            };
            let due = sent.answer().is_some()
                && client.interest.meets(&sent.target)
                && (began < *first && *last <= reached);
            if !due || had.contains_key(event) {
                continue;
            }
            // Where nobody saw it come from Redis, any time may have been before that.
            let is_alone = !ids.iter().any(|id| is_of_all(*id));
            let is_covered = |hole: &Hole| *first <= hole.to && (hole.from < *last || is_alone);
            if holes.iter().any(is_covered) {
                figures.covered += 1;
            } else {
                figures.losses += 1;
                figures.fault(format!("client {number}: {event:?}, {ids:?}, is lost"));
            }
        }
    }
}
