//! A request as its fields say it (RFC 9113 §8), put into the words of HTTP/1 for the actor that answers
//! it, and an answer in those words put into fields. So one thing decides on requests, whatever the
//! protocol. The words are those of HTTP/1.0, where an answer is not chunked and ends with its stream; those
//! of HTTP/1.1 where a body of unknown length comes, which is given in chunks.

use super::hpack::{FIELD, put_field, put_status};

/// What a request's fields may have together, as they are counted (RFC 9113 §6.5.2): as much as in HTTP/1,
/// where there is no Mercure hub and where there is one.
pub const MOST: usize = 48 * 1024;
/// See [`MOST`].
pub const MOST_OF_HUB: usize = 64 * 1024;

/// Fields that are about a connection, and stand for nothing here (RFC 9113 §8.2.2).
const OF_CONNECTION: [&[u8]; 5] = [
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"transfer-encoding",
    b"upgrade",
];

/// What came of a request's fields.
#[derive(Debug, PartialEq, Eq)]
pub enum Gathered {
    /// It is one.
    Request(Request),
    /// Its fields have more than they may.
    TooLarge,
    /// It is none (RFC 9113 §8.1.1).
    Malformed,
}

/// A request in the words of HTTP/1.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// Its head.
    pub text: Vec<u8>,
    /// How its body is said, if it has one.
    pub body: Body,
    /// How long the body is to be, if that is known.
    pub length: Option<u64>,
}

/// How a body is said in the words of HTTP/1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// The method has none: nobody reads it.
    ThrownAway,
    /// As it is, since the head says its length.
    Plain,
    /// In chunks.
    Chunked,
}

impl Body {
    /// Adds a part, which is the last if the body has `ended`; whether anything was added.
    pub fn put(self, part: &[u8], ended: bool, text: &mut Vec<u8>) -> bool {
        match self {
            Self::ThrownAway => return false,
            Self::Plain => text.extend_from_slice(part),
            Self::Chunked => {
                // An empty chunk would be the last.
                if !part.is_empty() {
                    text.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
                    text.extend_from_slice(part);
                    text.extend_from_slice(b"\r\n");
                }
                if ended {
                    text.extend_from_slice(b"0\r\n\r\n");
                }
            }
        }
        true
    }
}

/// A request's fields, gathered one by one.
#[derive(Debug, Default)]
pub struct Gathering {
    /// Bytes that they may have.
    most: usize,
    method: Vec<u8>,
    scheme: bool,
    authority: Option<Vec<u8>>,
    path: Vec<u8>,
    fields: Vec<u8>,
    length: Option<u64>,
    /// Cookies may come in pieces, which are one field (RFC 9113 §8.2.3).
    cookies: Vec<u8>,
    size: usize,
    regular: bool,
    malformed: bool,
}

impl Gathering {
    /// Of fields that may have `most` bytes together.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            ..Self::default()
        }
    }

    /// Takes a field.
    pub fn field(&mut self, name: &[u8], value: &[u8]) {
        self.size += name.len() + value.len() + FIELD;
        if self.size > self.most || self.malformed {
            return;
        }
        let wrong = |byte: &u8| matches!(byte, b'\0' | b'\r' | b'\n');
        let blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
        self.malformed = value.iter().any(wrong) || blank(value.first()) || blank(value.last());
        match name.strip_prefix(b":") {
            Some(pseudo) => self.pseudo(pseudo, value),
            None => self.regular(name, value),
        }
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) {
        let word = |byte: &u8| byte.is_ascii_graphic();
        self.malformed |= self.regular || value.is_empty() || !value.iter().all(word);
        match name {
            b"method" if self.method.is_empty() => self.method = value.to_vec(),
            b"path" if self.path.is_empty() => self.path = value.to_vec(),
            b"authority" if self.authority.is_none() => self.authority = Some(value.to_vec()),
            b"scheme" if !self.scheme => self.scheme = true,
            _ => self.malformed = true,
        }
    }

    fn regular(&mut self, name: &[u8], value: &[u8]) {
        self.regular = true;
        let word =
            |byte: &u8| byte.is_ascii_graphic() && !byte.is_ascii_uppercase() && *byte != b':';
        self.malformed |=
            name.is_empty() || !name.iter().all(word) || OF_CONNECTION.contains(&name);
        match name {
            b"te" => self.malformed |= value != b"trailers",
            b"cookie" => {
                if !self.cookies.is_empty() {
                    self.cookies.extend_from_slice(b"; ");
                }
                self.cookies.extend_from_slice(value);
            }
            // Said by `:authority`.
            b"host" if self.authority.is_some() => {}
            b"content-length" => {
                let length = std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.parse().ok());
                self.malformed |=
                    length.is_none() || self.length.is_some_and(|_| self.length != length);
                self.length = length;
            }
            // There are no chunks, and nobody waits before the body.
            b"expect" => {}
            _ => put_line(name, value, &mut self.fields),
        }
    }

    /// All fields are there; `body`: a body follows.
    pub fn end(self, body: bool) -> Gathered {
        if self.size > self.most {
            return Gathered::TooLarge;
        }
        let whole = !self.method.is_empty() && !self.path.is_empty() && self.scheme;
        let origin = self.path.starts_with(b"/") || self.path == b"*";
        let empty = !body && self.length.is_some_and(|length| length > 0);
        if self.malformed || !whole || !origin || empty {
            return Gathered::Malformed;
        }
        let length = self.length;
        let how = match (&*self.method, length) {
            (b"POST" | b"QUERY", None) if body => Body::Chunked,
            (b"POST" | b"QUERY", _) => Body::Plain,
            _ => Body::ThrownAway,
        };
        let mut text = self.method;
        text.push(b' ');
        text.extend_from_slice(&self.path);
        text.extend_from_slice(match how {
            Body::Chunked => {
                b" HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n".as_slice()
            }
            _ => b" HTTP/1.0\r\n",
        });
        if let Some(authority) = self.authority {
            put_line(b"host", &authority, &mut text);
        }
        if !self.cookies.is_empty() {
            put_line(b"cookie", &self.cookies, &mut text);
        }
        if let (Body::Plain, Some(length)) = (how, length) {
            put_line(b"content-length", length.to_string().as_bytes(), &mut text);
        }
        text.extend_from_slice(&self.fields);
        text.extend_from_slice(b"\r\n");
        Gathered::Request(Request {
            text,
            body: how,
            length,
        })
    }
}

fn put_line(name: &[u8], value: &[u8], text: &mut Vec<u8>) {
    text.extend_from_slice(name);
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// The length of an answer's head in the words of HTTP/1, if all of it is there.
pub fn answer_length(text: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, b"\r\n\r\n").map(|at| at + 4)
}

/// An answer's head, as [`answer_length`] found it, in fields.
pub fn answer_block(head: &[u8]) -> Vec<u8> {
    let mut block = Vec::with_capacity(head.len());
    let mut lines = head
        .split(|&byte| byte == b'\n')
        .map(|line| line.trim_ascii());
    let status = lines
        .next()
        .and_then(|line| line.split(|&byte| byte == b' ').nth(1));
    put_status(status.unwrap_or(b"500"), &mut block);
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_at(memchr::memchr(b':', line).unwrap_or(line.len()));
        let lower = name.to_ascii_lowercase();
        if !OF_CONNECTION.contains(&lower.as_slice()) {
            put_field(
                &lower,
                value.get(1..).unwrap_or_default().trim_ascii(),
                &mut block,
            );
        }
    }
    block
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    const GET: [(&str, &str); 4] = [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/sse?subscribe=a"),
        (":authority", "example.org"),
    ];

    fn gather(fields: &[(&str, &str)], body: bool) -> Gathered {
        let mut gathering = Gathering::new(MOST);
        for (name, value) in fields {
            gathering.field(name.as_bytes(), value.as_bytes());
        }
        gathering.end(body)
    }

    #[test]
    fn a_request_is_said_in_older_words() {
        let more = [
            ("accept", "text/event-stream"),
            ("cookie", "a=b"),
            ("host", "other"),
            ("cookie", "hasses=x"),
            ("te", "trailers"),
        ];
        let text = "GET /sse?subscribe=a HTTP/1.0\r\nhost: example.org\r\n\
                    cookie: a=b; hasses=x\r\naccept: text/event-stream\r\n\r\n";
        let request = gather(&[&GET[..], &more].concat(), false);
        let text = text.into();
        assert_eq!(
            request,
            Gathered::Request(Request {
                text,
                body: Body::ThrownAway,
                length: None
            })
        );
    }

    #[test]
    fn a_body_is_said_as_its_length_is_known() {
        let post = |more: &[(&'static str, &'static str)]| {
            let mut fields = GET.to_vec();
            fields[0].1 = "POST";
            fields.extend(more);
            match gather(&fields, true) {
                Gathered::Request(request) => request,
                other => panic!("{other:?}"),
            }
        };
        let put = |body: Body| {
            let mut text = Vec::new();
            for (part, ended) in [("ab", false), ("", false), ("c", false), ("", true)] {
                body.put(part.as_bytes(), ended, &mut text);
            }
            String::from_utf8(text).unwrap()
        };
        let known = post(&[("content-length", "3")]);
        let text = String::from_utf8(known.text).unwrap();
        assert!(
            text.starts_with("POST /sse?subscribe=a HTTP/1.0\r\n"),
            "{text}"
        );
        assert!(text.contains("\r\ncontent-length: 3\r\n"), "{text}");
        assert_eq!((known.length, &*put(known.body)), (Some(3), "abc"));
        let unknown = post(&[]);
        let text = String::from_utf8(unknown.text).unwrap();
        assert!(text.contains(" HTTP/1.1\r\nconnection: close\r\ntransfer-encoding: chunked\r\n"));
        let chunks = "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n";
        assert_eq!((unknown.length, &*put(unknown.body)), (None, chunks));
    }

    #[test]
    fn what_is_no_request_is_malformed() {
        let with =
            |more: &[(&'static str, &'static str)]| gather(&[&GET[..], more].concat(), false);
        for more in [
            &[("Accept", "x")][..],
            &[("a b", "x")],
            &[("", "x")],
            &[("a", "x\r\nb: y")],
            &[("a", " x")],
            &[("connection", "close")],
            &[("transfer-encoding", "chunked")],
            &[("te", "gzip")],
            &[(":path", "/other")],
            &[(":unknown", "x")],
            &[("a", "x"), (":scheme", "https")],
            &[("content-length", "1")],
            &[("content-length", "0"), ("content-length", "1")],
            &[("content-length", "x")],
        ] {
            assert_eq!(with(more), Gathered::Malformed, "{more:?}");
        }
        for missing in 0..3 {
            let mut fields = GET.to_vec();
            fields.remove(missing);
            assert_eq!(gather(&fields, false), Gathered::Malformed, "{missing}");
        }
        for path in ["", "sse", "http://x/", "/a b", "/a\r\n"] {
            let mut fields = GET;
            fields[2].1 = path;
            assert_eq!(gather(&fields, false), Gathered::Malformed, "{path}");
        }
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        let mut gathering = Gathering::new(MOST);
        for (name, value) in GET {
            gathering.field(name.as_bytes(), value.as_bytes());
        }
        for _ in 0..100_000 {
            gathering.field(b"a", &[b'x'; 4000]);
        }
        assert!(gathering.fields.len() <= MOST);
        assert_eq!(gathering.end(false), Gathered::TooLarge);
    }

    #[test]
    fn an_answer_is_said_in_fields() {
        let head = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 30\r\nConnection: close\r\n\
                     Vary:Origin\r\n\r\n";
        assert_eq!(answer_length(head), Some(head.len()));
        assert_eq!(answer_length(&head[..head.len() - 1]), None);
        let mut fields = Vec::new();
        let mut decoder = super::super::hpack::Decoder::default();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let read = decoder.read(&answer_block(head), |name, value| {
            fields.push((text(name), text(value)));
        });
        assert_eq!(read, Ok(()));
        let expected = [
            (":status", "503"),
            ("retry-after", "30"),
            ("vary", "Origin"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(fields, expected);
    }
}
