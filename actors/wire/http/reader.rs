//! A request's head out of bytes in any pieces.

use std::mem::MaybeUninit;
use std::rc::Rc;

use memchr::memchr;

use super::refused::{field_name, without_query};
use super::{Refused, Request};

/// The most bytes a request line may have, its line end apart: 16 KiB.
pub const MAX_REQUEST_LINE: usize = 16 * 1024;

/// The most bytes that a request line may have which asks for something of the Mercure hub: its query
/// names many topics.
pub const MAX_HUB_LINE: usize = 32 * 1024;

/// The most bytes all header fields may have together, with their line ends: 32 KiB, as much as the
/// proxies in front let through, since some users have very many cookies.
pub const MAX_FIELDS: usize = 32 * 1024;

/// Header fields for which there is room at hand; more need an allocation.
const USUAL_FIELDS: usize = 64;

/// No more fields than this have room in [`MAX_FIELDS`]: `a:` and a newline each.
const MOST_FIELDS: usize = MAX_FIELDS / 3 + 1;

/// The most empty lines that are skipped in front of a request (RFC 9112 §2.2).
const MAX_EMPTY_LINES: u8 = 4;

/// A request's head and where it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What it says; boxed, as it is large and passed on by many.
    pub request: Box<Request>,
    /// How many bytes of the buffer it took; the body, or the next request, follows them.
    pub length: usize,
}

/// Reads one head out of a growing buffer.
///
/// Bytes are looked at once, and a head is parsed when its end is there, so the cost is linear
/// however the bytes were split; so is the result, refusals included.
#[derive(Debug, Default)]
pub struct Reader {
    /// Bytes that were searched for a newline already.
    scanned: usize,
    /// Where the line begins that is being read.
    line: usize,
    /// Empty lines so far.
    empty_lines: u8,
    /// The path below which a request line may be longer.
    hub: Option<Rc<str>>,
    /// Set once the request line is there and good.
    request_line: Option<RequestLine>,
}

#[derive(Debug)]
struct RequestLine {
    /// Where it begins.
    start: usize,
    /// Where the fields begin.
    fields: usize,
    /// Whether it is known to be good: where its fields are there too, parsing all tells.
    checked: bool,
}

impl Reader {
    /// A reader that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reader that has seen nothing, for requests of which those to this path, the Mercure hub's, may
    /// have a longer line.
    pub fn with_hub(path: Option<Rc<str>>) -> Self {
        Self {
            hub: path,
            ..Self::default()
        }
    }

    /// Looks at all bytes since the request's beginning: `buffer` holds what it held at the last
    /// call, and what has come since. `None` = the head is not complete.
    ///
    /// After a head or a refusal the reader is as new; a connection is not usable after a refusal.
    ///
    /// Errors: 414 for a request line over [`MAX_REQUEST_LINE`] and 431 for fields over
    /// [`MAX_FIELDS`] (both before their end has come), 505 for another version than HTTP/1.0 and
    /// HTTP/1.1, 501 for a transfer coding other than `chunked`, 400 for what is malformed.
    pub fn read(&mut self, buffer: &[u8]) -> Result<Option<Head>, Refused> {
        let mut result = self.advance(buffer);
        if !matches!(result, Ok(Some(_)))
            && let Err(refused) = self.check_request_line(buffer)
        {
            // Whatever follows it.
            result = Err(refused);
        }
        if !matches!(result, Ok(None)) {
            *self = Self::with_hub(self.hub.take());
        }
        result
    }

    fn advance(&mut self, buffer: &[u8]) -> Result<Option<Head>, Refused> {
        loop {
            let new = buffer.get(self.scanned..).unwrap_or_default();
            let newline = memchr(b'\n', new).map(|at| self.scanned + at);
            let end = newline.unwrap_or(buffer.len());
            let line = buffer.get(self.line..end).unwrap_or_default();
            match &self.request_line {
                None => check_start(line, self.hub.as_deref())?,
                Some(RequestLine { fields, .. }) => check_fields(self.line - fields, line)?,
            }
            let Some(newline) = newline else {
                self.scanned = buffer.len();
                return Ok(None);
            };
            let next = newline + 1;
            match &self.request_line {
                Some(request_line) if is_empty(line) => {
                    let request = parse(buffer.get(request_line.start..next).unwrap_or_default())?;
                    return Ok(Some(Head {
                        request,
                        length: next,
                    }));
                }
                Some(_) => {}
                None if is_empty(line) => {
                    self.empty_lines += 1;
                    if self.empty_lines > MAX_EMPTY_LINES {
                        return Err(Refused::new(400, "empty lines instead of a request"));
                    }
                }
                None => {
                    self.request_line = Some(RequestLine {
                        start: self.line,
                        fields: next,
                        checked: false,
                    });
                }
            }
            self.scanned = next;
            self.line = next;
        }
    }

    /// Refuses a wrong request line before its fields have come.
    fn check_request_line(&mut self, buffer: &[u8]) -> Result<(), Refused> {
        let unchecked = |line: &&mut RequestLine| !line.checked;
        match self.request_line.as_mut().filter(unchecked) {
            Some(line) => {
                line.checked = true;
                check_request_line(buffer.get(line.start..line.fields).unwrap_or_default())
            }
            None => Ok(()),
        }
    }
}

/// Whether a line without its newline has nothing in it.
fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"" | b"\r")
}

/// Checks as much of the request line as is there, without its newline.
fn check_start(line: &[u8], hub: Option<&str>) -> Result<(), Refused> {
    // A TLS handshake record (RFC 8446 §5.1). It may never have a newline in it.
    if line.starts_with(&[0x16, 0x03]) {
        return Err(Refused::new(
            400,
            "this port speaks plain HTTP, and was spoken to in TLS; use http:// instead of https://",
        ));
    }
    // What follows the two empty lines that a PROXY protocol header of version 2 begins with.
    if line.starts_with(b"\0\r") {
        return Err(Refused::new(
            400,
            "a PROXY protocol header is taken only from proxies that --trust-proxy names, and once",
        ));
    }
    let length = line.strip_suffix(b"\r").unwrap_or(line).len();
    if length <= MAX_REQUEST_LINE {
        return Ok(());
    }
    let most = if hub.is_some_and(|hub| is_for(line, hub)) {
        MAX_HUB_LINE
    } else {
        MAX_REQUEST_LINE
    };
    if length > most {
        let why = format!("the request line is longer than {} KiB", most / 1024);
        return Err(Refused::new(414, why));
    }
    Ok(())
}

/// Whether a line asks for something at a path.
fn is_for(line: &[u8], path: &str) -> bool {
    let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let rest = target.strip_prefix(path.as_bytes());
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'?' | b'/')))
}

/// Checks the bytes of the fields: `before` in complete lines, and a line without its newline.
fn check_fields(before: usize, line: &[u8]) -> Result<(), Refused> {
    if !is_empty(line) && before + line.len() + 1 > MAX_FIELDS {
        return Err(Refused::new(
            431,
            "the header fields are longer than 32 KiB together",
        ));
    }
    Ok(())
}

/// Checks a whole request line.
fn check_request_line(line: &[u8]) -> Result<(), Refused> {
    match httparse::Request::new(&mut []).parse(line) {
        Ok(_) => Ok(()),
        Err(httparse::Error::Version) if names_other_version(line) => Err(Refused::new(
            505,
            format!(
                "{}: this server speaks HTTP/1.1 and HTTP/1.0",
                without_query(line.trim_ascii_end())
            ),
        )),
        Err(_) => Err(Refused::new(
            400,
            format!(
                "{} is no HTTP request line, such as 'GET / HTTP/1.1'",
                without_query(line.trim_ascii_end())
            ),
        )),
    }
}

/// Whether the line ends in another protocol version: `HTTP/2.0`, or `HTTP/2` as people write it.
fn names_other_version(line: &[u8]) -> bool {
    line.trim_ascii_end()
        .rsplit(|byte| *byte == b' ')
        .next()
        .and_then(|word| word.strip_prefix(b"HTTP/"))
        .is_some_and(|number| {
            // With one of ours, something else in the line is wrong.
            matches!(number, [b'0'..=b'9'] | [b'0'..=b'9', b'.', b'0'..=b'9'])
                && !matches!(number, b"1.0" | b"1.1")
        })
}

/// Parses a whole head, from its request line to its empty line.
fn parse(head: &[u8]) -> Result<Box<Request>, Refused> {
    // Not filled, which would cost more than most heads themselves.
    let mut few = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    let parsed = match parse_into(head, &mut few) {
        Err(Fault::Syntax(httparse::Error::TooManyHeaders)) => {
            let mut many = Box::new_uninit_slice(MOST_FIELDS);
            parse_into(head, &mut many)
        }
        parsed => parsed,
    };
    parsed.map_err(|fault| match fault {
        Fault::Syntax(error) => Refused::new(400, malformed(head, error)),
        Fault::Refused(refused) => refused,
    })
}

/// Why a head is no request: httparse does not understand it, or it is refused.
enum Fault {
    Syntax(httparse::Error),
    Refused(Refused),
}

impl From<httparse::Error> for Fault {
    fn from(error: httparse::Error) -> Self {
        Self::Syntax(error)
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

/// Parses a head with room for so many fields.
fn parse_into<'b>(
    head: &'b [u8],
    fields: &mut [MaybeUninit<httparse::Header<'b>>],
) -> Result<Box<Request>, Fault> {
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, fields)? {
        httparse::Status::Complete(length) if length == head.len() => Ok(Request::new(&request)?),
        _ => Err(Refused::new(400, "malformed header fields").into()),
    }
}

/// Says which line httparse stopped at, as it does not.
fn malformed(head: &[u8], error: httparse::Error) -> String {
    let mut lines = head.split_inclusive(|byte| *byte == b'\n').skip(1);
    let bad =
        lines.find(|line| httparse::parse_headers(line, &mut [httparse::EMPTY_HEADER; 1]).is_err());
    match bad {
        Some([b' ' | b'\t', ..]) => {
            "a header field begins with a space; folded fields are obsolete (RFC 9112 section 5.2)"
                .to_owned()
        }
        Some(line) => format!(
            "{} is no header field: {error}",
            field_name(line.trim_ascii_end())
        ),
        None => format!("malformed header fields: {error}"),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use proptest::prelude::*;

    use super::*;

    fn read(bytes: impl AsRef<[u8]>) -> Result<Option<Head>, Refused> {
        Reader::new().read(bytes.as_ref())
    }

    fn status(bytes: impl AsRef<[u8]>) -> u16 {
        read(bytes).unwrap_err().status
    }

    /// The result where the bytes come in pieces that end at `ends`.
    fn read_pieces(
        bytes: &[u8],
        ends: impl Iterator<Item = usize>,
    ) -> Result<Option<Head>, Refused> {
        let mut reader = Reader::new();
        for end in ends.chain([bytes.len()]) {
            let result = reader.read(&bytes[..end]);
            if !matches!(result, Ok(None)) {
                return result;
            }
        }
        Ok(None)
    }

    #[test]
    fn a_head_leaves_what_follows() {
        let head = b"\r\n\nGET /sse HTTP/1.1\r\nHost: h\r\n\r\n";
        let mut bytes = head.to_vec();
        bytes.extend_from_slice(b"GET /next");
        assert_eq!(read(&bytes).unwrap().unwrap().length, head.len());
        for end in 0..head.len() {
            assert_eq!(read(&bytes[..end]), Ok(None));
        }
    }

    #[test]
    fn lines_may_end_in_a_newline_alone() {
        assert!(read("GET / HTTP/1.1\nHost: h\n\n").unwrap().is_some());
    }

    #[test]
    fn a_request_line_has_a_bound() {
        let line = |length: usize| format!("GET /{} HTTP/1.1", "a".repeat(length - 14));
        assert_eq!(line(MAX_REQUEST_LINE).len(), MAX_REQUEST_LINE);
        let longest = line(MAX_REQUEST_LINE) + "\r\n";
        assert_eq!(read(&longest), Ok(None));
        assert!(read(longest + "Host: h\r\n\r\n").unwrap().is_some());
        assert_eq!(status(line(MAX_REQUEST_LINE + 1) + "\r\n"), 414);
        // Also while its end has not come.
        assert_eq!(status(vec![b'a'; MAX_REQUEST_LINE + 1]), 414);
    }

    #[test]
    fn a_line_to_the_hub_may_be_longer() {
        let line = |path: &str, length: usize| {
            let bytes = format!(
                "GET {path}?x={} HTTP/1.1\r\nHost: h\r\n\r\n",
                "a".repeat(length)
            );
            Reader::with_hub(Some("/hub".into())).read(bytes.as_bytes())
        };
        for path in ["/hub", "/hub/subscriptions"] {
            assert!(line(path, 31 * 1024).unwrap().is_some(), "{path}");
            assert_eq!(line(path, 33 * 1024).unwrap_err().status, 414);
        }
        for path in ["/hubs", "/sse", "/x/hub"] {
            assert_eq!(line(path, 31 * 1024).unwrap_err().status, 414, "{path}");
        }
    }

    #[test]
    fn the_fields_have_a_bound() {
        let head = |length: usize| {
            format!(
                "GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n",
                "a".repeat(length - 14)
            )
        };
        assert!(read(head(MAX_FIELDS) + "\r\n").unwrap().is_some());
        assert_eq!(status(head(MAX_FIELDS + 1) + "\r\n"), 431);
        assert_eq!(status(head(MAX_FIELDS + 2).trim_end()), 431);
        let many = "a:\n".repeat(MAX_FIELDS / 3 - 3);
        assert!(
            read(format!("GET / HTTP/1.1\r\nHost: h\r\n{many}\r\n"))
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn wrong_request_lines_are_refused_at_their_end() {
        for (line, expected) in [
            ("GET /", 400),
            ("GET / ", 400),
            ("GET  / HTTP/1.1", 400),
            ("GET / HTTP/1.1 ", 400),
            ("GET / HTTP/1.11", 400),
            ("GET / http/1.1", 400),
            ("GET / FTP/1.1", 400),
            ("GET /a b HTTP/1.1", 400),
            ("G\u{1}T / HTTP/1.1", 400),
            (" GET / HTTP/1.1", 400),
            ("room1=hello", 400),
            ("GET / HTTP/2.0", 505),
            ("GET / HTTP/2", 505),
            ("GET / HTTP/1.2", 505),
            ("GET / HTTP/0.9", 505),
            ("PRI * HTTP/2.0", 505),
        ] {
            assert_eq!(status(line.to_owned() + "\r\n"), expected, "{line}");
        }
        assert_eq!(status("\r\n".repeat(5)), 400);
        // A PROXY protocol v2 header that is not believed.
        let refused = read(b"\r\n\r\n\0\r\nQUIT\n\x21\x11").unwrap_err();
        assert_eq!(refused.status, 400);
        assert!(refused.reason.contains("--trust-proxy"), "{refused}");
    }

    #[test]
    fn tls_is_told_apart() {
        assert_eq!(read([0x16]), Ok(None));
        let refused = read([0x16, 0x03]).unwrap_err();
        assert_eq!(refused.status, 400);
        assert!(refused.reason.contains("plain HTTP"));
    }

    #[test]
    fn wrong_fields_are_named() {
        for (fields, named) in [
            ("Host : h\r\n", "\"Host ...\""),
            ("Host: h\r\n folded\r\n", "folded fields"),
            (" Host: h\r\n", "folded fields"),
            ("Host: h\r\nX: a\rb\r\n", "\"X ...\""),
            ("Host: h\r\nX: a\0b\r\n", "\"X ...\""),
            ("Host: h\r\nno colon\r\n", "\"no ...\""),
            ("Host: h\r\nbare\r\n", "a field of 4 bytes without a colon"),
            ("Host: h\r\n: x\r\n", "\" ...\""),
            ("Host: h\r\nÁ: x\r\n", "\"Á ...\""),
        ] {
            let refused = read(format!("GET / HTTP/1.1\r\n{fields}\r\n")).unwrap_err();
            assert_eq!(refused.status, 400);
            assert!(refused.reason.contains(named), "{refused}");
        }
    }

    #[test]
    fn no_secret_is_repeated() {
        for head in [
            "GET  /sse?auth=hush HTTP/1.1\r\n",
            "GET /sse?auth=hush HTTP/2.0\r\n",
            "GET sse?auth=hush HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET / HTTP/1.1\r\nAuthorization : Bearer hush\r\n\r\n",
            "GET / HTTP/1.1\r\nauthorization Bearer hush\r\n\r\n",
            "GET / HTTP/1.1\r\nCookie: hasses=hush\0\r\n\r\n",
            "GET / HTTP/1.1\r\nAuthoriza tion: Bearer hush\r\n\r\n",
            "GET / HTTP/1.1\r\nX-Api-Key: hush\0\r\n\r\n",
            "GET / HTTP/1.1\r\nIdempotency-Key\t: hush\r\n\r\n",
        ] {
            let refused = read(head).unwrap_err();
            assert!(!refused.reason.contains("hush"), "{refused}");
            assert!(refused.reason.contains("..."), "{refused}");
        }
    }

    /// Mostly requests with something wrong here and there.
    fn requests() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("GET /sse?subscribe=a HTTP/1.1\r\n".to_owned()),
            Just("POST http://h/publish HTTP/1.0\n".to_owned()),
            Just("Host: h\r\n".to_owned()),
            Just("Content-Length: 5\r\n".to_owned()),
            Just("Transfer-Encoding: chunked\r\n".to_owned()),
            Just("Connection: close\n".to_owned()),
            Just("\r\n".to_owned()),
            Just("\n".to_owned()),
            Just("\r".to_owned()),
            Just("\u{16}".to_owned()),
            Just("\u{3}".to_owned()),
            Just(" HTTP/2.0\r\n".to_owned()),
            (8100_usize..8300).prop_map(|length| format!("X: {}", "a".repeat(length))),
            "[ -~\\r\\n]{0,12}",
        ];
        prop_oneof![
            4 => prop::collection::vec(piece.clone(), 0..8)
                .prop_map(|pieces| pieces.concat().into_bytes()),
            4 => prop::collection::vec(piece, 0..8).prop_map(|pieces| {
                ("GET / HTTP/1.1\r\nHost: h\r\n".to_owned() + &pieces.concat()).into_bytes()
            }),
            1 => prop::collection::vec(any::<u8>(), 0..300),
        ]
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same(
            bytes in requests(),
            ends in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let whole = read(&bytes);
            let mut ends: Vec<_> = ends.iter().map(|end| end.index(bytes.len() + 1)).collect();
            ends.sort_unstable();
            prop_assert_eq!(&read_pieces(&bytes, ends.into_iter()), &whole);
            prop_assert_eq!(&read_pieces(&bytes, 0..bytes.len()), &whole);
        }
    }
}
