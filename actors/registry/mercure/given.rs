//! Ids that publishers gave, and the numbers of their events.

use foldhash::HashMap;

use crate::model::EventId;

/// Ids that may be looked through at once for those whose events are not kept any more.
const FEWEST: usize = 1024;

/// The ids of events that are kept. Of events with the same id the oldest counts.
#[derive(Debug, Default)]
pub(super) struct Given {
    numbers: HashMap<Box<str>, EventId>,
    /// With so many, those of events that are gone are looked for.
    most: usize,
}

impl Given {
    /// Enters an event's id; `kept` says whether an event is kept.
    pub(super) fn enter(&mut self, id: &str, number: EventId, kept: impl Fn(EventId) -> bool) {
        if let Some(older) = self.numbers.get_mut(id) {
            if !kept(*older) {
                *older = number;
            }
            return;
        }
        if self.numbers.len() >= self.most.max(FEWEST) {
            self.numbers.retain(|_, number| kept(*number));
            // So that each id costs the same, however many there are.
            self.most = self.numbers.len() * 2;
            if self.numbers.capacity() > self.most.max(FEWEST) * 4 {
                self.numbers.shrink_to_fit();
            }
        }
        self.numbers.insert(id.into(), number);
    }

    /// The number of the event with this id, if it was kept when it was looked at last.
    pub(super) fn find(&self, id: &str) -> Option<EventId> {
        self.numbers.get(id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_is_kept_counts() {
        let mut given = Given::default();
        given.enter("a", EventId(1), |_| true);
        given.enter("a", EventId(2), |_| true);
        assert_eq!(given.find("a"), Some(EventId(1)));
        given.enter("a", EventId(3), |_| false);
        assert_eq!(given.find("a"), Some(EventId(3)));
        assert_eq!(given.find("b"), None);
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut given = Given::default();
        for n in 0..10_000 {
            given.enter(&n.to_string(), EventId(n), |id| id.0 + 10 > n);
        }
        assert!(given.numbers.len() <= FEWEST + 1, "{}", given.numbers.len());
        assert_eq!(given.find("9999"), Some(EventId(9999)));
    }
}
