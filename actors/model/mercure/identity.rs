//! Who the hub is: the URL given to `--mercure`. What a request says in `Host` counts for nothing.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::Url;

/// The hub's own URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    url: Url,
    /// `scheme://host[:port]`.
    origin: Box<str>,
    /// The segments of the path, percent-decoded.
    segments: Box<[Vec<u8>]>,
}

impl Identity {
    /// Understands the URL of a hub.
    ///
    /// # Errors
    /// What is wrong with it, for a person.
    pub fn new(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| {
            format!(
                "{error}; it is the hub's public URL, as in https://example.org/.well-known/mercure"
            )
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("it must begin with https:// or http://".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a login has no place in it".into());
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("neither '?' nor '#' has a place in it".into());
        }
        if url.path() == "/" || url.path().ends_with('/') {
            return Err("its path must name the hub, as in /.well-known/mercure".into());
        }
        Ok(Self {
            origin: url.origin().ascii_serialization().into(),
            segments: segments(&url),
            url,
        })
    }

    /// The whole URL: the audience of tokens, the resource of the metadata document.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// `scheme://host[:port]` of the URL.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The path at which the hub is asked.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The path's segments, percent-decoded.
    pub fn segments(&self) -> &[Vec<u8>] {
        &self.segments
    }

    /// The path of the document of RFC 9728.
    pub fn metadata_path(&self) -> String {
        format!("/.well-known/oauth-protected-resource{}", self.path())
    }

    /// The path of the subscriptions API.
    pub fn subscriptions_path(&self) -> String {
        format!("{}/subscriptions", self.path())
    }

    /// A topic as a URL, resolved against the hub's; none if it can be none.
    pub fn resolve(&self, topic: &str) -> Option<Url> {
        self.url.join(topic).ok()
    }

    /// Whether a topic is the hub's own: its URL, whatever its host, has the hub's path, or a path
    /// below that. Dot segments, percent-encoding and backslashes hide nothing; `%2F` is no `/`.
    pub fn reserves(&self, topic: &str) -> bool {
        let Some(url) = self.resolve(topic) else {
            return false;
        };
        let path = segments(&url);
        path.len() >= self.segments.len() && path[..self.segments.len()] == *self.segments
    }

    /// Whether a request's path is one that the hub answers.
    pub fn answers(&self, path: &str) -> bool {
        match path.strip_prefix(self.path()) {
            Some("") => true,
            Some(rest) => rest == "/subscriptions" || rest.starts_with("/subscriptions/"),
            None => path == self.metadata_path(),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The segments of a URL's path, percent-decoded; none where the path is opaque (`urn:x`).
fn segments(url: &Url) -> Box<[Vec<u8>]> {
    let decode = |segment: &str| percent_decode_str(segment).collect();
    url.path_segments()
        .map(|segments| segments.map(decode).collect())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn hub() -> Identity {
        Identity::new("https://example.org/.well-known/mercure").unwrap()
    }

    #[test]
    fn a_hub_has_a_url() {
        assert_eq!(hub().origin(), "https://example.org");
        assert_eq!(hub().path(), "/.well-known/mercure");
        assert_eq!(
            hub().metadata_path(),
            "/.well-known/oauth-protected-resource/.well-known/mercure"
        );
        let other = Identity::new("http://localhost:3000/hub").unwrap();
        assert_eq!(
            (other.origin(), other.path()),
            ("http://localhost:3000", "/hub")
        );
        for bad in [
            "",
            "/.well-known/mercure",
            "example.org/hub",
            "ftp://example.org/hub",
            "https://example.org",
            "https://example.org/",
            "https://example.org/hub/",
            "https://a:b@example.org/hub",
            "https://example.org/hub?x",
            "https://example.org/hub#x",
        ] {
            assert!(Identity::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn reserved_names_are_seen_through_their_disguises() {
        for topic in [
            "https://example.org/.well-known/mercure",
            "https://example.org/.well-known/mercure/subscriptions/x",
            "http://other.example/.well-known/mercure/x",
            "//other.example:81/.well-known/mercure",
            "/.well-known/mercure",
            "/.well-known/mercure?x",
            "/.well-known/mercure#x",
            "mercure",
            "./mercure",
            "mercure/x",
            "?x",
            "#x",
            "",
            " mercure",
            "\\.well-known\\mercure",
            "https:\\\\example.org\\.well-known\\mercure",
            "/x/../.well-known/mercure/subscriptions",
            "/.well-known/./mercure",
            "/.well-known/%2e/mercure",
            "/x/%2e%2E/.well-known/mercure",
            "/.well-known/%6dercure/x",
            "/%2ewell-known/mercure",
            "foo://h/.well-known/mercure/x",
            "foo:/.well-known/mercure",
            "https:mercure",
            "HTTPS://EXAMPLE.ORG/.well-known/mercure",
        ] {
            assert!(hub().reserves(topic), "{topic:?}");
        }
        for topic in [
            "/.well-known/mercure2",
            "/.well-known/mercure%2Fx",
            "/.well-known%2Fmercure",
            "/.well-known//mercure",
            "/a/.well-known/mercure",
            "/.well-known/Mercure",
            "https://example.org/books/1",
            "books",
            "urn:x:.well-known/mercure",
            "https://[bad/.well-known/mercure",
            "/.well-known/mercure/..",
        ] {
            assert!(!hub().reserves(topic), "{topic:?}");
        }
    }

    #[test]
    fn the_hub_answers_below_its_path() {
        for path in [
            "/.well-known/mercure",
            "/.well-known/mercure/subscriptions",
            "/.well-known/mercure/subscriptions/exact/x",
            "/.well-known/oauth-protected-resource/.well-known/mercure",
        ] {
            assert!(hub().answers(path), "{path}");
        }
        for path in [
            "/",
            "/sse",
            "/.well-known/mercure/",
            "/.well-known/mercure/x",
            "/.well-known/mercures",
        ] {
            assert!(!hub().answers(path), "{path}");
        }
    }
}
