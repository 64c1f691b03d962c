//! Ids that are not let in for a time, as a publisher has disconnected them for so long.

use std::collections::BTreeSet;

use foldhash::HashMap;

use crate::model::ClientId;

/// The most ids that are kept out at once; beyond it those go whose time is over first.
const MOST: usize = 100_000;

/// Ids that are not let in, and until when, in seconds since 1970.
#[derive(Debug, Default)]
pub(super) struct Bans {
    until: HashMap<ClientId, u64>,
    by_end: BTreeSet<(u64, ClientId)>,
}

impl Bans {
    /// Keeps an id out until a moment; one that is past lets it in.
    pub(super) fn set(&mut self, id: &ClientId, until: u64, now: u64) {
        if let Some(before) = self.until.remove(id) {
            self.by_end.remove(&(before, id.clone()));
        }
        self.expire(now);
        if until <= now {
            return;
        }
        if self.until.len() == MOST
            && let Some((_, first)) = self.by_end.pop_first()
        {
            self.until.remove(&first);
        }
        self.until.insert(id.clone(), until);
        self.by_end.insert((until, id.clone()));
    }

    /// Whether an id is kept out.
    pub(super) fn has(&self, id: &ClientId, now: u64) -> bool {
        self.until.get(id).is_some_and(|until| *until > now)
    }

    fn expire(&mut self, now: u64) {
        while let Some((until, _)) = self.by_end.first()
            && *until <= now
            && let Some((_, id)) = self.by_end.pop_first()
        {
            self.until.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn id(name: &str) -> ClientId {
        ClientId::new(name).unwrap()
    }

    #[test]
    fn an_id_is_kept_out_until_its_time_is_over() {
        let mut bans = Bans::default();
        bans.set(&id("a"), 100, 50);
        assert!(bans.has(&id("a"), 99) && !bans.has(&id("a"), 100) && !bans.has(&id("b"), 99));
        bans.set(&id("a"), 200, 60);
        assert!(bans.has(&id("a"), 150));
        bans.set(&id("a"), 60, 60);
        assert!(!bans.has(&id("a"), 61), "it is let in again");
        bans.set(&id("b"), 70, 60);
        bans.set(&id("c"), 80, 75);
        assert_eq!(
            (bans.until.len(), bans.by_end.len()),
            (1, 1),
            "what is over is forgotten"
        );
    }

    #[test]
    fn there_are_so_many_at_most() {
        let mut bans = Bans::default();
        for n in 0..MOST as u64 + 10 {
            bans.set(&id(&n.to_string()), 1_000_000 + n, 0);
        }
        assert_eq!((bans.until.len(), bans.by_end.len()), (MOST, MOST));
        assert!(!bans.has(&id("9"), 0) && bans.has(&id("10"), 0));
    }
}
