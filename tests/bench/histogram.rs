//! Times, counted in classes that are 1.6 % wide.

/// Classes for every power of two: 2^6.
const BITS: u32 = 6;
const STEPS: u64 = 1 << BITS;

/// How often each time was seen. Times are in nanoseconds.
#[derive(Debug, Clone)]
pub(crate) struct Histogram {
    classes: Vec<u64>,
    count: u64,
    most: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self {
            classes: vec![0; (u64::from(65 - BITS) * STEPS) as usize],
            count: 0,
            most: 0,
        }
    }

    pub(crate) fn add(&mut self, time: u64) {
        let class = match time {
            0..STEPS => time,
            _ => {
                let shift = 63 - BITS - time.leading_zeros();
                u64::from(shift + 1) * STEPS + (time >> shift & (STEPS - 1))
            }
        };
        self.classes[class as usize] += 1;
        self.count += 1;
        self.most = self.most.max(time);
    }

    /// The time that this part of all (0 to 1) did not exceed, in microseconds.
    pub(crate) fn microseconds(&self, part: f64) -> f64 {
        let wanted = ((part * self.count as f64).ceil() as u64).max(1);
        let mut seen = 0;
        for (class, count) in (0..).zip(&self.classes) {
            seen += count;
            if seen >= wanted {
                return middle(class).min(self.most as f64) / 1000.0;
            }
        }
        self.most as f64 / 1000.0
    }
}

/// The middle of a class.
fn middle(class: u64) -> f64 {
    if class < STEPS {
        return class as f64;
    }
    let width = 2f64.powi((class / STEPS) as i32 - 1);
    ((STEPS + class % STEPS) as f64 + 0.5) * width
}
