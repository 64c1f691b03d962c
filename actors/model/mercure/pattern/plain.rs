//! Patterns of an origin, or none, and a path of literals and `:names`: served by their text alone.

use url::{Position, Url};

use super::super::Identity;
use super::super::template::Segment;

/// A plain pattern, taken apart.
pub(super) struct Plain<'a> {
    /// `scheme://host[:port]`, as a URL that is resolved has it.
    origin: &'a str,
    /// The path behind its first `/`, without what may be left out.
    path: &'a str,
    /// One more segment may come.
    one_more: bool,
}

impl<'a> Plain<'a> {
    /// Takes a pattern apart that is plain.
    pub(super) fn split(text: &'a str, hub: &'a Identity) -> Option<Self> {
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
    pub(super) fn read(text: &'a str, hub: &'a Identity) -> Option<Self> {
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

    pub(super) fn matches(&self, topic: &Url) -> bool {
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

    pub(super) fn segments(&self) -> Vec<Segment<'a>> {
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
