//! What stands between the doctor and hasses, as far as it tells itself.

use crate::http::Answer;

/// A proxy or content delivery network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Between {
    Nginx,
    Apache,
    Caddy,
    Haproxy,
    Varnish,
    Traefik,
    Cloudflare,
    /// Another program, or none: nothing told itself.
    Unknown,
}

impl Between {
    /// Every one that advice exists for.
    pub(crate) const ALL: [Self; 7] = [
        Self::Nginx,
        Self::Apache,
        Self::Caddy,
        Self::Haproxy,
        Self::Varnish,
        Self::Traefik,
        Self::Cloudflare,
    ];

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "Apache",
            Self::Caddy => "Caddy",
            Self::Haproxy => "HAProxy",
            Self::Varnish => "Varnish",
            Self::Traefik => "Traefik",
            Self::Cloudflare => "Cloudflare",
            Self::Unknown => "unknown",
        }
    }

    /// What is said of it.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Unknown => {
                "nothing that names itself (HAProxy and Traefik never do; --proxy NAME says it)"
            }
            known => known.name(),
        }
    }

    /// The one of this name, in letters of any case.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name().eq_ignore_ascii_case(name))
    }

    /// Whom an answer comes from: the fields `Server` and `Via` (RFC 9110 §10.2.4, §7.6.3), and some of
    /// their own.
    pub(crate) fn of<S>(answer: &Answer<S>) -> Self {
        let has = |name: &str| answer.field(name).is_some();
        let says = |name: &str, what: &str| {
            let value = answer.field(name).unwrap_or_default();
            value.to_ascii_lowercase().contains(what)
        };
        if has("cf-ray") || says("server", "cloudflare") {
            Self::Cloudflare
        } else if has("x-varnish") || says("via", "varnish") {
            Self::Varnish
        } else if says("server", "caddy") || says("via", "caddy") {
            Self::Caddy
        } else if says("server", "nginx") || says("server", "openresty") {
            Self::Nginx
        } else if says("server", "apache") {
            Self::Apache
        } else if says("server", "traefik") {
            Self::Traefik
        } else if says("server", "haproxy") || says("via", "haproxy") {
            Self::Haproxy
        } else {
            Self::Unknown
        }
    }
}
