//! The subscriptions API: its paths and its documents.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use crate::model::mercure::{Draft, Identity, MatchType};
use crate::wire::http::Refused;
use crate::wire::http::query::decode;

/// What is encoded in a segment: all but the unreserved characters of RFC 3986 §2.3.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The context of form 7's documents (JSON-LD).
const CONTEXT: &str = "https://mercure.rocks/";

/// What a path below `/subscriptions` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Whose form.
    pub draft: Draft,
    /// The path as it was asked for.
    pub path: String,
    /// Subscriptions of this type alone (form 8).
    pub match_type: Option<MatchType>,
    /// Subscriptions that are written like this alone.
    pub selector: Option<String>,
    /// That of this subscriber alone.
    pub subscriber: Option<String>,
}

impl Asked {
    /// Reads a path, the hub's path included.
    ///
    /// # Errors
    /// 404 for another path, 400 for an unknown type or bad encoding.
    pub fn read(draft: Draft, path: &str, hub: &Identity) -> Result<Self, Refused> {
        let unknown = || Refused::new(404, "there is no such subscription");
        let rest = path
            .strip_prefix(&hub.subscriptions_path())
            .ok_or_else(unknown)?;
        let mut asked = Self {
            draft,
            path: path.to_owned(),
            match_type: None,
            selector: None,
            subscriber: None,
        };
        if rest.is_empty() {
            return Ok(asked);
        }
        let mut segments = rest.strip_prefix('/').ok_or_else(unknown)?.split('/');
        let mut next = || segments.next().filter(|segment| !segment.is_empty());
        if draft == Draft::Eight {
            let kind = text(next().ok_or_else(unknown)?)?;
            let known = MatchType::read(&kind);
            asked.match_type =
                Some(known.ok_or_else(|| {
                    Refused::new(400, "the type of a match is exact or urlpattern")
                })?);
        }
        asked.selector = Some(text(next().ok_or_else(unknown)?)?);
        if let Some(subscriber) = next() {
            asked.subscriber = Some(text(subscriber)?);
        }
        match segments.next() {
            None => Ok(asked),
            Some(_) => Err(unknown()),
        }
    }
}

/// Decodes a segment of the path.
fn text(segment: &str) -> Result<String, Refused> {
    let text = decode(segment, false).map(Cow::into_owned);
    text.map_err(|error| Refused::new(400, format!("the path {error}")))
}

/// One subscription, as it is shown.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// The form that it is shown in.
    pub draft: Draft,
    /// Its selector's type.
    pub match_type: MatchType,
    /// Its selector, as the subscriber wrote it.
    pub selector: &'a str,
    /// The subscriber's name, which the hub gave it.
    pub subscriber: &'a str,
    /// Whether the subscriber is there.
    pub active: bool,
    /// What its token says of it: JSON.
    pub payload: Option<&'a str>,
}

impl Shown<'_> {
    /// The subscription's path, which is the topic of events about it too.
    pub fn path(&self, hub: &Identity) -> String {
        let Self {
            draft,
            match_type,
            selector,
            subscriber,
            ..
        } = self;
        let (selector, subscriber) = (segment(selector), segment(subscriber));
        let root = hub.subscriptions_path();
        match draft {
            Draft::Seven => format!("{root}/{selector}/{subscriber}"),
            Draft::Eight => format!("{root}/{}/{selector}/{subscriber}", match_type.name()),
        }
    }

    /// The subscription as JSON, without the closing brace: what a document, an event and a member of
    /// a list have in common. Written by hand, as a list may have very many.
    fn open_json(&self, hub: &Identity) -> String {
        let text = |text: &str| Value::from(text).to_string();
        let (id, selector) = (text(&self.path(hub)), text(self.selector));
        let mut json = match self.draft {
            Draft::Seven => format!(r#"{{"id":{id},"type":"Subscription","topic":{selector}"#),
            Draft::Eight => format!(
                r#"{{"id":{id},"type":"subscription","match_type":"{}","match":{selector}"#,
                self.match_type.name()
            ),
        };
        json += &format!(
            r#","subscriber":{},"active":{}"#,
            text(self.subscriber),
            self.active
        );
        if let Some(payload) = self.payload {
            json += &format!(r#","payload":{payload}"#);
        }
        json
    }

    /// The subscription as a member of a list.
    pub fn member(&self, hub: &Identity) -> String {
        self.open_json(hub) + "}"
    }

    /// The data of an event about the subscription.
    pub fn event(&self, hub: &Identity) -> String {
        let context = match self.draft {
            Draft::Seven => format!(r#","@context":"{CONTEXT}""#),
            Draft::Eight => String::new(),
        };
        self.open_json(hub) + &context + "}"
    }

    /// The document of this subscription alone; `last_event_id` is where the hub stands.
    pub fn document(&self, hub: &Identity, last_event_id: &str) -> String {
        let more = match self.draft {
            Draft::Seven => {
                let last = Value::from(last_event_id);
                format!(r#","@context":"{CONTEXT}","lastEventID":{last}"#)
            }
            Draft::Eight => String::new(),
        };
        self.open_json(hub) + &more + "}"
    }
}

/// Percent-encodes a text as one segment of a path.
fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// The document of a list of subscriptions, each a [member](Shown::member); `last_event_id` is where the
/// hub stands.
pub fn list(asked: &Asked, members: &[String], last_event_id: &str) -> String {
    let (id, last) = (Value::from(&*asked.path), Value::from(last_event_id));
    let head = match asked.draft {
        Draft::Seven => format!(
            r#"{{"@context":"{CONTEXT}","id":{id},"type":"Subscriptions","lastEventID":{last}"#
        ),
        Draft::Eight => format!(r#"{{"id":{id},"type":"subscriptions""#),
    };
    format!(r#"{head},"subscriptions":[{}]}}"#, members.join(","))
}

/// What an event about a subscription says, for who keeps account of them.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Told {
    /// Its selector's type (draft 8).
    #[serde(default)]
    match_type: Option<String>,
    /// Its selector, as draft 8 calls it, and as draft 7 does.
    #[serde(default, rename = "match")]
    matches: Option<String>,
    #[serde(default)]
    topic: Option<String>,
    /// The subscriber's name.
    pub subscriber: String,
    /// Whether the subscriber is there.
    pub active: bool,
    /// What its token says of it.
    #[serde(default)]
    pub payload: Option<Value>,
}

impl Told {
    /// Reads an event's data; none if it is no such event's.
    pub fn read(data: &str) -> Option<Self> {
        serde_json::from_str(data).ok()
    }

    /// The type of its selector, and the selector.
    pub fn selector(&self) -> Option<(MatchType, &str)> {
        let kind = match &self.match_type {
            Some(name) => MatchType::read(name)?,
            None => MatchType::Exact,
        };
        let text = self.matches.as_deref().or(self.topic.as_deref())?;
        Some((kind, text))
    }
}

/// The media type of the documents.
pub fn media_type(draft: Draft) -> &'static str {
    match draft {
        Draft::Seven => "application/ld+json",
        Draft::Eight => "application/json",
    }
}

/// The lines of an answer of the API that say where the hub stands.
pub fn lines(draft: Draft, hub: &Identity, last_event_id: &str) -> String {
    let path = hub.path();
    let link = match draft {
        Draft::Seven => format!("<{path}>; rel=\"mercure\""),
        Draft::Eight => format!(
            "<{path}>; rel=\"mercure\"; last-event-id=\"{last_event_id}\"; type=\"mercure\"; \
             content-type=\"application/json\""
        ),
    };
    format!("Link: {link}\r\nETag: \"{last_event_id}\"\r\nCache-Control: private, no-cache\r\n")
}

/// Whether `If-None-Match` names an entity tag (RFC 9110 §13.1.2: weak comparison).
pub fn is_known(if_none_match: Option<&str>, last_event_id: &str) -> bool {
    let Some(field) = if_none_match else {
        return false;
    };
    let bare = |tag: &str| {
        let tag = tag.trim();
        let tag = tag.strip_prefix("W/").unwrap_or(tag);
        tag.trim_matches('"').to_owned()
    };
    field.trim() == "*" || field.split(',').any(|tag| bare(tag) == last_event_id)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use serde_json::json;

    use super::*;

    fn hub() -> Identity {
        Identity::new("https://example.org/.well-known/mercure").unwrap()
    }

    fn asked(draft: Draft, path: &str) -> Result<Asked, u16> {
        let whole = format!("/.well-known/mercure/subscriptions{path}");
        Asked::read(draft, &whole, &hub()).map_err(|refused| refused.status)
    }

    #[test]
    fn a_path_names_subscriptions() {
        let all = asked(Draft::Eight, "").unwrap();
        assert_eq!(
            (all.match_type, all.selector, all.subscriber),
            (None, None, None)
        );
        let some = asked(Draft::Eight, "/exact/https%3A%2F%2Fe%2F1").unwrap();
        assert_eq!(some.match_type, Some(MatchType::Exact));
        assert_eq!(some.selector.as_deref(), Some("https://e/1"));
        let one = asked(Draft::Eight, "/urlpattern/%2F%3Aa/urn%3Auuid%3A1").unwrap();
        assert_eq!(one.subscriber.as_deref(), Some("urn:uuid:1"));
        let old = asked(Draft::Seven, "/a%2Fb/x").unwrap();
        assert_eq!(
            (old.match_type, old.selector.as_deref()),
            (None, Some("a/b"))
        );
        for (draft, path, status) in [
            (Draft::Eight, "/exact", 404),
            (Draft::Eight, "/exact/", 404),
            (Draft::Eight, "/template/a", 400),
            (Draft::Eight, "/exact/a/b/c", 404),
            (Draft::Eight, "/exact/%zz", 400),
            (Draft::Eight, "x", 404),
            (Draft::Seven, "/", 404),
            (Draft::Seven, "/a/b/c", 404),
        ] {
            assert_eq!(asked(draft, path), Err(status), "{path}");
        }
    }

    fn shown(draft: Draft, payload: Option<&str>) -> Shown<'_> {
        Shown {
            draft,
            match_type: MatchType::Exact,
            selector: "https://e/é",
            subscriber: "urn:uuid:1",
            active: true,
            payload,
        }
    }

    #[test]
    fn a_subscription_is_shown_in_its_form() {
        let eight = shown(Draft::Eight, Some(r#"{"name":"ann"}"#)).member(&hub());
        let eight: Value = serde_json::from_str(&eight).unwrap();
        assert_eq!(
            eight,
            json!({
                "id": "/.well-known/mercure/subscriptions/exact/https%3A%2F%2Fe%2F%C3%A9/urn%3Auuid%3A1",
                "type": "subscription",
                "match_type": "exact",
                "match": "https://e/é",
                "subscriber": "urn:uuid:1",
                "active": true,
                "payload": {"name": "ann"},
            })
        );
        let seven: Value = serde_json::from_str(&shown(Draft::Seven, None).event(&hub())).unwrap();
        assert_eq!(
            seven,
            json!({
                "@context": "https://mercure.rocks/",
                "id": "/.well-known/mercure/subscriptions/https%3A%2F%2Fe%2F%C3%A9/urn%3Auuid%3A1",
                "type": "Subscription",
                "topic": "https://e/é",
                "subscriber": "urn:uuid:1",
                "active": true,
            })
        );
        // The path leads back.
        let path = shown(Draft::Eight, None).path(&hub());
        let back = Asked::read(Draft::Eight, &path, &hub()).unwrap();
        assert_eq!(back.selector.as_deref(), Some("https://e/é"));
    }

    #[test]
    fn lists_say_where_the_hub_stands() {
        let asked = asked(Draft::Seven, "").unwrap();
        let members = ["1".to_owned(), "2".to_owned()];
        let document: Value = serde_json::from_str(&list(&asked, &members, "#7")).unwrap();
        assert_eq!(
            (&document["lastEventID"], &document["subscriptions"]),
            (&json!("#7"), &json!([1, 2]))
        );
        for draft in [Draft::Seven, Draft::Eight] {
            let event = shown(draft, Some("[1]")).event(&hub());
            let told = Told::read(&event).unwrap();
            assert_eq!(told.selector(), Some((MatchType::Exact, "https://e/é")));
            assert_eq!((&*told.subscriber, told.active), ("urn:uuid:1", true));
            assert_eq!(told.payload, Some(json!([1])));
            let document = shown(draft, None).document(&hub(), "#7");
            assert!(Told::read(&document).is_some(), "{document}");
        }
        assert_eq!(Told::read("{}"), None);
        let lines = lines(Draft::Eight, &hub(), "#7");
        assert!(lines.contains("</.well-known/mercure>; rel=\"mercure\"; last-event-id=\"#7\""));
        assert!(lines.contains("ETag: \"#7\"\r\n"));
        for (field, known) in [
            (None, false),
            (Some("\"#7\""), true),
            (Some("W/\"#7\", \"x\""), true),
            (Some("#7"), true),
            (Some("*"), true),
            (Some("\"#8\""), false),
        ] {
            assert_eq!(is_known(field, "#7"), known, "{field:?}");
        }
    }
}
