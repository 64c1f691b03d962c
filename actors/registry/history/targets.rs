//! The targets that something is kept of, or was let go of, found by their names.

use std::hash::{BuildHasher, Hash, Hasher};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::heap::NOWHERE;
use super::packed::Name;
use super::ring::Ring;
use crate::model::{Target, Token};

/// No mark.
pub(super) const UNMARKED: u32 = u32::MAX;
/// No time at which its oldest event grows too old.
pub(super) const NEVER: u32 = u32::MAX;
/// The table is in so many parts, which grow one at a time: a table of a million names would stop
/// everything while it grows.
const PARTS: usize = 64;
/// What a name's length may be: one more than the longest.
const LENGTHS: usize = 1 << 13;

/// Which kind of target it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Token,
    Prefix,
    All,
}

/// One target.
#[derive(Debug)]
pub(super) struct Record {
    /// None for `*`, and in a place that is vacant.
    name: Option<Token>,
    pub(super) ring: Ring,
    /// What its events take, with the target itself while it has any.
    pub(super) bytes: usize,
    /// Its place among the shares.
    pub(super) share: u32,
    /// Its place among the times.
    pub(super) timer: u32,
    /// A time before which its oldest event does not grow too old, in tenths of a second.
    pub(super) expires: u32,
    /// Its mark's place.
    pub(super) mark: u32,
    /// Events in its ring that spared somebody.
    pub(super) spared: u32,
    /// Its retention, among those of the history.
    pub(super) class: u16,
    kind: Kind,
}

impl Record {
    /// What a target takes in memory while something is kept of it: its place, the table's part that is
    /// its, its places among shares and times, and its name if that is long.
    pub(super) fn overhead(&self) -> usize {
        let long = |name: &Token| name.as_str().len() > INLINE;
        let name = self.name.as_ref().filter(|name| long(name));
        let name = name.map_or(0, |name| name.as_str().len() + 32);
        size_of::<Self>() + 18 + 8 + name
    }

    pub(super) fn name(&self) -> Name<'_> {
        match (&self.name, self.kind) {
            (Some(name), Kind::Token) => Name::Token(name.as_str()),
            (Some(name), Kind::Prefix) => Name::Prefix(name.as_str()),
            _ => Name::All,
        }
    }

    pub(super) fn target(&self) -> Target {
        match (&self.name, self.kind) {
            (Some(name), Kind::Token) => Target::Token(name.clone()),
            (Some(name), Kind::Prefix) => Target::Prefix(name.clone()),
            _ => Target::All,
        }
    }

    fn is(&self, name: Name<'_>) -> bool {
        self.name() == name
    }
}

/// The longest name that needs no allocation of its own.
const INLINE: usize = 23;

/// All targets.
#[derive(Debug)]
pub(super) struct Targets {
    records: Vec<Record>,
    vacant: Vec<u32>,
    /// Parts of names' hashes, and places.
    parts: Box<[HashTable<(u32, u32)>]>,
    hasher: RandomState,
    /// How many prefixes there are of each length.
    prefixes: Box<[u32]>,
    /// The lengths that there are, in order.
    lengths: Vec<usize>,
}

impl Default for Targets {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            vacant: Vec::new(),
            parts: (0..PARTS).map(|_| HashTable::new()).collect(),
            hasher: RandomState::default(),
            prefixes: vec![0; LENGTHS].into(),
            lengths: Vec::new(),
        }
    }
}

impl Targets {
    pub(super) fn get(&self, place: u32) -> &Record {
        &self.records[place as usize]
    }

    pub(super) fn get_mut(&mut self, place: u32) -> &mut Record {
        &mut self.records[place as usize]
    }

    /// How many places there are, vacant ones too.
    pub(super) fn places(&self) -> u32 {
        self.records.len() as u32
    }

    fn hash(&self, name: Name<'_>) -> u64 {
        let (kind, text) = match name {
            Name::Token(text) => (Kind::Token, text),
            Name::Prefix(text) => (Kind::Prefix, text),
            Name::All => (Kind::All, ""),
        };
        let mut hasher = self.hasher.build_hasher();
        text.hash(&mut hasher);
        hasher.write_u8(kind as u8);
        hasher.finish()
    }

    /// The place of a target.
    pub(super) fn find(&self, name: Name<'_>) -> Option<u32> {
        self.find_hashed(self.hash(name), name)
    }

    fn find_hashed(&self, hash: u64, name: Name<'_>) -> Option<u32> {
        let (part, short) = split(hash);
        let same =
            |(known, place): &(u32, u32)| *known == short && self.records[*place as usize].is(name);
        let found = self.parts[part].find(widen(short), same);
        found.map(|(_, place)| *place)
    }

    /// The place of a target, made with that class if it is not there.
    pub(super) fn find_or_add(&mut self, target: &Target, class: impl FnOnce() -> u16) -> u32 {
        let name = Name::of(target);
        let hash = self.hash(name);
        match self.find_hashed(hash, name) {
            Some(place) => place,
            None => self.add(target, hash, class()),
        }
    }

    fn add(&mut self, target: &Target, hash: u64, class: u16) -> u32 {
        let (name, kind) = match target {
            Target::Token(name) => (Some(name.clone()), Kind::Token),
            Target::Prefix(name) => (Some(name.clone()), Kind::Prefix),
            Target::All => (None, Kind::All),
        };
        if let (Some(prefix), Kind::Prefix) = (&name, kind) {
            self.count_prefix(prefix.as_str().len(), true);
        }
        let record = Record {
            name,
            ring: Ring::Empty,
            bytes: 0,
            share: NOWHERE,
            timer: NOWHERE,
            expires: NEVER,
            mark: UNMARKED,
            spared: 0,
            class,
            kind,
        };
        let place = match self.vacant.pop() {
            Some(place) => {
                self.records[place as usize] = record;
                place
            }
            None => {
                self.records.push(record);
                self.records.len() as u32 - 1
            }
        };
        let (part, short) = split(hash);
        self.parts[part].insert_unique(widen(short), (short, place), |(short, _)| widen(*short));
        place
    }

    /// Takes a target out of which nothing is kept, and which has no mark.
    pub(super) fn remove(&mut self, place: u32) {
        let record = &self.records[place as usize];
        debug_assert!(
            record.ring.is_empty() && record.mark == UNMARKED,
            "it is not needed"
        );
        let (part, short) = split(self.hash(record.name()));
        let part = &mut self.parts[part];
        if let Ok(found) = part.find_entry(widen(short), |(_, known)| *known == place) {
            found.remove();
        }
        if part.len() < part.capacity() / 4 {
            part.shrink_to(part.len() * 2, |(short, _)| widen(*short));
        }
        let record = &mut self.records[place as usize];
        let kind = std::mem::replace(&mut record.kind, Kind::All);
        if let (Some(name), Kind::Prefix) = (record.name.take(), kind) {
            self.count_prefix(name.as_str().len(), false);
        }
        self.vacant.push(place);
        if self.vacant.len() == self.records.len() {
            // The room of a history that was large once.
            (self.records, self.vacant) = (Vec::new(), Vec::new());
        }
    }

    fn count_prefix(&mut self, length: usize, more: bool) {
        let Some(count) = self.prefixes.get_mut(length) else {
            return;
        };
        if more {
            *count += 1;
            if *count == 1 {
                let index = self.lengths.partition_point(|known| *known < length);
                self.lengths.insert(index, length);
            }
        } else {
            *count -= 1;
            if *count == 0 {
                self.lengths.retain(|known| *known != length);
            }
        }
    }

    /// The places of the prefixes that meet a token, the shortest first.
    pub(super) fn prefixes_of(&self, token: &str) -> impl Iterator<Item = u32> {
        let begins = |length: &usize| token.get(..*length);
        let lengths = self
            .lengths
            .iter()
            .take_while(|length| **length <= token.len());
        lengths
            .filter_map(begins)
            .filter_map(|text| self.find(Name::Prefix(text)))
    }
}

fn split(hash: u64) -> (usize, u32) {
    (hash as usize % PARTS, (hash >> 32) as u32)
}

/// The table looks at the highest bits and at the lowest of a hash.
fn widen(short: u32) -> u64 {
    u64::from(short) << 32 | u64::from(short)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn token(name: &str) -> Token {
        Token::new(name).unwrap()
    }

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<Record>() <= 72, "{} bytes", size_of::<Record>());
    }

    #[test]
    fn a_token_a_prefix_and_all_are_three_targets() {
        let mut targets = Targets::default();
        let all = [
            Target::Token(token("a")),
            Target::Prefix(token("a")),
            Target::All,
        ];
        let places: Vec<u32> = all
            .iter()
            .map(|target| targets.find_or_add(target, || 0))
            .collect();
        assert_eq!(places, [0, 1, 2]);
        for (target, place) in all.iter().zip(places) {
            assert_eq!(targets.find(Name::of(target)), Some(place));
            assert_eq!(&targets.get(place).target(), target);
        }
        assert!(targets.prefixes_of("abc").eq([1]));
        targets.remove(1);
        assert_eq!(targets.find(Name::Prefix("a")), None);
        assert_eq!(targets.prefixes_of("abc").count(), 0);
        assert_eq!(targets.find(Name::Token("a")), Some(0));
        assert_eq!(targets.find_or_add(&Target::Token(token("b")), || 0), 1);
    }

    #[test]
    fn prefixes_of_every_length_are_found() {
        let mut targets = Targets::default();
        for name in ["é", "éa", "éab", "x"] {
            targets.find_or_add(&Target::Prefix(token(name)), || 0);
        }
        assert!(targets.prefixes_of("éabc").eq([0, 1, 2]));
        // A length that ends within a character.
        assert!(targets.prefixes_of("xé").eq([3]));
        assert_eq!(targets.prefixes_of("y").count(), 0);
    }
}
