//! URL patterns (WHATWG URL Pattern), matched against topics that were resolved to URLs.
//!
//! Nearly all patterns are *plain*: an origin, or none, and a path of literals and `:names`, perhaps
//! with `/*` or `{/:name}?` at its end. These need no more memory than their text, and an index finds
//! them by their segments. All others are compiled when they are needed, by the crate `urlpattern`
//! on `regex-lite`, whose time is linear; of the compiled ones only the last [`compiled::KEPT`] are kept.

mod compiled;
mod plain;
#[cfg(test)]
mod tests;

use std::fmt;

use url::{Position, Url};
use urlpattern::UrlPatternMatchInput;

use super::Identity;
use super::template::Segment;
use compiled::{compile, compiled};
use plain::Plain;

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
