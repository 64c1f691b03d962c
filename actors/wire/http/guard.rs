//! Requests on the control port that a web page could have forged.
//!
//! Any page that an administrator's browser shows can send requests to `127.0.0.1`. The browser
//! names the page in `Origin` on every POST (Fetch standard, "`Origin` header"). A page whose
//! server has turned its own name into this machine's address (DNS rebinding) is of the same
//! origin as its request, but then its name stands in `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::refused::quoted;

/// Why a request must be refused with 403 as forged; `None` = it is good.
///
/// Refused are an `Origin` other than `http://HOST` or `https://HOST`, HOST being the `Host` field,
/// and a `Host` with a dot in it that is neither an IP address nor among `allowed_hosts` (lower
/// case, no port). Names without a dot cannot be registered by a stranger.
pub fn forged(
    host: Option<&str>,
    origin: Option<&str>,
    allowed_hosts: &[String],
) -> Option<String> {
    let host = host.unwrap_or_default();
    if let Some(origin) = origin
        && !same(origin, host)
    {
        return Some(format!(
            "Origin {} is not this server's own, so a web page could have forged the request",
            quoted(origin.as_bytes())
        ));
    }
    let name = split_port(host).0;
    let known = !name.contains('.')
        || is_address(name)
        || allowed_hosts
            .iter()
            .any(|allowed| allowed.eq_ignore_ascii_case(name.strip_suffix('.').unwrap_or(name)));
    (!known).then(|| {
        format!(
            "Host {} is neither an IP address nor named by --control-host",
            quoted(host.as_bytes())
        )
    })
}

/// Whether `origin` is that of a page which this very host and port served.
fn same(origin: &str, host: &str) -> bool {
    let (authority, default_port) = if let Some(authority) = origin.strip_prefix("http://") {
        (authority, "80")
    } else if let Some(authority) = origin.strip_prefix("https://") {
        (authority, "443")
    } else {
        return false;
    };
    let (page_name, page_port) = split_port(authority);
    let (name, port) = split_port(host);
    !name.is_empty()
        && page_name.eq_ignore_ascii_case(name)
        && page_port.unwrap_or(default_port) == port.unwrap_or(default_port)
}

/// `host:port` in two; a port that is empty is none (RFC 3986 §3.2.3).
fn split_port(host: &str) -> (&str, Option<&str>) {
    // The colons of an IPv6 address stand in brackets.
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port).filter(|p| !p.is_empty())),
        _ => (host, None),
    }
}

fn is_address(name: &str) -> bool {
    match name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
    {
        Some(name) => name.parse::<Ipv6Addr>().is_ok(),
        None => name.parse::<Ipv4Addr>().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(host: &str, origin: Option<&str>) -> bool {
        let allowed = ["hasses.example.com".to_owned()];
        forged(Some(host), origin, &allowed).is_none()
    }

    #[test]
    fn hosts() {
        for host in [
            "localhost",
            "localhost:8085",
            "hasses",
            "hasses-1:80",
            "127.0.0.1:8085",
            "192.168.1.7",
            "[::1]",
            "[::1]:8085",
            "[::ffff:10.0.0.1]:8085",
            "hasses.example.com",
            "HASSES.Example.com:8085",
            "hasses.example.com.",
            "",
        ] {
            assert!(good(host, None), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8085",
            "127.0.0.1.evil.example",
            "localhost.",
            "127.0.0.1.",
            "127.1",
            "0x7f.1",
            "[::1].evil.example",
            "[evil.example]",
            "x.hasses.example.com",
            "127.0.0.1:80:80",
        ] {
            assert!(!good(host, None), "{host}");
        }
        assert!(forged(None, None, &[]).is_none());
    }

    #[test]
    fn origins() {
        for (host, origin) in [
            ("localhost:8085", "http://localhost:8085"),
            ("LOCALHOST:8085", "http://localhost:8085"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("localhost", "https://localhost:443"),
            ("[::1]:8085", "http://[::1]:8085"),
            ("hasses.example.com", "https://hasses.example.com"),
        ] {
            assert!(good(host, Some(origin)), "{host} {origin}");
        }
        for (host, origin) in [
            ("localhost:8085", "null"),
            ("localhost:8085", ""),
            ("localhost:8085", "http://localhost"),
            ("localhost:8085", "http://localhost:80850"),
            ("localhost:8085", "http://localhost:8085/"),
            ("localhost", "https://localhost:80"),
            ("localhost:8085", "http://evil.example"),
            ("localhost:8085", "chrome-extension://localhost:8085"),
            (
                "localhost:8085",
                "http://localhost:8085 http://evil.example",
            ),
            ("", "http://"),
            // Of one origin, and still the name of a stranger.
            ("evil.example:8085", "http://evil.example:8085"),
        ] {
            assert!(!good(host, Some(origin)), "{host} {origin}");
        }
        assert!(forged(None, Some("http://localhost"), &[]).is_some());
    }

    #[test]
    fn the_reason_cannot_break_a_log_line() {
        let why = forged(Some("localhost"), Some("http://a\u{1b}[0m\nb"), &[]);
        assert!(why.is_some_and(|why| !why.contains(['\n', '\u{1b}'])));
    }
}
