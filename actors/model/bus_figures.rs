//! What the bus counts, for others to see.

use std::cell::{Cell, RefCell};

/// What becomes of messages while the bus is away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BusDown {
    /// They are delivered to this node's own subscribers, and added to the stream afterwards.
    Local,
    /// They are refused.
    Refuse,
}

/// The bus's figures. Counters never go back.
#[derive(Debug, Clone, Default)]
pub struct BusFigures {
    /// Whether the bus is there.
    pub up: Cell<bool>,
    /// Nodes that have been heard of within seven seconds, this one included; none while the bus is away.
    pub nodes: Cell<u64>,
    /// This node's number.
    pub own: Cell<u64>,
    /// Which they are, by their numbers.
    pub present: RefCell<Vec<u64>>,
    /// Streams of the others of them, each as it said last.
    pub others_clients: Cell<u64>,
    /// Streams of this node: the registry's to say.
    pub own_clients: Cell<u64>,
    /// Messages written to the bus.
    pub written: Cell<u64>,
    /// Events read from it.
    pub read: Cell<u64>,
    /// How often it was lost.
    pub losses: Cell<u64>,
    /// Messages refused because it was away.
    pub refused: Cell<u64>,
    /// Events delivered here alone that are still to be added.
    pub waiting: Cell<u64>,
    /// Events added again that Redis had lost.
    pub restored: Cell<u64>,
    /// Entries and messages of the bus that are none of hasses', or too large here.
    pub passed_over: Cell<u64>,
}

impl BusFigures {
    /// Streams of all nodes.
    pub fn clients(&self) -> u64 {
        self.others_clients.get() + self.own_clients.get()
    }
}

/// Adds to a counter.
pub fn count(counter: &Cell<u64>, by: usize) {
    counter.set(counter.get() + by as u64);
}
