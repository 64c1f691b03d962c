//! What one entry of the stream says.
//!
//! ```text
//! body = 1, retained: u8, node: u64, number: u64, the message as the history file has it
//!      | 2, live: u8, node: u64
//!      | 3, 0, node: u64, number: u64, a client's id
//! ```
//!
//! Numbers are little-endian. The stream's own id of the entry is `ID-0`, ID being the event's id; its
//! field `b` is the body, `p` the id of the entry before it, so that a reader knows whether it has
//! missed something.

use redis::Value;

use crate::archive::frame;
use crate::model::{ClientId, EventId, Publication};

const EVENT: u8 = 1;
const HOLE: u8 = 2;
const DISCONNECT: u8 = 3;
/// Bytes of an event's body before its message.
const HEAD: usize = 18;

/// One process of hasses: a number that it gave itself by chance when it started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Node(pub(super) u64);

/// A body, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Body {
    /// A message.
    Event {
        /// Who took it in.
        node: Node,
        /// The how many-th of that node it is, from 1: so a copy is told from the first.
        number: u64,
        /// What it says.
        publication: Publication,
    },
    /// The streams with an id are to end.
    Disconnect {
        /// Who was asked to.
        node: Node,
        /// As above: messages and these are numbered together.
        number: u64,
        /// The id.
        id: ClientId,
    },
    /// Whoever has seen nothing newer than this entry may have missed something.
    Hole {
        /// Who found it.
        node: Node,
        /// Whether that holds for streams that are open too, and not only for those that come back.
        live: bool,
    },
}

/// One entry as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its id.
    pub(super) id: EventId,
    /// The id before it.
    pub(super) previous: EventId,
    /// What it says, not yet understood.
    pub(super) body: Vec<u8>,
}

/// The body of an event.
pub(super) fn event(node: Node, number: u64, publication: &Publication) -> Vec<u8> {
    let mut body = Vec::with_capacity(HEAD + 32 + publication.data.len());
    body.extend([EVENT, publication.retain.into()]);
    body.extend(node.0.to_le_bytes());
    body.extend(number.to_le_bytes());
    frame::put_publication(publication, &mut body);
    body
}

/// The body that ends the streams with an id.
pub(super) fn disconnect(node: Node, number: u64, id: &ClientId) -> Vec<u8> {
    let mut body = vec![DISCONNECT, 0];
    body.extend(node.0.to_le_bytes());
    body.extend(number.to_le_bytes());
    body.extend_from_slice(id.as_str().as_bytes());
    body
}

/// The body of a hole.
pub(super) fn hole(node: Node, live: bool) -> Vec<u8> {
    let mut body = vec![HOLE, live.into()];
    body.extend(node.0.to_le_bytes());
    body
}

impl Body {
    /// Understands a body; `None` for one that no version like this has written.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (&[kind, flag], rest) = bytes.split_first_chunk()?;
        let (node, rest) = rest.split_first_chunk()?;
        let node = Node(u64::from_le_bytes(*node));
        match kind {
            EVENT => {
                let (number, message) = rest.split_first_chunk()?;
                let mut publication = frame::publication(message)?;
                publication.retain = flag != 0;
                Some(Self::Event {
                    node,
                    number: u64::from_le_bytes(*number),
                    publication,
                })
            }
            DISCONNECT => {
                let (number, id) = rest.split_first_chunk()?;
                Some(Self::Disconnect {
                    node,
                    number: u64::from_le_bytes(*number),
                    id: ClientId::new(std::str::from_utf8(id).ok()?).ok()?,
                })
            }
            HOLE if rest.is_empty() => Some(Self::Hole {
                node,
                live: flag != 0,
            }),
            _ => None,
        }
    }
}

/// The entries of an answer to XREAD on one stream; `None` when it is no such answer.
pub(super) fn entries(answer: Value) -> Option<Vec<Entry>> {
    let Value::Array(streams) = answer else {
        return matches!(answer, Value::Nil).then(Vec::new);
    };
    let Some(Value::Array(stream)) = streams.into_iter().next() else {
        return None;
    };
    let Some(Value::Array(entries)) = stream.into_iter().nth(1) else {
        return None;
    };
    entries.into_iter().map(entry).collect()
}

fn entry(value: Value) -> Option<Entry> {
    let Value::Array(parts) = value else {
        return None;
    };
    let mut parts = parts.into_iter();
    let (Some(id), Some(Value::Array(fields))) = (parts.next(), parts.next()) else {
        return None;
    };
    let (mut previous, mut body) = (None, None);
    let mut fields = fields.into_iter();
    while let (Some(name), Some(value)) = (fields.next(), fields.next()) {
        let Value::BulkString(value) = value else {
            return None;
        };
        match name {
            Value::BulkString(name) if name == b"p" => previous = number(&value),
            Value::BulkString(name) if name == b"b" => body = Some(value),
            _ => {}
        }
    }
    let Value::BulkString(id) = id else {
        return None;
    };
    Some(Entry {
        id: number(id.strip_suffix(b"-0")?)?,
        previous: previous?,
        body: body?,
    })
}

fn number(digits: &[u8]) -> Option<EventId> {
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(EventId(number)).filter(|id| id.0 < EventId::END)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::{Target, Token};

    fn message() -> Publication {
        let mut message = Publication::new(Target::Token(Token::new("room").unwrap()), "a\nb");
        message.except = Some(ClientId::new("me").unwrap());
        message.event = Some("e".into());
        message
    }

    #[test]
    fn bodies_are_read_as_they_were_written() {
        for retain in [true, false] {
            let publication = Publication {
                retain,
                ..message()
            };
            let (node, number) = (Node(7), 8);
            let body = event(node, number, &publication);
            let read = Body::Event {
                node,
                number,
                publication,
            };
            assert_eq!(Body::read(&body), Some(read));
        }
        let (node, number, id) = (Node(7), 8, ClientId::new("me").unwrap());
        let body = disconnect(node, number, &id);
        assert_eq!(
            Body::read(&body),
            Some(Body::Disconnect { node, number, id })
        );
        let node = Node(u64::MAX);
        let read = Body::Hole { node, live: true };
        assert_eq!(Body::read(&hole(node, true)), Some(read));
    }

    #[test]
    fn what_nobody_wrote_is_not_read() {
        let body = event(Node(7), 8, &message());
        for length in 0..body.len() - 3 {
            assert_eq!(Body::read(&body[..length]), None, "{length}");
        }
        assert_eq!(Body::read(&[4; 40]), None);
        assert_eq!(Body::read(&[hole(Node(1), true), vec![0]].concat()), None);
    }

    #[test]
    fn an_answer_has_entries() {
        let text = |text: &str| Value::BulkString(text.into());
        let fields = Value::Array(["p", "12", "b", "x"].map(text).into());
        let one = Value::Array(vec![text("13-0"), fields.clone()]);
        let answer =
            |one| Value::Array(vec![Value::Array(vec![text("k"), Value::Array(vec![one])])]);
        let entry = Entry {
            id: EventId(13),
            previous: EventId(12),
            body: b"x".into(),
        };
        assert_eq!(entries(answer(one)), Some(vec![entry]));
        assert_eq!(entries(Value::Nil), Some(Vec::new()));
        for id in ["13-1", "9007199254740992-0", "x-0", "13"] {
            let foreign = Value::Array(vec![text(id), fields.clone()]);
            assert_eq!(entries(answer(foreign)), None, "{id}");
        }
        assert_eq!(entries(Value::Okay), None);
    }
}
