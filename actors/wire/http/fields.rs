//! A head's fields, each as one text, and what those say that frame the message.

use super::refused::quoted;
use super::{BodyLength, Refused, Version};

/// The fields that matter here, each as one text.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) host: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) user_agent: Option<String>,
    pub(super) accept: Option<String>,
    pub(super) accept_encoding: Option<String>,
    pub(super) if_none_match: Option<String>,
    pub(super) last_event_id: Option<String>,
    pub(super) wanted_headers: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) cookie: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) content_encoding: Option<String>,
    pub(super) x_forwarded_for: Option<String>,
    pub(super) referer: Option<String>,
    pub(super) sec_fetch_site: Option<String>,
    pub(super) sec_fetch_mode: Option<String>,
    pub(super) idempotency_key: Option<String>,
    pub(super) transfer_encoding: Option<String>,
    pub(super) content_length: Option<String>,
    pub(super) connection: Option<String>,
    pub(super) expect: Option<String>,
}

impl Fields {
    /// Sorts the fields of a head.
    ///
    /// Errors: 400 for a repeated field of which there may be one.
    pub(super) fn collect(headers: &[httparse::Header<'_>]) -> Result<Self, Refused> {
        let mut fields = Self::default();
        for header in headers {
            // Longer than any name below; a longer one is of no interest.
            let mut name = [0; 30];
            let Some(name) = name.get_mut(..header.name.len()) else {
                continue;
            };
            name.copy_from_slice(header.name.as_bytes());
            name.make_ascii_lowercase();
            let value = header.value;
            match &*name {
                b"host" => once(&mut fields.host, "Host", value)?,
                b"origin" => once(&mut fields.origin, "Origin", value)?,
                b"authorization" => once(&mut fields.authorization, "Authorization", value)?,
                b"content-type" => once(&mut fields.content_type, "Content-Type", value)?,
                b"idempotency-key" => once(&mut fields.idempotency_key, "Idempotency-Key", value)?,
                b"sec-fetch-site" => join(&mut fields.sec_fetch_site, ", ", value),
                b"sec-fetch-mode" => join(&mut fields.sec_fetch_mode, ", ", value),
                b"user-agent" => join(&mut fields.user_agent, " ", value),
                b"accept" => join(&mut fields.accept, ", ", value),
                b"accept-encoding" => join(&mut fields.accept_encoding, ", ", value),
                b"if-none-match" => join(&mut fields.if_none_match, ", ", value),
                b"last-event-id" => join(&mut fields.last_event_id, ", ", value),
                b"access-control-request-headers" => join(&mut fields.wanted_headers, ", ", value),
                b"cookie" => join(&mut fields.cookie, "; ", value),
                b"x-forwarded-for" => join(&mut fields.x_forwarded_for, ", ", value),
                b"referer" => join(&mut fields.referer, ", ", value),
                b"transfer-encoding" => join(&mut fields.transfer_encoding, ", ", value),
                b"content-length" => join(&mut fields.content_length, ", ", value),
                b"connection" => join(&mut fields.connection, ", ", value),
                b"expect" => join(&mut fields.expect, ", ", value),
                b"content-encoding" => join(&mut fields.content_encoding, ", ", value),
                _ => {}
            }
        }
        Ok(fields)
    }

    /// Whether and how a body follows (RFC 9112 §6.3).
    ///
    /// Errors: 400 for a length that is none or that there are two of, 501 for a transfer coding
    /// other than `chunked`.
    pub(super) fn body(&self, version: Version) -> Result<BodyLength, Refused> {
        match (&self.transfer_encoding, &self.content_length) {
            (None, None) => Ok(BodyLength::None),
            (None, Some(length)) => Ok(BodyLength::Length(content_bytes(length)?)),
            // Two ends of one body are how requests are smuggled (RFC 9112 §6.3, §11.2).
            (Some(_), Some(_)) => Err(Refused::new(
                400,
                "Transfer-Encoding and Content-Length exclude each other",
            )),
            (Some(_), None) if version == Version::Http10 => Err(Refused::new(
                400,
                "Transfer-Encoding does not exist in HTTP/1.0",
            )),
            (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => {
                Ok(BodyLength::Chunked)
            }
            (Some(coding), None) => Err(Refused::new(
                501,
                format!(
                    "Transfer-Encoding {} is unknown here; chunked is known",
                    quoted(coding.as_bytes())
                ),
            )),
        }
    }

    /// Whether the connection ends after the answer (RFC 9112 §9.3).
    pub(super) fn closes(&self, version: Version) -> bool {
        let connection = self.connection.as_deref().unwrap_or_default();
        let says = |word: &str| {
            connection
                .split(',')
                .any(|option| option.trim_matches([' ', '\t']).eq_ignore_ascii_case(word))
        };
        says("close") || (version == Version::Http10 && !says("keep-alive"))
    }

    /// Whether the client waits for `100 Continue` (RFC 9110 §10.1.1).
    pub(super) fn expects_continue(&self, version: Version) -> bool {
        let expect = self.expect.as_deref().unwrap_or_default();
        version == Version::Http11 && expect.eq_ignore_ascii_case("100-continue")
    }
}

/// Takes a field that decides who may do what: one line of it, and in UTF-8.
fn once(field: &mut Option<String>, name: &str, value: &[u8]) -> Result<(), Refused> {
    if field.is_some() {
        return Err(Refused::new(400, format!("{name} is given twice")));
    }
    let Ok(value) = std::str::from_utf8(value) else {
        return Err(Refused::new(400, format!("{name} is not UTF-8")));
    };
    *field = Some(value.to_owned());
    Ok(())
}

/// Takes one line more of a field whose lines may be joined (RFC 9110 §5.3).
fn join(field: &mut Option<String>, separator: &str, value: &[u8]) {
    let value = String::from_utf8_lossy(value);
    match field {
        Some(text) => {
            text.push_str(separator);
            text.push_str(&value);
        }
        None => *field = Some(value.into_owned()),
    }
}

/// Reads `Content-Length`; the same number several times is one (RFC 9110 §8.6).
fn content_bytes(field: &str) -> Result<u64, Refused> {
    let mut numbers = field.split(',').map(|number| {
        let number = number.trim_matches([' ', '\t']);
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        // Digits alone fail to parse only when they are too many.
        Some(number.parse().unwrap_or(u64::MAX))
    });
    let first = numbers.next().flatten();
    match first {
        Some(length) if numbers.all(|number| number == first) => Ok(length),
        _ => Err(Refused::new(
            400,
            format!(
                "Content-Length {} is not one decimal number",
                quoted(field.as_bytes())
            ),
        )),
    }
}
