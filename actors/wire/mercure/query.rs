//! The query of a subscriber, in either form.

use crate::model::mercure::{Draft, Identity, MAX_SELECTORS, MatchType, Selector};
use crate::wire::http::Refused;
use crate::wire::http::query::{decode, parameters};
use crate::wire::http::refused::quoted;

/// What a subscriber asks for in its query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    /// The form that it is written in.
    pub draft: Draft,
    /// Each once, in the order in which they were asked for; at least one.
    pub selectors: Vec<Selector>,
    /// The last event that the subscriber has.
    pub last_event_id: Option<String>,
    /// `authorization=`: a token (form 7 alone).
    pub authorization: Option<String>,
}

/// Names of the parameter with the last event's id: the form's own, and what clients send besides.
const LAST_EVENT_ID: [&str; 5] = [
    "last_event_id",
    "lastEventID",
    "lastEventId",
    "Last-Event-ID",
    "last-event-id",
];

/// Which form a query has: 8 with any parameter that begins with `match`, else 7.
pub fn draft(query: &str) -> Draft {
    if parameters(query).any(|(name, _)| is_match(name)) {
        Draft::Eight
    } else {
        Draft::Seven
    }
}

fn is_match(name: &str) -> bool {
    let decoded = decode(name, true).unwrap_or(name.into());
    decoded
        .get(..5)
        .is_some_and(|start| start.eq_ignore_ascii_case("match"))
}

impl Query {
    /// Reads a raw query. Parameters with other names are ignored.
    ///
    /// # Errors
    /// 400, naming the parameter, for one that is badly encoded, for a selector that is none, for
    /// `topic` beside `match`, for more than [`MAX_SELECTORS`], and where there are none.
    pub fn read(query: Option<&str>, hub: &Identity) -> Result<Self, Refused> {
        let query = query.unwrap_or_default();
        let draft = draft(query);
        let mut read = Self {
            draft,
            selectors: Vec::new(),
            last_event_id: None,
            authorization: None,
        };
        for (raw_name, value) in parameters(query) {
            let name = decode(raw_name, true).unwrap_or(raw_name.into());
            let text = || decode(value, true).map_err(|error| wrong(&name, value, &error));
            let selector = match (draft, &*name) {
                (Draft::Seven, "topic") => Selector::seven(&text()?),
                (Draft::Eight, "topic") => {
                    let why =
                        "topic= is of another version of the protocol than match=; use one of them";
                    return Err(Refused::new(400, why));
                }
                (Draft::Eight, "match" | "match_exact") => {
                    Selector::eight(MatchType::Exact, &text()?, hub)
                }
                (Draft::Eight, "match_urlpattern") => {
                    Selector::eight(MatchType::UrlPattern, &text()?, hub)
                }
                (Draft::Eight, name) if is_match(raw_name) => {
                    let why = format!(
                        "{} is no kind of match; there are match, match_exact and match_urlpattern",
                        quoted(name.as_bytes())
                    );
                    return Err(Refused::new(400, why));
                }
                (Draft::Seven, "authorization") if !value.is_empty() => {
                    if read.authorization.replace(text()?.into_owned()).is_some() {
                        return Err(Refused::new(400, "authorization= is given twice"));
                    }
                    continue;
                }
                (_, name) if LAST_EVENT_ID.contains(&name) => {
                    let id = text()?.into_owned();
                    read.last_event_id =
                        Some(id).filter(|id| !id.is_empty()).or(read.last_event_id);
                    continue;
                }
                _ => continue,
            };
            let selector = selector.map_err(|error| wrong(&name, value, &error))?;
            if !read.selectors.contains(&selector) {
                read.selectors.push(selector);
            }
            if read.selectors.len() > MAX_SELECTORS {
                let why =
                    format!("more than {MAX_SELECTORS} topics are asked for; open a second stream");
                return Err(Refused::new(400, why));
            }
        }
        if read.selectors.is_empty() {
            let why = "which topics? Say match=TOPIC, match_urlpattern=PATTERN or topic=TOPIC in the query";
            return Err(Refused::new(400, why));
        }
        Ok(read)
    }
}

fn wrong(name: &str, value: &str, error: &dyn std::fmt::Display) -> Refused {
    let name: String = name.chars().take(40).collect();
    let why = format!(
        "{}={} {error}",
        name.escape_debug(),
        quoted(value.as_bytes())
    );
    Refused::new(400, why)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn hub() -> Identity {
        Identity::new("https://example.org/.well-known/mercure").unwrap()
    }

    fn read(query: &str) -> Result<Query, Refused> {
        Query::read(Some(query), &hub())
    }

    fn selectors(query: &str) -> Vec<String> {
        let selectors = read(query).unwrap().selectors;
        selectors
            .iter()
            .map(|selector| selector.as_str().to_owned())
            .collect()
    }

    #[test]
    fn the_parameters_tell_the_form() {
        for (query, draft) in [
            ("topic=a", Draft::Seven),
            ("topic=a&x=match", Draft::Seven),
            ("match=a", Draft::Eight),
            ("match_exact=a", Draft::Eight),
            ("match_urlpattern=/a", Draft::Eight),
            ("x=1&match=%2A", Draft::Eight),
        ] {
            assert_eq!(read(query).unwrap().draft, draft, "{query}");
        }
    }

    #[test]
    fn selectors_are_read_once_each() {
        assert_eq!(selectors("topic=a%20b&topic=c+d&topic=a+b"), ["a b", "c d"]);
        assert_eq!(
            selectors("match=a&match_exact=a&match_urlpattern=/a"),
            ["a", "/a"]
        );
        assert_eq!(selectors("topic=%2A&id=5"), ["*"]);
        assert_eq!(
            selectors("topic=https%3A%2F%2Fe%2F%7Bid%7D"),
            ["https://e/{id}"]
        );
        assert_eq!(read("match=*").unwrap().selectors, [Selector::All]);
        // A pattern in form 7 is a topic, a template in form 8 too.
        assert!(matches!(
            read("topic=/:a").unwrap().selectors[..],
            [Selector::Exact(_)]
        ));
        assert!(matches!(
            read("match=/{a}").unwrap().selectors[..],
            [Selector::Exact(_)]
        ));
    }

    #[test]
    fn the_last_id_has_many_names() {
        for name in LAST_EVENT_ID {
            for query in ["topic=a", "match=a"] {
                let read = read(&format!("{query}&{name}=urn%3Ax")).unwrap();
                assert_eq!(read.last_event_id.as_deref(), Some("urn:x"), "{name}");
            }
        }
        let both = read("match=a&last_event_id=1&Last-Event-ID=").unwrap();
        assert_eq!(both.last_event_id.as_deref(), Some("1"));
        assert_eq!(read("topic=a").unwrap().last_event_id, None);
    }

    #[test]
    fn a_token_stands_in_form_7s_query_alone() {
        assert_eq!(
            read("topic=a&authorization=x")
                .unwrap()
                .authorization
                .as_deref(),
            Some("x")
        );
        assert_eq!(read("match=a&authorization=x").unwrap().authorization, None);
        assert!(read("topic=a&authorization=x&authorization=y").is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = "x".repeat(4097);
        let many: String = (0..101).map(|n| format!("match={n}&")).collect();
        for (query, named) in [
            ("", "match=TOPIC"),
            ("x=1", "match=TOPIC"),
            ("topic=", "topic=\"\" is empty"),
            ("match=", "match=\"\" is empty"),
            ("match=a&topic=b", "topic="),
            ("match_template=a", "match_template"),
            ("MATCH=a", "MATCH"),
            ("Match_exact=a", "Match_exact"),
            ("matches=a", "matches"),
            ("%6Datch_x=a", "match_x"),
            ("match_urlpattern=/(", "no URL pattern"),
            ("topic=%zz", "%25"),
            ("topic=%ff", "UTF-8"),
            ("topic=a%0Ab", "control"),
            ("match=a%E2%80%8B", "control or format"),
            (&format!("topic={long}"), "4096"),
            (&many, "100"),
        ] {
            let refused = read(query).unwrap_err();
            assert!(
                refused.status == 400 && refused.reason.contains(named),
                "{query}: {refused}"
            );
        }
        assert!(Query::read(None, &hub()).is_err());
    }

    proptest! {
        #[test]
        fn no_query_panics(query in "(topic=|match=|match_urlpattern=|&|%|[0-9a-f]|\\*|[{}/:()]|\\PC){0,20}") {
            if let Ok(query) = read(&query) {
                prop_assert!(!query.selectors.is_empty());
            }
        }
    }
}
