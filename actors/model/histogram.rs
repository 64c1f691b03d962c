//! Delays counted by their length.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The upper bounds of the buckets, in microseconds: 100 µs to 10 s. Longer ones are counted too.
pub const BOUNDS: [u32; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// How many delays there were of which length; it only grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// Not cumulative; the last is for what is beyond all bounds.
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl Histogram {
    /// Counts a delay.
    pub fn observe(&mut self, delay: Duration) {
        let micros = delay.as_nanos().div_ceil(1000);
        let bucket = BOUNDS.partition_point(|&bound| u128::from(bound) < micros);
        self.counts[bucket] += 1;
        self.sum += delay;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// All together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// Each bound, and how many delays were not longer.
    pub fn cumulative(&self) -> impl Iterator<Item = (Duration, u64)> {
        let bounds = BOUNDS
            .iter()
            .map(|&bound| Duration::from_micros(bound.into()));
        bounds.zip(self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        }))
    }

    /// What was counted since an `earlier` look at the same histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        let mut counts = self.counts;
        for (count, before) in counts.iter_mut().zip(earlier.counts) {
            *count = count.saturating_sub(before);
        }
        Self {
            counts,
            sum: self.sum.saturating_sub(earlier.sum),
        }
    }

    /// The bound that `share` (0 to 1) of the delays did not pass; none where there were none. Beyond
    /// all bounds it is the last.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0);
        let last = Duration::from_micros(BOUNDS[BOUNDS.len() - 1].into());
        let mut reached = self
            .cumulative()
            .filter(|&(_, count)| count as f64 >= wanted);
        (self.count() > 0).then(|| reached.next().map_or(last, |(bound, _)| bound))
    }
}

/// Measures a delay from one moment to its own end, which is when it is dropped.
#[derive(Debug)]
pub struct Stopwatch {
    since: Instant,
    into: Rc<RefCell<Histogram>>,
}

impl Stopwatch {
    /// Measures from `since`, for `into`.
    pub fn new(since: Instant, into: &Rc<RefCell<Histogram>>) -> Self {
        let into = Rc::clone(into);
        Self { since, into }
    }
}

impl Drop for Stopwatch {
    fn drop(&mut self) {
        self.into.borrow_mut().observe(self.since.elapsed());
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    fn micros(micros: u64) -> Duration {
        Duration::from_micros(micros)
    }

    #[test]
    fn a_delay_is_counted_under_the_first_bound_that_it_does_not_pass() {
        let mut histogram = Histogram::default();
        for delay in [0, 100, 101, 10_000_000, 10_000_001] {
            histogram.observe(micros(delay));
        }
        histogram.observe(Duration::from_nanos(100_001));
        let counts: Vec<_> = histogram.cumulative().collect();
        assert_eq!(counts[0], (micros(100), 2));
        assert_eq!(counts[1], (micros(250), 4));
        assert_eq!(counts[15], (Duration::from_secs(10), 5));
        assert_eq!(histogram.count(), 6);
        assert_eq!(histogram.sum(), Duration::from_nanos(20_000_302_001));
    }

    #[test]
    fn quantiles_are_bounds() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantile(0.5), None);
        for _ in 0..98 {
            histogram.observe(micros(80));
        }
        let earlier = histogram.clone();
        histogram.observe(micros(700));
        histogram.observe(Duration::from_secs(60));
        assert_eq!(histogram.quantile(0.0).unwrap(), micros(100));
        assert_eq!(histogram.quantile(0.98).unwrap(), micros(100));
        assert_eq!(histogram.quantile(0.99).unwrap(), micros(1000));
        assert_eq!(histogram.quantile(1.0).unwrap(), Duration::from_secs(10));
        let since = histogram.since(&earlier);
        assert_eq!(since.count(), 2);
        assert_eq!(since.quantile(0.5).unwrap(), micros(1000));
    }

    #[test]
    fn a_stopwatch_measures_to_its_end() {
        let histogram = Rc::default();
        let began = Instant::now() - Duration::from_millis(20);
        let watch = Stopwatch::new(began, &histogram);
        assert_eq!(histogram.borrow().count(), 0);
        drop(watch);
        assert_eq!(histogram.borrow().count(), 1);
        assert!(histogram.borrow().sum() >= Duration::from_millis(20));
    }
}
