//! Lines that whoever is outside can cause as often as they like: of each kind at most [`A_SECOND`] are
//! written within a second, then how many more there were. So nobody can fill a disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use log::Level;

use super::recent;

/// Lines of one kind that are written within a second.
pub const A_SECOND: u32 = 20;
/// The time that they are counted in.
const WINDOW: Duration = Duration::from_secs(1);

thread_local! {
    /// What was written of each kind. Kinds are words of this program, so there are few.
    static KINDS: RefCell<BTreeMap<&'static str, Window>> = const { RefCell::new(BTreeMap::new()) };
}

/// What was written of one kind since a moment.
#[derive(Debug)]
struct Window {
    since: Instant,
    written: u32,
    withheld: u64,
    level: Level,
}

/// Warns of a refusal, unless there were many of its `kind` just now.
pub fn refused(kind: &'static str, line: fmt::Arguments<'_>) {
    tell(Level::Warn, kind, line);
}

/// Writes a line, unless there were many of its `kind` just now.
pub fn tell(level: Level, kind: &'static str, line: fmt::Arguments<'_>) {
    if !allows(level, kind, A_SECOND) {
        return;
    }
    if level <= Level::Warn && !log::log_enabled!(level) {
        // Whoever looks at the dashboard may see it however little is logged.
        recent::note("warning", &line.to_string());
    }
    log::log!(level, "{line}");
}

/// Whether one more line of a kind may be written now, of which a second has `most`; if not, it is
/// counted.
pub fn at_most(kind: &'static str, most: u32) -> bool {
    allows(Level::Info, kind, most)
}

fn allows(level: Level, kind: &'static str, most: u32) -> bool {
    let now = Instant::now();
    let (may, withheld) = KINDS.with_borrow_mut(|kinds| {
        let window = kinds.entry(kind).or_insert(Window {
            since: now,
            written: 0,
            withheld: 0,
            level,
        });
        let mut withheld = 0;
        if now - window.since >= WINDOW {
            withheld = std::mem::take(&mut window.withheld);
            (window.since, window.written) = (now, 0);
        }
        let may = window.written < most;
        if may {
            window.written += 1
        } else {
            window.withheld += 1
        }
        (may, withheld)
    });
    own_up(level, kind, withheld);
    may
}

/// Tells how many lines were withheld, of each kind whose second is over; to be called every second or so.
pub fn tell_withheld() {
    let now = Instant::now();
    let over: Vec<_> = KINDS.with_borrow_mut(|kinds| {
        let windows = kinds.iter_mut();
        let over =
            windows.filter(|(_, window)| now - window.since >= WINDOW && window.withheld > 0);
        over.map(|(kind, window)| {
            (window.since, window.written) = (now, 0);
            (window.level, *kind, std::mem::take(&mut window.withheld))
        })
        .collect()
    });
    for (level, kind, withheld) in over {
        own_up(level, kind, withheld);
    }
}

fn own_up(level: Level, kind: &str, withheld: u64) {
    if withheld > 0 {
        log::log!(level, "and {withheld} more: {kind}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_lines_and_the_rest_is_counted() {
        let written = (0..100).filter(|_| at_most("one", A_SECOND)).count();
        assert_eq!(written, A_SECOND as usize);
        assert!(at_most("another", 1));
        assert!(at_most("rare", 1) && !at_most("rare", 1));
        KINDS.with_borrow(|kinds| assert_eq!(kinds["one"].withheld, 80));
        tell_withheld();
        KINDS.with_borrow(|kinds| assert_eq!(kinds["one"].withheld, 80, "its second goes on"));
        KINDS.with_borrow_mut(|kinds| {
            for window in kinds.values_mut() {
                window.since -= WINDOW;
            }
        });
        tell_withheld();
        KINDS.with_borrow(|kinds| assert_eq!(kinds["one"].withheld, 0));
        assert!(at_most("one", 1) && at_most("rare", 1));
    }
}
