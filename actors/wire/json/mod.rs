//! Messages as JSON: lines among text messages, HTTP bodies, and the answers to them (RFC 8259).

mod body;
mod raw;

use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::model::names::MAX_NAME;
use crate::model::publication::Targets;
use crate::model::{EventId, NameError, Publication};

use super::address::{client_id, target};
use super::command::decode;
use super::refusal::{Kind, Refusal, shown};
use raw::{Key, Raw};

pub use body::{Shape, body};

/// A message with what its publisher wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonMessage {
    /// The message.
    pub publication: Publication,
    /// Whether the publisher wants a [`receipt`].
    pub ack: bool,
}

/// Reads one message: `{"to":…,"data":…}` with optional `event`, `except`, `retain`, `private` and `ack`.
///
/// `max_message` bounds the bytes of the decoded `data`. Bytes that are no UTF-8 are replaced by
/// U+FFFD; `invalid_utf8` counts the lines that had any.
pub fn message(
    line: &[u8],
    max_message: usize,
    invalid_utf8: &mut u64,
) -> Result<JsonMessage, Refusal> {
    let text = decode(line, invalid_utf8);
    checked(parsed(&text)?, max_message)
}

/// The name of an event: 1–255 bytes of UTF-8 without control characters, so that it is one line of
/// a stream.
pub fn event_name(text: &str) -> Result<Box<str>, Refusal> {
    let problem = if text.is_empty() {
        NameError::Empty
    } else if text.len() > MAX_NAME {
        NameError::TooLong
    } else if text.chars().any(char::is_control) {
        NameError::Control
    } else {
        return Ok(text.into());
    };
    Err(Refusal::new(
        Kind::BadEvent,
        format!("the event name {} {problem}", shown(text)),
    ))
}

/// The answer to a message that was taken in, without a newline: its id, and how many subscribers it
/// is on its way to.
pub fn receipt(id: EventId, recipients: usize) -> String {
    format!(r#"{{"id":{id},"recipients":{recipients}}}"#)
}

/// The answer to what was refused, without a newline.
pub fn error(text: &str) -> String {
    format!(r#"{{"error":{}}}"#, Value::from(text))
}

fn parsed<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Refusal> {
    serde_json::from_str(text).map_err(|error| bad(format!("bad JSON: {error}")))
}

fn bad(text: impl Into<String>) -> Refusal {
    Refusal::new(Kind::BadJson, text)
}

/// Makes a message of JSON, or says what is wrong by the member's name.
fn checked(raw: Raw<'_>, max_message: usize) -> Result<JsonMessage, Refusal> {
    let members = match raw {
        Raw::Object(members) => members,
        Raw::Other(kind) => {
            return Err(bad(format!("a message must be an object, not {kind}")));
        }
    };
    let (mut to, mut data, mut event, mut except) = (None, None, None, None);
    let (mut retain, mut private, mut ack) = (None, None, None);
    for (Key(key), value) in members {
        let again = match &*key {
            "to" => to.replace(targets(value)?).is_some(),
            "data" => data.replace(text_of("data", value)?).is_some(),
            "event" => event
                .replace(event_name(&text_of("event", value)?)?)
                .is_some(),
            "except" => {
                let id = client_id(&text_of("except", value)?);
                except
                    .replace(id.map_err(|refusal| refusal.at(r#""except""#))?)
                    .is_some()
            }
            "retain" => retain.replace(flag("retain", &value)?).is_some(),
            "private" => private.replace(flag("private", &value)?).is_some(),
            "ack" => ack.replace(flag("ack", &value)?).is_some(),
            _ => {
                return Err(bad(format!(
                    "unknown key {}; the keys are to, data, event, except, retain, private and ack",
                    shown(&key)
                )));
            }
        };
        if again {
            return Err(bad(format!("{key:?} is there twice")));
        }
    }
    let to = to.ok_or_else(|| bad(r#""to" is missing: a token, "pre*", "*" or a list of them"#))?;
    let data = data.ok_or_else(|| bad(r#""data" is missing: the text of the message"#))?;
    if data.len() > max_message {
        return Err(Refusal::too_long(data.as_bytes(), max_message));
    }
    Ok(JsonMessage {
        publication: Publication {
            to,
            except,
            event,
            data: data.into(),
            retain: retain.unwrap_or(true),
            private,
            update: None,
        },
        ack: ack.unwrap_or(false),
    })
}

/// The value of `to`: a target or a list of them, each kept once.
fn targets(value: Value) -> Result<Targets, Refusal> {
    let at = |refusal: Refusal| refusal.at(r#""to""#);
    let list = match value {
        Value::String(text) => return Ok(Targets::One(target(&text).map_err(at)?)),
        Value::Array(list) => list,
        other => return Err(wrong("to", "a string or a list of strings", &other)),
    };
    let mut seen = HashSet::new();
    let mut targets = Vec::new();
    for value in &list {
        let Value::String(text) = value else {
            return Err(wrong("to", "a list of strings only", value));
        };
        if seen.insert(text) {
            targets.push(target(text).map_err(at)?);
        }
    }
    match targets.len() {
        0 => Err(bad(r#""to" must not be an empty list"#)),
        1 => Ok(Targets::One(targets.remove(0))),
        _ => Ok(Targets::Many(targets.into())),
    }
}

fn text_of(key: &str, value: Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(wrong(key, "a string", &other)),
    }
}

fn flag(key: &str, value: &Value) -> Result<bool, Refusal> {
    value
        .as_bool()
        .ok_or_else(|| wrong(key, "true or false", value))
}

fn wrong(key: &str, right: &str, value: &Value) -> Refusal {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    bad(format!("{key:?} must be {right}, not {kind}"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;
    use crate::model::{ClientId, Target, Token};
    use proptest::prelude::*;

    fn token(name: &str) -> Target {
        Target::Token(Token::new(name).unwrap())
    }

    fn read(line: &str) -> Result<JsonMessage, Refusal> {
        message(line.as_bytes(), 100, &mut 0)
    }

    #[test]
    fn a_message_has_defaults() {
        assert_eq!(
            read(r#" {"to":"a-b","data":"a;b=c\nd"} "#),
            Ok(JsonMessage {
                publication: Publication::new(token("a-b"), "a;b=c\nd"),
                ack: false
            })
        );
        let all = r#"{"ack":true,"retain":false,"except":"7","event":"e","data":"","to":"*"}"#;
        assert_eq!(
            read(all),
            Ok(JsonMessage {
                publication: Publication {
                    except: Some(ClientId::new("7").unwrap()),
                    event: Some("e".into()),
                    retain: false,
                    ..Publication::new(Target::All, "")
                },
                ack: true
            })
        );
    }

    #[test]
    fn a_list_of_targets_keeps_each_once() {
        let to = |list: &str| {
            read(&format!(r#"{{"to":{list},"data":""}}"#)).map(|message| message.publication.to)
        };
        assert_eq!(to(r#"["a","a"]"#), Ok(Targets::One(token("a"))));
        let prefix = Target::Prefix(Token::new("b").unwrap());
        assert_eq!(
            to(r#"["a","b*","a","\u0062*","*"]"#),
            Ok(Targets::Many([token("a"), prefix, Target::All].into()))
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, text) in [
            (
                r#"{"to":"a","data":5}"#,
                r#""data" must be a string, not a number"#,
            ),
            (
                r#"{"to":"a","data":null}"#,
                r#""data" must be a string, not null"#,
            ),
            (
                r#"{"to":{},"data":""}"#,
                r#""to" must be a string or a list of strings, not an object"#,
            ),
            (
                r#"{"to":["a",[]],"data":""}"#,
                r#""to" must be a list of strings only, not a list"#,
            ),
            (
                r#"{"to":[],"data":""}"#,
                r#""to" must not be an empty list"#,
            ),
            (
                r#"{"to":"","data":""}"#,
                r#""to": the address "" is empty; it needs 1 to 255 bytes"#,
            ),
            (
                r#"{"to":"a","data":"","retain":1}"#,
                r#""retain" must be true or false, not a number"#,
            ),
            (
                r#"{"to":"a","data":"","ack":"x"}"#,
                r#""ack" must be true or false, not a string"#,
            ),
            (
                r#"{"to":"a","data":"","event":""}"#,
                r#"the event name "" is empty; it needs 1 to 255 bytes"#,
            ),
            (
                r#"{"to":"a","data":"","event":"a\nb"}"#,
                r#"the event name "a\nb" has a control character in it"#,
            ),
            (
                r#"{"to":"a","data":"","except":7}"#,
                r#""except" must be a string, not a number"#,
            ),
            (
                r#"{"to":"a","data":"","except":""}"#,
                r#""except": the id "" is empty; it needs 1 to 255 bytes"#,
            ),
            (r#"{"to":"a","data":"","to":"a"}"#, r#""to" is there twice"#),
            (
                r#"{"data":""}"#,
                r#""to" is missing: a token, "pre*", "*" or a list of them"#,
            ),
            (
                r#"{"to":"a"}"#,
                r#""data" is missing: the text of the message"#,
            ),
            (
                r#"{"to":"a","dat\na":""}"#,
                r#"unknown key "dat\na"; the keys are to, data, event, except, retain, private and ack"#,
            ),
            ("[]", "a message must be an object, not a list"),
            ("-1e3", "a message must be an object, not a number"),
            (
                r#"{"to":"a""#,
                "bad JSON: EOF while parsing an object at line 1 column 9",
            ),
            (
                r#"{"to":"a","data":""}x"#,
                "bad JSON: trailing characters at line 1 column 21",
            ),
        ] {
            assert_eq!(read(line).unwrap_err().to_string(), text);
        }
        assert!(read(&format!("{{\"to\":{}", "[".repeat(10_000))).is_err());
    }

    #[test]
    fn the_decoded_data_is_measured() {
        let line = |count| format!(r#"{{"to":"a","data":"{}"}}"#, r"\u0061".repeat(count));
        assert!(read(&line(100)).is_ok());
        assert!(read(&line(101)).unwrap_err().is_too_long());
    }

    #[test]
    fn invalid_bytes_are_replaced_and_counted() {
        let mut invalid = 0;
        let read = message(b"{\"to\":\"a\",\"data\":\"\xff\xff\"}", 100, &mut invalid).unwrap();
        assert_eq!(&*read.publication.data, "\u{fffd}\u{fffd}");
        assert_eq!(invalid, 1);
    }

    #[test]
    fn answers_are_one_line() {
        assert_eq!(receipt(EventId(12), 3), r#"{"id":12,"recipients":3}"#);
        assert_eq!(error("a \"b\"\n"), r#"{"error":"a \"b\"\n"}"#);
    }

    proptest! {
        #[test]
        fn any_data_arrives(
            to in "[^*\\p{Cc}]{1,60}",
            data in any::<String>(),
            event in proptest::option::of("[^\\p{Cc}]{1,60}"),
            ack in any::<bool>(),
        ) {
            let mut json = serde_json::json!({ "to": to, "data": data, "ack": ack });
            if let Some(event) = &event {
                json["event"] = event.as_str().into();
            }
            let read = message(json.to_string().as_bytes(), 1 << 20, &mut 0);
            let publication = Publication {
                event: event.map(String::into),
                ..Publication::new(token(&to), data)
            };
            prop_assert_eq!(read, Ok(JsonMessage { publication, ack }));
        }

        #[test]
        fn no_line_breaks_a_line(line in "[{\\[]?[\"a-z:,{}\\[\\]0\\\\\n\u{85}\u{1b}]{0,40}", bytes in any::<Vec<u8>>()) {
            for input in [line.as_bytes(), &bytes] {
                if let Err(refusal) = body(input, false, 10, &mut 0) {
                    prop_assert!(!refusal.to_string().contains(char::is_control));
                }
            }
        }
    }
}
