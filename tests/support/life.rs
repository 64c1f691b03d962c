//! What one client of several nodes has seen, in the order in which it saw it: whether ids grow and no event
//! comes twice, and whether each that is missing lies in a gap that was told. The tests of the bus use it with
//! real nodes and with simulated ones.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

/// What a gap stands for: from the last id before it that the log gave, as a node that is alone knows nothing
/// of the others, to the first id behind it.
struct Hole {
    from: u64,
    to: u64,
}

/// Whether the log gave it, and not a node that was alone.
fn is_of_all(id: u64) -> bool {
    id.is_multiple_of(2)
}

/// A client's life so far.
pub struct Life<E> {
    began: Option<u64>,
    reached: u64,
    /// The last id that the log gave.
    of_all: u64,
    /// Whether a gap was told, and nothing has come since that says where it ends.
    gap: bool,
    holes: Vec<Hole>,
    /// Behind how many holes each event was seen last.
    had: HashMap<E, usize>,
}

/// What is wrong with what was seen.
pub struct Wrong {
    /// It came behind this id, which is no older.
    pub behind: Option<u64>,
    /// The event had come before, and no gap was told since.
    pub twice: bool,
}

/// What became of an event.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It came, or need not have come.
    Well,
    /// A gap stands for it.
    Covered,
    Lost,
}

impl<E: Eq + Hash> Default for Life<E> {
    fn default() -> Self {
        Self {
            began: None,
            reached: 0,
            of_all: 0,
            gap: false,
            holes: Vec::new(),
            had: HashMap::new(),
        }
    }
}

impl<E: Eq + Hash> Life<E> {
    /// It is told of a gap.
    pub fn gap(&mut self) {
        self.gap = true;
    }

    /// It sees an id: an event's, or else a position.
    pub fn sees(&mut self, id: u64, event: Option<E>) -> Wrong {
        let is_event = event.is_some();
        let mut wrong = Wrong {
            behind: None,
            twice: false,
        };
        self.began.get_or_insert(id);
        if self.gap {
            self.holes.push(Hole {
                from: self.of_all.min(id),
                to: self.reached.max(id),
            });
        } else if id < self.reached || is_event && id == self.reached {
            wrong.behind = Some(self.reached);
        }
        if let Some(event) = event {
            let holes = self.holes.len();
            wrong.twice = self.had.insert(event, holes) == Some(holes);
        }
        // Who has seen what this node does not know is told of it, and where the node stands.
        self.gap &= is_event;
        self.reached = id;
        if is_of_all(id) {
            self.of_all = id;
        }
        wrong
    }

    /// What became of an event that the client should have got, with these ids on the nodes.
    pub fn fate(&self, event: &E, ids: &BTreeSet<u64>) -> Fate {
        let (Some(began), Some(first), Some(last)) = (self.began, ids.first(), ids.last()) else {
            return Fate::Well;
        };
        let due = began < *first && *last <= self.reached;
        if !due || self.had.contains_key(event) {
            return Fate::Well;
        }
        // Where nobody saw it come from the log, any time may have been before that.
        let is_alone = !ids.iter().any(|id| is_of_all(*id));
        let is_covered = |hole: &Hole| *first <= hole.to && (hole.from < *last || is_alone);
        if self.holes.iter().any(is_covered) {
            Fate::Covered
        } else {
            Fate::Lost
        }
    }
}
