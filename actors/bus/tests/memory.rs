//! A log in memory, which does what the scripts of [`redis`](super::super::redis) do.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use super::super::entry::{Entry, Node, VERSION};
use super::super::log::{
    AHEAD, Add, Added, Asked, Call, DEAD, Keep, Log, Meet, Met, RESIDUES, Read, Stage, Trouble,
};
use crate::model::EventId;

/// A node, as the log knows it.
#[derive(Debug, Clone)]
struct Known {
    heard: u64,
    clients: u64,
    residue: u64,
    /// The run of the log that it is with, if it lacks nothing.
    run: Option<u64>,
    stage: Stage,
}

/// What the log has.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    entries: BTreeMap<u64, Rc<Entry>>,
    /// The newest id that it ever had; none before the first.
    last: Option<u64>,
    nodes: BTreeMap<String, Known>,
    /// Which process it is.
    pub(super) run: u64,
    /// The time in microseconds.
    pub(super) now: u64,
}

/// A log, as one node is connected to it.
pub(super) struct Connected<'a> {
    pub(super) memory: &'a mut Memory,
    pub(super) node: Node,
}

fn even(number: u64) -> u64 {
    number + number % 2
}

impl Memory {
    /// One that has nothing.
    pub(super) fn empty(run: u64) -> Self {
        Self {
            run,
            ..Self::default()
        }
    }

    pub(super) fn read(&self, read: Read) -> Vec<Entry> {
        let newer = self.entries.range(read.after.0 + 1..);
        newer
            .take(read.count)
            .map(|(_, entry)| Entry::clone(entry))
            .collect()
    }

    fn trim(&mut self, keep: Keep) {
        let age = self.now.saturating_sub(keep.age.as_micros() as u64);
        let from = keep.from.0.max(age);
        while self
            .entries
            .first_key_value()
            .is_some_and(|(id, _)| *id < from)
        {
            self.entries.pop_first();
        }
    }

    fn insert(&mut self, id: u64, previous: u64, body: Vec<u8>) {
        assert!(self.last.is_none_or(|last| id > last), "{id} is not newer");
        assert!(id < self.now + AHEAD);
        let entry = Entry {
            id: EventId(id),
            previous: EventId(previous),
            body,
        };
        self.entries.insert(id, entry.into());
        self.last = Some(id);
    }
}

impl Connected<'_> {
    /// Answers at once.
    pub(super) fn perform(&mut self, call: Call) -> super::super::core::Input {
        futures_lite::future::block_on(call.perform(self))
    }
}

impl Log for Connected<'_> {
    async fn meet(&mut self, meet: Meet) -> Result<Met, Trouble> {
        let name = self.node.to_string();
        let log = &mut *self.memory;
        let behind = log.last.is_none_or(|last| last < meet.seen.0);
        let anew = behind || meet.joining && meet.stage == Stage::Back;
        let dead = DEAD.as_micros() as u64;
        let (run, now) = (Some(log.run), log.now);
        if meet.stage == Stage::Joined {
            log.nodes
                .retain(|node, known| *node == name || now - known.heard <= dead);
        }
        let (mut nodes, mut with) = (BTreeSet::from([name.clone()]), BTreeSet::new());
        let (mut clients, mut taken) = (0, BTreeSet::new());
        if !behind {
            with.insert(name.clone());
        }
        for (node, known) in log.nodes.iter_mut().filter(|(node, _)| **node != name) {
            if now - known.heard > dead {
                if meet.stage == Stage::New && known.run != run {
                    nodes.insert(node.clone());
                }
                continue;
            }
            clients += known.clients;
            taken.insert(known.residue);
            nodes.insert(node.clone());
            if anew {
                known.run = None;
            } else if known.run == run && known.stage >= meet.stage {
                with.insert(node.clone());
            }
        }
        let mut residue = meet.residue;
        while taken.contains(&residue) && taken.len() < RESIDUES as usize {
            residue = (residue + 1) % RESIDUES;
        }
        let known = Known {
            heard: log.now,
            clients: meet.clients,
            residue,
            run: run.filter(|_| !behind),
            stage: meet.stage,
        };
        log.nodes.insert(name, known);
        if log.last.is_some() {
            log.trim(meet.keep);
        }
        let first = log.entries.keys().next().copied();
        Ok(Met {
            last: log.last.map(EventId),
            first: first.filter(|_| meet.joining).map(EventId),
            has: meet.joining && log.entries.contains_key(&meet.seen.0),
            nodes,
            with,
            others_clients: clients,
            residue,
            version: VERSION,
        })
    }

    async fn add(&mut self, add: Add) -> Result<Added, Trouble> {
        let log = &mut *self.memory;
        let Some(mut last) = log.last.filter(|last| *last >= add.seen.0) else {
            return Ok(Added::Behind);
        };
        let alone = last == add.seen.0;
        let mut floor = last.max(add.given.0);
        for unwritten in add.entries {
            let more = 2 * (unwritten.count as u64 - 1);
            let mut id = unwritten.id.0;
            if !alone || id <= last + more {
                id = even(log.now.max(floor + 1)) + more;
            }
            log.insert(id, last, unwritten.body);
            last = id;
            floor = floor.max(id);
        }
        log.trim(add.keep);
        Ok(Added::Up(EventId(last)))
    }

    async fn read(&mut self, read: Read) -> Result<Vec<Entry>, Trouble> {
        Ok(self.memory.read(read))
    }

    async fn restore(&mut self, entries: Vec<Entry>) -> Result<(), Trouble> {
        for entry in entries {
            if self.memory.last.is_none_or(|last| entry.id.0 > last) {
                self.memory.insert(entry.id.0, entry.previous.0, entry.body);
            }
        }
        Ok(())
    }

    async fn mark(&mut self, given: EventId, marker: Vec<u8>) -> Result<(), Trouble> {
        let log = &mut *self.memory;
        let id = even(log.now.max(log.last.unwrap_or(0) + 1).max(given.0 + 1));
        log.insert(id, log.last.unwrap_or(id), marker);
        Ok(())
    }

    async fn ask(&mut self, _: String) -> Result<Asked, Trouble> {
        let nodes = self.memory.nodes.len() as u64;
        Ok(Asked { nodes, asked: 0 })
    }

    async fn tell(&mut self, _: Node, _: String) -> Result<(), Trouble> {
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), Trouble> {
        self.memory.nodes.remove(&self.node.to_string());
        Ok(())
    }
}
