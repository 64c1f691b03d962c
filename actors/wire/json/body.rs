//! The bodies of `POST /publish`.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::raw::Raw;
use super::{JsonMessage, bad, checked, message, parsed};
use crate::wire::command::decode;
use crate::wire::refusal::Refusal;

/// What the answer to an HTTP body looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One receipt, for one object.
    One,
    /// A list of receipts, for a list or lines.
    List,
}

/// The most messages of one body.
pub const MAX_MESSAGES: usize = 10_000;
/// U+FEFF as UTF-8, which some programs write in front of all text.
const BOM: &[u8] = "\u{feff}".as_bytes();

/// Reads an HTTP body: an object or a list of them, or with `ndjson` one in each line that is not
/// blank; U+FEFF in front is skipped. All are good or the first that is not is named. Bounds and counts
/// are those of [`message`], with each line, or else the whole body, counted once; there are at most
/// [`MAX_MESSAGES`].
pub fn body(
    bytes: &[u8],
    ndjson: bool,
    max_message: usize,
    invalid_utf8: &mut u64,
) -> Result<(Vec<JsonMessage>, Shape), Refusal> {
    let bytes = bytes.strip_prefix(BOM).unwrap_or(bytes);
    if ndjson {
        let messages = bytes
            .split(|byte| *byte == b'\n')
            .zip(1..)
            .filter(|(line, _)| !line.trim_ascii().is_empty())
            .zip(1..)
            .map(|((line, number), count)| {
                message(line, max_message, invalid_utf8)
                    .and_then(|message| within(count).map(|()| message))
                    .map_err(|refusal| refusal.at(format_args!("line {number}")))
            })
            .collect::<Result<_, _>>()?;
        return Ok((messages, Shape::List));
    }
    let text = decode(bytes, invalid_utf8);
    if !text.trim_ascii_start().starts_with('[') {
        return Ok((vec![checked(parsed(&text)?, max_message)?], Shape::One));
    }
    let List(list) = parsed(&text)?;
    let messages = list
        .into_iter()
        .zip(1..)
        .map(|(raw, number)| {
            checked(raw, max_message)
                .map_err(|refusal| refusal.at(format_args!("message {number}")))
        })
        .collect::<Result<_, _>>()?;
    Ok((messages, Shape::List))
}

/// Gives the messages of a body their keys, where the whole body has one: the first has it as it is, so
/// that one message is the same alone and in a list; each other has its place behind a NUL, which no key
/// of a publisher has in it.
///
/// Errors: a message of the body has a key of its own.
pub fn keyed(
    mut messages: Vec<JsonMessage>,
    key: Option<&str>,
) -> Result<Vec<JsonMessage>, Refusal> {
    let Some(key) = key else {
        return Ok(messages);
    };
    for (place, message) in messages.iter_mut().enumerate() {
        if message.publication.key.is_some() {
            return Err(bad(
                r#""key" in a message: Idempotency-Key stands for the whole body already"#,
            ));
        }
        message.publication.key = Some(match place {
            0 => key.into(),
            place => format!("{key}\0{place}").into(),
        });
    }
    Ok(messages)
}

fn within(count: usize) -> Result<(), Refusal> {
    if count <= MAX_MESSAGES {
        Ok(())
    } else {
        Err(bad(TOO_MANY))
    }
}

const TOO_MANY: &str = "a body has at most 10000 messages; send several";

/// What may be messages, not too many of them.
struct List<'a>(Vec<Raw<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for List<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(ListVisitor).map(Self)
    }
}

struct ListVisitor;

impl<'de> Visitor<'de> for ListVisitor {
    type Value = Vec<Raw<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = list.next_element()? {
            if messages.len() == MAX_MESSAGES {
                return Err(A::Error::custom(TOO_MANY));
            }
            messages.push(message);
        }
        Ok(messages)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_a_shape() {
        let good = r#"{"to":"a","data":"x"}"#;
        let read = |text: &str, ndjson| {
            body(text.as_bytes(), ndjson, 100, &mut 0)
                .map(|(messages, shape)| (messages.len(), shape))
                .map_err(|refusal| refusal.to_string())
        };
        assert_eq!(read(good, false), Ok((1, Shape::One)));
        assert_eq!(
            read(&format!("\n [{good},{good}]"), false),
            Ok((2, Shape::List))
        );
        assert_eq!(read("[]", false), Ok((0, Shape::List)));
        assert_eq!(read("", true), Ok((0, Shape::List)));
        assert_eq!(
            read(&format!("{good}\r\n\r\n  \n{good}"), true),
            Ok((2, Shape::List))
        );
        assert!(read("", false).unwrap_err().starts_with("bad JSON: "));
        assert_eq!(
            read(&format!("[{good},{good},{{\"to\":5}}]"), false).unwrap_err(),
            r#"message 3: "to" must be a string or a list of strings, not a number"#
        );
        assert_eq!(
            read(&format!("[{good},null]"), false).unwrap_err(),
            "message 2: a message must be an object, not null"
        );
        assert_eq!(
            read(&format!("{good}\n\n[]\n"), true).unwrap_err(),
            "line 3: a message must be an object, not a list"
        );
    }

    #[test]
    fn a_body_has_so_many_messages_at_most() {
        let good = r#"{"to":"a","data":"x"}"#;
        let list = |count| format!("[{}]", vec![good; count].join(","));
        let lines = |count| format!("{good}\n").repeat(count);
        let read = |text: &str, ndjson| body(text.as_bytes(), ndjson, 100, &mut 0);
        for (text, ndjson) in [(list(MAX_MESSAGES), false), (lines(MAX_MESSAGES), true)] {
            assert_eq!(read(&text, ndjson).unwrap().0.len(), MAX_MESSAGES);
        }
        for (text, ndjson) in [
            (list(MAX_MESSAGES + 1), false),
            (lines(MAX_MESSAGES + 1), true),
            (format!("[{}", "{},".repeat(MAX_MESSAGES + 2)), false),
        ] {
            let why = read(&text, ndjson).unwrap_err();
            assert!(why.to_string().contains(TOO_MANY), "{why}");
        }
    }

    #[test]
    fn a_key_of_the_whole_body_is_that_of_each_message() {
        let read = |text: &str| body(text.as_bytes(), false, 100, &mut 0).unwrap().0;
        let two = || read(r#"[{"to":"a","data":"1"},{"to":"a","data":"2"}]"#);
        let keys: Vec<_> = keyed(two(), Some("k"))
            .unwrap()
            .into_iter()
            .map(|message| message.publication.key)
            .collect();
        assert_eq!(keys, [Some("k".into()), Some("k\x001".into())]);
        assert_eq!(keyed(two(), None).unwrap()[0].publication.key, None);
        let own = read(r#"[{"to":"a","data":"1","key":"x"}]"#);
        assert!(keyed(own, Some("k")).is_err());
    }

    #[test]
    fn a_byte_order_mark_in_front_is_skipped() {
        let good = "\u{feff}{\"to\":\"a\",\"data\":\"\u{feff}x\"}";
        for ndjson in [false, true] {
            let (messages, _) = body(good.as_bytes(), ndjson, 100, &mut 0).unwrap();
            assert_eq!(&*messages[0].publication.data, "\u{feff}x");
        }
    }
}
