//! Why a message or command was not taken.

use std::fmt;

/// The most characters of an input that a refusal shows.
const SHOWN: usize = 80;

/// What was wrong with a message or command, and what would be right, in one line: input is shown
/// shortened and escaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    kind: Kind,
    text: String,
}

/// What kind of fault it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Neither a message nor a command.
    UnknownCommand,
    /// Its address names no token, prefix or `*`.
    BadAddress,
    /// The client id in it is none.
    BadId,
    /// Its event name is none.
    BadEvent,
    /// Its idempotency key is none.
    BadKey,
    /// It is no JSON, or not the JSON of a message.
    BadJson,
    /// It is longer than a message may be.
    TooLong,
}

impl Refusal {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self { kind, text }
    }

    /// A message is longer than `max_message` bytes; `start` is its beginning, or all of it.
    pub fn too_long(start: &[u8], max_message: usize) -> Self {
        // No more than can be shown is looked at: the message may be huge.
        let start = &start[..start.len().min(4 * (SHOWN + 1))];
        Self::new(
            Kind::TooLong,
            format!(
                "the message that begins {} is longer than --max-message, {max_message} bytes",
                shown(&String::from_utf8_lossy(start))
            ),
        )
    }

    /// The same refusal, saying `place` first: where the fault is.
    pub(crate) fn at(mut self, place: impl fmt::Display) -> Self {
        self.text = format!("{place}: {}", self.text);
        self
    }

    /// A short word for it, to count by.
    pub fn reason(&self) -> &'static str {
        match self.kind {
            Kind::UnknownCommand => "unknown_command",
            Kind::BadAddress => "bad_address",
            Kind::BadId => "bad_id",
            Kind::BadEvent => "bad_event",
            Kind::BadKey => "bad_key",
            Kind::BadJson => "bad_json",
            Kind::TooLong => "too_long",
        }
    }

    /// Whether a message was too long, for which HTTP has its own answer (413).
    pub fn is_too_long(&self) -> bool {
        self.kind == Kind::TooLong
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

/// `text` in quotes for an error text, escaped, and shortened to at most 80 characters.
pub(crate) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_shortened_and_escaped() {
        assert_eq!(shown("a\n\"b"), r#""a\n\"b""#);
        assert_eq!(shown(&"é".repeat(80)), format!("\"{}\"", "é".repeat(80)));
        assert_eq!(shown(&"é".repeat(81)), format!("\"{}\"…", "é".repeat(80)));
    }

    #[test]
    fn a_huge_message_is_shown_by_its_beginning() {
        let refusal = Refusal::too_long(&b"room1=xx\n".repeat(1000), 100);
        assert!(refusal.is_too_long());
        assert_eq!(refusal.reason(), "too_long");
        let text = refusal.at("message 3").to_string();
        assert!(text.starts_with(r#"message 3: the message that begins "room1=xx\nroom1"#));
        assert!(text.ends_with("… is longer than --max-message, 100 bytes"));
        assert!(text.len() < 200);
    }
}
