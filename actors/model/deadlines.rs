//! When streams end that were allowed for a time only. Streams without an end cost nothing here.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foldhash::HashMap;

/// The time since 1970, by a clock that may be set: the ends are moments of that clock.
pub fn since_1970() -> Duration {
    // A clock that stands before 1970 stands still here.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

/// Clients and their ends, at most one for each.
#[derive(Debug, Default)]
pub struct Deadlines {
    in_order: BTreeSet<(Duration, u32)>,
    by_client: HashMap<u32, Duration>,
}

impl Deadlines {
    /// Sets a client's end, since 1970, in place of any it had.
    pub fn set(&mut self, client: u32, end: Duration) {
        self.remove(client);
        self.by_client.insert(client, end);
        self.in_order.insert((end, client));
    }

    /// Forgets a client's end, if it had one.
    pub fn remove(&mut self, client: u32) {
        if let Some(end) = self.by_client.remove(&client) {
            self.in_order.remove(&(end, client));
        }
    }

    /// Takes the next client whose end has come.
    pub fn due(&mut self, now: Duration) -> Option<u32> {
        let &(_, client) = self.in_order.first().filter(|(end, _)| *end <= now)?;
        self.remove(client);
        Some(client)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_come_in_their_order_and_once() {
        let at = Duration::from_secs;
        let mut deadlines = Deadlines::default();
        for (client, end) in [(1, 30), (2, 10), (3, 20), (4, 10), (2, 25)] {
            deadlines.set(client, at(end));
        }
        deadlines.remove(3);
        deadlines.remove(7);
        assert_eq!(deadlines.due(at(9)), None);
        assert_eq!(deadlines.due(at(25)), Some(4));
        assert_eq!(deadlines.due(at(25)), Some(2));
        assert_eq!(deadlines.due(at(29)), None);
        assert_eq!(deadlines.due(at(30)), Some(1));
        assert_eq!(deadlines.due(at(90)), None);
        assert!(deadlines.in_order.is_empty() && deadlines.by_client.is_empty());
    }
}
