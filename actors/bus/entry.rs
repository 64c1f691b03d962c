//! What one entry of the stream says.
//!
//! ```text
//! body = 1, version, node: u64, number: u64, how many items: u32, items
//!      | 2, live: u8, node: u64, or 0 where it holds for the writer's own streams too
//! item = its length: u32, what it is and says
//! what = 0 or 1 (is kept for replay), the message as the first history files had it
//!      | 2, a client's id
//!      | 3, seconds since 1970: u64, a client's id
//!      | 4 or 5 (is kept for replay), the message as the history file has it now, from its flags on
//!      | 64 …: of a version to come: how many bytes its targets have: u32, its targets as text, one in a
//!        line, and what that version says
//! ```
//!
//! A node writes the newest version that all nodes know. What a later version says nevertheless, a node passes
//! over: the subscribers of an item's targets have a gap, all where these cannot be read.
//!
//! Numbers are little-endian. The stream's own id of the entry is `ID-0`, ID being that of its last item;
//! those before it have every other id below. Its field `b` is the body, `p` the newest id before all of
//! them, so that a reader knows whether it has missed something.

use crate::archive::frame;
use crate::model::publication::Targets;
use crate::model::{ClientId, EventId, Publication, Record, Target};
use crate::wire::address;

/// The newest version of what this node reads and writes. Before there were versions a 0 stood there.
pub(super) const VERSION: u8 = 1;

const ITEMS: u8 = 1;
const GAP_MARKER: u8 = 2;
/// What an item is that is no event.
const DISCONNECT: u8 = 2;
const DISCONNECT_UNTIL: u8 = 3;
/// An event with more than older versions know, not kept for replay and kept.
const PASSING: u8 = 4;
const KEPT: u8 = 5;
/// The first kind of an item that begins with its targets, of a version to come.
const NEWER: u8 = 64;
/// Bytes of a body before its items.
const HEAD: usize = 22;

/// One process of hasses: a number that it gave itself by chance when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Node(pub(super) u64);

/// A body, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// What a node took in, in its order.
    Items {
        /// Which node.
        node: Node,
        /// The sequence number of the first item among all of that node, from 1. Readers drop numbers that
        /// they have had.
        number: u64,
        /// At least one.
        items: Vec<Item>,
    },
    /// Whoever has seen nothing newer than this entry may have missed something.
    GapMarker {
        /// Whose streams have missed nothing; 0: nobody's.
        node: Node,
        /// Whether that holds for streams that are open too, and not only for those that come back.
        live: bool,
    },
}

/// One of the things that a node took in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// A message.
    Event(Publication),
    /// The streams with an id are to end; nobody named so is let in until a moment, in seconds since 1970.
    Disconnect(ClientId, Option<u64>),
    /// What this version does not know, and whom it is for; all, where that cannot be read.
    Newer(Targets),
}

/// One entry as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its id, which is that of its last item.
    pub(super) id: EventId,
    /// The newest id before its first item.
    pub(super) previous: EventId,
    /// What it says, not yet understood.
    pub(super) body: Vec<u8>,
}

impl Entry {
    /// An entry that hasses did not write; it only says that it is there.
    pub(super) fn foreign(id: EventId) -> Self {
        Self {
            id,
            previous: EventId(0),
            body: Vec::new(),
        }
    }

    /// Whether hasses did not write it.
    pub(super) fn is_foreign(&self) -> bool {
        self.body.is_empty()
    }

    /// How many items it has, as it says; a gap marker counts as one.
    pub(super) fn count(&self) -> usize {
        match (self.body.first(), self.body.get(HEAD - 4..HEAD)) {
            (Some(&ITEMS), Some(&[a, b, c, d])) => u32::from_le_bytes([a, b, c, d]) as usize,
            _ => 1,
        }
    }
}

/// The item of an event.
pub(super) fn event(publication: &Publication) -> Vec<u8> {
    let mut item = Vec::with_capacity(64 + publication.data.len());
    match (frame::is_extended(publication), publication.retain) {
        (false, retain) => {
            item.push(retain.into());
            frame::put_publication(publication, &mut item);
        }
        (true, retain) => {
            item.push(if retain { KEPT } else { PASSING });
            frame::put_message(publication, 0, &mut item);
        }
    }
    item
}

/// The item that ends the streams with an id.
pub(super) fn disconnect(id: &ClientId, until: Option<u64>) -> Vec<u8> {
    match until {
        None => [&[DISCONNECT], id.as_str().as_bytes()].concat(),
        Some(until) => [
            &[DISCONNECT_UNTIL][..],
            &until.to_le_bytes(),
            id.as_str().as_bytes(),
        ]
        .concat(),
    }
}

/// The body of a version with these items, of which the first is the `number`th of that node.
pub(super) fn pack<'a>(
    version: u8,
    node: Node,
    number: u64,
    items: impl Iterator<Item = &'a [u8]> + Clone,
) -> Vec<u8> {
    let length = |item: &[u8]| 4 + item.len();
    let mut body = Vec::with_capacity(HEAD + items.clone().map(length).sum::<usize>());
    body.extend([ITEMS, version]);
    body.extend(node.0.to_le_bytes());
    body.extend(number.to_le_bytes());
    body.extend((items.clone().count() as u32).to_le_bytes());
    for item in items {
        body.extend((item.len() as u32).to_le_bytes());
        body.extend_from_slice(item);
    }
    body
}

/// The body of a gap marker.
pub(super) fn gap_marker(node: Node, live: bool) -> Vec<u8> {
    let mut body = vec![GAP_MARKER, live.into()];
    body.extend(node.0.to_le_bytes());
    body
}

/// Entries with what a history file had, of which it has everything that is newer than `since`.
pub(super) fn of_file(node: Node, records: Vec<Record>, since: EventId) -> Vec<Entry> {
    let Some(first) = records.first() else {
        return Vec::new();
    };
    // What was before the first is not known.
    let before = EventId(first.id.0.saturating_sub(1));
    let mut entries: Vec<Entry> = Vec::with_capacity(records.len() + 1);
    let newest = |entries: &[Entry]| entries.last().map_or(before, |entry| entry.id);
    let mut whole = since < first.id;
    for (record, number) in records.iter().zip(1..) {
        if !whole && record.id > since {
            whole = true;
            entries.push(lacking(node, newest(&entries), since));
        }
        let item = event(&record.publication);
        entries.push(Entry {
            id: record.id,
            previous: newest(&entries),
            body: pack(VERSION, node, number, std::iter::once(item.as_slice())),
        });
    }
    if !whole {
        entries.push(lacking(node, newest(&entries), since));
    }
    entries
}

/// A gap marker between what a history file had and what may be missing in it.
fn lacking(node: Node, previous: EventId, since: EventId) -> Entry {
    Entry {
        id: EventId(since.0.max(previous.0 + 1)),
        previous,
        body: gap_marker(node, true),
    }
}

impl Body {
    /// Understands a body; `None` for one that no version like this has written.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&[kind, flag], rest) = bytes.split_first_chunk()?;
        let (node, rest) = rest.split_first_chunk()?;
        let node = Node(u64::from_le_bytes(*node));
        match kind {
            ITEMS => {
                let (number, rest) = rest.split_first_chunk()?;
                let (count, mut rest) = rest.split_first_chunk()?;
                let count = u32::from_le_bytes(*count) as usize;
                let mut items = Vec::with_capacity(count.min(rest.len()));
                while let Some((length, more)) = rest.split_first_chunk() {
                    let (item, more) =
                        more.split_at_checked(u32::from_le_bytes(*length) as usize)?;
                    let newer = || Item::Newer(targets(item).unwrap_or(Targets::One(Target::All)));
                    items.push(Item::read(item).unwrap_or_else(newer));
                    rest = more;
                }
                let number = u64::from_le_bytes(*number);
                number.checked_add(count as u64)?;
                let all = rest.is_empty() && !items.is_empty() && items.len() == count;
                all.then_some(Self::Items {
                    node,
                    number,
                    items,
                })
            }
            GAP_MARKER if rest.is_empty() => Some(Self::GapMarker {
                node,
                live: flag != 0,
            }),
            _ => None,
        }
    }
}

/// The targets of an item of a version to come.
fn targets(item: &[u8]) -> Option<Targets> {
    let (kind, rest) = item.split_first()?;
    let (length, rest) = rest.split_first_chunk()?;
    let text = rest.get(..u32::from_le_bytes(*length) as usize)?;
    let lines = std::str::from_utf8(text).ok()?.lines();
    let targets = lines.map(|line| address::target(line).ok());
    let targets: Vec<Target> = targets.collect::<Option<_>>()?;
    let known = *kind >= NEWER && !targets.is_empty();
    known.then(|| Targets::Many(targets.into()))
}

impl Item {
    /// Understands an item, as above.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (what, rest) = bytes.split_first()?;
        match *what {
            retain @ (0 | 1) => {
                let mut publication = frame::publication(rest)?;
                publication.retain = retain != 0;
                Some(Self::Event(publication))
            }
            what @ (PASSING | KEPT) => {
                let mut publication = frame::message(rest)?;
                publication.retain = what == KEPT;
                Some(Self::Event(publication))
            }
            DISCONNECT => {
                let id = std::str::from_utf8(rest).ok()?;
                let id = ClientId::new(id).ok()?;
                Some(Self::Disconnect(id, None))
            }
            DISCONNECT_UNTIL => {
                let (until, id) = rest.split_first_chunk()?;
                let id = ClientId::new(std::str::from_utf8(id).ok()?).ok()?;
                Some(Self::Disconnect(id, Some(u64::from_le_bytes(*until))))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::mercure::{Draft, Update};
    use crate::model::{Target, Token};

    fn message() -> Publication {
        let mut message = Publication::new(Target::Token(Token::new("room").unwrap()), "a\nb");
        message.except = Some(ClientId::new("me").unwrap());
        message.event = Some("e".into());
        message
    }

    fn update() -> Publication {
        Publication {
            private: Some(true),
            update: Some(Box::new(Update::new(Draft::Eight))),
            ..message()
        }
    }

    fn items() -> Vec<Item> {
        let unkept = Publication {
            retain: false,
            key: None,
            ..message()
        };
        let me = ClientId::new("me").unwrap();
        vec![
            Item::Event(message()),
            Item::Disconnect(me.clone(), None),
            Item::Disconnect(me, Some(1 << 40)),
            Item::Event(unkept),
            Item::Event(Publication {
                retain: false,
                ..update()
            }),
            Item::Event(update()),
        ]
    }

    fn packed(node: Node, number: u64) -> Vec<u8> {
        let items = items().into_iter().map(|item| match item {
            Item::Event(publication) => event(&publication),
            Item::Disconnect(id, until) => disconnect(&id, until),
            Item::Newer(_) => unreachable!("nobody here writes it"),
        });
        let items: Vec<_> = items.collect();
        pack(VERSION, node, number, items.iter().map(Vec::as_slice))
    }

    fn entry(body: Vec<u8>) -> Entry {
        Entry {
            id: EventId(13),
            previous: EventId(9),
            body,
        }
    }

    #[test]
    fn bodies_are_read_as_they_were_written() {
        let (node, number) = (Node(7), 8);
        let read = Body::Items {
            node,
            number,
            items: items(),
        };
        assert_eq!(Body::read(&packed(node, number)), Some(read));
        assert_eq!(entry(packed(node, number)).count(), items().len());
        let node = Node(u64::MAX);
        let read = Body::GapMarker { node, live: true };
        assert_eq!(Body::read(&gap_marker(node, true)), Some(read));
        assert_eq!(entry(gap_marker(node, true)).count(), 1);
    }

    #[test]
    fn what_nobody_wrote_is_not_read() {
        let body = packed(Node(7), 8);
        for length in 0..body.len() {
            assert_eq!(Body::read(&body[..length]), None, "{length}");
        }
        for more in [vec![0], vec![0; 4], vec![1, 0, 0, 0, 9]] {
            assert_eq!(Body::read(&[body.clone(), more].concat()), None);
        }
        let mut many = body;
        many[HEAD - 4..HEAD].fill(u8::MAX);
        assert_eq!(Body::read(&many), None, "more than it has");
        assert_eq!(
            Body::read(&pack(VERSION, Node(7), 8, std::iter::empty())),
            None
        );
        assert_eq!(Body::read(&[4; 40]), None);
        assert_eq!(
            Body::read(&[gap_marker(Node(1), true), vec![0]].concat()),
            None
        );
    }
}
