//! Heads and whole answers (RFC 9110 §15, RFC 9112 §4).

use std::fmt;

use super::{Date, Refused, Version};

/// The interim answer that a client with `Expect: 100-continue` waits for.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// Appends the head of a stream to `out`; `cors` are header lines, each with its CR LF. With `close`
/// it says that nothing else is answered on this connection, as it is with the answer to HEAD.
///
/// Towards HTTP/1.0 the body is not chunked and ends with the connection. The status line says
/// HTTP/1.1 to both (RFC 9110 §6.2: the server's own highest minor version).
pub fn stream_head(version: Version, close: bool, cors: &str, date: Date, out: &mut Vec<u8>) {
    let ending = match (version, close) {
        (Version::Http11, false) => "Transfer-Encoding: chunked",
        (Version::Http11, true) => "Transfer-Encoding: chunked\r\nConnection: close",
        (Version::Http10, _) => "Connection: close",
    };
    let head = [
        b"HTTP/1.1 200 OK\r\nDate: ",
        date.as_bytes(),
        b"\r\nContent-Type: text/event-stream; charset=utf-8\r\n",
        ending.as_bytes(),
        b"\r\nCache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n",
        cors.as_bytes(),
        b"\r\n",
    ];
    append(&head, out);
}

fn append(parts: &[&[u8]], out: &mut Vec<u8>) {
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// The head of an answer whose body comes bit by bit: chunked, but towards HTTP/1.0. `close`: the
/// connection ends after it, as it always does towards HTTP/1.0.
pub fn flowing_head(version: Version, kind: &str, close: bool, date: Date) -> Vec<u8> {
    let framing = match (version, close) {
        (Version::Http11, false) => "Connection: keep-alive\r\nTransfer-Encoding: chunked",
        (Version::Http11, true) => "Connection: close\r\nTransfer-Encoding: chunked",
        (Version::Http10, _) => "Connection: close",
    };
    format!(
        "HTTP/1.1 200 OK\r\n\
         Date: {date}\r\n\
         {framing}\r\n\
         Content-Type: {kind}\r\n\
         Cache-Control: no-store\r\n\
         X-Accel-Buffering: no\r\n\r\n"
    )
    .into_bytes()
}

/// A whole answer, body included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body and its media type; none with 204 and 304.
    pub body: Option<(&'static str, Vec<u8>)>,
    /// Further header lines, each with its CR LF.
    pub lines: String,
    /// Whether the request was HEAD: the head tells the body's length, and no body follows.
    pub head_only: bool,
    /// Whether the connection ends after it.
    pub close: bool,
}

impl Answer {
    /// A line of plain text, after which the connection ends.
    pub fn text(status: u16, text: &str) -> Self {
        Self::new(
            status,
            "text/plain; charset=utf-8",
            format!("{text}\n").into_bytes(),
        )
    }

    /// JSON, after which the connection stays open.
    pub fn json(status: u16, json: impl Into<Vec<u8>>) -> Self {
        let mut answer = Self::new(status, "application/json", json.into());
        answer.close = false;
        answer
    }

    /// A text of some media type, after which the connection stays open.
    pub fn page(kind: &'static str, text: impl Into<Vec<u8>>) -> Self {
        let mut answer = Self::new(200, kind, text.into());
        answer.close = false;
        answer
    }

    /// A word of plain text, without a line end, after which the connection stays open.
    pub fn word(word: &str) -> Self {
        Self::page("text/plain; charset=utf-8", word)
    }

    /// 204: no body. The connection stays open.
    pub fn no_content() -> Self {
        Self {
            status: 204,
            body: None,
            lines: String::new(),
            head_only: false,
            close: false,
        }
    }

    /// 304: the client has it already (RFC 9110 §15.4.5). No body. The connection stays open.
    pub fn not_modified() -> Self {
        Self {
            status: 304,
            ..Self::no_content()
        }
    }

    /// A refusal as plain text, with its `Allow` or `WWW-Authenticate`; the connection ends.
    pub fn refused_text(refused: &Refused) -> Self {
        Self::text(refused.status, &refused.reason).allowing(refused)
    }

    /// A refusal as `{"error":"…"}`, with its `Allow` or `WWW-Authenticate`; the connection ends.
    pub fn refused_json(refused: &Refused) -> Self {
        let error = serde_json::json!({ "error": refused.reason });
        Self::new(
            refused.status,
            "application/json",
            format!("{error}\n").into_bytes(),
        )
        .allowing(refused)
    }

    /// Adds a header line.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.lines += &format!("{name}: {value}\r\n");
        self
    }

    /// Appends the answer's bytes to `out`.
    pub fn write(&self, date: Date, out: &mut Vec<u8>) {
        let connection = if self.close { "close" } else { "keep-alive" };
        let mut number = itoa::Buffer::new();
        append(&[b"HTTP/1.1 ", number.format(self.status).as_bytes()], out);
        append(&[b" ", reason_phrase(self.status).as_bytes()], out);
        append(&[b"\r\nDate: ", date.as_bytes()], out);
        append(&[b"\r\nConnection: ", connection.as_bytes()], out);
        if let Some((kind, body)) = &self.body {
            append(&[b"\r\nContent-Type: ", kind.as_bytes()], out);
            let length = number.format(body.len());
            append(&[b"\r\nContent-Length: ", length.as_bytes()], out);
        }
        append(&[b"\r\n", self.lines.as_bytes(), b"\r\n"], out);
        if let Some((_, body)) = &self.body
            && !self.head_only
        {
            out.extend_from_slice(body);
        }
    }

    fn new(status: u16, kind: &'static str, body: Vec<u8>) -> Self {
        Self {
            status,
            body: Some((kind, body)),
            lines: String::new(),
            head_only: false,
            close: true,
        }
    }

    fn allowing(self, refused: &Refused) -> Self {
        match refused.allow {
            Some(allow) => self.with("Allow", allow),
            None if refused.denied.is_some() => {
                let denied = refused.denied.as_deref().unwrap_or_default();
                self.with("Hasses-Denied", denied)
            }
            // RFC 9110 §15.5.2, RFC 6750 §3.
            None if refused.status == 401 => self.with("WWW-Authenticate", "Bearer"),
            None => self,
        }
    }
}

/// The reason phrase of a status that is used here (RFC 9110 §15, RFC 6585).
fn reason_phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        // The phrase may be empty (RFC 9112 §4).
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn date(seconds: u64) -> Date {
        Date::from(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    fn written(answer: &Answer) -> String {
        let mut out = Vec::new();
        answer.write(date(0), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_stream_is_chunked_where_the_client_knows_chunks() {
        let cors = "Access-Control-Allow-Origin: *\r\n";
        let head = |version| {
            let mut out = Vec::new();
            stream_head(version, false, cors, date(0), &mut out);
            String::from_utf8(out).unwrap()
        };
        let new = head(Version::Http11);
        assert_eq!(
            new,
            "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Content-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\
             Cache-Control: no-cache, no-transform\r\nX-Accel-Buffering: no\r\n\
             Access-Control-Allow-Origin: *\r\n\r\n"
        );
        let old = head(Version::Http10);
        assert_eq!(
            old,
            new.replace("Transfer-Encoding: chunked", "Connection: close")
        );
    }

    #[test]
    fn a_flowing_answer_says_how_it_ends() {
        let head = |version, close| {
            let bytes = flowing_head(version, "application/json", close, date(0));
            String::from_utf8(bytes).unwrap()
        };
        let kept = "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n";
        assert!(head(Version::Http11, false).contains(kept));
        let closed = "Connection: close\r\nTransfer-Encoding: chunked\r\n";
        assert!(head(Version::Http11, true).contains(closed));
        let old = head(Version::Http10, false);
        assert!(old.contains("Connection: close\r\n") && !old.contains("chunked"));
        assert!(old.ends_with("\r\n\r\n"));
    }

    #[test]
    fn errors_close_and_say_why() {
        assert_eq!(
            written(&Answer::refused_text(&Refused::method("GET, HEAD"))),
            "HTTP/1.1 405 Method Not Allowed\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Connection: close\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Length: 52\r\nAllow: GET, HEAD\r\n\r\n\
             this method is not allowed here; allowed: GET, HEAD\n"
        );
        assert!(
            written(&Answer::refused_json(&Refused::new(400, "a \"b\"")))
                .ends_with("\r\n\r\n{\"error\":\"a \\\"b\\\"\"}\n")
        );
    }

    #[test]
    fn no_body_after_head_nor_with_204() {
        let mut answer = Answer::text(404, "gone").with("Retry-After", 5);
        answer.head_only = true;
        let head = written(&answer);
        assert!(head.contains("Content-Length: 5\r\n") && head.contains("Retry-After: 5\r\n"));
        assert!(head.ends_with("\r\n\r\n"));
        assert_eq!(
            written(&Answer::no_content()),
            "HTTP/1.1 204 No Content\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\
             Connection: keep-alive\r\n\r\n"
        );
    }

    #[test]
    fn httparse_reads_every_answer() {
        for status in [
            200, 204, 400, 401, 403, 404, 405, 408, 413, 414, 415, 429, 431, 500, 501, 503, 505,
        ] {
            let bytes = written(&Answer::json(status, "{}"));
            let mut headers = [httparse::EMPTY_HEADER; 8];
            let mut response = httparse::Response::new(&mut headers);
            assert!(response.parse(bytes.as_bytes()).unwrap().is_complete());
            assert_eq!(response.code, Some(status));
            assert_ne!(response.reason, Some(""));
        }
    }
}
