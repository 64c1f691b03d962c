//! What a subscriber, or a right, says about topics.

use std::cell::OnceCell;
use std::fmt;

use url::Url;

use super::Identity;
use super::pattern::{Pattern, PatternError};
use super::template::Template;
use super::text::{self, TextError};

/// A topic selector (a matcher in draft 8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selector {
    /// `*`: every topic.
    All,
    /// One topic, byte for byte.
    Exact(Box<str>),
    /// The topics that a URI Template can give, and the one that is written like it (form 7).
    Template(Box<str>, Box<Template>),
    /// The topics that a URL pattern matches (form 8).
    Pattern(Pattern),
}

/// How form 8 names the kinds of selectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchType {
    /// `exact`.
    Exact,
    /// `urlpattern`.
    UrlPattern,
}

impl MatchType {
    /// Reads the name.
    pub fn read(name: &str) -> Option<Self> {
        match name {
            "exact" => Some(Self::Exact),
            "urlpattern" => Some(Self::UrlPattern),
            _ => None,
        }
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::UrlPattern => "urlpattern",
        }
    }
}

/// Why a text is no selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SelectorError {
    /// The text itself.
    Text(TextError),
    /// The URL pattern.
    Pattern(PatternError),
}

impl fmt::Display for SelectorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(error) => error.fmt(f),
            Self::Pattern(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SelectorError {}

/// A topic, with its URL once somebody needs it.
pub struct Topic<'a> {
    /// As the publisher wrote it.
    pub text: &'a str,
    hub: &'a Identity,
    url: OnceCell<Option<Url>>,
}

impl<'a> Topic<'a> {
    /// A topic that was published to this hub.
    pub fn new(text: &'a str, hub: &'a Identity) -> Self {
        Self {
            text,
            hub,
            url: OnceCell::new(),
        }
    }

    /// The topic as a URL, resolved; none if it can be none.
    pub fn url(&self) -> Option<&Url> {
        self.url
            .get_or_init(|| self.hub.resolve(self.text))
            .as_ref()
    }
}

impl Selector {
    /// Reads a selector of form 7: `*`, or a topic that may be a URI Template too.
    ///
    /// # Errors
    /// It is empty, too long or has a control character in it.
    pub fn seven(text: &str) -> Result<Self, SelectorError> {
        text::check(text).map_err(SelectorError::Text)?;
        if text == "*" {
            return Ok(Self::All);
        }
        Ok(match Template::read(text) {
            Some(template) => Self::Template(text.into(), Box::new(template)),
            None => Self::Exact(text.into()),
        })
    }

    /// Reads a selector of form 8; `*` is every topic in either type.
    ///
    /// # Errors
    /// It is empty, too long, has a control character in it, or is no URL pattern where it must be one.
    pub fn eight(kind: MatchType, text: &str, hub: &Identity) -> Result<Self, SelectorError> {
        text::check(text).map_err(SelectorError::Text)?;
        match kind {
            _ if text == "*" => Ok(Self::All),
            MatchType::Exact => Ok(Self::Exact(text.into())),
            MatchType::UrlPattern => Pattern::read(text, hub)
                .map(Self::Pattern)
                .map_err(SelectorError::Pattern),
        }
    }

    /// Whether it selects a topic.
    pub fn selects(&self, topic: &Topic<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Exact(text) => **text == *topic.text,
            Self::Template(text, template) => **text == *topic.text || template.matches(topic.text),
            Self::Pattern(pattern) => {
                (topic.url()).is_some_and(|url| pattern.matches(url, topic.hub))
            }
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        match self {
            Self::All => "*",
            Self::Exact(text) | Self::Template(text, _) => text,
            Self::Pattern(pattern) => pattern.as_str(),
        }
    }

    /// Its type in form 8.
    pub fn match_type(&self) -> MatchType {
        match self {
            Self::Pattern(_) => MatchType::UrlPattern,
            _ => MatchType::Exact,
        }
    }

    /// Whether it may select what is below the hub's own path alone, so that no message from outside
    /// is for it.
    pub fn may_be_reserved(&self, hub: &Identity) -> bool {
        match self {
            Self::All => false,
            Self::Exact(text) => hub.reserves(text),
            // What stands before the first variable says where all of its topics are.
            Self::Template(text, _) => {
                let literal = text.split('{').next().unwrap_or_default();
                !literal.is_empty() && hub.reserves(literal)
            }
            Self::Pattern(pattern) => pattern.may_be_reserved(hub),
        }
    }
}

/// Whether one of the selectors selects one of the topics.
pub fn any_selects(selectors: &[Selector], topics: &[Topic<'_>]) -> bool {
    let selects = |selector: &Selector| topics.iter().any(|topic| selector.selects(topic));
    selectors.iter().any(selects)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn hub() -> Identity {
        Identity::new("https://example.org/.well-known/mercure").unwrap()
    }

    fn selects(selector: &Selector, topic: &str) -> bool {
        selector.selects(&Topic::new(topic, &hub()))
    }

    #[test]
    fn form_7_takes_a_text_for_a_topic_and_a_template() {
        let all = Selector::seven("*").unwrap();
        assert!(selects(&all, "anything") && all.as_str() == "*");
        let exact = Selector::seven("https://example.org/books/1").unwrap();
        assert!(selects(&exact, "https://example.org/books/1"));
        assert!(!selects(&exact, "https://EXAMPLE.org/books/1"));
        let template = Selector::seven("https://example.org/books/{id}").unwrap();
        assert!(selects(&template, "https://example.org/books/1"));
        assert!(selects(&template, "https://example.org/books/{id}"));
        assert!(!selects(&template, "https://example.org/1"));
        // A brace that makes no template is a brace.
        assert!(matches!(Selector::seven("a{").unwrap(), Selector::Exact(_)));
        assert!(Selector::seven("").is_err() && Selector::seven("a\n").is_err());
    }

    #[test]
    fn form_8_says_what_is_meant() {
        let hub = hub();
        let eight = |kind, text| Selector::eight(kind, text, &hub);
        for kind in [MatchType::Exact, MatchType::UrlPattern] {
            assert_eq!(eight(kind, "*").unwrap(), Selector::All);
        }
        let exact = eight(MatchType::Exact, "/books/:id").unwrap();
        assert!(selects(&exact, "/books/:id") && !selects(&exact, "/books/1"));
        let pattern = eight(MatchType::UrlPattern, "/books/:id").unwrap();
        assert!(selects(&pattern, "https://example.org/books/1"));
        let error = eight(MatchType::UrlPattern, "/(").unwrap_err().to_string();
        assert!(error.contains("no URL pattern"), "{error}");
        for name in ["exact", "urlpattern"] {
            assert_eq!(MatchType::read(name).unwrap().name(), name);
        }
        assert_eq!(MatchType::read("Exact"), None);
    }

    #[test]
    fn what_is_below_the_hub_is_known() {
        let hub = hub();
        for text in [
            "/.well-known/mercure/subscriptions{/topic}{/subscriber}",
            "/.well-known/mercure/x",
            "/.well-known/mercure{/x}",
        ] {
            assert!(
                Selector::seven(text).unwrap().may_be_reserved(&hub),
                "{text}"
            );
        }
        for text in ["*", "/books/{id}", "{+x}", "/.well-known/{x}"] {
            assert!(
                !Selector::seven(text).unwrap().may_be_reserved(&hub),
                "{text}"
            );
        }
    }
}
