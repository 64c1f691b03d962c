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
    /// Starts below every id to come: at the present time, and at `floor` at least.
    pub fn starting(floor: EventId) -> Self {
        Self {
            last: now().max(floor),
        }
    }

    /// Starts just behind an id that others have given out.
    pub fn at(last: EventId) -> Self {
        Self { last }
    }

    /// Others have given out ids up to this one.
    pub fn advance(&mut self, to: EventId) {
        self.last = self.last.max(to);
    }

    /// The newest id given out; before the first, a number below all to come.
    pub fn last(&self) -> EventId {
        self.last
    }

    /// The time, as an id, or the newest id where that is ahead of the time.
    pub fn now(&self) -> EventId {
        self.last.max(now())
    }

    /// The next id. One beyond `reserved` could be given out again after a crash, so a clock that
    /// jumped is not followed until more is reserved; only when nothing is left, it is all the same.
    pub fn next_id(&mut self, reserved: EventId) -> EventId {
        self.next_at(now(), reserved)
    }

    fn next_at(&mut self, now: EventId, reserved: EventId) -> EventId {
        let least = EventId(self.last.0 + 1);
        let by_clock = now.max(least);
        self.last = if by_clock > reserved && least <= reserved {
            least
        } else {
            by_clock
        };
        self.last
    }
}

/// The time, kept below the bound of ids, which it reaches in the year 2255.
fn now() -> EventId {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let micros = since.map_or(0, |since| since.as_micros() as u64);
    EventId(micros.min(EventId::END - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: EventId = EventId(EventId::END);

    #[test]
    fn ids_grow_when_the_clock_stands_or_goes_back() {
        let mut sequence = Sequence { last: EventId(100) };
        for (now, id) in [(150, 150), (150, 151), (90, 152), (200, 200)] {
            assert_eq!(sequence.next_at(EventId(now), FREE), EventId(id));
        }
        assert_eq!(sequence.last(), EventId(200));
    }

    #[test]
    fn the_first_position_is_below_the_first_id() {
        let mut sequence = Sequence::starting(EventId(0));
        let position = sequence.last();
        assert!(sequence.next_id(FREE) > position);
        assert!(sequence.next_id(FREE).0 < EventId::END);
        let floor = EventId(EventId::END / 2);
        assert_eq!(
            Sequence::starting(floor).next_id(FREE),
            EventId(floor.0 + 1)
        );
    }

    #[test]
    fn a_clock_that_jumped_is_followed_when_ids_are_reserved() {
        let mut sequence = Sequence { last: EventId(100) };
        for (reserved, id) in [(110, 101), (110, 102), (1000, 900), (900, 901)] {
            assert_eq!(
                sequence.next_at(EventId(900), EventId(reserved)),
                EventId(id)
            );
        }
    }
}
