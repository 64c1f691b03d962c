//! The kept events of one target, oldest first: little where there is one, as there may be very many
//! such targets.

use std::collections::VecDeque;

/// A ring of events' places.
#[derive(Debug, Default)]
pub(super) enum Ring {
    /// No event.
    #[default]
    Empty,
    /// One event.
    One(u32),
    /// Two events or more, or room for them.
    #[expect(
        clippy::box_collection,
        reason = "a ring of one event takes a third of the room"
    )]
    Many(Box<VecDeque<u32>>),
}

impl Ring {
    /// What a ring takes in memory beside its target for one event that is not its first.
    pub(super) const NEXT: usize = 8;

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The event with so many older ones.
    pub(super) fn get(&self, index: usize) -> Option<u32> {
        match self {
            Self::One(event) if index == 0 => Some(*event),
            Self::Many(all) => all.get(index).copied(),
            Self::Empty | Self::One(_) => None,
        }
    }

    /// The oldest.
    pub(super) fn front(&self) -> Option<u32> {
        self.get(0)
    }

    /// The newest.
    pub(super) fn back(&self) -> Option<u32> {
        self.get(self.len().checked_sub(1)?)
    }

    /// Takes in the newest.
    pub(super) fn push(&mut self, event: u32) {
        match self {
            Self::Empty => *self = Self::One(event),
            Self::One(first) => *self = Self::Many(Box::new(VecDeque::from([*first, event]))),
            Self::Many(all) => all.push_back(event),
        }
    }

    /// Lets the oldest go.
    pub(super) fn pop(&mut self) -> Option<u32> {
        match self {
            Self::Empty => None,
            Self::One(event) => {
                let event = *event;
                *self = Self::Empty;
                Some(event)
            }
            Self::Many(all) => {
                let event = all.pop_front();
                if all.is_empty() {
                    *self = Self::Empty;
                } else if all.capacity() > 16 && all.len() < all.capacity() / 4 {
                    all.shrink_to(all.len() * 2);
                }
                event
            }
        }
    }

    /// The index of the first event of which `is_before` does not hold.
    pub(super) fn partition_point(&self, is_before: impl Fn(u32) -> bool) -> usize {
        match self {
            Self::Empty => 0,
            Self::One(event) => usize::from(is_before(*event)),
            Self::Many(all) => all.partition_point(|event| is_before(*event)),
        }
    }
}
