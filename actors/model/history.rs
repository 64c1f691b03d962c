//! The events that are kept for replay.
//!
//! Every kept event has a place, a number that grows by one. Finding where a subscriber goes on is a
//! binary search by id; the last events of a token are found by an index, not by a scan.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::publication::Targets;
use super::{ClientId, EventId, Record, Subscription, Target, Token};
use crate::wire::sse::Frame;

/// What bounds a history; whichever is reached first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Events; 0 = none are kept.
    pub count: usize,
    /// Bytes of the events as they are sent, with whom they were for, and 128 for each.
    pub bytes: usize,
    /// Age.
    pub age: Duration,
}

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
    /// Places of the events for one token each, by token.
    by_token: HashMap<Token, VecDeque<u64>>,
    /// Places of all other events.
    wide: VecDeque<u64>,
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
            by_token: HashMap::new(),
            wide: VecDeque::new(),
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
            self.index_of(&entry.to).push_back(place);
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
        let mut places = Vec::new();
        if subscription.all {
            for token in self.by_token.keys() {
                self.recent_of(token, subscription, count, &mut places);
            }
            let wide = self.wide.iter().rev().copied();
            places.extend(
                wide.filter(|place| self.is_for(*place, subscription))
                    .take(count),
            );
        }
        for token in &subscription.tokens {
            self.recent_of(token, subscription, count, &mut places);
        }
        places.sort_unstable();
        places.dedup();
        places
    }

    fn recent_of(
        &self,
        token: &Token,
        subscription: &Subscription,
        count: usize,
        places: &mut Vec<u64>,
    ) {
        let own = self
            .by_token
            .get(token)
            .into_iter()
            .flatten()
            .rev()
            .copied();
        let own = own
            .filter(|place| self.is_for(*place, subscription))
            .take(count);
        let wide = self.wide.iter().rev().copied();
        let wide = wide.filter(|place| {
            let entry = self.get(*place);
            entry.is_some_and(|entry| {
                !is_spared(entry, subscription)
                    && entry.to.as_slice().iter().any(|to| reaches(to, token))
            })
        });
        let mut both: Vec<u64> = own.chain(wide.take(count)).collect();
        both.sort_unstable_by(|a, b| b.cmp(a));
        places.extend(both.into_iter().take(count));
    }

    fn is_for(&self, place: u64, subscription: &Subscription) -> bool {
        self.get(place)
            .is_some_and(|entry| concerns(entry, subscription))
    }

    fn index_of(&mut self, to: &Targets) -> &mut VecDeque<u64> {
        match to {
            Targets::One(Target::Token(token)) => self.by_token.entry(token.clone()).or_default(),
            _ => &mut self.wide,
        }
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
        let index = self.index_of(&entry.to);
        index.pop_front();
        if index.is_empty()
            && let Targets::One(Target::Token(token)) = &entry.to
        {
            self.by_token.remove(token);
        }
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
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const LARGE: Limits = Limits {
        count: 1000,
        bytes: 1 << 20,
        age: Duration::from_secs(60),
    };

    fn target(text: &str) -> Target {
        match text.strip_suffix('*') {
            Some("") => Target::All,
            Some(prefix) => Target::Prefix(Token::new(prefix).unwrap()),
            None => Target::Token(Token::new(text).unwrap()),
        }
    }

    fn entry(id: u64, to: &str, at: Instant) -> Entry {
        Entry {
            id: EventId(id),
            at,
            to: Targets::One(target(to)),
            except: None,
            frame: Rc::new(Frame::event(EventId(id), None, "x")),
            passing: false,
        }
    }

    /// A history of the ids 10, 20, 30 …, one for each target.
    fn history(limits: Limits, targets: &[&str]) -> History {
        let mut history = History::new(limits, EventId(5));
        let now = Instant::now();
        for (n, to) in targets.iter().enumerate() {
            history.keep(entry(10 * (n as u64 + 1), to, now));
        }
        history
    }

    fn subscription(tokens: &[&str], id: Option<&str>) -> Subscription {
        Subscription {
            tokens: tokens
                .iter()
                .map(|name| Token::new(name).unwrap())
                .collect(),
            all: tokens.is_empty(),
            id: id.map(|id| ClientId::new(id).unwrap()),
        }
    }

    fn recent(history: &History, tokens: &[&str], count: usize) -> Vec<u64> {
        let places = history.recent(&subscription(tokens, None), count);
        places
            .iter()
            .map(|place| history.get(*place).unwrap().id.0)
            .collect()
    }

    #[test]
    fn who_comes_back_goes_on_where_it_was() {
        let history = history(LARGE, &["a", "b", "c"]);
        let last = EventId(30);
        for (id, place, gap) in [
            (4, 0, true),
            (5, 0, false),
            (9, 0, false),
            (10, 1, false),
            (15, 1, false),
            (30, 3, false),
            (31, 3, true),
        ] {
            assert_eq!(
                history.after(EventId(id), last),
                Start { place, gap },
                "{id}"
            );
        }
        assert_eq!(history.oldest(), Some(EventId(10)));
    }

    #[test]
    fn the_id_just_before_the_oldest_kept_is_no_gap() {
        let limits = Limits { count: 2, ..LARGE };
        let history = history(limits, &["a", "b", "c", "d"]);
        assert_eq!(history.oldest(), Some(EventId(30)));
        assert_eq!(
            history.after(EventId(20), EventId(40)),
            Start {
                place: 2,
                gap: false
            }
        );
        assert_eq!(
            history.after(EventId(19), EventId(40)),
            Start {
                place: 2,
                gap: true
            }
        );
        assert!(history.get(1).is_none() && history.get(4).is_none());
        assert!(history.by_token.len() == 2);
    }

    #[test]
    fn count_bytes_and_age_bound_it() {
        let one = cost(&entry(10, "a", Instant::now()));
        for (limits, left) in [
            (Limits { count: 3, ..LARGE }, 3),
            (
                Limits {
                    bytes: one * 2,
                    ..LARGE
                },
                2,
            ),
            (
                Limits {
                    bytes: one - 1,
                    ..LARGE
                },
                0,
            ),
            (Limits { count: 0, ..LARGE }, 0),
        ] {
            let history = history(limits, &["a"; 5]);
            assert_eq!(history.len(), left, "{limits:?}");
            assert_eq!(history.bytes(), left * one);
        }
        let mut history = history(LARGE, &["a", "*"]);
        history.trim(Instant::now() + Duration::from_secs(59));
        assert_eq!(history.len(), 2);
        history.trim(Instant::now() + Duration::from_secs(61));
        assert!(history.is_empty() && history.by_token.is_empty() && history.wide.is_empty());
        assert_eq!(
            history.after(EventId(20), EventId(20)),
            Start {
                place: 2,
                gap: false
            }
        );
        assert!(history.after(EventId(10), EventId(20)).gap);
    }

    #[test]
    fn what_was_missing_before_stays_missing() {
        let limits = Limits { count: 2, ..LARGE };
        // After a crash: three survivors, and an id up to which all may be missing.
        let mut history = History::new(limits, EventId(100));
        for id in [10, 20, 30] {
            history.keep(entry(id, "a", Instant::now()));
        }
        let last = EventId(100);
        assert!(history.after(EventId(30), last).gap);
        assert!(!history.after(EventId(100), last).gap);
    }

    #[test]
    fn without_a_history_every_missed_event_is_a_gap() {
        let history = history(Limits { count: 0, ..LARGE }, &["a", "b"]);
        assert!(history.after(EventId(10), EventId(20)).gap);
        assert!(!history.after(EventId(20), EventId(20)).gap);
    }

    #[test]
    fn recent_events_are_those_of_each_token() {
        let history = history(LARGE, &["a", "b", "a", "ab*", "*", "b", "b", "c"]);
        assert_eq!(recent(&history, &["a"], 2), [30, 50]);
        assert_eq!(recent(&history, &["a", "b"], 2), [30, 50, 60, 70]);
        assert_eq!(recent(&history, &["abc"], 9), [40, 50]);
        assert_eq!(recent(&history, &["a"], 0), [0_u64; 0]);
        assert_eq!(recent(&history, &["new"], 1), [50]);
        // Of everything: the last of each token, and the last that was for many.
        assert_eq!(recent(&history, &[], 1), [50, 70, 80]);
    }

    #[test]
    fn who_was_spared_is_spared_again() {
        let mut history = history(LARGE, &[]);
        let spared = ClientId::new("me").ok();
        let now = Instant::now();
        history.keep(Entry {
            except: spared,
            ..entry(10, "a", now)
        });
        history.keep(entry(20, "a", now));
        let me = subscription(&["a"], Some("me"));
        assert!(!concerns(history.get(0).unwrap(), &me));
        assert!(concerns(history.get(1).unwrap(), &me));
        assert_eq!(history.recent(&me, 2), [1]);
        assert!(concerns(
            history.get(0).unwrap(),
            &subscription(&["a"], None)
        ));
    }

    #[test]
    fn passing_events_are_no_part_of_what_is_kept() {
        let mut history = history(Limits { count: 2, ..LARGE }, &["a"]);
        let now = Instant::now();
        history.keep(Entry {
            passing: true,
            ..entry(20, "a", now)
        });
        assert_eq!(recent(&history, &["a"], 9), [10]);
        history.keep(entry(30, "a", now));
        history.keep(entry(40, "a", now));
        assert_eq!(recent(&history, &["a"], 9), [30, 40]);
        assert_eq!(history.oldest(), Some(EventId(30)));
        assert!(!history.after(EventId(10), EventId(40)).gap);
    }
}
