//! What nodes say to one another beside the log: text of lines, sent to a node's channel.
//!
//! ```text
//! ask 00000000000000ff        who asks, and to whom the answers go
//! 12 room1                    a question's number, and a target: how many streams would it reach?
//! 13 pre*
//!
//! answer
//! 12 3                        a question's number, and how many
//!
//! presence 00000000000000ff   who says it; what follows is for the registry
//! history 00000000000000ff    likewise
//! ```
//!
//! No target has a line end in it.

use std::fmt;

use super::entry::Node;
use crate::messages::registry::Subject;
use crate::model::Target;
use crate::wire::address;

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// What a node was told, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PeerMessage {
    /// Another asks.
    Questions {
        /// The other.
        asker: Node,
        /// Its questions, by its own numbers.
        targets: Vec<(u64, Target)>,
    },
    /// Another answers.
    Answers(Vec<(u64, u64)>),
    /// Another's registry says something to this one's.
    Told {
        /// Of what.
        about: Subject,
        /// The other.
        node: Node,
        /// What it says.
        text: String,
    },
}

const SUBJECTS: [(Subject, &str); 2] = [
    (Subject::Presence, "presence "),
    (Subject::History, "history "),
];

/// What one registry says to others, as it is sent.
pub(super) fn told(about: Subject, node: Node, text: &str) -> String {
    let word = SUBJECTS.iter().find(|(subject, _)| *subject == about);
    let word = word.map_or("", |(_, word)| word);
    format!("{word}{node}\n{text}")
}

/// Questions as they are sent.
pub(super) fn questions<'a>(
    asker: Node,
    targets: impl IntoIterator<Item = (u64, &'a Target)>,
) -> String {
    let line = |(number, target)| format!("\n{number} {}", address::text(target));
    let lines = targets.into_iter().map(line);
    format!("ask {asker}") + &lines.collect::<String>()
}

/// Answers as they are sent.
pub(super) fn answers(counts: &[(u64, u64)]) -> String {
    let line = |(number, count): &(u64, u64)| format!("\n{number} {count}");
    "answer".to_owned() + &counts.iter().map(line).collect::<String>()
}

impl PeerMessage {
    /// Understands what came; `None` for what no version like this has sent.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        for (about, word) in SUBJECTS {
            if let Some(told) = text.strip_prefix(word) {
                let (node, text) = told.split_once('\n')?;
                return Some(Self::Told {
                    about,
                    node: Node(u64::from_str_radix(node, 16).ok()?),
                    text: text.to_owned(),
                });
            }
        }
        let mut lines = text.lines();
        let head = lines.next()?;
        let pairs = lines.map(|line| {
            let (number, rest) = line.split_once(' ')?;
            Some((number.parse().ok()?, rest))
        });
        match head.strip_prefix("ask ") {
            Some(asker) => Some(Self::Questions {
                asker: Node(u64::from_str_radix(asker, 16).ok()?),
                targets: pairs
                    .map(|pair| {
                        pair.and_then(|(number, to)| Some((number, address::target(to).ok()?)))
                    })
                    .collect::<Option<_>>()?,
            }),
            None if head == "answer" => pairs
                .map(|pair| pair.and_then(|(number, count)| Some((number, count.parse().ok()?))))
                .collect::<Option<_>>()
                .map(Self::Answers),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::model::Token;

    #[test]
    fn what_is_said_is_understood() {
        let name = |name| Token::new(name).unwrap();
        let targets = vec![
            (7, Target::Token(name("a room\u{2028} 9"))),
            (8, Target::Prefix(name(" -ask "))),
            (u64::MAX, Target::All),
        ];
        let asker = Node(255);
        let said = questions(
            asker,
            targets.iter().map(|(number, target)| (*number, target)),
        );
        assert!(said.starts_with("ask 00000000000000ff\n7 a room"), "{said}");
        let read = PeerMessage::read(said.as_bytes());
        assert_eq!(read, Some(PeerMessage::Questions { asker, targets }));
        for counts in [vec![(7, 0), (8, u64::MAX)], Vec::new()] {
            let said = answers(&counts);
            assert_eq!(
                PeerMessage::read(said.as_bytes()),
                Some(PeerMessage::Answers(counts))
            );
        }
    }

    #[test]
    fn registries_are_told_what_others_say() {
        for (about, word) in [
            (Subject::Presence, "presence"),
            (Subject::History, "history"),
        ] {
            let text = "two\nlines".to_owned();
            let said = told(about, Node(255), &text);
            assert_eq!(said, format!("{word} 00000000000000ff\ntwo\nlines"));
            let node = Node(255);
            let read = PeerMessage::read(said.as_bytes());
            assert_eq!(read, Some(PeerMessage::Told { about, node, text }));
        }
    }

    #[test]
    fn what_nobody_says_is_not_understood() {
        for said in [
            "",
            "answers",
            "ask",
            "ask x",
            "ask 1\n7",
            "ask 1\nx a",
            "ask 1\n7 a*b",
            "ask 1\n7 ",
            "answer\n7",
            "answer\n7 -1",
            "answer\n7 a",
            "presence 1",
            "presence x\na",
            "ask 1\n7 \u{1}",
        ] {
            assert_eq!(PeerMessage::read(said.as_bytes()), None, "{said:?}");
        }
        assert_eq!(PeerMessage::read(b"answer\n7 \xff"), None);
    }
}
