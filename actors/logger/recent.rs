//! The newest warnings and errors, for whoever looks at the dashboard.

use std::sync::Mutex;
use std::time::SystemTime;

use crate::model::{Bounded, Note};

/// How many are kept.
const KEPT: usize = 100;
/// Their longest text in bytes.
const LONGEST: usize = 400;

/// What is kept, and how many there have been. Other threads have a say too.
struct Notes {
    kept: Bounded<Note>,
    count: u64,
}

static NOTES: Mutex<Notes> = Mutex::new(Notes {
    kept: Bounded::new(),
    count: 0,
});

/// Keeps a warning or an error.
pub fn note(level: &'static str, text: &str) {
    let end = text.floor_char_boundary(LONGEST);
    // Poisoned only by a panic between two of these lines; what is there is still right.
    let mut notes = NOTES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    notes.count += 1;
    let note = Note {
        number: notes.count,
        at: SystemTime::now(),
        level,
        text: text[..end].to_owned(),
    };
    notes.kept.push(note);
    notes.kept.pop_beyond(KEPT, usize::MAX);
}

/// Those behind the one with this number, the oldest first.
pub fn since(number: u64) -> Vec<Note> {
    let notes = NOTES
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    let newer = notes.kept.iter().filter(|note| note.number > number);
    newer.cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_kept() {
        let before = since(0).last().map_or(0, |note| note.number);
        for n in 0..KEPT + 5 {
            note("warning", &format!("{n} {}", "é".repeat(300)));
        }
        let newest = since(before);
        assert!(newest.len() <= KEPT && since(0).len() == KEPT);
        let last = &newest[newest.len() - 1];
        assert!(last.text.starts_with("104 é") && last.text.len() <= LONGEST);
        assert!(since(last.number).is_empty() || since(last.number)[0].number > last.number);
    }
}
