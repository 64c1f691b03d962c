//! Messages as JSON: lines among text messages, HTTP bodies, and the answers to them (RFC 8259).

mod body;
mod raw;

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::Value;

use crate::model::names::{RESERVED_EVENTS, check_event, check_key};
use crate::model::publication::Targets;
use crate::model::{EventId, NameError, Publication};

use super::address::{check_length, client_id, target};
use super::command::decode;
use super::refusal::{Kind, Refusal, shown};
use raw::{Member, Raw, Text};

pub use body::{MAX_MESSAGES, Shape, body, keyed};
pub use raw::MAX_TARGETS;

/// The keys of a message.
const KEYS: [&str; 8] = [
    "to", "data", "event", "except", "retain", "key", "private", "ack",
];

/// A message with what its publisher wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonMessage {
    /// The message.
    pub publication: Publication,
    /// Whether the publisher wants a [`receipt`].
    pub ack: bool,
}

/// Reads one message: `{"to":…,"data":…}` with optional `event`, `except`,
/// `retain`, `key`, `private` and `ack`; `null` is as absent.
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

/// The name of an event: 1–255 bytes of UTF-8 without line ends or NUL, so that it is one line of a
/// stream, and none that means something else there.
pub fn event_name(text: &str) -> Result<Box<str>, Refusal> {
    let checked = check_event(text).and_then(|()| {
        if RESERVED_EVENTS.contains(&text) {
            Err(NameError::Reserved)
        } else {
            Ok(text.into())
        }
    });
    checked.map_err(|problem| {
        Refusal::new(
            Kind::BadEvent,
            format!("the event name {} {problem}", shown(text)),
        )
    })
}

/// Checks what depends on whether there is a Mercure hub: its own events' name is nobody else's, and
/// topics may be longer than other names.
///
/// # Errors
/// The name of the event, or whom it is for.
pub fn check_for_hub(publication: &Publication, hub: bool) -> Result<(), Refusal> {
    if hub && publication.event.as_deref() == Some("mercure") {
        let problem = NameError::Reserved;
        let why = format!("the event name {} {problem}", shown("mercure"));
        return Err(Refusal::new(Kind::BadEvent, why));
    }
    let mut targets = publication.to.as_slice().iter();
    targets.try_for_each(|target| check_length(target, hub))
}

/// The key by which a message that is sent again is known: 1–255 bytes, no control characters. It is
/// never shown.
pub fn message_key(text: &str) -> Result<Box<str>, Refusal> {
    match check_key(text) {
        Ok(()) => Ok(text.into()),
        Err(problem) => Err(Refusal::new(
            Kind::BadKey,
            format!("the idempotency key {problem}"),
        )),
    }
}

/// The answer to a message that was taken in, without a newline: its id, and how many subscribers it
/// is on its way to.
pub fn receipt(id: EventId, recipients: usize, repeated: bool) -> String {
    let (mut number, mut count) = (itoa::Buffer::new(), itoa::Buffer::new());
    [
        r#"{"id":"#,
        number.format(id.0),
        r#","recipients":"#,
        count.format(recipients),
        if repeated {
            r#","repeated":true}"#
        } else {
            "}"
        },
    ]
    .concat()
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
    let (mut retain, mut ack, mut private, mut name) = (None, None, None, None);
    for (Text(key), value) in members {
        if value == Member::Null && KEYS.contains(&&*key) {
            continue;
        }
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
            "key" => name
                .replace(message_key(&text_of("key", value)?)?)
                .is_some(),
            "private" => private.replace(flag("private", &value)?).is_some(),
            "ack" => ack.replace(flag("ack", &value)?).is_some(),
            _ => {
                return Err(bad(format!(
                    "unknown key {}; the keys are to, data, event, except, retain, key, private \
                     and ack",
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
            key: name,
            update: None,
        },
        ack: ack.unwrap_or(false),
    })
}

/// The value of `to`: a target or a list of them, each kept once.
fn targets(value: Member<'_>) -> Result<Targets, Refusal> {
    let at = |refusal: Refusal| refusal.at(r#""to""#);
    let list = match value {
        Member::Text(text) => return Ok(Targets::One(target(&text).map_err(at)?)),
        Member::List(_, Some(kind)) => return Err(wrong("to", "a list of strings only", kind)),
        Member::List(list, None) => list,
        other => return Err(wrong("to", "a string or a list of strings", other.kind())),
    };
    let mut seen = HashSet::new();
    let mut targets = Vec::new();
    for text in &list {
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

fn text_of<'a>(key: &str, value: Member<'a>) -> Result<Cow<'a, str>, Refusal> {
    match value {
        Member::Text(text) => Ok(text),
        other => Err(wrong(key, "a string", other.kind())),
    }
}

fn flag(key: &str, value: &Member<'_>) -> Result<bool, Refusal> {
    match value {
        Member::Flag(flag) => Ok(*flag),
        other => Err(wrong(key, "true or false", other.kind())),
    }
}

fn wrong(key: &str, right: &str, kind: &str) -> Refusal {
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
                r#""data" is missing: the text of the message"#,
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
                r#"the event name "a\nb" has a line end or NUL in it"#,
            ),
            (
                r#"{"to":"a","data":"","private":"yes"}"#,
                r#""private" must be true or false, not a string"#,
            ),
            (
                r#"{"to":"a","data":"","key":""}"#,
                "the idempotency key is empty; it needs 1 to 255 bytes",
            ),
            (
                r#"{"to":"a","data":"","key":"hush\n"}"#,
                "the idempotency key has a control character in it",
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
                r#"unknown key "dat\na"; the keys are to, data, event, except, retain, key, private and ack"#,
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
    fn null_is_as_absent() {
        let nulls = r#"{"to":"a","data":"x","event":null,"except":null,"retain":null,"key":null,
            "private":null,"ack":null}"#;
        let plain = read(r#"{"to":"a","data":"x"}"#);
        assert_eq!(read(&nulls.replace('\n', "")), plain);
        let why = read(r#"{"to":"a","data":"x","other":null}"#).unwrap_err();
        assert!(
            why.to_string().starts_with(r#"unknown key "other""#),
            "{why}"
        );
    }

    #[test]
    fn some_names_of_events_are_reserved() {
        for name in RESERVED_EVENTS {
            let why = event_name(name).unwrap_err();
            assert_eq!(why.reason(), "bad_event");
            assert!(why.to_string().contains("is reserved"), "{why}");
        }
        for name in [
            "Error",
            "errors",
            "a\tb",
            "\u{85}",
            "mercure",
            &"é".repeat(127),
        ] {
            assert_eq!(event_name(name).as_deref(), Ok(name));
        }
        for name in ["", "a\rb", "a\nb", "a\0", &"x".repeat(256)] {
            assert!(event_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn what_is_carried_for_others() {
        let message = read(r#"{"to":"a","data":"","private":false,"key":"é 1"}"#).unwrap();
        assert_eq!(message.publication.private, Some(false));
        assert_eq!(message.publication.key.as_deref(), Some("é 1"));
    }

    #[test]
    fn a_message_has_so_many_targets_at_most() {
        let list = |count| {
            let each: Vec<_> = (0..count).map(|n| format!("\"{n}\"")).collect();
            read(&format!(r#"{{"to":[{}],"data":""}}"#, each.join(",")))
        };
        assert!(list(MAX_TARGETS).is_ok());
        let why = list(MAX_TARGETS + 1).unwrap_err().to_string();
        assert!(
            why.starts_with("bad JSON: a message has at most 1000 targets"),
            "{why}"
        );
    }

    #[test]
    fn members_that_no_message_has_are_not_kept() {
        let many = format!("{{{}\"x\":1}}", "\"to\":\"a\",".repeat(1000));
        assert_eq!(
            read(&many).unwrap_err().to_string(),
            r#""to" is there twice"#
        );
        let many = format!("{{{}\"to\":1", "\"x\":{},".repeat(1000));
        let why = read(&many).unwrap_err().to_string();
        assert!(why.starts_with("bad JSON: EOF"), "{why}");
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
        assert_eq!(
            receipt(EventId(12), 3, false),
            r#"{"id":12,"recipients":3}"#
        );
        assert_eq!(
            receipt(EventId(12), 3, true),
            r#"{"id":12,"recipients":3,"repeated":true}"#
        );
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
