//! Whether a subscriber may have missed something, exactly for what it listens to.

use foldhash::HashSet;

use super::{History, Name, targets::UNMARKED};
use crate::model::{EventId, Subscription, Token};

/// What may be missing for a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lost {
    /// Nothing.
    Nothing,
    /// Events to these of its tokens, by their indexes.
    Of(Vec<usize>),
    /// Events to any of its tokens.
    OfAny,
}

impl History {
    /// What of a subscription was let go since `id`; nothing of the `new` tokens, of which the last few
    /// events are asked for.
    pub fn lost(&self, subscription: &Subscription, new: &[(Token, usize)], id: EventId) -> Lost {
        // Nothing at all is newer: the usual case.
        if id >= self.marks.newest() {
            return Lost::Nothing;
        }
        if subscription.all {
            return Lost::OfAny;
        }
        let wide = id < self.let_go_of(Name::All).max(self.marks.shared());
        let new: HashSet<&Token> = new.iter().map(|(token, _)| token).collect();
        let is_lost =
            |token: &Token| !new.contains(token) && (wide || id < self.newest_lost(token.as_str()));
        let tokens = subscription.tokens.iter().enumerate();
        let lost: Vec<usize> = tokens
            .filter_map(|(index, token)| is_lost(token).then_some(index))
            .collect();
        if lost.is_empty() {
            Lost::Nothing
        } else if lost.len() == subscription.tokens.len() {
            Lost::OfAny
        } else {
            Lost::Of(lost)
        }
    }

    /// Whether an id is newer than everything that may be missing of all targets.
    pub fn reaches(&self, id: EventId) -> bool {
        id > self.marks.shared()
    }

    /// The newest id that was let go of the token itself, or of a prefix that meets it.
    fn newest_lost(&self, token: &str) -> EventId {
        let prefixes = self.targets.prefixes_of(token);
        let prefixes = prefixes.map(|place| self.mark_at(place));
        prefixes.fold(self.let_go_of(Name::Token(token)), EventId::max)
    }

    fn let_go_of(&self, name: Name<'_>) -> EventId {
        let place = self.targets.find(name);
        place.map_or(EventId(0), |place| self.mark_at(place))
    }

    fn mark_at(&self, place: u32) -> EventId {
        match self.targets.get(place).mark {
            UNMARKED => EventId(0),
            mark => self.marks.id(mark),
        }
    }

    /// The oldest kept event of what a subscription listens to.
    pub fn oldest(&self, subscription: &Subscription) -> Option<EventId> {
        if subscription.all {
            return self.events.oldest().map(|event| self.events.id(event));
        }
        let rings = self.places_of(subscription);
        let oldest = |place: u32| self.oldest_of(place, subscription);
        rings.into_iter().filter_map(oldest).min()
    }

    /// The oldest event of a ring that did not spare the subscriber.
    fn oldest_of(&self, place: u32, subscription: &Subscription) -> Option<EventId> {
        let record = self.targets.get(place);
        let spared = |event: &u32| {
            let packed = &self.events.get(*event).packed;
            record.spared > 0 && packed.spares_one(subscription.id.as_ref())
        };
        // A ring that begins with very many spared ones is given by one of these.
        let mut first = (0..record.ring.len().min(LOOKS)).filter_map(|n| record.ring.get(n));
        let oldest = first.find(|event| !spared(event));
        oldest.map(|event| self.events.id(event))
    }
}

/// Events that are looked at for one that did not spare the subscriber.
const LOOKS: usize = 256;
