//! The account: what each client saw against what it should have seen. In each stream ids grow, and where all
//! events have the same id on all nodes, their order is the same too. The counterpart of `tests/all/bus/ledger.rs`,
//! which does it for real nodes.

use std::collections::{BTreeSet, HashMap};

use super::registry::{Client, Seen};
use super::world::World;

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) acknowledged: usize,
    pub(super) delivered: usize,
    /// Events that have one id on some node, and another elsewhere.
    pub(super) renamed: usize,
    pub(super) gaps: usize,
    pub(super) faults: Vec<String>,
}

/// What a gap stands for: from the last id before it that the log gave, as a node that is alone knows nothing
/// of the others, to the first id behind it.
struct Hole {
    from: u64,
    to: u64,
}

struct Ids {
    all: BTreeSet<u64>,
    acknowledged: bool,
}

/// Goes through the lives of all clients.
pub(super) fn check(world: &World) -> Figures {
    let mut figures = Figures {
        faults: world.faults.clone(),
        ..Figures::default()
    };
    let mut events: HashMap<&str, Ids> = HashMap::new();
    let mut given = BTreeSet::new();
    for sent in &world.sent {
        let ids = Ids {
            all: sent.id.into_iter().collect(),
            acknowledged: sent.id.is_some(),
        };
        figures.acknowledged += usize::from(ids.acknowledged);
        if let Some(id) = sent.id
            && !given.insert(id)
        {
            figures.faults.push(format!("{id} was given twice"));
        }
        events.insert(&sent.data, ids);
    }
    for (id, data) in &world.named {
        if let Some(ids) = events.get_mut(data.as_str()) {
            ids.all.insert(*id);
        }
    }
    figures.renamed = events.values().filter(|ids| ids.all.len() > 1).count();
    for (number, client) in world.clients.iter().enumerate() {
        life(number, client, world, &events, &mut figures);
    }
    figures
}

fn life(
    number: usize,
    client: &Client,
    world: &World,
    events: &HashMap<&str, Ids>,
    figures: &mut Figures,
) {
    let is_of_all = |id: u64| id.is_multiple_of(2);
    let (mut began, mut reached, mut of_all, mut gap) = (None, 0, 0, false);
    let mut holes: Vec<Hole> = Vec::new();
    // Behind how many holes each event was seen last.
    let mut had: HashMap<&str, usize> = HashMap::new();
    for seen in &client.log {
        let (Seen::Event(id) | Seen::Position(id)) = *seen else {
            gap = true;
            figures.gaps += 1;
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
            let fault = format!("client {number}: {seen:?} after {reached}");
            figures.faults.push(fault);
        }
        if is_event {
            figures.delivered += 1;
            let event = world.named[&id].as_str();
            if had.insert(event, holes.len()) == Some(holes.len()) {
                let fault = format!("client {number}: {event} twice, now {id}");
                figures.faults.push(fault);
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
    for (event, ids) in events {
        let (Some(first), Some(last)) = (ids.all.first(), ids.all.last()) else {
            continue;
        };
        let due = ids.acknowledged && began < *first && *last <= reached;
        if !due || had.contains_key(event) {
            continue;
        }
        // Where nobody saw it come from the log, any time may have been before that.
        let is_alone = !ids.all.iter().any(|id| is_of_all(*id));
        let is_covered = |hole: &Hole| *first <= hole.to && (hole.from < *last || is_alone);
        if !holes.iter().any(is_covered) {
            let fault = format!("client {number}: {event}, {:?}, is lost", ids.all);
            figures.faults.push(fault);
        }
    }
}
