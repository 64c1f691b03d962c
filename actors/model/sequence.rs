//! Where event ids come from.

use std::time::{SystemTime, UNIX_EPOCH};

use super::EventId;

/// Gives out event ids: the time in microseconds, or the last id plus one where the clock has not
/// moved on (or went back).
#[derive(Debug)]
pub struct Sequence {
    last: EventId,
}

impl Sequence {
    /// Starts below every id to come: at the present time.
    pub fn starting_now() -> Self {
        Self {
            last: EventId(now()),
        }
    }

    /// The newest id given out; before the first, a number below all to come.
    pub fn last(&self) -> EventId {
        self.last
    }

    /// The next id.
    pub fn next_id(&mut self) -> EventId {
        self.next_at(now())
    }

    fn next_at(&mut self, micros: u64) -> EventId {
        // 2^53 microseconds are reached in the year 2255; a clock beyond it must not break the bound.
        self.last = EventId(micros.min(EventId::END - 1).max(self.last.0 + 1));
        self.last
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros() as u64)
        .min(EventId::END / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_grow_when_the_clock_stands_or_goes_back() {
        let mut sequence = Sequence { last: EventId(100) };
        assert_eq!(sequence.next_at(150), EventId(150));
        assert_eq!(sequence.next_at(150), EventId(151));
        assert_eq!(sequence.next_at(90), EventId(152));
        assert_eq!(sequence.next_at(200), EventId(200));
        assert_eq!(sequence.last(), EventId(200));
    }

    #[test]
    fn the_first_position_is_below_the_first_id() {
        let mut sequence = Sequence::starting_now();
        let position = sequence.last();
        assert!(sequence.next_id() > position);
        assert!(sequence.next_id().0 < EventId::END);
    }
}
