//! Where a request goes: an `http:` or `https:` URL, or one of hasses' own addresses.

use hasses_actors::net::{Door, Endpoint};
use url::{Host, Url};

/// A server, and how requests to it begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// The address to connect to.
    pub(crate) endpoint: Endpoint,
    /// Whether the connection uses TLS.
    pub(crate) tls: bool,
    /// The `Host` field (RFC 9112 §3.2).
    pub(crate) host: String,
    /// The path in front of every request target, without a slash at its end.
    pub(crate) prefix: String,
}

impl Site {
    /// The site of an absolute `http:` or `https:` URL.
    ///
    /// # Errors
    /// The text is no such URL, or holds a user name.
    pub(crate) fn of_url(url: &Url) -> Result<Self, String> {
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("'{other}:' is not http: or https:")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user name in the URL is not supported".to_owned());
        }
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err("the URL names no host".to_owned()),
        };
        let port = url.port_or_known_default().unwrap_or(80);
        let bracketed = url.host_str().unwrap_or_default();
        Ok(Self {
            endpoint: Endpoint::Tcp { host, port },
            tls,
            host: match url.port() {
                Some(port) => format!("{bracketed}:{port}"),
                None => bracketed.to_owned(),
            },
            prefix: String::new(),
        })
    }

    /// The control address of a daemon, as `--control` names it: `HOST:PORT`, `unix:/path`, either with
    /// `tls:` in front, or an `http:` or `https:` URL whose path is a prefix.
    ///
    /// # Errors
    /// The text is none of these.
    pub(crate) fn control(text: &str) -> Result<Self, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let url: Url = text.parse().map_err(|why| format!("not a URL: {why}"))?;
            let mut site = Self::of_url(&url)?;
            site.prefix = url.path().trim_end_matches('/').to_owned();
            return Ok(site);
        }
        let Door { endpoint, tls } = crate::values::address(text)?;
        let host = match &endpoint {
            // A name without a dot: the daemon answers to every such name.
            Endpoint::Unix(_) => "localhost".to_owned(),
            Endpoint::Tcp { .. } => endpoint.to_string(),
        };
        Ok(Self {
            endpoint,
            tls,
            host,
            prefix: String::new(),
        })
    }

    /// The name that a certificate must hold.
    pub(crate) fn name(&self) -> &str {
        match &self.endpoint {
            Endpoint::Tcp { host, .. } => host,
            Endpoint::Unix(_) => "localhost",
        }
    }
}

impl std::fmt::Display for Site {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            endpoint,
            tls,
            prefix,
            ..
        } = self;
        let tls = if *tls { "tls:" } else { "" };
        write!(f, "{tls}{endpoint}{prefix}")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn control_addresses_and_urls() {
        for (text, host, tls, prefix) in [
            ("127.0.0.1:8085", "127.0.0.1:8085", false, ""),
            ("tls:localhost:1", "localhost:1", true, ""),
            ("unix:/run/x", "localhost", false, ""),
            ("http://a.example", "a.example", false, ""),
            (
                "https://a.example:8443/hasses/",
                "a.example:8443",
                true,
                "/hasses",
            ),
            ("https://[::1]:9/", "[::1]:9", true, ""),
        ] {
            let site = Site::control(text).unwrap();
            assert_eq!(
                (site.host.as_str(), site.tls, site.prefix.as_str()),
                (host, tls, prefix)
            );
        }
        for wrong in ["", "8085", "ftp://a/", "http://", "https://me@a.example/"] {
            assert!(Site::control(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_literal_address_is_connected_to_without_brackets() {
        let site = Site::control("https://[::1]/").unwrap();
        assert_eq!(site.name(), "::1");
        assert_eq!(site.host, "[::1]");
    }
}
