//! The events that are kept for replay.
//!
//! Every kept event has a place, a number that grows by one. Finding where a subscriber goes on is a
//! binary search by id; the last events of a token are found by an index of whom events were for, not
//! by a scan.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Instant;

use foldhash::HashMap;

use crate::model::publication::Targets;
use crate::model::{ClientId, EventId, Limits, Record, Subscription, Target, Token};
use crate::wire::sse::Frame;

/// A kept event.
#[derive(Debug)]
pub struct Entry {
    /// Its id.
    pub id: EventId,
    /// When it was taken in.
    pub at: Instant,
    /// Whom it was for.
    pub to: Targets,
    /// Who was spared.
    pub except: Option<ClientId>,
    /// As it is sent.
    pub frame: Rc<Frame>,
    /// Kept only for subscribers whose replay is under way, who would miss it otherwise: it was
    /// published not to be kept.
    pub passing: bool,
}

/// The events kept, oldest first.
#[derive(Debug)]
pub struct History {
    limits: Limits,
    entries: VecDeque<Entry>,
    /// The place of the oldest entry.
    first: u64,
    bytes: usize,
    /// The newest id that is, or may be, not kept any more: who has seen it has missed nothing.
    forgotten: EventId,
    by_target: Index,
}

/// The places of events, oldest first, by each target that they were for.
#[derive(Debug, Default)]
struct Index {
    tokens: HashMap<Token, VecDeque<u64>>,
    prefixes: HashMap<Token, VecDeque<u64>>,
    all: VecDeque<u64>,
}

/// Where a subscriber's replay begins, and whether something is missing before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    /// The place of the first event that it has not seen.
    pub place: u64,
    /// Events may have been lost.
    pub gap: bool,
}

impl History {
    /// An empty history; nothing is known of events up to `position`.
    pub fn new(limits: Limits, position: EventId) -> Self {
        Self {
            limits,
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            forgotten: position,
            by_target: Index::default(),
        }
    }

    /// Sets other limits, and lets go what is too much then.
    pub fn set_limits(&mut self, limits: Limits, now: Instant) {
        self.limits = limits;
        self.trim(now);
    }

    /// Whether events are kept at all.
    pub fn keeps(&self) -> bool {
        self.limits.count > 0
    }

    /// Keeps an event, which is newer than all before, and lets go what is too much then.
    pub fn keep(&mut self, entry: Entry) {
        let place = self.end();
        if !entry.passing {
            self.by_target.add(&entry.to, place);
        }
        self.bytes += cost(&entry);
        let now = entry.at;
        self.entries.push_back(entry);
        self.trim(now);
    }

    /// An event was taken in that is not kept, though it might have been.
    pub fn forget(&mut self, id: EventId) {
        self.forgotten = self.forgotten.max(id);
    }

    /// Lets go what is too much, or too old by `now`.
    pub fn trim(&mut self, now: Instant) {
        while let Some(oldest) = self.entries.front() {
            let age = now.saturating_duration_since(oldest.at);
            let Limits {
                count,
                bytes,
                age: most,
            } = self.limits;
            if self.entries.len() <= count && self.bytes <= bytes && age <= most {
                break;
            }
            self.forget_oldest();
        }
    }

    /// The place behind the newest event.
    pub fn end(&self) -> u64 {
        self.first + self.entries.len() as u64
    }

    /// How many events are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none are kept.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes they are counted with.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The id of the oldest kept event.
    pub fn oldest(&self) -> Option<EventId> {
        let mut kept = self.entries.iter().filter(|entry| !entry.passing);
        kept.next().map(|entry| entry.id)
    }

    /// The event at a place; none where it is not kept any more, or not there yet.
    pub fn get(&self, place: u64) -> Option<&Entry> {
        let index = place.checked_sub(self.first)?;
        self.entries.get(usize::try_from(index).ok()?)
    }

    /// Whether an id is newer than all that is not kept any more.
    pub fn reaches(&self, id: EventId) -> bool {
        id > self.forgotten
    }

    /// Whether the event with this id is kept.
    pub fn has(&self, id: EventId) -> bool {
        let found = self.entries.binary_search_by_key(&id, |entry| entry.id);
        found.is_ok()
    }

    /// Where someone goes on who has seen the event, or position, `id`, the newest ever being `last`.
    pub fn after(&self, id: EventId, last: EventId) -> Start {
        let index = self.entries.partition_point(|entry| entry.id <= id);
        Start {
            place: self.first + index as u64,
            gap: id < self.forgotten || id > last,
        }
    }

    /// The places of the last `count` events of each of a subscription's tokens, oldest first.
    pub fn recent(&self, subscription: &Subscription, count: usize) -> Vec<u64> {
        let index = &self.by_target;
        let mut places = Vec::new();
        for token in &subscription.tokens {
            places.extend(self.last(index.reaching(token), subscription, count));
        }
        if subscription.all {
            for token in index.tokens.keys() {
                places.extend(self.last(index.reaching(token), subscription, count));
            }
            // What was for many, among them perhaps tokens that nothing else was for.
            let wide = index.prefixes.values().chain([&index.all]);
            places.extend(self.last(wide, subscription, count));
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    /// The last `count` of several lists together, without those that spared the subscriber.
    fn last<'a>(
        &self,
        lists: impl Iterator<Item = &'a VecDeque<u64>>,
        subscription: &Subscription,
        count: usize,
    ) -> impl Iterator<Item = u64> {
        let spares = |place: &u64| {
            let entry = self.get(*place);
            entry.is_some_and(|entry| is_spared(entry, subscription))
        };
        let of_list = |list: &'a VecDeque<u64>| {
            let newest_first = list.iter().rev().copied();
            newest_first.filter(|place| !spares(place)).take(count)
        };
        let mut places: Vec<u64> = lists.flat_map(of_list).collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        places.dedup();
        places.into_iter().take(count)
    }

    fn forget_oldest(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        self.first += 1;
        self.bytes -= cost(&entry);
        if entry.passing {
            return;
        }
        // After a crash more may be missing than what is let go here.
        self.forgotten = self.forgotten.max(entry.id);
        self.by_target.remove_oldest(&entry.to);
    }
}

impl Index {
    /// Takes in an event that is newer than all before.
    fn add(&mut self, to: &Targets, place: u64) {
        for target in to.as_slice() {
            let list = match target {
                Target::Token(token) => self.tokens.entry(token.clone()).or_default(),
                Target::Prefix(prefix) => self.prefixes.entry(prefix.clone()).or_default(),
                Target::All => &mut self.all,
            };
            list.push_back(place);
        }
    }

    /// Lets go of an event that is older than all others.
    fn remove_oldest(&mut self, to: &Targets) {
        fn pop(map: &mut HashMap<Token, VecDeque<u64>>, name: &Token) {
            if let Some(list) = map.get_mut(name) {
                list.pop_front();
                if list.is_empty() {
                    map.remove(name);
                }
            }
        }
        for target in to.as_slice() {
            match target {
                Target::Token(token) => pop(&mut self.tokens, token),
                Target::Prefix(prefix) => pop(&mut self.prefixes, prefix),
                Target::All => drop(self.all.pop_front()),
            }
        }
    }

    /// The lists of all targets that reach the subscribers of a token.
    fn reaching<'a>(&'a self, token: &'a Token) -> impl Iterator<Item = &'a VecDeque<u64>> {
        let text = token.as_str();
        let ends = (1..=text.len()).filter(|end| text.is_char_boundary(*end));
        let known = ends.take_while(|_| !self.prefixes.is_empty());
        let prefixes = known.filter_map(|end| self.prefixes.get(&text[..end]));
        let own = self.tokens.get(token);
        own.into_iter().chain(prefixes).chain([&self.all])
    }
}

/// Whether a subscriber gets an event.
pub fn concerns(entry: &Entry, subscription: &Subscription) -> bool {
    let wanted = |to: &Target| match to {
        Target::All => true,
        Target::Token(token) => subscription.tokens.contains(token),
        prefix => subscription
            .tokens
            .iter()
            .any(|token| reaches(prefix, token)),
    };
    !is_spared(entry, subscription) && (subscription.all || entry.to.as_slice().iter().any(wanted))
}

fn is_spared(entry: &Entry, subscription: &Subscription) -> bool {
    entry.except.is_some() && entry.except == subscription.id
}

fn reaches(to: &Target, token: &Token) -> bool {
    match to {
        Target::All => true,
        Target::Token(name) => name == token,
        Target::Prefix(prefix) => token.as_str().starts_with(prefix.as_str()),
    }
}

fn cost(entry: &Entry) -> usize {
    entry.frame.bytes(true).len() + entry.to.bytes() + Record::OVERHEAD
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
