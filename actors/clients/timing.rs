//! How late things are: the loop, and events on their way to clients.
//!
//! Neither costs anything for each delivery. A round of the loop is measured by two looks at the
//! clock. Of events at most one a millisecond is measured: its recipients share a copy of its frame
//! that nobody else holds, so the end of that copy is the moment when the last of them has handed it
//! to the system (or was disconnected).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::ClientPool;
use crate::model::Histogram;
use crate::model::histogram::Stopwatch;

/// Between two events that are measured.
const PERIOD: Duration = Duration::from_millis(1);

/// What was measured.
#[derive(Default)]
pub(super) struct Timing {
    rounds: RefCell<Histogram>,
    deliveries: Rc<RefCell<Histogram>>,
    last: Cell<Option<Instant>>,
}

impl Timing {
    /// Counts a round of the loop.
    pub(super) fn round(&self, time: Duration) {
        self.rounds.borrow_mut().observe(time);
    }

    /// A stopwatch for an event that is published `now`, unless one was just measured.
    fn stopwatch(&self, now: Instant) -> Option<Stopwatch> {
        let last = self.last.get();
        if last.is_some_and(|last| now.saturating_duration_since(last) < PERIOD) {
            return None;
        }
        self.last.set(Some(now));
        Some(Stopwatch::new(now, &self.deliveries))
    }
}

impl ClientPool {
    /// Measures an event that is published `now` to its last write, unless one was just measured.
    pub fn stopwatch(&self, now: Instant) -> Option<Stopwatch> {
        self.timing.stopwatch(now)
    }

    /// How long rounds of the loop took, and events to their last write.
    pub fn delays(&self) -> (Histogram, Histogram) {
        let Timing {
            rounds, deliveries, ..
        } = &self.timing;
        (rounds.borrow().clone(), deliveries.borrow().clone())
    }
}
