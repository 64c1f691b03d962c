//! Lines about things that whoever connects can make happen as often as he likes: of each kind so many
//! a second, then how many more there were.

use std::fmt::Arguments;
use std::time::{Duration, Instant};

use log::Level;

/// Lines of one kind within [`PERIOD`].
const MOST: u32 = 20;
const PERIOD: Duration = Duration::from_secs(1);

/// What was told lately, by kind. Kinds are few: they are words of this program.
#[derive(Debug, Default)]
pub struct LimitedLog {
    kinds: Vec<Kind>,
}

#[derive(Debug)]
struct Kind {
    name: &'static str,
    level: Level,
    since: Instant,
    told: u32,
    more: u64,
}

impl LimitedLog {
    /// Writes a line, unless there were [`MOST`] of its kind just now; then it is counted.
    pub fn tell(&mut self, level: Level, name: &'static str, line: Arguments<'_>) {
        let now = Instant::now();
        let at = self.kinds.iter().position(|kind| kind.name == name);
        let at = at.unwrap_or_else(|| {
            self.kinds.push(Kind {
                name,
                level,
                since: now,
                told: 0,
                more: 0,
            });
            self.kinds.len() - 1
        });
        let kind = &mut self.kinds[at];
        kind.begin_again(now);
        if kind.told < MOST {
            kind.told += 1;
            log::log!(level, "{line}");
        } else {
            kind.more += 1;
        }
    }

    /// Tells how many more there were, of kinds whose second is over; for a tick of the clock.
    pub fn tick(&mut self) {
        let now = Instant::now();
        for kind in &mut self.kinds {
            kind.begin_again(now);
        }
    }
}

impl Kind {
    fn begin_again(&mut self, now: Instant) {
        if now - self.since < PERIOD {
            return;
        }
        if self.more > 0 {
            log::log!(self.level, "refused {} more: {}", self.more, self.name);
        }
        (self.since, self.told, self.more) = (now, 0, 0);
    }
}
