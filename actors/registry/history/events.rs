//! The kept events themselves, each once, in the order of their ids, whoever they were for.
//!
//! An event is held by the ring of each target that it was for, and goes with the last of them: from
//! anywhere in the order. Signposts, one for each [`SPACING`] events, find an id without a walk along all.

use std::collections::VecDeque;

use super::packed::Packed;
use crate::model::EventId;

/// No event.
const NONE: u32 = u32::MAX;
/// Says that an event was for one target, whose place follows.
const ALONE: u32 = 1 << 31;
/// Events from one signpost to the next, at most.
const SPACING: u32 = 256;

/// A kept event.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) id: EventId,
    /// When it was taken in, in tenths of a second of the history's own clock.
    pub(super) at: u32,
    older: u32,
    newer: u32,
    /// How many rings hold it, or, with [`ALONE`], which one does that is the only one.
    holders: u32,
    pub(super) packed: Packed,
}

/// All kept events.
#[derive(Debug)]
pub(super) struct Events {
    places: Vec<Event>,
    /// The first vacant place; the others follow by their `newer`.
    vacant: u32,
    oldest: u32,
    newest: u32,
    count: usize,
    /// Ids and places of some events, the oldest first.
    signposts: VecDeque<(EventId, u32)>,
    /// Events since the last signpost was set.
    since_signpost: u32,
}

impl Default for Events {
    fn default() -> Self {
        Self {
            places: Vec::new(),
            vacant: NONE,
            oldest: NONE,
            newest: NONE,
            count: 0,
            signposts: VecDeque::new(),
            since_signpost: SPACING,
        }
    }
}

impl Events {
    /// What an event takes in memory besides its packed text: its place, and what the allocator adds.
    pub(super) const OVERHEAD: usize = size_of::<Event>() + 12;

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Takes in an event that is newer than all others, for rings to hold it.
    pub(super) fn push(&mut self, id: EventId, at: u32, packed: Packed) -> u32 {
        let event = Event {
            id,
            at,
            older: self.newest,
            newer: NONE,
            holders: 0,
            packed,
        };
        let place = self.vacant;
        let place = match self.places.get_mut(place as usize) {
            Some(vacant) => {
                self.vacant = vacant.newer;
                *vacant = event;
                place
            }
            None => {
                self.places.push(event);
                self.places.len() as u32 - 1
            }
        };
        match self.places.get_mut(self.newest as usize) {
            Some(newest) => newest.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
        self.count += 1;
        self.since_signpost += 1;
        if self.since_signpost > SPACING {
            self.signposts.push_back((id, place));
            self.since_signpost = 1;
        }
        place
    }

    pub(super) fn get(&self, place: u32) -> &Event {
        &self.places[place as usize]
    }

    pub(super) fn id(&self, place: u32) -> EventId {
        self.get(place).id
    }

    /// The ring of the one target that an event was for holds it.
    pub(super) fn hold_alone(&mut self, place: u32, target: u32) {
        self.places[place as usize].holders = ALONE | target;
    }

    /// One more ring holds an event that was for several targets.
    pub(super) fn hold(&mut self, place: u32) {
        self.places[place as usize].holders += 1;
    }

    /// How many rings hold an event.
    pub(super) fn holders(&self, place: u32) -> u32 {
        let holders = self.get(place).holders;
        if holders & ALONE == 0 { holders } else { 1 }
    }

    /// The one target that an event was for.
    pub(super) fn holder(&self, place: u32) -> Option<u32> {
        let holders = self.get(place).holders;
        (holders & ALONE != 0).then_some(holders & !ALONE)
    }

    /// A ring lets an event go; whether that was the last ring.
    pub(super) fn release(&mut self, place: u32) -> bool {
        let event = &mut self.places[place as usize];
        let last = event.holders & ALONE != 0 || event.holders == 1;
        if last {
            self.remove(place);
        } else {
            event.holders -= 1;
        }
        last
    }

    /// Takes an event out that no ring holds.
    pub(super) fn remove(&mut self, place: u32) {
        let event = &mut self.places[place as usize];
        let (id, older, newer) = (event.id, event.older, event.newer);
        event.packed = Packed::default();
        event.newer = self.vacant;
        event.holders = 0;
        self.vacant = place;
        self.count -= 1;
        match self.places.get_mut(older as usize) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
        match self.places.get_mut(newer as usize) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        self.move_signpost(id, newer);
        if self.count == 0 {
            // The room of a history that was large once.
            *self = Self::default();
        }
    }

    /// Has the next event carry a signpost whose event goes.
    fn move_signpost(&mut self, id: EventId, newer: u32) {
        let Ok(index) = self.signposts.binary_search_by_key(&id, |(id, _)| *id) else {
            return;
        };
        let next = self.signposts.get(index + 1).map(|(_, place)| *place);
        if newer == NONE || next == Some(newer) {
            self.signposts.remove(index);
            if newer == NONE {
                self.since_signpost = SPACING;
            }
        } else {
            self.signposts[index] = (self.id(newer), newer);
        }
    }

    /// The oldest event.
    pub(super) fn oldest(&self) -> Option<u32> {
        Some(self.oldest).filter(|place| *place != NONE)
    }

    /// The event behind another.
    pub(super) fn next(&self, place: u32) -> Option<u32> {
        Some(self.get(place).newer).filter(|place| *place != NONE)
    }

    /// The oldest event that is newer than `id`.
    pub(super) fn after(&self, id: EventId) -> Option<u32> {
        let known = self.signposts.partition_point(|(post, _)| *post <= id);
        let start = known.checked_sub(1).and_then(|n| self.signposts.get(n));
        let mut place = start.map(|(_, place)| *place).or_else(|| self.oldest());
        while let Some(at) = place
            && self.id(at) <= id
        {
            place = self.next(at);
        }
        place
    }

    /// Whether there is an event with this id.
    pub(super) fn has(&self, id: EventId) -> bool {
        let before = EventId(id.0.saturating_sub(1));
        self.after(before).is_some_and(|place| self.id(place) == id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_id_is_found_whatever_went_before(
            steps in proptest::collection::vec((any::<bool>(), 0..1000usize), 0..3000),
        ) {
            let mut events = Events::default();
            let mut model: Vec<(u64, u32)> = Vec::new();
            let mut next = 10;
            for (adds, which) in steps {
                if adds || model.is_empty() {
                    let place = events.push(EventId(next), 0, Packed::default());
                    events.hold(place);
                    model.push((next, place));
                    next += 1 + which as u64 % 3;
                } else {
                    let (_, place) = model.remove(which % model.len());
                    events.release(place);
                }
            }
            prop_assert_eq!(events.len(), model.len());
            for id in 0..next + 3 {
                let after = model.iter().find(|(known, _)| *known > id).map(|(_, place)| *place);
                prop_assert_eq!(events.after(EventId(id)), after);
                prop_assert_eq!(events.has(EventId(id)), model.iter().any(|(known, _)| *known == id));
            }
            let walk = std::iter::successors(events.oldest(), |place| events.next(*place));
            prop_assert!(walk.eq(model.iter().map(|(_, place)| *place)));
            let posts = events.signposts.len();
            prop_assert!(posts <= model.len(), "{} posts for {}", posts, model.len());
        }
    }
}
