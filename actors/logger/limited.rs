//! Lines that whoever is outside can cause as often as they like: of each kind at most [`A_SECOND`] are
//! written within a second, then how many more there were. So nobody can fill a disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use super::recent;

/// Lines of one kind that are written within a second.
const A_SECOND: u32 = 20;
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
}

/// Warns of a refusal, unless there were many of its `kind` just now.
pub fn refused(kind: &'static str, line: fmt::Arguments<'_>) {
    if may_write(kind) {
        if log::log_enabled!(log::Level::Warn) {
            log::warn!("{line}");
        } else {
            // Whoever looks at the dashboard may see it however little is logged.
            recent::note("warning", &line.to_string());
        }
    }
}

/// Whether one more line of a kind may be written now; if not, it is counted.
pub fn may_write(kind: &'static str) -> bool {
    at_most(kind, A_SECOND)
}

/// As [`may_write`], but `most` in a second.
pub fn at_most(kind: &'static str, most: u32) -> bool {
    let now = Instant::now();
    let (may, withheld) = KINDS.with_borrow_mut(|kinds| {
        let window = kinds.entry(kind).or_insert(Window {
            since: now,
            written: 0,
            withheld: 0,
        });
        let mut withheld = 0;
        if now - window.since >= WINDOW {
            withheld = std::mem::take(&mut window.withheld);
            (window.since, window.written) = (now, 0);
        }
        let may = window.written < most;
        match may {
            true => window.written += 1,
            false => window.withheld += 1,
        }
        (may, withheld)
    });
    own_up(kind, withheld);
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
            (*kind, std::mem::take(&mut window.withheld))
        })
        .collect()
    });
    for (kind, withheld) in over {
        own_up(kind, withheld);
    }
}

fn own_up(kind: &str, withheld: u64) {
    if withheld > 0 {
        log::warn!("{withheld} more like it ({kind}) are not written here");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_its_lines_and_the_rest_is_counted() {
        let written = (0..100).filter(|_| may_write("one")).count();
        assert_eq!(written, A_SECOND as usize);
        assert!(may_write("another"));
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
        assert!(may_write("one") && at_most("rare", 1));
    }
}
