//! What a request's head says, as far as it matters here.

use super::Refused;
use super::fields::Fields;
use super::refused::{quoted, without_query};
use crate::model::EventId;

/// A request's method (RFC 9110 §9, PATCH of RFC 5789, and QUERY: a GET whose query is the body). Methods are case-sensitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the methods' own names say it")]
pub enum Method {
    Get,
    Head,
    Options,
    Post,
    Query,
    Put,
    Delete,
    Patch,
    Connect,
    Trace,
    /// Any other word: 501 is its answer, where a known one that is not allowed gets 405.
    Unknown,
}

impl Method {
    /// The method of a request that could not be understood, as far as its line has come.
    pub fn of(head: &[u8]) -> Self {
        let mut words = head.trim_ascii_start().split(|byte| *byte == b' ');
        let word = words.next().unwrap_or_default();
        Self::new(str::from_utf8(word).unwrap_or_default())
    }

    fn new(word: &str) -> Self {
        match word {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "POST" => Self::Post,
            "QUERY" => Self::Query,
            "PUT" => Self::Put,
            "DELETE" => Self::Delete,
            "PATCH" => Self::Patch,
            "CONNECT" => Self::Connect,
            "TRACE" => Self::Trace,
            _ => Self::Unknown,
        }
    }
}

/// The protocol version that the client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunked coding, closes unless asked not to.
    Http10,
    /// HTTP/1.1.
    Http11,
}

/// How the end of a request's body is known (RFC 9112 §6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyLength {
    /// There is none.
    None,
    /// This many bytes; a number too large for a `u64` is `u64::MAX`.
    Length(u64),
    /// It comes in chunks.
    Chunked,
}

/// A request's head. Texts are as sent: nothing is percent-decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The version.
    pub version: Version,
    /// The target before its first `?`; of an absolute target only its path. Begins with `/`, but
    /// for `OPTIONS *` and the `host:port` of CONNECT.
    pub path: String,
    /// What follows the first `?`.
    pub query: Option<String>,
    /// `Host`, or an absolute target's host, which wins (RFC 9112 §3.2.2). May be empty.
    pub host: Option<String>,
    /// `Host`, where an absolute target names another host.
    pub other_host: Option<String>,
    /// `Origin`.
    pub origin: Option<String>,
    /// `Sec-Fetch-Site`, by which a browser says whether the page is of the same site (Fetch Metadata).
    pub sec_fetch_site: Option<String>,
    /// `Sec-Fetch-Mode`: `navigate` where a link was followed or an address typed.
    pub sec_fetch_mode: Option<String>,
    /// `User-Agent`; bytes that are not UTF-8 are replaced, as in all further fields but
    /// `Authorization` and `Content-Type`.
    pub user_agent: Option<String>,
    /// `Accept`, all its lines.
    pub accept: Option<String>,
    /// `Accept-Encoding`, all its lines.
    pub accept_encoding: Option<String>,
    /// `If-None-Match`, all its lines.
    pub if_none_match: Option<String>,
    /// `Last-Event-ID` (WHATWG HTML §9.2.4).
    pub last_event_id: Option<String>,
    /// `Access-Control-Request-Headers`, all its lines: what a page's script wants to send.
    pub wanted_headers: Option<String>,
    /// `Authorization`.
    pub authorization: Option<String>,
    /// `Cookie`, all its lines.
    pub cookie: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Content-Encoding`, all its lines.
    pub content_encoding: Option<String>,
    /// `X-Forwarded-For`, all its lines.
    pub x_forwarded_for: Option<String>,
    /// `Referer`.
    pub referer: Option<String>,
    /// `Idempotency-Key`, as it was sent.
    pub idempotency_key: Option<String>,
    /// Whether and how a body follows.
    pub body: BodyLength,
    /// Whether the connection ends after the answer (RFC 9112 §9.3).
    pub close: bool,
    /// Whether the client waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1).
    pub expect_continue: bool,
}

impl Request {
    /// Makes a request of a head that httparse has taken apart.
    ///
    /// Errors: 400 for what contradicts itself or the RFCs, 501 for a transfer coding that is not
    /// `chunked`.
    pub(super) fn new(head: &httparse::Request<'_, '_>) -> Result<Box<Self>, Refused> {
        let version = match head.version {
            Some(0) => Version::Http10,
            _ => Version::Http11,
        };
        let fields = Fields::collect(head.headers)?;
        if version == Version::Http11 && fields.host.is_none() {
            return Err(Refused::new(400, "an HTTP/1.1 request needs a Host field"));
        }
        let body = fields.body(version)?;
        let close = fields.closes(version);
        let expect_continue = fields.expects_continue(version);
        let method = Method::new(head.method.unwrap_or_default());
        let target = Target::split(method, head.path.unwrap_or_default())?;
        let (host, other_host) = match (target.host, fields.host) {
            (None, host) => (host, None),
            (Some(host), other) => {
                let other = other.filter(|other| !other.eq_ignore_ascii_case(host));
                (Some(host.to_owned()), other)
            }
        };
        let hosts = [&host, &other_host].into_iter().flatten();
        if let Some(host) = hosts.into_iter().find(|host| !is_host(host)) {
            return Err(Refused::new(
                400,
                format!("{} is no host", quoted(host.as_bytes())),
            ));
        }
        Ok(Box::new(Self {
            method,
            version,
            path: target.path.to_owned(),
            query: target.query.map(str::to_owned),
            host,
            other_host,
            origin: fields.origin,
            sec_fetch_site: fields.sec_fetch_site,
            sec_fetch_mode: fields.sec_fetch_mode,
            user_agent: fields.user_agent,
            accept: fields.accept,
            accept_encoding: fields.accept_encoding,
            if_none_match: fields.if_none_match,
            last_event_id: fields.last_event_id,
            wanted_headers: fields.wanted_headers,
            authorization: fields.authorization,
            cookie: fields.cookie,
            content_type: fields.content_type,
            content_encoding: fields.content_encoding,
            x_forwarded_for: fields.x_forwarded_for,
            referer: fields.referer,
            idempotency_key: fields.idempotency_key,
            body,
            close,
            expect_continue,
        }))
    }
}

/// The last number of a list of numbers: a header that is given twice, by a script and by its
/// library, comes as one list. None where something else is in it.
pub fn event_id(list: &str) -> Option<EventId> {
    let numbers = list
        .split(',')
        .map(|number| number.trim_matches([' ', '\t']));
    let ids = numbers.map(|number| {
        let digits = number.bytes().all(|byte| byte.is_ascii_digit());
        let id = number.parse().ok().filter(|_| digits);
        id.filter(|id| *id < EventId::END).map(EventId)
    });
    ids.reduce(|before, id| before.and(id)).flatten()
}

/// The parts of a request's target (RFC 9112 §3.2).
struct Target<'a> {
    host: Option<&'a str>,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Target<'a> {
    fn split(method: Method, target: &'a str) -> Result<Self, Refused> {
        let (host, rest) = match absolute(target) {
            Some(rest) => {
                let end = rest.find(['/', '?']).unwrap_or(rest.len());
                let (host, rest) = rest.split_at(end);
                (Some(host), rest)
            }
            None => (None, target),
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (rest, None),
        };
        let path = match path {
            // An absolute target may lack the path, but not the host.
            "" if host.is_some() => "/",
            path => path,
        };
        let fits = (path.starts_with('/') && host != Some(""))
            || method == Method::Connect
            || (method == Method::Options && target == "*");
        if !fits {
            return Err(Refused::new(
                400,
                format!(
                    "{} is no request target; it would begin with '/'",
                    without_query(target.as_bytes())
                ),
            ));
        }
        Ok(Self { host, path, query })
    }
}

/// What follows the scheme of an absolute target.
fn absolute(target: &str) -> Option<&str> {
    ["http://", "https://"].iter().find_map(|scheme| {
        let (start, rest) = target.split_at_checked(scheme.len())?;
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Whether only bytes of `uri-host [ ":" port ]` (RFC 3986 §3.2.2) are in it; it may be empty.
fn is_host(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+;=:[]".contains(&byte))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::super::Reader;
    use super::*;

    /// Reads a head; each `|` in it stands for a line end.
    fn read(text: &str) -> Result<Box<Request>, Refused> {
        let text = text.replace('|', "\r\n") + "\r\n\r\n";
        Reader::new()
            .read(text.as_bytes())
            .map(|head| head.unwrap().request)
    }

    fn status(text: &str) -> u16 {
        read(text).unwrap_err().status
    }

    #[test]
    fn the_fields_that_matter() {
        let request = read(
            "GET /sse?subscribe=a&id=b?c HTTP/1.1|HOST: h:8080|Origin: http://p|user-agent: Ágent|\
             Accept: text/event-stream|Accept: */*|Last-Event-ID: 7|Authorization: Bearer x|\
             access-control-request-headers: x-a|Cookie: a=b|Cookie: c=d|Content-Type: text/plain|X-Forwarded-For: 1.2.3.4|\
             X-Forwarded-For: 5.6.7.8|X-Something-Else-Very-Long: y|Connection: Keep-Alive, CLOSE|\
             Expect: 100-Continue|Content-Length: 3|Idempotency-Key: \"k\"|Sec-Fetch-Site: none|\
             sec-fetch-mode: navigate",
        );
        let expected = Request {
            method: Method::Get,
            version: Version::Http11,
            path: "/sse".into(),
            query: Some("subscribe=a&id=b?c".into()),
            host: Some("h:8080".into()),
            other_host: None,
            origin: Some("http://p".into()),
            sec_fetch_site: Some("none".into()),
            sec_fetch_mode: Some("navigate".into()),
            user_agent: Some("Ágent".into()),
            accept: Some("text/event-stream, */*".into()),
            accept_encoding: None,
            if_none_match: None,
            last_event_id: Some("7".into()),
            wanted_headers: Some("x-a".into()),
            authorization: Some("Bearer x".into()),
            cookie: Some("a=b; c=d".into()),
            content_type: Some("text/plain".into()),
            content_encoding: None,
            x_forwarded_for: Some("1.2.3.4, 5.6.7.8".into()),
            referer: None,
            idempotency_key: Some("\"k\"".into()),
            body: BodyLength::Length(3),
            close: true,
            expect_continue: true,
        };
        assert_eq!(request, Ok(Box::new(expected)));
    }

    #[test]
    fn methods() {
        for (word, method) in [
            ("GET", Method::Get),
            ("TRACE", Method::Trace),
            ("get", Method::Unknown),
            ("BREW", Method::Unknown),
        ] {
            let request = read(&format!("{word} / HTTP/1.1|Host: h"));
            assert_eq!(request.unwrap().method, method);
        }
    }

    #[test]
    fn targets() {
        for (line, path, query, host) in [
            ("GET /", "/", None, "h"),
            ("GET /?", "/", Some(""), "h"),
            ("GET http://a.example:1/b?c", "/b", Some("c"), "a.example:1"),
            ("GET HTTPS://a", "/", None, "a"),
            ("GET http://a?c/d", "/", Some("c/d"), "a"),
            ("OPTIONS *", "*", None, "h"),
            ("CONNECT a:443", "a:443", None, "h"),
        ] {
            let request = read(&format!("{line} HTTP/1.1|Host: h")).unwrap();
            assert_eq!(
                (request.path.as_str(), request.query.as_deref()),
                (path, query)
            );
            assert_eq!(request.host.as_deref(), Some(host), "{line}");
            let other = (host != "h").then_some("h");
            assert_eq!(request.other_host.as_deref(), other, "{line}");
        }
        for target in [
            "*",
            "a",
            "?a",
            "ftp://a/",
            "http:///a",
            "http://u@a/",
            "h:1",
        ] {
            assert_eq!(
                status(&format!("GET {target} HTTP/1.1|Host: h")),
                400,
                "{target}"
            );
        }
    }

    #[test]
    fn hosts() {
        assert_eq!(status("GET / HTTP/1.1"), 400);
        assert_eq!(status("GET http://a/ HTTP/1.1"), 400);
        assert_eq!(status("GET / HTTP/1.1|Host: a|host: a"), 400);
        assert_eq!(status("GET / HTTP/1.0|Host: a|Host: b"), 400);
        assert_eq!(status("GET / HTTP/1.1|Host: a/b"), 400);
        assert_eq!(status("GET / HTTP/1.1|Host: a, b"), 400);
        assert_eq!(read("GET / HTTP/1.0").unwrap().host, None);
        assert_eq!(
            read("GET / HTTP/1.1|Host:").unwrap().host.as_deref(),
            Some("")
        );
    }

    #[test]
    fn what_decides_who_may_do_what_is_given_once() {
        for field in [
            "Origin: null",
            "Authorization: Bearer x",
            "Content-Type: a/b",
        ] {
            assert_eq!(
                status(&format!("POST / HTTP/1.1|Host: h|{field}|{field}")),
                400
            );
        }
    }

    #[test]
    fn bodies() {
        for (fields, body) in [
            ("X: y", BodyLength::None),
            ("Content-Length: 0", BodyLength::Length(0)),
            ("Content-Length: 5|content-length: 5", BodyLength::Length(5)),
            ("Content-Length: 5, 05", BodyLength::Length(5)),
            (
                "Content-Length: 99999999999999999999",
                BodyLength::Length(u64::MAX),
            ),
            ("Transfer-Encoding: Chunked", BodyLength::Chunked),
        ] {
            let request = read(&format!("POST / HTTP/1.1|Host: h|{fields}"));
            assert_eq!(request.unwrap().body, body, "{fields}");
        }
        for (fields, expected) in [
            ("Content-Length:", 400),
            ("Content-Length: -1", 400),
            ("Content-Length: +1", 400),
            ("Content-Length: 1 2", 400),
            ("Content-Length: 5,", 400),
            ("Content-Length: 5|Content-Length: 6", 400),
            ("Content-Length: 5|Transfer-Encoding: chunked", 400),
            ("Transfer-Encoding: gzip, chunked", 501),
            ("Transfer-Encoding: chunked|Transfer-Encoding: chunked", 501),
            ("Transfer-Encoding: identity", 501),
        ] {
            assert_eq!(
                status(&format!("POST / HTTP/1.1|Host: h|{fields}")),
                expected,
                "{fields}"
            );
        }
        assert_eq!(status("POST / HTTP/1.0|Transfer-Encoding: chunked"), 400);
    }

    #[test]
    fn who_closes() {
        for (head, close) in [
            ("GET / HTTP/1.1|Host: h", false),
            ("GET / HTTP/1.1|Host: h|Connection: keep-alive", false),
            ("GET / HTTP/1.1|Host: h|Connection: upgrade , close", true),
            ("GET / HTTP/1.0", true),
            ("GET / HTTP/1.0|Connection: Keep-Alive", false),
            ("GET / HTTP/1.0|Connection: keep-alive, close", true),
        ] {
            assert_eq!(read(head).unwrap().close, close, "{head}");
        }
        assert!(
            !read("POST / HTTP/1.0|Expect: 100-continue")
                .unwrap()
                .expect_continue
        );
    }
}
