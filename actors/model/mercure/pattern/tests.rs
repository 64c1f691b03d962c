//! Patterns of both kinds, against one another and against topics.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

fn hub() -> Identity {
    Identity::new("https://example.org/.well-known/mercure").unwrap()
}

fn matches(pattern: &str, topic: &str) -> bool {
    let hub = hub();
    let pattern = Pattern::read(pattern, &hub).unwrap();
    hub.resolve(topic)
        .is_some_and(|topic| pattern.matches(&topic, &hub))
}

#[test]
fn plain_ones_match() {
    for (pattern, topic) in [
        (
            "https://example.org/books/:id",
            "https://example.org/books/1",
        ),
        (
            "https://example.org/books/:id",
            "https://example.org/books/1?x#f",
        ),
        (
            "https://example.org/books/:id",
            "HTTPS://Example.ORG:443/x/../books/1",
        ),
        (
            "https://example.org/books/:id",
            "https://example.org/books/%C3%A9",
        ),
        (
            "https://example.org/books/:id",
            "https://example.org/books/é",
        ),
        (
            "https://example.org/books/:id",
            "https://u:p@example.org/books/1",
        ),
        ("/books/:id", "https://example.org/books/1"),
        ("/books/:id", "/books/1"),
        ("/books/:id", "../books/1"),
        ("/books/*", "/books/1/2"),
        ("/books/*", "/books/"),
        ("/:a/:b", "/x/y"),
        ("/books{/:id}?", "/books"),
        ("/books{/:id}?", "/books/1"),
        ("/:kind{/:id}?", "/books/1"),
        (
            "/.well-known/mercure/subscriptions/:match_type/https%3A%2F%2Fa.example%2Fx/:subscriber",
            "/.well-known/mercure/subscriptions/exact/https%3A%2F%2Fa.example%2Fx/urn%3Auuid%3A1",
        ),
    ] {
        assert!(
            Pattern::read(pattern, &hub()).unwrap().is_plain(),
            "{pattern}"
        );
        assert!(matches(pattern, topic), "{pattern} {topic}");
    }
    for (pattern, topic) in [
        (
            "https://example.org/books/:id",
            "https://example.org/books/",
        ),
        (
            "https://example.org/books/:id",
            "https://example.org/books/1/2",
        ),
        (
            "https://example.org/books/:id",
            "http://example.org/books/1",
        ),
        (
            "https://example.org/books/:id",
            "https://example.org:444/books/1",
        ),
        (
            "https://example.org/books/:id",
            "https://example.com/books/1",
        ),
        ("/books/*", "/books"),
        ("/books{/:id}?", "/books/"),
        ("/books{/:id}?", "/books/1/2"),
        ("/books/:id", "urn:x:1"),
        ("/books/:id", "https://[bad/books/1"),
    ] {
        assert!(!matches(pattern, topic), "{pattern} {topic}");
    }
}

#[test]
fn exotic_ones_match_too() {
    for (pattern, topic, expected) in [
        (
            "https://*.example.org/books/:id",
            "https://a.example.org/books/1",
            true,
        ),
        (
            "https://*.example.org/books/:id",
            "https://example.com/books/1",
            false,
        ),
        ("/books/:id(\\d+)", "/books/12", true),
        ("/books/:id(\\d+)", "/books/x", false),
        ("/books/:id.html", "/books/x.html", true),
        ("/books/*/pages", "/books/1/2/pages", true),
        ("/books/:id\\?page=:page", "/books/1?page=2", true),
        ("/books/:id\\?page=:page", "/books/1", false),
        ("/books{/old}?/:id", "/books/old/1", true),
        ("/books/:id+", "/books/1/2/3", true),
        ("urn:x:*", "urn:x:1", false),
        ("http{s}?://example.org/*", "http://example.org/x", true),
        ("/bücher/:id", "/b%C3%BCcher/1", true),
    ] {
        assert!(
            !Pattern::read(pattern, &hub()).unwrap().is_plain(),
            "{pattern}"
        );
        assert_eq!(matches(pattern, topic), expected, "{pattern} {topic}");
    }
}

#[test]
fn what_is_no_pattern() {
    for text in [
        "/:a/:a",
        "/a(",
        "/a}",
        "/(?<=x)y",
        "/a{",
        "https://[/x",
        "https://]/x",
        "*:]",
        "/((?:(?:a{99}){99}){99})",
        "/(\\1)",
    ] {
        assert!(Pattern::read(text, &hub()).is_err(), "{text}");
    }
}

#[test]
fn those_below_the_hub_are_known() {
    let reserved = |text: &str| Pattern::read(text, &hub()).unwrap().may_be_reserved(&hub());
    for text in [
        "/.well-known/mercure/subscriptions/:t/x/:s",
        "/.well-known/:x/subscriptions",
        "/:a/:b",
        "https://example.org/.well-known/mercure{/:x}?",
    ] {
        assert!(reserved(text), "{text}");
    }
    for text in ["/books/:id", "/*", "/.well-known/*", "/:a"] {
        assert!(!reserved(text), "{text}");
    }
}

#[test]
fn an_index_finds_them() {
    use Segment::{Any, Literal, Rest};
    let hub = hub();
    let segments = |text: &str| format!("{:?}", Pattern::read(text, &hub).unwrap().segments(&hub));
    let expect = |list: &[Segment<'_>]| format!("{:?}", Some(list));
    let origin = Literal("https://example.org");
    assert_eq!(segments("/a/:b"), expect(&[origin, Literal("a"), Any]));
    assert_eq!(segments("/a/*"), expect(&[origin, Literal("a"), Rest]));
    assert_eq!(segments("/a{/:b}?"), expect(&[origin, Literal("a"), Rest]));
    assert_eq!(segments("/:a{/:b}?"), expect(&[origin, Any, Rest]));
    let topic = hub.resolve("https://example.org/a/b?c").unwrap();
    let topic: Vec<_> = topic_segments(&topic).collect();
    assert_eq!(topic, ["https://example.org", "a", "b"]);
}

fn segment() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ab]{1,2}",
        Just("%2e".to_owned()),
        Just("%41".to_owned()),
        Just("a;b=c".to_owned()),
        Just(String::new()),
    ]
}

proptest! {
    /// The crate `urlpattern` and our own way agree on all plain patterns.
    #[test]
    fn both_ways_agree(
        origin in prop_oneof![Just(""), Just("https://example.org"), Just("http://h:81")],
        segments in prop::collection::vec(
            prop_oneof![segment(), Just(":x".to_owned()), Just(":y".to_owned())], 1..4),
        end in prop_oneof![Just(""), Just("/*"), Just("{/:z}?")],
        topic_origin in prop_oneof![Just(""), Just("https://example.org"), Just("http://h:81")],
        topic in prop::collection::vec(prop_oneof![segment(), Just("..".to_owned())], 1..5),
        query in prop_oneof![Just(""), Just("?q"), Just("#f")],
    ) {
        let hub = hub();
        let text = format!("{origin}/{}{end}", segments.join("/"));
        if let Some(plain) = Plain::read(&text, &hub) {
            let compiled = compile(&text, &hub).unwrap();
            let topic = format!("{topic_origin}/{}{query}", topic.join("/"));
            if let Some(topic) = hub.resolve(&topic) {
                let input = UrlPatternMatchInput::Url(topic.clone());
                prop_assert_eq!(
                    plain.matches(&topic), compiled.test(input).unwrap(), "{} {}", text, topic);
            }
        }
    }

    #[test]
    fn no_pattern_panics(pattern in "[a-z:/*{}()?+\\\\.%#\\[\\]]{0,20}", topic in "[a-z:/?#]{0,12}") {
        let hub = hub();
        if let (Ok(pattern), Some(topic)) = (Pattern::read(&pattern, &hub), hub.resolve(&topic)) {
            pattern.matches(&topic, &hub);
            pattern.segments(&hub);
            pattern.may_be_reserved(&hub);
        }
    }
}
