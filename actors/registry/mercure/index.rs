//! Which selectors, of those that are neither one topic nor all, select a topic.
//!
//! Selectors are held once each, with their members. A trie of their segments finds those that may
//! select a topic: a literal segment costs a look-up, whatever the number of selectors, and what may be
//! anything costs a step. Only what the trie finds is matched. URL patterns that are not plain stand
//! apart and are matched for each topic; there are at most [`MAX_EXOTIC`] of them.

use std::hash::BuildHasher;

use foldhash::HashMap;
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use smallvec::SmallVec;

use crate::model::mercure::pattern::topic_segments;
use crate::model::mercure::template::Segment;
use crate::model::mercure::{Identity, Selector, Topic};

/// Patterns that are not plain, of all members together.
pub(super) const MAX_EXOTIC: usize = 256;

/// A selector that somebody has.
#[derive(Debug)]
struct Held {
    selector: Selector,
    members: SmallVec<[u32; 2]>,
}

/// All selectors that are held, by number.
#[derive(Debug, Default)]
pub(super) struct Index {
    hasher: RandomState,
    by_text: HashTable<u32>,
    held: Vec<Option<Held>>,
    vacant: Vec<u32>,
    /// Of the segments of topics as URLs, and as they are written.
    urls: Trie,
    texts: Trie,
    exotic: Vec<u32>,
    found: Vec<u32>,
}

impl Index {
    /// Whether there are no selectors.
    pub(super) fn is_empty(&self) -> bool {
        self.held.len() == self.vacant.len()
    }

    /// Whether there is room for these selectors.
    pub(super) fn has_room(&self, selectors: &[Selector]) -> bool {
        let exotic = selectors
            .iter()
            .filter(|selector| is_exotic(selector))
            .count();
        exotic == 0 || self.exotic.len() + exotic <= MAX_EXOTIC
    }

    /// A selector's number, if somebody has it.
    fn find(&self, selector: &Selector) -> Option<u32> {
        let hash = self.hasher.hash_one(selector.as_str());
        let is_same = |number: &u32| self.selector(*number) == Some(selector);
        self.by_text.find(hash, is_same).copied()
    }

    /// A selector, by its number.
    pub(super) fn selector(&self, number: u32) -> Option<&Selector> {
        Some(&self.held.get(number as usize)?.as_ref()?.selector)
    }

    /// Gives a selector a member more; the selector's number.
    pub(super) fn join(&mut self, selector: &Selector, member: u32, hub: &Identity) -> u32 {
        let number = self
            .find(selector)
            .unwrap_or_else(|| self.add(selector, hub));
        if let Some(Some(held)) = self.held.get_mut(number as usize) {
            held.members.push(member);
        }
        number
    }

    /// Takes a member away from a selector, and the selector with its last.
    pub(super) fn leave(&mut self, number: u32, member: u32, hub: &Identity) {
        let Some(Some(held)) = self.held.get_mut(number as usize) else {
            return;
        };
        if let Some(place) = held.members.iter().position(|one| *one == member) {
            held.members.swap_remove(place);
        }
        if held.members.is_empty() {
            self.remove(number, hub);
        }
    }

    fn add(&mut self, selector: &Selector, hub: &Identity) -> u32 {
        let number = self.vacant.pop().unwrap_or(self.held.len() as u32);
        if number as usize == self.held.len() {
            self.held.push(None);
        }
        match (selector, segments(selector, hub)) {
            (Selector::Pattern(_), Some(segments)) => self.urls.insert(&segments, number),
            (_, Some(segments)) => self.texts.insert(&segments, number),
            (_, None) => self.exotic.push(number),
        }
        self.held[number as usize] = Some(Held {
            selector: selector.clone(),
            members: SmallVec::new(),
        });
        let Self {
            by_text,
            held,
            hasher,
            ..
        } = self;
        let hash_of = |number: &u32| {
            let held = held[*number as usize].as_ref();
            hasher.hash_one(held.map_or("", |held| held.selector.as_str()))
        };
        by_text.insert_unique(hasher.hash_one(selector.as_str()), number, hash_of);
        number
    }

    fn remove(&mut self, number: u32, hub: &Identity) {
        let Some(Held { selector, .. }) = self.held[number as usize].take() else {
            return;
        };
        match (&selector, segments(&selector, hub)) {
            (Selector::Pattern(_), Some(segments)) => self.urls.remove(&segments, number),
            (_, Some(segments)) => self.texts.remove(&segments, number),
            (_, None) => self.exotic.retain(|one| *one != number),
        }
        let hash = self.hasher.hash_one(selector.as_str());
        if let Ok(found) = self.by_text.find_entry(hash, |one| *one == number) {
            found.remove();
        }
        self.vacant.push(number);
    }

    /// The members of all selectors that select a topic; one may come several times.
    pub(super) fn reached(&mut self, topic: &Topic<'_>, members: &mut Vec<u32>) {
        self.found.clear();
        if !self.texts.is_empty() {
            let segments: Vec<&str> = topic.text.split('/').collect();
            self.texts.find(&segments, &mut self.found);
        }
        if !(self.urls.is_empty() && self.exotic.is_empty())
            && let Some(url) = topic.url()
        {
            let segments: Vec<&str> = topic_segments(url).collect();
            self.urls.find(&segments, &mut self.found);
            self.found.extend_from_slice(&self.exotic);
        }
        for number in &self.found {
            if let Some(Some(held)) = self.held.get(*number as usize)
                && held.selector.selects(topic)
            {
                members.extend_from_slice(&held.members);
            }
        }
    }

    /// All selectors, each with its members.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Selector, &[u32])> {
        let held = self.held.iter().flatten();
        held.map(|held| (&held.selector, &held.members[..]))
    }
}

/// The segments by which a selector is found; none if it stands apart.
fn segments<'a>(selector: &'a Selector, hub: &'a Identity) -> Option<Vec<Segment<'a>>> {
    match selector {
        Selector::Template(_, template) => Some(template.segments()),
        Selector::Pattern(pattern) => pattern.segments(hub),
        // Those have no place here; as a topic such a one would still be found.
        Selector::All => Some(vec![Segment::Rest]),
        Selector::Exact(text) => Some(text.split('/').map(Segment::Literal).collect()),
    }
}

fn is_exotic(selector: &Selector) -> bool {
    matches!(selector, Selector::Pattern(pattern) if !pattern.is_plain())
}

/// No node.
const NONE: u32 = 0;

/// Sequences of segments, and the numbers of those that have them. The first node is the root.
#[derive(Debug, Default)]
struct Trie {
    nodes: Vec<Node>,
    vacant: Vec<u32>,
    len: usize,
}

#[derive(Debug, Default)]
struct Node {
    // Boxed: most nodes have none.
    literals: Option<Box<HashMap<Box<str>, u32>>>,
    any: u32,
    /// Those whose segments end here, and those that go on with anything.
    ends: SmallVec<[u32; 2]>,
    rests: SmallVec<[u32; 2]>,
}

impl Node {
    fn is_empty(&self) -> bool {
        self.literals.is_none() && self.any == NONE && self.ends.is_empty() && self.rests.is_empty()
    }

    fn literal(&self, segment: &str) -> u32 {
        let literals = self.literals.as_ref();
        literals
            .and_then(|literals| literals.get(segment))
            .copied()
            .unwrap_or(NONE)
    }
}

impl Trie {
    fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn insert(&mut self, segments: &[Segment<'_>], number: u32) {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        self.len += 1;
        let mut node = 0;
        for segment in segments {
            let next = match segment {
                Segment::Rest => {
                    self.nodes[node as usize].rests.push(number);
                    return;
                }
                Segment::Any => self.nodes[node as usize].any,
                Segment::Literal(literal) => self.nodes[node as usize].literal(literal),
            };
            node = match next {
                NONE => self.grow(node, *segment),
                next => next,
            };
        }
        self.nodes[node as usize].ends.push(number);
    }

    /// A new node behind another.
    fn grow(&mut self, node: u32, segment: Segment<'_>) -> u32 {
        let new = self.vacant.pop().unwrap_or(self.nodes.len() as u32);
        if new as usize == self.nodes.len() {
            self.nodes.push(Node::default());
        }
        let node = &mut self.nodes[node as usize];
        match segment {
            Segment::Literal(literal) => {
                node.literals
                    .get_or_insert_default()
                    .insert(literal.into(), new);
            }
            _ => node.any = new,
        }
        new
    }

    fn remove(&mut self, segments: &[Segment<'_>], number: u32) {
        let mut way = vec![0];
        let mut rest = false;
        for segment in segments {
            let node = &self.nodes[way[way.len() - 1] as usize];
            let next = match segment {
                Segment::Rest => {
                    rest = true;
                    break;
                }
                Segment::Any => node.any,
                Segment::Literal(literal) => node.literal(literal),
            };
            debug_assert_ne!(next, NONE, "what is removed was inserted");
            way.push(next);
        }
        let last = &mut self.nodes[way[way.len() - 1] as usize];
        let list = if rest {
            &mut last.rests
        } else {
            &mut last.ends
        };
        list.retain(|one| *one != number);
        self.len -= 1;
        // Nodes that nothing is behind any more go, from the last on.
        while way.len() > 1
            && let Some(node) = way.pop()
            && self.nodes[node as usize].is_empty()
        {
            self.nodes[node as usize] = Node::default();
            self.vacant.push(node);
            let parent = &mut self.nodes[way[way.len() - 1] as usize];
            match segments[way.len() - 1] {
                Segment::Literal(literal) => {
                    if let Some(literals) = &mut parent.literals {
                        literals.remove(literal);
                        if literals.is_empty() {
                            parent.literals = None;
                        }
                    }
                }
                _ => parent.any = NONE,
            }
        }
    }

    /// The numbers of the sequences that fit these segments.
    fn find(&self, segments: &[&str], found: &mut Vec<u32>) {
        if self.is_empty() {
            return;
        }
        let mut to_see = vec![(0, 0)];
        while let Some((node, depth)) = to_see.pop() {
            let node = &self.nodes[node as usize];
            found.extend_from_slice(&node.rests);
            let Some(segment) = segments.get(depth) else {
                found.extend_from_slice(&node.ends);
                continue;
            };
            for next in [node.literal(segment), node.any] {
                if next != NONE {
                    to_see.push((next, depth + 1));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;
    use crate::model::mercure::MatchType;

    fn hub() -> Identity {
        Identity::new("https://example.org/.well-known/mercure").unwrap()
    }

    fn pattern(text: &str) -> Selector {
        Selector::eight(MatchType::UrlPattern, text, &hub()).unwrap()
    }

    fn reached(index: &mut Index, topic: &str) -> Vec<u32> {
        let mut members = Vec::new();
        index.reached(&Topic::new(topic, &hub()), &mut members);
        members.sort_unstable();
        members.dedup();
        members
    }

    #[test]
    fn members_come_and_go() {
        let (hub, mut index) = (hub(), Index::default());
        let rooms: Vec<u32> = (0..100)
            .map(|n| index.join(&pattern(&format!("/:kind/room{n}/:who")), n, &hub))
            .collect();
        let template = Selector::seven("/a/{x}").unwrap();
        let shared = index.join(&template, 7, &hub);
        assert_eq!(index.join(&template, 8, &hub), shared);
        let wide = index.join(&pattern("/*"), 9, &hub);
        let exotic = index.join(&pattern("/a/:x(\\d+)"), 10, &hub);
        assert_eq!(index.all().count(), 103);
        assert_eq!(reached(&mut index, "/exact/room42/ann"), [9, 42]);
        assert_eq!(reached(&mut index, "/a/1"), [7, 8, 9, 10]);
        assert_eq!(reached(&mut index, "https://example.org/a/x"), [9]);
        index.leave(shared, 7, &hub);
        assert_eq!(reached(&mut index, "/a/x"), [8, 9]);
        for (number, member) in [(shared, 8), (wide, 9), (exotic, 10)] {
            index.leave(number, member, &hub);
        }
        for (number, member) in rooms.into_iter().zip(0..) {
            index.leave(number, member, &hub);
        }
        assert!(index.is_empty() && index.urls.is_empty() && index.texts.is_empty());
        let left = |trie: &Trie| trie.nodes.len() - trie.vacant.len();
        assert_eq!((left(&index.urls), left(&index.texts)), (1, 1), "the roots");
        assert_eq!(reached(&mut index, "/a/1"), [0_u32; 0]);
    }

    #[test]
    fn those_that_stand_apart_are_few() {
        let (hub, mut index) = (hub(), Index::default());
        for n in 0..MAX_EXOTIC as u32 {
            let one = pattern(&format!("/x{n}/:a(b)"));
            assert!(index.has_room(std::slice::from_ref(&one)));
            index.join(&one, n, &hub);
        }
        assert!(!index.has_room(&[pattern("/y/:a(b)")]));
        assert!(index.has_room(&[pattern("/y/:a")]));
    }

    proptest! {
        /// The index finds what looking at all would find.
        #[test]
        fn an_index_is_as_good_as_a_look_at_all(
            patterns in prop::collection::vec("(/(a|b|:w))?(/(a|b|:x))?/(a|:y|\\*|b\\{/:z\\}\\?)", 1..12),
            templates in prop::collection::vec("(/(a|b|\\{x\\})){1,2}(\\{/y\\}|\\{\\?z\\})?", 0..6),
            topics in prop::collection::vec("(/(a|b|c)){1,4}", 1..8),
        ) {
            let (hub, mut index) = (hub(), Index::default());
            let patterns = patterns.iter().map(|text| pattern(text));
            let templates = templates.iter().map(|text| Selector::seven(text).unwrap());
            let all: Vec<Selector> = patterns.chain(templates).collect();
            for (selector, member) in all.iter().zip(0..) {
                index.join(selector, member, &hub);
            }
            for text in &topics {
                let topic = Topic::new(text, &hub);
                let expected: Vec<u32> = all.iter().zip(0..)
                    .filter_map(|(selector, member)| selector.selects(&topic).then_some(member))
                    .collect();
                prop_assert_eq!(reached(&mut index, text), expected);
            }
        }
    }
}
