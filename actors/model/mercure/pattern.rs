//! URL patterns (WHATWG URL Pattern), matched against topics that were resolved to URLs.
//!
//! Nearly all patterns are *plain*: an origin, or none, and a path of literals and `:names`, perhaps
//! with `/*` or `{/:name}?` at its end. These need no more memory than their text, and an index finds
//! them by their segments. All others are compiled when they are needed, by the crate `urlpattern`
//! on `regex-lite`, whose time is linear; of the compiled ones only the last [`KEPT`] are kept.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use foldhash::{HashMap, HashMapExt};
use regex_lite::{Regex, RegexBuilder};
use url::{Position, Url};
use urlpattern::regexp::RegExp;
use urlpattern::{
    RegexSyntax, UrlPattern, UrlPatternInit, UrlPatternMatchInput, UrlPatternOptions,
};

use super::Identity;
use super::template::Segment;

/// Compiled patterns that are kept at a time.
const KEPT: usize = 256;
/// Bytes that one compiled expression of a pattern may need.
const MAX_COMPILED: usize = 256 * 1024;

/// One pattern.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    plain: bool,
}

/// The text is no URL pattern, or one that cannot be served here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError(String);

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "is no URL pattern that is served here: {}", self.0)
    }
}

impl std::error::Error for PatternError {}

impl Pattern {
    /// Reads a pattern; a relative one is meant relative to the hub's URL.
    ///
    /// # Errors
    /// It is malformed, or needs a regular expression that `regex-lite` has not (look-around,
    /// back-references) or that is too large.
    pub fn read(text: &str, hub: &Identity) -> Result<Self, PatternError> {
        let plain = Plain::read(text, hub).is_some();
        if !plain {
            compile(text, hub)?;
        }
        Ok(Self {
            text: text.into(),
            plain,
        })
    }

    /// The pattern as it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is served without being compiled.
    pub fn is_plain(&self) -> bool {
        self.plain
    }

    /// Whether it matches a topic, which is resolved.
    pub fn matches(&self, topic: &Url, hub: &Identity) -> bool {
        if let Some(plain) = self.plain(hub) {
            return plain.matches(topic);
        }
        let Ok(compiled) = compiled(&self.text, hub) else {
            return false;
        };
        let input = UrlPatternMatchInput::Url(topic.clone());
        compiled.test(input).unwrap_or(false)
    }

    /// The segments of a plain pattern, for an index: its origin, and those of its path.
    pub fn segments<'a>(&'a self, hub: &'a Identity) -> Option<Vec<Segment<'a>>> {
        self.plain(hub).map(|plain| plain.segments())
    }

    /// Whether all that it matches might be below the hub's own path, as far as its first segments say.
    pub fn may_be_reserved(&self, hub: &Identity) -> bool {
        let Some(segments) = self.segments(hub) else {
            // Nobody can say in time; who needs a broadcast names a plain pattern.
            return true;
        };
        let mut path = segments.iter().skip(1);
        hub.segments().iter().all(|own| match path.next() {
            Some(Segment::Literal(literal)) => literal.as_bytes() == &own[..],
            Some(Segment::Any) => true,
            Some(Segment::Rest) | None => false,
        })
    }

    /// The literal beginning of what a plain pattern matches, as a URL.
    pub fn begins(&self, hub: &Identity) -> Option<String> {
        let mut beginning = String::new();
        for segment in self.segments(hub)? {
            match segment {
                Segment::Literal(literal) => {
                    beginning.push_str(literal);
                    beginning.push('/');
                }
                _ => break,
            }
        }
        Some(beginning)
    }

    fn plain<'a>(&'a self, hub: &'a Identity) -> Option<Plain<'a>> {
        self.plain.then(|| Plain::split(&self.text, hub)).flatten()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

/// A topic's segments, as an index of patterns has them: its origin, and those of its path.
pub fn topic_segments(topic: &Url) -> impl Iterator<Item = &str> {
    let path = topic.path().strip_prefix('/').unwrap_or_default();
    [&topic[..Position::AfterPort]]
        .into_iter()
        .chain(path.split('/'))
}

/// A plain pattern, taken apart.
struct Plain<'a> {
    /// `scheme://host[:port]`, as a URL that is resolved has it.
    origin: &'a str,
    /// The path behind its first `/`, without what may be left out.
    path: &'a str,
    /// One more segment may come.
    one_more: bool,
}

impl<'a> Plain<'a> {
    /// Takes a pattern apart that is plain.
    fn split(text: &'a str, hub: &'a Identity) -> Option<Self> {
        let (origin, path) = match text.strip_prefix('/') {
            Some(path) => (hub.origin(), path),
            None => {
                let host = text.find("://")? + 3;
                let end = host + text[host..].find('/')?;
                (&text[..end], &text[end + 1..])
            }
        };
        let (path, one_more) = match path.strip_suffix("}?") {
            Some(path) => (path.rsplit_once("{/:")?.0, true),
            None => (path, false),
        };
        Some(Self {
            origin,
            path,
            one_more,
        })
    }

    /// Takes a pattern apart; none if it is not plain, or no pattern.
    fn read(text: &'a str, hub: &'a Identity) -> Option<Self> {
        if text.starts_with("//") {
            return None;
        }
        let plain = Self::split(text, hub)?;
        if !text.starts_with('/') && !is_origin(plain.origin) {
            return None;
        }
        let mut names = Vec::new();
        if plain.one_more {
            let name = text.strip_suffix("}?")?.rsplit_once("{/:")?.1;
            names.push(name);
        }
        let mut segments = plain.path.split('/').peekable();
        while let Some(segment) = segments.next() {
            let is_last = segments.peek().is_none() && !plain.one_more;
            match segment.strip_prefix(':') {
                Some(name) => names.push(name),
                None if segment == "*" && is_last => {}
                None if is_literal(segment) => {}
                None => return None,
            }
        }
        let good = names.iter().all(|name| is_name(name));
        names.sort_unstable();
        let before = names.len();
        names.dedup();
        (good && names.len() == before).then_some(plain)
    }

    fn matches(&self, topic: &Url) -> bool {
        // What stands before the host's name, a login, matters not.
        let scheme = self.origin.split_once("://");
        let authority = &topic[Position::BeforeHost..Position::AfterPort];
        if scheme != Some((topic.scheme(), authority)) {
            return false;
        }
        let Some(path) = topic.path().strip_prefix('/') else {
            return false;
        };
        let mut given = path.split('/');
        for segment in self.path.split('/') {
            let Some(given) = given.next() else {
                return false;
            };
            let good = match segment.as_bytes() {
                b"*" => return true,
                [b':', ..] => !given.is_empty(),
                _ => given == segment,
            };
            if !good {
                return false;
            }
        }
        match given.next() {
            None => true,
            Some(more) => self.one_more && !more.is_empty() && given.next().is_none(),
        }
    }

    fn segments(&self) -> Vec<Segment<'a>> {
        let mut segments = vec![Segment::Literal(self.origin)];
        segments.extend(
            self.path
                .split('/')
                .map(|segment| match segment.as_bytes() {
                    b"*" => Segment::Rest,
                    [b':', ..] => Segment::Any,
                    _ => Segment::Literal(segment),
                }),
        );
        if self.one_more {
            // The index need not know how many may come.
            segments.push(Segment::Rest);
        }
        segments
    }
}

/// Whether a text is an origin in just the form that resolving a URL gives it.
fn is_origin(text: &str) -> bool {
    let web = text.starts_with("http://") || text.starts_with("https://");
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || b".-:/".contains(&byte);
    web && text.bytes().all(simple)
        && Url::parse(text).is_ok_and(|url| url.origin().ascii_serialization() == text)
}

/// Whether a segment stands for itself alone, and is as resolving a URL leaves it.
fn is_literal(segment: &str) -> bool {
    let simple = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&',;=@%".contains(&byte);
    let dots = segment.to_ascii_lowercase().replace("%2e", ".");
    segment.bytes().all(simple) && dots != "." && dots != ".."
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A regular expression of the crate `regex-lite`.
struct Lite(Regex);

impl RegExp for Lite {
    fn syntax() -> RegexSyntax {
        RegexSyntax::Rust
    }

    fn parse(pattern: &str, _flags: &str, _force: bool) -> Result<Self, ()> {
        let mut builder = RegexBuilder::new(pattern);
        builder
            .size_limit(MAX_COMPILED)
            .build()
            .map(Self)
            .map_err(|_| ())
    }

    fn matches<'a>(&self, text: &'a str) -> Option<Vec<Option<&'a str>>> {
        let captures = self.0.captures(text)?;
        let groups = captures.iter().skip(1);
        Some(
            groups
                .map(|group| group.map(|group| group.as_str()))
                .collect(),
        )
    }

    fn pattern_string(&self) -> &str {
        self.0.as_str()
    }
}

type Compiled = UrlPattern<Lite>;

/// Whether a group ends that did not begin: the crate counts on it that none does.
fn ends_too_often(text: &str) -> bool {
    let (mut groups, mut expressions, mut escaped) = (0_usize, 0_usize, false);
    for byte in text.bytes() {
        match byte {
            _ if std::mem::take(&mut escaped) => {}
            b'\\' => escaped = true,
            b'(' => expressions += 1,
            b')' => expressions = expressions.saturating_sub(1),
            b'{' if expressions == 0 => groups += 1,
            b'}' if expressions == 0 && groups == 0 => return true,
            b'}' if expressions == 0 => groups -= 1,
            _ => {}
        }
    }
    false
}

fn compile(text: &str, hub: &Identity) -> Result<Compiled, PatternError> {
    if ends_too_often(text) {
        return Err(PatternError("a '}' has no '{'".into()));
    }
    let refused = |error: urlpattern::Error| PatternError(error.to_string());
    let base = hub
        .resolve("")
        .ok_or_else(|| PatternError("no hub".into()))?;
    let init = UrlPatternInit::parse_constructor_string::<Lite>(text, Some(base));
    UrlPattern::parse(init.map_err(refused)?, UrlPatternOptions::default()).map_err(refused)
}

/// The compiled patterns that were used last, and when: a count.
struct Cache {
    compiled: HashMap<Box<str>, (Rc<Compiled>, u64)>,
    uses: u64,
}

thread_local! {
    // Shared by all that match patterns: a pattern's text says all that there is to know of it, as the
    // hub's URL is one for the process.
    static CACHE: RefCell<Cache> = RefCell::new(Cache {
        compiled: HashMap::new(),
        uses: 0,
    });
}

/// A pattern compiled, from the cache if it is there.
fn compiled(text: &str, hub: &Identity) -> Result<Rc<Compiled>, PatternError> {
    CACHE.with_borrow_mut(|cache| {
        cache.uses += 1;
        let now = cache.uses;
        if let Some((compiled, used)) = cache.compiled.get_mut(text) {
            *used = now;
            return Ok(Rc::clone(compiled));
        }
        if cache.compiled.len() >= KEPT {
            let oldest = cache.compiled.iter().min_by_key(|(_, (_, used))| *used);
            if let Some(text) = oldest.map(|(text, _)| text.clone()) {
                cache.compiled.remove(&text);
            }
        }
        let new = Rc::new(compile(text, hub)?);
        cache.compiled.insert(text.into(), (Rc::clone(&new), now));
        Ok(new)
    })
}

#[cfg(test)]
mod tests {
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
        let segments =
            |text: &str| format!("{:?}", Pattern::read(text, &hub).unwrap().segments(&hub));
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
}
