//! What a request on the control port is about, as far as it decides who may make it.

use super::{Method, Request};

/// Kinds of requests, by who may make them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// GET of `/healthz`: a probe knows no secret and no name.
    Health,
    /// GET of `/`, the page, which has to be there to ask for the secret.
    Page,
    /// GET of figures, which tell nothing of anybody.
    Figures,
    /// GET of lists and streams that tell who is there, or what is published.
    Lists,
    /// Everything else: what changes something, and what is not known.
    Deeds,
}

impl Access {
    /// What `request` is about.
    pub fn of(request: &Request) -> Self {
        if !matches!(request.method, Method::Get | Method::Head) {
            return Self::Deeds;
        }
        match request.path.as_str() {
            "/healthz" => Self::Health,
            "/" => Self::Page,
            "/status" | "/metrics" | "/live" => Self::Figures,
            "/clients" | "/events" | "/presence" => Self::Lists,
            path if path.starts_with("/subscribers/") => Self::Figures,
            path if path.starts_with("/presence/") => Self::Lists,
            _ => Self::Deeds,
        }
    }
}

/// Whether the old daemon had nothing like it: pages and lists that tell who is there, and what ends
/// streams.
pub fn is_new(path: &str) -> bool {
    let first = path.split('/').nth(1).unwrap_or("*");
    matches!(
        first,
        "" | "live" | "clients" | "presence" | "events" | "disconnect"
    )
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::Reader;
    use super::*;

    #[test]
    fn each_path_has_its_kind() {
        for (line, access, new) in [
            ("GET /healthz?x", Access::Health, false),
            ("HEAD /healthz", Access::Health, false),
            ("POST /healthz", Access::Deeds, false),
            ("GET /", Access::Page, true),
            ("POST /", Access::Deeds, true),
            ("GET /status", Access::Figures, false),
            ("GET /metrics", Access::Figures, false),
            ("GET /live", Access::Figures, true),
            ("GET /subscribers/a", Access::Figures, false),
            ("GET /clients?limit=1", Access::Lists, true),
            ("GET /presence", Access::Lists, true),
            ("GET /presence/a", Access::Lists, true),
            ("GET /events", Access::Lists, true),
            ("POST /publish/a", Access::Deeds, false),
            ("GET /publish/a", Access::Deeds, false),
            ("POST /disconnect/a", Access::Deeds, true),
            ("POST /loglevel/debug", Access::Deeds, false),
            ("GET /nothing", Access::Deeds, false),
            ("OPTIONS *", Access::Deeds, false),
        ] {
            let head = format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
            let request = Reader::new()
                .read(head.as_bytes())
                .unwrap()
                .unwrap()
                .request;
            let found = (Access::of(&request), is_new(&request.path));
            assert_eq!(found, (access, new), "{line}");
        }
    }
}
