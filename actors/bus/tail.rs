//! What this node holds of the stream, so that it can be added again where Redis has lost it.

use std::collections::VecDeque;
use std::time::Duration;

use super::entry::Entry;
use crate::model::Limits;
use crate::model::{EventId, Record};

/// The newest entries, within the history's limits.
#[derive(Debug)]
pub(super) struct LogTail {
    limits: Limits,
    entries: VecDeque<Entry>,
    /// Of all together.
    items: usize,
    bytes: usize,
}

impl LogTail {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            items: 0,
            bytes: 0,
        }
    }

    /// Holds one more, which is newer than all others. The oldest goes when the others are enough.
    pub(super) fn hold(&mut self, entry: Entry) {
        self.bytes += cost(&entry);
        self.items += entry.count();
        let newest = entry.id;
        self.entries.push_back(entry);
        let Limits { count, bytes, age } = self.limits;
        let oldest = before(newest, age);
        while let Some(first) = self.entries.front() {
            let others = self.items - first.count();
            if others < count && self.bytes <= bytes && first.id >= oldest {
                break;
            }
            self.items = others;
            self.bytes -= cost(first);
            self.entries.pop_front();
        }
    }

    /// What bounds it.
    pub(super) fn limits(&self) -> Limits {
        self.limits
    }

    /// Has other bounds from the next entry on.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The oldest.
    pub(super) fn oldest(&self) -> Option<EventId> {
        self.entries.front().map(|entry| entry.id)
    }

    /// Whether this one is held.
    pub(super) fn has(&self, id: EventId) -> bool {
        let place = self.entries.binary_search_by_key(&id, |entry| entry.id);
        place.is_ok()
    }

    /// All that are newer than `id`.
    pub(super) fn after(&self, id: EventId) -> Vec<Entry> {
        let start = self.entries.partition_point(|entry| entry.id <= id);
        self.entries.range(start..).cloned().collect()
    }
}

/// The id of that long before `id`, as ids are microseconds.
pub(super) fn before(id: EventId, age: Duration) -> EventId {
    let age = u64::try_from(age.as_micros()).unwrap_or(u64::MAX);
    EventId(id.0.saturating_sub(age))
}

fn cost(entry: &Entry) -> usize {
    entry.body.len() + Record::OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::super::entry::{self, Node, VERSION};
    use super::*;

    fn single(id: u64) -> Entry {
        Entry {
            id: EventId(id),
            previous: EventId(id - 1),
            body: vec![0; 72],
        }
    }

    #[test]
    fn the_oldest_is_held_as_long_as_the_others_are_not_enough() {
        let mut tail = LogTail::new(Limits {
            count: 5,
            bytes: 10_000,
            age: Duration::from_secs(1),
        });
        let three = |id| Entry {
            body: entry::pack(VERSION, Node(1), id, [[0u8].as_slice(); 3].into_iter()),
            ..single(id)
        };
        for (id, oldest) in [(13, 13), (16, 13), (19, 16), (22, 19)] {
            tail.hold(three(id));
            assert_eq!(tail.oldest(), Some(EventId(oldest)));
        }
        tail.hold(single(23));
        assert_eq!(tail.oldest(), Some(EventId(19)), "four would not be enough");
        tail.hold(single(24));
        assert_eq!(tail.oldest(), Some(EventId(22)));
    }

    #[test]
    fn it_holds_the_newest_within_its_limits() {
        let limits = Limits {
            count: 3,
            bytes: 500,
            age: Duration::from_micros(100),
        };
        let mut tail = LogTail::new(limits);
        assert_eq!(tail.oldest(), None);
        for id in [10, 20, 30] {
            tail.hold(single(id));
        }
        // Two have 400 bytes, three would have 600.
        assert_eq!(tail.oldest(), Some(EventId(20)));
        assert!(tail.has(EventId(30)) && !tail.has(EventId(25)));
        assert_eq!(tail.after(EventId(20)), [single(30)]);
        assert_eq!(tail.after(EventId(5)), [single(20), single(30)]);
        tail.hold(single(125));
        assert_eq!(tail.oldest(), Some(EventId(30)));
        tail.hold(single(300));
        assert_eq!(tail.oldest(), Some(EventId(300)));
        tail.set_limits(Limits { count: 0, ..limits });
        tail.hold(single(301));
        assert_eq!(tail.oldest(), None);
    }
}
