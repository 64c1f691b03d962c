//! The form that a publisher sends (`application/x-www-form-urlencoded`, WHATWG URL §5.1).

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use percent_encoding::percent_decode_str;

use super::MAX_TOPICS;
use crate::model::mercure::Update;
use crate::model::mercure::{Draft, Identity, text};
use crate::model::names::{MAX_NAME, MAX_TOPIC};
use crate::model::publication::Targets;
use crate::model::{Publication, Target, Token};
use crate::wire::http::Refused;
use crate::wire::http::query::{decode, parameters};
use crate::wire::http::refused::quoted;

/// The media type of the form.
const MEDIA_TYPE: &str = "application/x-www-form-urlencoded";

/// Bytes that a form may have whose `data` has `max_message`: each may be encoded as three, and
/// topics come besides.
pub fn most_bytes(max_message: usize) -> usize {
    max_message.saturating_mul(3).saturating_add(MAX_TOPIC * 64)
}

/// Checks the `Content-Type` of a form; a request without one is taken for a form too.
///
/// # Errors
/// 415 for another type.
pub fn check_type(content_type: Option<&str>) -> Result<(), Refused> {
    let given = content_type.unwrap_or(MEDIA_TYPE);
    let name = given.split(';').next().unwrap_or_default().trim();
    if name.eq_ignore_ascii_case(MEDIA_TYPE) {
        Ok(())
    } else {
        Err(Refused::new(
            415,
            format!(
                "the body must be {MEDIA_TYPE}, not {}",
                quoted(given.as_bytes())
            ),
        ))
    }
}

/// Reads a form of either kind. Unknown fields are ignored.
///
/// # Errors
/// 400, naming the field: no topic or more than [`MAX_TOPICS`]; a topic, an id or a type that is
/// empty, too long or has a control or format character in it; the topic `*` (form 8); an id that
/// begins with `#` or is `earliest`, which are the hub's own; the type `mercure`; a `retry` that is no
/// number; bad encoding. A topic below the hub's own path: 400 in form 8, 403 in form 7. 413 for `data`
/// of more than `max_message` bytes.
pub fn read(
    draft: Draft,
    body: &[u8],
    hub: &Identity,
    max_message: usize,
) -> Result<Publication, Refused> {
    let body = std::str::from_utf8(body)
        .map_err(|_| Refused::new(400, "the body is not UTF-8; it must be percent-encoded"))?;
    let mut fields = Fields::new(draft);
    for (name, value) in parameters(body) {
        fields.take(name, value, hub)?;
    }
    fields.publication(max_message)
}

/// What a form's fields say.
struct Fields {
    topics: Vec<Target>,
    seen: HashSet<Token>,
    update: Update,
    data: Option<String>,
    event: Option<Box<str>>,
    private: bool,
}

impl Fields {
    fn new(draft: Draft) -> Self {
        Self {
            topics: Vec::new(),
            seen: HashSet::new(),
            update: Update::new(draft),
            data: None,
            event: None,
            private: false,
        }
    }

    /// Takes the next field of the form.
    fn take(&mut self, raw_name: &str, value: &str, hub: &Identity) -> Result<(), Refused> {
        let text = |name| decode(value, true).map_err(|error| wrong(name, value, &error));
        match &*decode(raw_name, true).unwrap_or(raw_name.into()) {
            "topic" => {
                let topic = topic(self.update.draft, &text("topic")?, hub)?;
                if self.seen.insert(topic.clone()) {
                    self.topics.push(Target::Token(topic));
                }
                if self.topics.len() > MAX_TOPICS {
                    let why = format!("there are more than {MAX_TOPICS} topics");
                    return Err(Refused::new(400, why));
                }
            }
            "data" => once(&mut self.data, "data", any_text(value)?)?,
            "private" => self.private = true,
            "id" => {
                let id = text("id")?;
                if !id.is_empty() {
                    once(&mut self.update.id, "id", given_id(&id)?)?;
                }
            }
            "type" => {
                let kind = text("type")?;
                if !kind.is_empty() {
                    once(&mut self.event, "type", type_name(&kind)?)?;
                }
            }
            "retry" => {
                let retry = text("retry")?;
                let digits = retry.bytes().all(|byte| byte.is_ascii_digit());
                match retry.parse().ok().filter(|_| digits) {
                    Some(retry) => once(&mut self.update.retry, "retry", retry)?,
                    None if retry.is_empty() => {}
                    None => {
                        return Err(wrong("retry", value, &"is no whole number of milliseconds"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// What is published by the whole form.
    fn publication(mut self, max_message: usize) -> Result<Publication, Refused> {
        let data = self.data.unwrap_or_default();
        if data.len() > max_message {
            let why =
                format!("data is longer than {max_message} bytes, the most that is taken here");
            return Err(Refused::new(413, why));
        }
        let to = match self.topics.len() {
            0 => {
                let why = "topic is missing; it names what the update is about";
                return Err(Refused::new(400, why));
            }
            1 => Targets::One(self.topics.remove(0)),
            _ => Targets::Many(self.topics.into()),
        };
        Ok(Publication {
            to,
            except: None,
            event: self.event,
            data: data.into(),
            retain: true,
            private: Some(self.private),
            update: Some(Box::new(self.update)),
            key: None,
        })
    }
}

/// Decodes a value in which bytes that are no UTF-8 are replaced.
fn any_text(value: &str) -> Result<String, Refused> {
    match decode(value, true) {
        Ok(text) => Ok(text.into_owned()),
        Err(crate::wire::http::query::DecodeError::Utf8) => {
            let spaced: Cow<'_, str> = value.replace('+', " ").into();
            Ok(percent_decode_str(&spaced).decode_utf8_lossy().into_owned())
        }
        Err(error) => Err(wrong("data", value, &error)),
    }
}

fn topic(draft: Draft, topic: &str, hub: &Identity) -> Result<Token, Refused> {
    let bad = |error: &dyn fmt::Display| wrong("topic", topic, error);
    match (draft, topic) {
        (Draft::Eight, "") => return Err(bad(&"is the hub's own name")),
        (Draft::Eight, "*") => return Err(bad(&"stands for every topic, and is none")),
        _ => text::check(topic).map_err(|error| bad(&error))?,
    }
    if hub.reserves(topic) {
        let status = match draft {
            Draft::Eight => 400,
            Draft::Seven => 403,
        };
        let mut refused = bad(&"is the hub's own: no publisher may use a name below its path");
        refused.status = status;
        return Err(refused);
    }
    Token::of_topic(topic).map_err(|error| bad(&error))
}

fn given_id(id: &str) -> Result<Box<str>, Refused> {
    text::check(id).map_err(|error| wrong("id", id, &error))?;
    if id.starts_with('#') || id == "earliest" {
        return Err(wrong(
            "id",
            id,
            &"is kept for the hub: no '#' at the start, and not earliest",
        ));
    }
    Ok(id.into())
}

fn type_name(kind: &str) -> Result<Box<str>, Refused> {
    text::check(kind).map_err(|error| wrong("type", kind, &error))?;
    if kind.len() > MAX_NAME {
        return Err(wrong("type", kind, &"is longer than 255 bytes"));
    }
    if kind == "mercure" {
        return Err(wrong("type", kind, &"is kept for the hub's own events"));
    }
    Ok(kind.into())
}

fn once<T>(field: &mut Option<T>, name: &str, value: T) -> Result<(), Refused> {
    match field.replace(value) {
        None => Ok(()),
        Some(_) => Err(Refused::new(400, format!("{name} is given twice"))),
    }
}

fn wrong(name: &str, value: &str, error: &dyn fmt::Display) -> Refused {
    Refused::new(400, format!("{name}={} {error}", quoted(value.as_bytes())))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn hub() -> Identity {
        Identity::new("https://example.org/.well-known/mercure").unwrap()
    }

    fn eight(body: &str) -> Result<Publication, Refused> {
        read(Draft::Eight, body.as_bytes(), &hub(), 100)
    }

    fn seven(body: &str) -> Result<Publication, Refused> {
        read(Draft::Seven, body.as_bytes(), &hub(), 100)
    }

    fn token(topic: &str) -> Target {
        Target::Token(Token::of_topic(topic).unwrap())
    }

    #[test]
    fn a_whole_update() {
        let read = eight(
            "topic=https%3A%2F%2Fexample.org%2F1&topic=b&data=a%0D%0A+b&private=&id=urn%3Ax&type=t\
             &retry=5&unknown=%zz",
        )
        .unwrap();
        assert_eq!(
            read.to,
            Targets::Many([token("https://example.org/1"), token("b")].into())
        );
        assert_eq!((&*read.data, read.event.as_deref()), ("a\r\n b", Some("t")));
        assert_eq!(read.private, Some(true));
        let update = read.update.unwrap();
        assert_eq!(
            (update.id.as_deref(), update.retry),
            (Some("urn:x"), Some(5))
        );
        assert!(!update.about_subscription && update.draft == Draft::Eight);
    }

    #[test]
    fn little_is_needed() {
        for read in [seven("topic=a"), eight("topic=a&topic=a&id=&type=&retry=")] {
            let read = read.unwrap();
            assert_eq!(
                (read.to, &*read.data, read.private),
                (Targets::One(token("a")), "", Some(false))
            );
            assert_eq!(read.event, None);
        }
        for private in ["private", "private=", "private=on", "private=0"] {
            assert_eq!(
                eight(&format!("topic=a&{private}")).unwrap().private,
                Some(true)
            );
        }
        assert_eq!(&*eight("topic=a&data=%ff").unwrap().data, "\u{fffd}");
        assert!(seven("topic=*").is_ok());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("topic={}", "x".repeat(4097));
        let many: String = (0..1001).map(|n| format!("topic={n}&")).collect();
        let kind = format!("topic=a&type={}", "x".repeat(256));
        for (body, status, named) in [
            ("", 400, "topic is missing"),
            ("data=x", 400, "topic is missing"),
            ("topic=", 400, "hub's own"),
            ("topic=*", 400, "every topic"),
            ("topic=mercure", 400, "hub's own"),
            (
                "topic=%2F.well-known%2Fmercure%2Fsubscriptions",
                400,
                "hub's own",
            ),
            (
                "topic=a&topic=%2F.well-known%2F%256dercure",
                400,
                "hub's own",
            ),
            ("topic=a%0Ab", 400, "control"),
            ("topic=a%E2%80%8Bb", 400, "control or format"),
            ("topic=%ff", 400, "UTF-8"),
            ("topic=%zz", 400, "%25"),
            (&long, 400, "4096"),
            (&many, 400, "1000"),
            ("topic=a&id=%23x", 400, "kept for the hub"),
            ("topic=a&id=earliest", 400, "kept for the hub"),
            ("topic=a&id=x%0Ay", 400, "control"),
            ("topic=a&id=1&id=2", 400, "twice"),
            ("topic=a&type=mercure", 400, "hub's own events"),
            ("topic=a&type=x%0Adata:+y", 400, "control"),
            (&kind, 400, "255"),
            ("topic=a&retry=x", 400, "milliseconds"),
            ("topic=a&retry=-1", 400, "milliseconds"),
            ("topic=a&retry=%2B1", 400, "milliseconds"),
            ("topic=a&retry=99999999999999999999", 400, "milliseconds"),
            ("topic=a&data=%", 400, "%25"),
            (
                &format!("topic=a&data={}", "x".repeat(101)),
                413,
                "100 bytes",
            ),
        ] {
            let refused = eight(body).unwrap_err();
            assert!(
                refused.status == status && refused.reason.contains(named),
                "{body}: {refused}"
            );
        }
        assert_eq!(seven("topic=mercure").unwrap_err().status, 403);
        assert_eq!(seven("topic=").unwrap_err().status, 400);
        assert_eq!(seven("topic=a&type=mercure").unwrap_err().status, 400);
        let not_utf8 = read(Draft::Seven, b"topic=\xff", &hub(), 9);
        assert!(not_utf8.unwrap_err().reason.contains("UTF-8"));
    }

    #[test]
    fn a_form_says_that_it_is_one() {
        for good in [
            None,
            Some(MEDIA_TYPE),
            Some("Application/X-WWW-Form-Urlencoded; charset=UTF-8"),
        ] {
            assert!(check_type(good).is_ok(), "{good:?}");
        }
        for bad in [
            "application/json",
            "multipart/form-data; boundary=x",
            "text/plain",
            "",
        ] {
            assert_eq!(check_type(Some(bad)).unwrap_err().status, 415, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_form_panics(body in "(topic=|data=|id=|type=|retry=|private|&|%|[0-9a-f]|\\PC){0,20}") {
            if let Ok(read) = eight(&body) {
                prop_assert!(!read.to.as_slice().is_empty());
            }
        }
    }
}
