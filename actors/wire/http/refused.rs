//! Why a request is not answered with what it asked for.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What is percent-encoded in `Hasses-Denied`: all but the unreserved characters of RFC 3986 §2.3, and
/// the `*` that means every token.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'*');

/// A refusal: what the answer's status and body are made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The status code, 400 to 505.
    pub status: u16,
    /// What is wrong and what would be right, for a person; one line, safe in a log.
    pub reason: String,
    /// With 405, the methods that would do: the value of `Allow` (RFC 9110 §15.5.6).
    pub allow: Option<&'static str>,
    /// With 403, the tokens that it is about: the value of `Hasses-Denied`.
    pub denied: Option<String>,
}

impl Refused {
    /// A refusal without `Allow`.
    pub fn new(status: u16, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            allow: None,
            denied: None,
        }
    }

    /// 405, naming the methods that would do, such as `GET, HEAD`.
    pub fn method(allow: &'static str) -> Self {
        Self {
            status: 405,
            reason: format!("this method is not allowed here; allowed: {allow}"),
            allow: Some(allow),
            denied: None,
        }
    }

    /// 403 for tokens that may not be read, `why` following their names.
    pub fn denied(tokens: &[&str], why: &str) -> Self {
        // A reason is a line that people read.
        const SHOWN: usize = 10;
        let mut names: Vec<String> = tokens
            .iter()
            .map(|token| quoted(token.as_bytes()))
            .collect();
        if names.len() > SHOWN {
            names.truncate(SHOWN);
            names.push(format!("{} more", tokens.len() - SHOWN));
        }
        let what = match names.len() {
            1 => format!("the token {} is", names[0]),
            _ => format!("the tokens {} are", names.join(", ")),
        };
        let encoded = tokens
            .iter()
            .map(|token| utf8_percent_encode(token, ENCODED));
        let encoded = encoded.map(|token| token.to_string());
        Self {
            denied: Some(encoded.collect::<Vec<_>>().join(",")),
            ..Self::new(403, format!("{what} {why}"))
        }
    }

    /// A short word for a refusal with `status`, to count by: one of ten.
    pub fn word(status: u16) -> &'static str {
        match status {
            401 => "unauthorized",
            403 => "forbidden",
            404 => "not_found",
            405 | 501 => "method",
            408 => "timeout",
            413 | 414 | 431 => "too_large",
            415 => "media_type",
            429 => "full_for_address",
            503 => "full",
            _ => "bad_request",
        }
    }

    /// 501, for a method that is none of HTTP's own.
    pub fn unknown_method() -> Self {
        Self::new(501, "unknown method")
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.reason)
    }
}

impl std::error::Error for Refused {}

/// Text from outside as an error may show it: in quotes, escaped, at most 80 characters of it.
pub(crate) fn quoted(text: &[u8]) -> String {
    // Four bytes are the most that a character has.
    let text = String::from_utf8_lossy(&text[..text.len().min(4 * 81)]);
    let mut shown: String = text.chars().take(80).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{shown:?}")
}

/// The start of a request, or its target, as an error may show it: [`quoted`], without the query, in
/// which secrets may be.
pub(crate) fn without_query(line: &[u8]) -> String {
    let mut parts = line.splitn(2, |byte| *byte == b'?');
    let before = parts.next().unwrap_or_default();
    match parts.next() {
        Some(_) => quoted(&[before, b"?..."].concat()),
        None => quoted(before),
    }
}

/// A malformed header field as an error may show it: [`quoted`], as far as its first colon or space. What
/// follows may be a secret, however the name is misspelt.
pub(crate) fn field_name(field: &[u8]) -> String {
    let end = field
        .iter()
        .position(|byte| matches!(byte, b':' | b' ' | b'\t'));
    match end {
        Some(end) => quoted(&[&field[..end], b" ..."].concat()),
        // A name without an end may be a value whose name is missing.
        None => format!("a field of {} bytes without a colon", field.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_text_is_short_and_cannot_break_a_line() {
        assert_eq!(quoted(b"a\r\n\x1b[m"), r#""a\r\n\u{1b}[m""#);
        assert_eq!(quoted(b"\xff"), "\"\u{fffd}\"");
        let long = quoted("é".repeat(5000).as_bytes());
        assert_eq!(long.chars().count(), 80 + 3);
    }
}
