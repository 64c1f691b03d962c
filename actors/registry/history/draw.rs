//! Events for one subscriber, in the order of their ids, in portions.
//!
//! Between two portions nothing is held but how far the subscriber has come ([`Cursor`]): the rings may
//! change meanwhile as they like. Each portion begins with a search in the rings of the subscription's
//! tokens, of the prefixes that meet them and of `*`, and merges these.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use foldhash::HashMap;

use super::packed::Unpacked;
use super::{History, Name, Names};
use crate::model::mercure::Update;
use crate::model::{ClientId, EventId, Publication, Subscription, Token};

/// Events, and rings of one that is for several targets, that are looked at in one portion, at most.
const LOOKS: usize = 4096;
/// Events of one ring that are looked at for those that did not spare a subscriber.
const LOOKS_BACK: usize = 64;

/// How far a subscriber has come.
#[derive(Debug, Clone)]
pub struct Cursor {
    /// It has everything up to this id.
    after: EventId,
    /// What it gets of the time before its subscription began.
    recent: Option<Box<Recent>>,
}

/// Where each ring begins for a subscriber that gets the last few events of each.
#[derive(Debug, Clone)]
struct Recent {
    /// Of what came later than this, everything.
    line: EventId,
    rings: HashMap<u32, Begin>,
    /// For a subscription to `*`: the last so many of each ring.
    of_each: Option<usize>,
}

/// The ring of a target begins behind this event. Its place may be another target's later, which
/// has then nothing that is older than the line.
#[derive(Debug, Clone, Copy)]
struct Begin(EventId);

/// A kept event.
#[derive(Debug, Clone, Copy)]
pub struct Kept<'a> {
    /// Its id.
    pub id: EventId,
    /// Its name.
    pub event: Option<&'a str>,
    /// Its text.
    pub data: &'a str,
    /// When it was taken in, by the history's clock.
    pub at: u32,
    unpacked: Unpacked<'a>,
    to: Name<'a>,
}

/// Whom a kept event was for, as it was published.
#[derive(Debug, Clone)]
pub enum KeptFor<'a> {
    /// One target.
    One(Name<'a>),
    /// Several.
    Many(Names<'a>),
}

impl<'a> Iterator for KeptFor<'a> {
    type Item = Name<'a>;

    fn next(&mut self) -> Option<Name<'a>> {
        match self {
            Self::Many(names) => names.next(),
            Self::One(name) => {
                let name = *name;
                *self = Self::Many(Names::default());
                Some(name)
            }
        }
    }
}

impl<'a> Kept<'a> {
    /// Whom it was for.
    pub fn to(&self) -> KeptFor<'a> {
        match self.unpacked.targets {
            None => KeptFor::One(self.to),
            Some(names) => KeptFor::Many(names),
        }
    }

    /// As it was published.
    pub fn publication(&self) -> Option<Publication> {
        self.unpacked.publication(self.to)
    }

    /// Whether only some may read it, as it was published.
    pub fn private(&self) -> Option<bool> {
        self.unpacked.private
    }

    /// Whether it is an update of the Mercure hub.
    pub fn is_update(&self) -> bool {
        self.unpacked.update.is_some()
    }

    /// What it has as an update of the Mercure hub.
    pub fn update(&self) -> Option<Update> {
        self.unpacked.update.map(|update| update.update())
    }

    /// How many subscribers it went to, where its publisher gave it a key.
    pub fn recipients(&self) -> Option<u32> {
        self.unpacked.key.map(|key| key.recipients)
    }
}

/// What a portion came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drawn {
    /// There may be more.
    More,
    /// Everything that is kept is drawn.
    All,
}

impl Cursor {
    /// Behind everything up to an id.
    pub fn after(id: EventId) -> Self {
        Self {
            after: id,
            recent: None,
        }
    }

    /// The subscriber has been given something newer by another way.
    pub fn advance(&mut self, id: EventId) {
        self.after = self.after.max(id);
    }

    /// It gets everything that is newer than this.
    pub fn line(&self) -> EventId {
        let line = self.recent.as_deref().map(|recent| recent.line);
        line.unwrap_or(self.after)
    }

    /// The subscriber has everything up to this id.
    pub fn position(&self) -> EventId {
        self.after
    }
}

/// A ring, and where it goes on.
struct Source {
    place: u32,
    index: usize,
}

impl History {
    /// A cursor that begins with the last few events: `count` of each token of the subscription by
    /// name, or alone with `of` that token's number, and besides them so many of `*` and of each prefix that
    /// meets one of them. Where the subscriber has seen everything up to `seen`, only tokens in `of`
    /// begin before that, and with them what meets no other token.
    pub fn recent(
        &self,
        subscription: &Subscription,
        count: usize,
        of: &[(Token, usize)],
        seen: Option<EventId>,
        last: EventId,
    ) -> Cursor {
        let line = seen.unwrap_or(last);
        let mut recent = Recent {
            line,
            rings: HashMap::default(),
            of_each: (subscription.all && seen.is_none()).then_some(count),
        };
        let of: HashMap<&Token, usize> = of.iter().map(|(token, count)| (token, *count)).collect();
        let mut looks = LOOKS;
        // What a ring gives is the most that one of its tokens asks for; who stays where it was counts too.
        let mut wanted: HashMap<u32, Option<usize>> = HashMap::default();
        let mut want = |place: u32, count: Option<usize>| {
            let known = wanted.entry(place).or_insert(count);
            *known = match (*known, count) {
                (Some(a), Some(b)) => Some(a.max(b)),
                _ => None,
            };
        };
        let all = self.targets.find(Name::All);
        for token in &subscription.tokens {
            let own = of.get(token).copied();
            let count = own.or_else(|| seen.is_none().then_some(count));
            let name = token.as_str();
            if let Some(place) = self.targets.find(Name::Token(name)) {
                want(place, count);
            }
            for place in self.targets.prefixes_of(name).chain(all) {
                want(place, count);
            }
        }
        let id = subscription.id.as_ref();
        let wanted = wanted
            .into_iter()
            .filter_map(|(place, count)| Some((place, count?)));
        for (place, count) in wanted {
            let begin = self.begin(place, count, id, &mut looks).min(line);
            recent.rings.insert(place, Begin(begin));
        }
        let begins = recent.rings.values().map(|begin| begin.0).min();
        let after = match recent.of_each {
            Some(count) if count > 0 => EventId(0),
            _ => begins.unwrap_or(line),
        };
        Cursor {
            after,
            recent: Some(Box::new(recent)).filter(|_| after < line),
        }
    }

    /// The id behind which the last `count` events of a ring begin, those that spared the subscriber
    /// not counted as far as there is time to look.
    fn begin(&self, place: u32, count: usize, id: Option<&ClientId>, looks: &mut usize) -> EventId {
        let record = self.targets.get(place);
        let ring = &record.ring;
        let mut index = ring.len();
        let mut left = count;
        if record.spared == 0 || id.is_none() {
            index = index.saturating_sub(count);
            left = 0;
        }
        while left > 0 && index > 0 {
            if *looks == 0 {
                index = index.saturating_sub(left);
                break;
            }
            *looks -= 1;
            index -= 1;
            let event = ring.get(index).map(|event| self.events.get(event));
            left -= usize::from(event.is_some_and(|event| !event.packed.spares_one(id)));
        }
        let before = index.checked_sub(1).and_then(|index| ring.get(index));
        before.map_or(EventId(0), |event| self.events.id(event))
    }

    /// Draws the next portion of events up to an id: `take` is given each, and says whether there is
    /// room for more.
    pub fn draw(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        up_to: EventId,
        mut take: impl FnMut(Kept<'_>) -> bool,
    ) -> Drawn {
        let drawn = if subscription.all {
            self.draw_of_all(subscription, cursor, up_to, &mut take)
        } else {
            self.draw_of_tokens(subscription, cursor, up_to, &mut take)
        };
        let behind = |recent: &Recent| cursor.after >= recent.line;
        if cursor.recent.as_deref().is_some_and(behind) {
            cursor.recent = None;
        }
        drawn
    }

    /// Along all kept events.
    fn draw_of_all(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        up_to: EventId,
        take: &mut impl FnMut(Kept<'_>) -> bool,
    ) -> Drawn {
        let mut next = self.events.after(cursor.after);
        let mut looks = LOOKS;
        while looks > 0 {
            looks -= 1;
            let Some(place) = next.filter(|place| self.events.id(*place) <= up_to) else {
                return Drawn::All;
            };
            let event = self.events.get(place);
            cursor.after = event.id;
            let recent = cursor.recent.as_deref();
            let is_recent = |recent| self.is_recent(place, recent, subscription, &mut looks);
            let wanted = recent.is_none_or(is_recent);
            let spared = event.packed.spares_one(subscription.id.as_ref());
            if wanted && !spared && !take(self.kept(place, None)) {
                return Drawn::More;
            }
            next = self.events.next(place);
        }
        Drawn::More
    }

    /// Whether an event is among the last few of one of its rings. What that takes is taken off `looks`.
    fn is_recent(
        &self,
        place: u32,
        recent: &Recent,
        subscription: &Subscription,
        looks: &mut usize,
    ) -> bool {
        let event = self.events.get(place);
        if event.id > recent.line {
            return true;
        }
        let id = subscription.id.as_ref();
        let unpacked = event.packed.read();
        let mut rings = match unpacked.targets {
            None => Rings::One(self.events.holder(place)),
            Some(names) => Rings::Many(names),
        };
        rings.any(self, |ring| {
            let mut back = LOOKS_BACK;
            let named = recent
                .rings
                .get(&ring)
                .is_some_and(|begin| event.id > begin.0);
            let last = |count| event.id > self.begin(ring, count, id, &mut back);
            let held = self.targets.get(ring).ring.front();
            let held = held.is_some_and(|oldest| self.events.id(oldest) <= event.id);
            let is = held && (named || recent.of_each.is_some_and(last));
            *looks = looks.saturating_sub(1 + LOOKS_BACK - back);
            is
        })
    }

    /// Along the rings of the subscription's tokens.
    fn draw_of_tokens(
        &self,
        subscription: &Subscription,
        cursor: &mut Cursor,
        up_to: EventId,
        take: &mut impl FnMut(Kept<'_>) -> bool,
    ) -> Drawn {
        let mut sources = Vec::new();
        let mut heads = BinaryHeap::new();
        for place in self.places_of(subscription) {
            let begin = match cursor.recent.as_deref() {
                None => cursor.after,
                // A ring of which nothing old is wanted, or one that came later.
                Some(recent) => recent
                    .rings
                    .get(&place)
                    .map_or(recent.line, |begin| begin.0),
            };
            let begin = begin.max(cursor.after);
            let ring = &self.targets.get(place).ring;
            let index = ring.partition_point(|event| self.events.id(event) <= begin);
            if let Some(event) = ring.get(index) {
                heads.push(Reverse((self.events.id(event), sources.len())));
                sources.push(Source { place, index });
            }
        }
        for _ in 0..LOOKS {
            let Some(Reverse((id, which))) = heads.pop().filter(|head| head.0.0 <= up_to) else {
                return Drawn::All;
            };
            let source = &mut sources[which];
            let ring = &self.targets.get(source.place).ring;
            let event = ring.get(source.index);
            source.index += 1;
            if let Some(next) = ring.get(source.index) {
                heads.push(Reverse((self.events.id(next), which)));
            }
            // One for several targets comes by each of their rings.
            if let Some(event) = event.filter(|_| id > cursor.after) {
                cursor.after = id;
                let spared = self
                    .events
                    .get(event)
                    .packed
                    .spares_one(subscription.id.as_ref());
                if !spared && !take(self.kept(event, Some(source.place))) {
                    return Drawn::More;
                }
            }
        }
        Drawn::More
    }

    /// Every kept event that is newer than `id`, with no regard to whom it was for, until `take` has enough.
    pub fn draw_every(
        &self,
        id: EventId,
        mut take: impl FnMut(Kept<'_>) -> bool,
    ) -> Option<EventId> {
        let mut next = self.events.after(id);
        while let Some(place) = next {
            if !take(self.kept(place, None)) {
                return Some(self.events.id(place));
            }
            next = self.events.next(place);
        }
        None
    }

    /// An event as it is shown; `ring` is one that holds it.
    pub(super) fn kept(&self, event: u32, ring: Option<u32>) -> Kept<'_> {
        let kept = self.events.get(event);
        let unpacked = kept.packed.read();
        let to = match unpacked.targets {
            None => ring.or_else(|| self.events.holder(event)),
            Some(_) => None,
        };
        let to = to.map_or(Name::All, |place| self.targets.get(place).name());
        Kept {
            id: kept.id,
            event: unpacked.event,
            data: unpacked.data,
            at: kept.at,
            unpacked,
            to,
        }
    }

    /// The rings that a subscription to tokens draws from, each once.
    pub(super) fn places_of(&self, subscription: &Subscription) -> Vec<u32> {
        let mut places: Vec<u32> = Vec::with_capacity(subscription.tokens.len() + 1);
        for token in &subscription.tokens {
            places.extend(self.targets.find(Name::Token(token.as_str())));
            places.extend(self.targets.prefixes_of(token.as_str()));
        }
        places.extend(self.targets.find(Name::All));
        if places.len() > 2 {
            places.sort_unstable();
            places.dedup();
        }
        places
    }
}

/// The rings that an event stands in, as they are found.
enum Rings<'a> {
    One(Option<u32>),
    Many(Names<'a>),
}

impl Rings<'_> {
    fn any(&mut self, history: &History, is: impl FnMut(u32) -> bool) -> bool {
        match self {
            Self::One(place) => place.is_some_and(is),
            Self::Many(names) => names.filter_map(|name| history.targets.find(name)).any(is),
        }
    }
}
