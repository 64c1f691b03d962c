//! What was let go of each target: the newest id of it.
//!
//! A subscriber who has seen that id, or a newer one, has missed nothing. There are exact marks for
//! [`MOST`] targets; with more, those with the oldest marks merge into one for all, the newest of theirs.

use super::heap::{Heap, NOWHERE, Ranking};
use crate::model::EventId;

/// Exact marks.
pub(super) const MOST: usize = 100_000;

#[derive(Debug)]
struct Mark {
    id: EventId,
    /// Whose it is.
    target: u32,
    /// Its place in the order.
    place: u32,
}

/// All marks.
#[derive(Debug)]
pub(super) struct Marks {
    marks: Vec<Mark>,
    vacant: Vec<u32>,
    /// The oldest first.
    order: Heap,
    /// Of all targets that have none of their own.
    shared: EventId,
    /// The newest of all.
    newest: EventId,
    most: usize,
}

struct Oldest<'a>(&'a mut [Mark]);

impl Ranking for Oldest<'_> {
    fn precedes(&self, a: u32, b: u32) -> bool {
        self.0[a as usize].id < self.0[b as usize].id
    }

    fn place(&mut self, item: u32) -> &mut u32 {
        &mut self.0[item as usize].place
    }
}

impl Marks {
    /// No marks; of all targets everything up to `shared` may have been let go.
    pub(super) fn new(shared: EventId, most: usize) -> Self {
        Self {
            marks: Vec::new(),
            vacant: Vec::new(),
            order: Heap::default(),
            shared,
            newest: shared,
            most,
        }
    }

    /// Everything up to `id` may have been let go of all targets.
    pub(super) fn share(&mut self, id: EventId) {
        self.shared = self.shared.max(id);
        self.newest = self.newest.max(id);
    }

    /// Of all targets everything up to this id may have been let go.
    pub(super) fn shared(&self) -> EventId {
        self.shared
    }

    /// Of no target anything newer was let go.
    pub(super) fn newest(&self) -> EventId {
        self.newest
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    /// The id of a mark.
    pub(super) fn id(&self, mark: u32) -> EventId {
        self.marks
            .get(mark as usize)
            .map_or(EventId(0), |mark| mark.id)
    }

    /// Marks a target that has no mark yet.
    pub(super) fn add(&mut self, target: u32, id: EventId) -> u32 {
        self.newest = self.newest.max(id);
        let mark = Mark {
            id,
            target,
            place: NOWHERE,
        };
        let index = match self.vacant.pop() {
            Some(index) => {
                self.marks[index as usize] = mark;
                index
            }
            None => {
                self.marks.push(mark);
                self.marks.len() as u32 - 1
            }
        };
        self.order.push(index, &mut Oldest(&mut self.marks));
        index
    }

    /// Something newer was let go of the same target, or older.
    pub(super) fn renew(&mut self, mark: u32, id: EventId) {
        self.newest = self.newest.max(id);
        let known = &mut self.marks[mark as usize];
        if id > known.id {
            known.id = id;
            self.order.update(mark, &mut Oldest(&mut self.marks));
        }
    }

    /// If there are too many marks, merges the oldest; whose it was.
    pub(super) fn merge(&mut self) -> Option<u32> {
        let oldest = self
            .order
            .first()
            .filter(|_| self.order.len() > self.most)?;
        self.order.remove(oldest, &mut Oldest(&mut self.marks));
        self.vacant.push(oldest);
        let Mark { id, target, .. } = self.marks[oldest as usize];
        self.shared = self.shared.max(id);
        Some(target)
    }

    /// The marks at some places: whose each is, and its id.
    pub(super) fn some(&self, from: usize, most: usize) -> impl Iterator<Item = (u32, EventId)> {
        let some = self.marks.iter().skip(from).take(most);
        let there = some.filter(|mark| mark.place != NOWHERE);
        there.map(|mark| (mark.target, mark.id))
    }

    /// How many places there are.
    pub(super) fn places(&self) -> usize {
        self.marks.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_marks_merge_into_the_newest_of_theirs() {
        let mut marks = Marks::new(EventId(3), 2);
        let first = marks.add(7, EventId(10));
        marks.add(8, EventId(20));
        assert_eq!(marks.merge(), None);
        marks.renew(first, EventId(30));
        marks.add(9, EventId(25));
        assert_eq!(marks.merge(), Some(8));
        assert_eq!(marks.merge(), None);
        assert_eq!(
            (marks.shared(), marks.newest(), marks.len()),
            (EventId(20), EventId(30), 2)
        );
        // One that was let go long ago is no newer than the shared one.
        marks.add(8, EventId(5));
        assert_eq!(marks.merge(), Some(8));
        assert_eq!(marks.shared(), EventId(20));
        let mut all: Vec<_> = marks.some(0, 9).collect();
        all.sort_unstable();
        assert_eq!(all, [(7, EventId(30)), (9, EventId(25))]);
    }
}
