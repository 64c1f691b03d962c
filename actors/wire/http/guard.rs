//! Requests on the control port that a web page could have forged.
//!
//! Any page that an administrator's browser shows can send requests to `127.0.0.1`. The browser
//! names the page in `Origin` on every POST (Fetch standard, "`Origin` header"), and says in
//! `Sec-Fetch-Site` for every request whether the page is of the same site (Fetch Metadata), where it
//! trusts the server's address. A page whose server has turned its own name into this machine's address
//! (DNS rebinding) is of the same origin as its request, but then its name stands in `Host`.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::refused::quoted;
use super::{Method, Request};

/// Why a request must be refused with 403 as forged; `None` = it is good.
///
/// Refused are
/// - an `Origin` other than `http://HOST` or `https://HOST`, HOST being the `Host` field, that is none
///   of `allowed` either;
/// - a `Sec-Fetch-Site` other than `same-origin` and `none`, where no page of `allowed` says so; but a
///   link to `/` may be followed;
/// - a `Host` with a dot in it that is neither an IP address nor among `allowed`. Names without a dot
///   cannot be registered by a stranger.
///
/// `allowed` holds host names (lower case, no port), and origins such as `https://ops.example:8443`.
/// Where `names` says so `Host` is not looked at: it has no meaning on a Unix socket.
pub fn forged(request: &Request, allowed: &[String], names: bool) -> Option<String> {
    let host = request.host.as_deref().unwrap_or_default();
    let listed = |origin: &str| allowed.iter().any(|one| one.eq_ignore_ascii_case(origin));
    let origin = request.origin.as_deref();
    if let Some(origin) = origin
        && !same(origin, host)
        && !listed(origin)
    {
        return Some(format!(
            "Origin {} is not this server's own, so a web page could have forged the request; behind \
             a proxy name it with --control-host, or have the proxy pass Host on as it came (nginx: \
             proxy_set_header Host $http_host)",
            quoted(origin.as_bytes())
        ));
    }
    let site = request.sec_fetch_site.as_deref().unwrap_or("none");
    let follows_link = request.path == "/"
        && matches!(request.method, Method::Get | Method::Head)
        && request.sec_fetch_mode.as_deref() == Some("navigate");
    if !matches!(site, "same-origin" | "none") && !follows_link && !origin.is_some_and(listed) {
        return Some(format!(
            "Sec-Fetch-Site {}: a web page from elsewhere could have made the request",
            quoted(site.as_bytes())
        ));
    }
    let hosts = [request.host.as_deref(), request.other_host.as_deref()];
    let strange = hosts
        .into_iter()
        .flatten()
        .find(|host| names && !is_known(host, allowed))?;
    Some(format!(
        "Host {} is neither an IP address nor named by --control-host",
        quoted(strange.as_bytes())
    ))
}

fn is_known(host: &str, allowed: &[String]) -> bool {
    let name = split_port(host).0;
    let name = name.strip_suffix('.').unwrap_or(name);
    let named = |allowed: &String| {
        let host = allowed
            .split_once("://")
            .map_or(&**allowed, |(_, host)| host);
        split_port(host).0.eq_ignore_ascii_case(name)
    };
    !split_port(host).0.contains('.') || is_address(split_port(host).0) || allowed.iter().any(named)
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
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::Reader;
    use super::*;

    /// Judges a GET of `/status` with these fields, each with its line end.
    fn judge(target: &str, fields: &str) -> Option<String> {
        let allowed = ["hasses.example.com", "https://ops.example:8443"].map(str::to_owned);
        let head = format!("GET {target} HTTP/1.0\r\n{fields}\r\n");
        let head = Reader::new().read(head.as_bytes()).unwrap().unwrap();
        forged(&head.request, &allowed, true)
    }

    fn good(host: &str, origin: Option<&str>) -> bool {
        let origin = origin.map_or(String::new(), |origin| format!("Origin: {origin}\r\n"));
        judge("/status", &format!("Host: {host}\r\n{origin}")).is_none()
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
        assert!(judge("/status", "").is_none());
        // An absolute target wins over Host, but neither may be a stranger's.
        assert!(judge("http://localhost/status", "Host: evil.example\r\n").is_some());
        assert!(judge("http://evil.example/status", "Host: localhost\r\n").is_some());
        assert!(judge("http://localhost/status", "Host: LOCALHOST\r\n").is_none());
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
        assert!(judge("/status", "Origin: http://localhost\r\n").is_some());
        // Behind a proxy that changes Host.
        assert!(good("127.0.0.1:8085", Some("https://ops.example:8443")));
        assert!(good("ops.example", Some("https://ops.example:8443")));
        assert!(good("ops.example:8443", None));
        assert!(!good("127.0.0.1:8085", Some("https://ops.example")));
        assert!(!good("127.0.0.1:8085", Some("http://ops.example:8443")));
        assert!(!good("127.0.0.1:8085", Some("https://hasses.example.com")));
    }

    #[test]
    fn sites() {
        for (target, fields, is_good) in [
            ("/live", "Sec-Fetch-Site: same-origin\r\n", true),
            ("/live", "Sec-Fetch-Site: none\r\n", true),
            ("/live", "Sec-Fetch-Site: cross-site\r\n", false),
            ("/live", "Sec-Fetch-Site: same-site\r\n", false),
            (
                "/",
                "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
                true,
            ),
            (
                "/",
                "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
                false,
            ),
            (
                "/live",
                "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
                false,
            ),
            (
                "/live",
                "Origin: https://ops.example:8443\r\nSec-Fetch-Site: cross-site\r\n",
                true,
            ),
        ] {
            let why = judge(target, &format!("Host: localhost\r\n{fields}"));
            assert_eq!(why.is_none(), is_good, "{target} {fields} {why:?}");
        }
    }

    #[test]
    fn a_unix_socket_has_no_name() {
        let judge = |fields: &str| {
            let head = format!("GET /status HTTP/1.1\r\nHost: some.where\r\n{fields}\r\n");
            let head = Reader::new().read(head.as_bytes()).unwrap().unwrap();
            forged(&head.request, &[], false)
        };
        assert_eq!(judge(""), None);
        assert!(judge("Origin: http://evil.example\r\n").is_some());
    }

    #[test]
    fn the_reason_cannot_break_a_log_line() {
        let why = judge("/status", "Host: localhost\r\nOrigin: http://a\tb\r\n");
        assert!(why.is_some_and(|why| !why.contains(['\n', '\t'])));
    }
}
