//! What the bus asks of a log that several nodes share, and what it is answered.
//!
//! [`redis`](super::redis) performs it on a stream of Redis, the simulation in memory.

use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use super::core::Input;
use super::entry::{Entry, Node};
use crate::model::EventId;

/// How many shares there are of the ids that nodes give out alone. With more nodes than that some
/// have the same.
pub(super) const RESIDUES: u64 = 64;
/// How far ahead of the time an id may be, in microseconds: a day. What is further ahead hasses did not write.
pub(super) const AHEAD: u64 = 86_400_000_000;
/// A node that has not been heard of for this long does not count any more: within ten seconds, as the
/// others look every three.
pub(super) const DEAD: Duration = Duration::from_secs(7);

/// A log that several nodes share, as one of them is connected to it. It gives the ids.
pub(super) trait Log {
    /// Says that a node lives, and asks how the log is.
    async fn meet(&mut self, meet: Meet) -> Result<Met, Trouble>;
    /// Adds entries; they get their ids.
    async fn add(&mut self, add: Add) -> Result<Added, Trouble>;
    /// At most `count` entries newer than `after`: at once, or when there are any or a second has passed.
    async fn read(&mut self, read: Read) -> Result<Vec<Entry>, Trouble>;
    /// Adds again what the log has lost: those that are newer than all it has.
    async fn restore(&mut self, entries: Vec<Entry>) -> Result<(), Trouble>;
    /// Adds a gap marker that is newer than everything, and than this id.
    async fn mark(&mut self, given: EventId, marker: Vec<u8>) -> Result<(), Trouble>;
    /// Tells all other nodes something, beside the log. Nothing keeps it.
    async fn ask(&mut self, what: String) -> Result<Asked, Trouble>;
    /// Tells one node something, if it listens.
    async fn tell(&mut self, node: Node, what: String) -> Result<(), Trouble>;
    /// Says that this node ends.
    async fn leave(&mut self) -> Result<(), Trouble>;
}

/// One thing to be asked of a log.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Meet(Meet),
    Add(Add),
    Read(Read),
    Restore(Vec<Entry>),
    Mark { given: EventId, marker: Vec<u8> },
    Ask(String),
    Tell(Node, String),
}

impl Call {
    /// Asks it, and gives the answer as the core takes it in.
    pub(super) async fn perform(self, log: &mut impl Log) -> Input {
        let answer = match self {
            Self::Meet(meet) => log.meet(meet).await.map(Input::Met),
            Self::Add(add) => log.add(add).await.map(Input::Added),
            Self::Read(read) => log.read(read).await.map(Input::Read),
            Self::Restore(entries) => log.restore(entries).await.map(|()| Input::Restored),
            Self::Mark { given, marker } => log.mark(given, marker).await.map(|()| Input::Marked),
            Self::Ask(what) => return Input::Said(log.ask(what).await.map(Some)),
            Self::Tell(node, what) => {
                return Input::Said(log.tell(node, what).await.map(|()| None));
            }
        };
        answer.unwrap_or_else(Input::Broken)
    }
}

/// A node says that it lives.
#[derive(Debug, Clone)]
pub(super) struct Meet {
    pub(super) keep: Keep,
    /// The newest id that it has read.
    pub(super) seen: EventId,
    /// How many streams it has.
    pub(super) clients: u64,
    /// Its share of the ids.
    pub(super) residue: u64,
    /// Whether it comes to the log, or comes back.
    pub(super) joining: bool,
    pub(super) stage: Stage,
}

/// How far a node is. One counts those that are as far as itself: who comes back waits for all that may hold
/// what the log has lost, who comes for the first time until these are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It was with the log, and comes back.
    Back,
    /// It comes for the first time.
    New,
    /// It is with the log, which has all that it has.
    Joined,
}

/// What a meeting tells.
#[derive(Debug, Clone)]
pub(super) struct Met {
    /// The newest id of the log; none where there is no log.
    pub(super) last: Option<EventId>,
    /// For who joins: the oldest that it keeps, if any.
    pub(super) first: Option<EventId>,
    /// For who joins: whether it has what this node has read last.
    pub(super) has: bool,
    /// All nodes, by their names; for one that comes for the first time also those that are silent since
    /// another run of the log.
    pub(super) nodes: BTreeSet<String>,
    /// Those that are with the same run of the log and as far as this one, and have nothing that the log lacks.
    pub(super) with: BTreeSet<String>,
    pub(super) others_clients: u64,
    /// Which share of the ids is the node's own.
    pub(super) residue: u64,
    /// The newest version of entries that all nodes know.
    pub(super) version: u8,
}

/// Entries to be added.
#[derive(Debug, Clone)]
pub(super) struct Add {
    pub(super) keep: Keep,
    /// The newest id that the node has read.
    pub(super) seen: EventId,
    /// The newest id that its streams may stand at.
    pub(super) given: EventId,
    pub(super) entries: Vec<Unwritten>,
}

/// An entry to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unwritten {
    /// The id that it has already, or 0.
    pub(super) id: EventId,
    /// How many items it has.
    pub(super) count: usize,
    /// Its body.
    pub(super) body: Vec<u8>,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Added {
    /// All is written; this is the newest id now.
    Up(EventId),
    /// Nothing is: the log has gone back.
    Behind,
}

/// A part of the log is to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    pub(super) after: EventId,
    pub(super) count: usize,
    /// Whether to wait for entries.
    pub(super) wait: bool,
}

/// Who was told something.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    /// Nodes that have been heard of lately, this one included.
    pub(super) nodes: u64,
    /// How many of the others listen.
    pub(super) asked: u64,
}

/// What the log is to keep: entries that are both that new and no older than that.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keep {
    pub(super) from: EventId,
    pub(super) age: Duration,
}

/// Why the log cannot be used now.
#[derive(Debug, Clone)]
pub struct Trouble {
    text: Rc<str>,
    wrong: bool,
}

impl Trouble {
    /// One that may pass.
    pub(super) fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            wrong: false,
        }
    }

    /// One that waiting will not help against.
    pub(super) fn wrong(text: &str) -> Self {
        Self {
            wrong: true,
            ..Self::new(text)
        }
    }

    /// Whether waiting will not help: the URL, or what Redis allows its user, is not right.
    pub fn is_wrong(&self) -> bool {
        self.wrong
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
