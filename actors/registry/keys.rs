//! Publishers' keys, so that a message that is sent again is taken in once.
//!
//! A key is known for [`TIME`] after its event's id, by the clock of ids, so that all nodes of a bus forget
//! it at the same event; and no more than [`MOST`] keys are.

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::HashMap;
use foldhash::quality::RandomState;

use super::history::Name;
use crate::messages::publisher::{Receipt, Taken};
use crate::model::{EventId, Publication};

/// Microseconds for which a key is known.
const TIME: u64 = 300 * 1_000_000;
/// How many keys are known at most.
const MOST: usize = 100_000;

/// What is known of a key.
#[derive(Debug, Clone, Copy)]
struct Known {
    /// Of what was published.
    content: u64,
    receipt: Receipt,
    /// Whether a history file told it, which need not have all messages of a request.
    recovered: bool,
}

/// The keys of the last few minutes.
#[derive(Debug, Default)]
pub(super) struct Keys {
    known: HashMap<Box<str>, Known>,
    /// In the order of the ids.
    order: VecDeque<(EventId, Box<str>)>,
    hasher: RandomState,
}

impl Keys {
    /// Forgets what is too old when `now` is the newest id, or the time.
    pub(super) fn forget(&mut self, now: EventId) {
        while let Some((id, _)) = self.order.front()
            && (id.0 + TIME < now.0 || self.order.len() > MOST)
            && let Some((_, key)) = self.order.pop_front()
        {
            self.known.remove(&key);
        }
    }

    /// What became of a message when it was sent before: the receipt of that time, or that its key is
    /// another message's. None for one that is new, or has no key.
    pub(super) fn known(&self, publication: &Publication) -> Option<Receipt> {
        let known = self.known.get(publication.key.as_deref()?)?;
        let how = if known.content == self.content(publication) {
            Taken::Before
        } else {
            Taken::Clash
        };
        Some(Receipt {
            how,
            ..known.receipt
        })
    }

    /// Remembers a message that was taken in.
    pub(super) fn remember(
        &mut self,
        publication: &Publication,
        receipt: Receipt,
        recovered: bool,
    ) {
        let Some(key) = &publication.key else { return };
        self.forget(receipt.id);
        let content = self.content(publication);
        let known = Known {
            content,
            receipt,
            recovered,
        };
        if self.known.insert(key.clone(), known).is_none() {
            self.order.push_back((receipt.id, key.clone()));
        }
    }

    /// Remembers a message of the time before, of which another node tells, unless its key is known.
    pub(super) fn recover(&mut self, publication: &Publication, receipt: Receipt) {
        let key = publication.key.as_deref();
        if key.is_some_and(|key| !self.known.contains_key(key)) {
            self.remember(publication, receipt, true);
        }
    }

    /// All of the time before is there: keys are forgotten in the order of their ids.
    pub(super) fn settle(&mut self) {
        self.order.make_contiguous().sort_by_key(|(id, _)| *id);
    }

    /// The first key of a request's messages that is another message's, or that is known for a request
    /// with more or fewer messages.
    pub(super) fn clash<'a>(&self, publications: &'a [Publication]) -> Option<&'a str> {
        let is_clash = |receipt: Receipt| receipt.how == Taken::Clash;
        let clashes = |one: &&Publication| self.known(one).is_some_and(is_clash);
        let first = publications.iter().find(clashes);
        if let Some(key) = first.and_then(|publication| publication.key.as_deref()) {
            return Some(key);
        }
        // Those of one key for the whole request: see `wire::json::keyed`.
        let base = publications.first()?.key.as_deref()?;
        let part = |place: usize| format!("{base}\0{place}");
        let second = publications.get(1).and_then(|second| second.key.as_deref());
        let of_all = second == Some(&*part(1));
        if publications.len() > 1 && !of_all {
            return None;
        }
        let known: Vec<Option<&Known>> = publications
            .iter()
            .map(|publication| self.known.get(publication.key.as_deref()?))
            .collect();
        let some = known.iter().flatten().any(|known| !known.recovered);
        let fewer = some && known.iter().any(Option::is_none);
        let more = some && self.known.contains_key(&*part(publications.len()));
        (fewer || more).then_some(base)
    }

    /// A number that two messages share only if they say the same to the same.
    fn content(&self, publication: &Publication) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        for target in publication.to.as_slice() {
            let (kind, text) = match Name::of(target) {
                Name::Token(text) => (0_u8, text),
                Name::Prefix(text) => (1, text),
                Name::All => (2, ""),
            };
            (kind, text).hash(&mut hasher);
        }
        (&publication.event, &publication.data).hash(&mut hasher);
        hasher.finish()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::{Target, Token};

    fn message(key: &str, token: &str, data: &str) -> Publication {
        let token = Token::new(token).unwrap();
        Publication {
            key: Some(key.into()),
            ..Publication::new(Target::Token(token), data)
        }
    }

    fn receipt(id: u64) -> Receipt {
        Receipt {
            id: EventId(id),
            recipients: 3,
            how: Taken::Now,
        }
    }

    #[test]
    fn a_message_is_known_by_its_key_for_five_minutes() {
        let mut keys = Keys::default();
        let one = message("k", "a", "x");
        assert_eq!(keys.known(&one), None);
        keys.remember(&one, receipt(10), false);
        let before = Receipt {
            how: Taken::Before,
            ..receipt(10)
        };
        assert_eq!(keys.known(&one), Some(before));
        for other in [message("k", "b", "x"), message("k", "a", "y")] {
            assert_eq!(keys.known(&other).unwrap().how, Taken::Clash);
            assert_eq!(keys.clash(&[other]), Some("k"));
        }
        let mut named = one.clone();
        named.event = Some("x".into());
        assert_eq!(keys.known(&named).unwrap().how, Taken::Clash);
        let spared = Publication {
            except: None,
            retain: false,
            ..one.clone()
        };
        assert_eq!(keys.known(&spared), Some(before), "it says the same");
        keys.forget(EventId(10 + TIME));
        assert!(keys.known(&one).is_some());
        keys.forget(EventId(11 + TIME));
        assert_eq!(keys.known(&one), None);
    }

    #[test]
    fn so_many_keys_are_known_and_no_more() {
        let mut keys = Keys::default();
        for n in 0..MOST as u64 + 2 {
            keys.remember(&message(&n.to_string(), "a", "x"), receipt(n), false);
        }
        keys.forget(EventId(MOST as u64));
        assert_eq!((keys.known.len(), keys.order.len()), (MOST, MOST));
        assert!(keys.known(&message("1", "a", "x")).is_none());
        assert!(keys.known(&message("2", "a", "x")).is_some());
    }

    #[test]
    fn a_request_with_a_key_is_known_whole() {
        let mut keys = Keys::default();
        let part = |n: usize| match n {
            0 => message("k", "a", "0"),
            n => message(&format!("k\0{n}"), "a", &n.to_string()),
        };
        let parts = |count| (0..count).map(part).collect::<Vec<_>>();
        for (part, id) in parts(2).iter().zip(1..) {
            keys.remember(part, receipt(id), false);
        }
        assert_eq!(keys.clash(&parts(2)), None);
        assert_eq!(keys.clash(&parts(1)), Some("k"));
        assert_eq!(keys.clash(&parts(3)), Some("k"));
        assert_eq!(keys.clash(&[part(0), message("other", "a", "x")]), None);
        // A history file need not have all of them.
        let mut keys = Keys::default();
        keys.remember(&part(1), receipt(2), true);
        assert_eq!(keys.clash(&parts(2)), None);
    }
}
