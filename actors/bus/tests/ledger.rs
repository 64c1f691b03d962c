//! The account: what each client saw against what it should have seen. In each stream ids grow, and where all
//! events have the same id on all nodes, their order is the same too. `tests/all/bus/ledger.rs`
//! does it for real nodes.

use std::collections::{BTreeSet, HashMap};

use super::life::{Fate, Life};
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
    let mut life = Life::default();
    for seen in &client.log {
        let (id, event) = match *seen {
            Seen::Event(id) => (id, Some(world.named[&id].as_str())),
            Seen::Position(id) => (id, None),
            Seen::Gap => {
                life.gap();
                figures.gaps += 1;
                continue;
            }
        };
        figures.delivered += usize::from(event.is_some());
        let wrong = life.sees(id, event);
        if let Some(reached) = wrong.behind {
            let fault = format!("client {number}: {seen:?} after {reached}");
            figures.faults.push(fault);
        }
        if let (Some(event), true) = (event, wrong.twice) {
            let fault = format!("client {number}: {event} twice, now {id}");
            figures.faults.push(fault);
        }
    }
    for (event, ids) in events {
        if ids.acknowledged && life.fate(event, &ids.all) == Fate::Lost {
            let fault = format!("client {number}: {event}, {:?}, is lost", ids.all);
            figures.faults.push(fault);
        }
    }
}
