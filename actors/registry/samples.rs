//! The last two minutes, for whoever opens the dashboard: one sample a second.

use std::time::{Duration, Instant, SystemTime};

use super::Registry;
use super::session::Phase;
use crate::model::{Bounded, Sample};

/// How many samples are kept.
const KEPT: usize = 120;
/// Between two samples; a tick may come a little early.
const PERIOD: Duration = Duration::from_millis(950);

/// The samples that are kept.
#[derive(Debug, Default)]
pub(super) struct Samples {
    samples: Bounded<Sample>,
    last: Option<Instant>,
}

impl Samples {
    /// Whether it is time for the next sample.
    fn is_due(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now - last >= PERIOD);
        if due {
            self.last = Some(now);
        }
        due
    }

    fn push(&mut self, sample: Sample) {
        self.samples.push(sample);
        self.samples.pop_beyond(KEPT, usize::MAX);
    }

    /// All samples, the oldest first.
    pub(super) fn all(&self) -> Vec<Sample> {
        self.samples.iter().copied().collect()
    }
}

impl Registry {
    /// Keeps a sample, if it is time for one.
    pub(super) fn sample(&mut self, now: Instant) {
        if !self.samples.is_due(now) {
            return;
        }
        let totals = self.pool.totals();
        let (streams, live) = (self.sessions.streams(), self.sessions.count_in(Phase::Live));
        self.samples.push(Sample {
            at: SystemTime::now(),
            clients: totals.connected as u64,
            replaying: streams.saturating_sub(live) as u64,
            messages: self.counters.all_messages(),
            events: totals.events,
            bytes: totals.bytes,
            slow: self.counters.slow,
            replays: self.counters.replays,
            gaps: self.counters.gaps,
            history: self.history.len() as u64,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_second_is_kept_for_two_minutes() {
        let (mut samples, now) = (Samples::default(), Instant::now());
        assert!(samples.is_due(now) && !samples.is_due(now + Duration::from_millis(200)));
        assert!(samples.is_due(now + Duration::from_secs(1)));
        for n in 0..KEPT as u64 + 3 {
            samples.push(Sample {
                at: SystemTime::UNIX_EPOCH,
                clients: n,
                replaying: 0,
                messages: 0,
                events: 0,
                bytes: 0,
                slow: 0,
                replays: 0,
                gaps: 0,
                history: 0,
            });
        }
        let all = samples.all();
        assert_eq!((all.len(), all[0].clients), (KEPT, 3));
    }
}
