//! Tokens, client ids and event ids: the three kinds of name on hasses' wires.

use std::borrow::Borrow;
use std::fmt;

use smol_str::SmolStr;

/// The most bytes a token or a client id may have.
pub const MAX_NAME: usize = 255;
/// The most bytes of a topic that a publisher may use where there is a Mercure hub.
pub const MAX_TOPIC: usize = 4096;

/// Why a text is no token or no client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameError {
    /// It has no bytes.
    Empty,
    /// It has more than [`MAX_NAME`] bytes.
    TooLong,
    /// It is what a publisher addresses, and has more than [`MAX_NAME`] bytes; [`MAX_TOPIC`] where there is
    /// a Mercure hub.
    AddressTooLong,
    /// It has a control character (Unicode category Cc) in it.
    Control,
    /// It is a token with `*` in it, which is kept for "every token" and prefixes.
    Star,
    /// It is the name of an event with a CR, LF or NUL in it.
    LineEnd,
    /// It is the name of an event that the browser, or hasses itself, gives a meaning to.
    Reserved,
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty; it needs 1 to 255 bytes",
            Self::TooLong => "is longer than 255 bytes",
            Self::AddressTooLong => "is longer than 255 bytes, or 4096 with --mercure",
            Self::Control => "has a control character in it",
            Self::Star => "has a '*' in it; '*' alone means every token",
            Self::LineEnd => "has a line end or NUL in it",
            Self::Reserved => {
                "is reserved: error and open are the browser's own, gap, ping, members, join and \
                 leave are those of hasses"
            }
        })
    }
}

impl std::error::Error for NameError {}

/// The names of events that mean something to a browser (`error`, `open`) or are sent by hasses itself.
pub const RESERVED_EVENTS: [&str; 7] = ["error", "open", "gap", "ping", "members", "join", "leave"];

/// Checks the name of an event: 1–255 bytes without CR, LF or NUL, so that it is one line of a stream
/// (WHATWG HTML §9.2.6). Whether it is reserved is not looked at.
///
/// # Errors
/// What is wrong with it.
pub fn check_event(name: &str) -> Result<(), NameError> {
    if name.is_empty() {
        Err(NameError::Empty)
    } else if name.len() > MAX_NAME {
        Err(NameError::TooLong)
    } else if name.contains(['\r', '\n', '\0']) {
        Err(NameError::LineEnd)
    } else {
        Ok(())
    }
}

/// Checks the name that a publisher gives to a message so that sending it again publishes nothing:
/// 1–255 bytes, no control characters.
///
/// # Errors
/// What is wrong with it.
pub fn check_key(key: &str) -> Result<(), NameError> {
    check(key, MAX_NAME)
}

/// Checks how long something is that [`Token::addressed`] has taken, where there is a `hub` or none.
///
/// # Errors
/// It is too long.
pub fn check_address(name: &Token, hub: bool) -> Result<(), NameError> {
    if hub || name.as_str().len() <= MAX_NAME {
        Ok(())
    } else {
        Err(NameError::AddressTooLong)
    }
}

fn has_control(text: &str) -> bool {
    // Nearly all names are plain ASCII.
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    !plain && text.chars().any(char::is_control)
}

fn check(text: &str, most: usize) -> Result<(), NameError> {
    if text.is_empty() {
        Err(NameError::Empty)
    } else if text.len() > most {
        Err(NameError::TooLong)
    } else if has_control(text) {
        Err(NameError::Control)
    } else {
        Ok(())
    }
}

/// What a subscriber asks for and a publisher addresses: 1–255 bytes of UTF-8, no control
/// characters, no `*`. Other daemons call it a topic or a channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(SmolStr);

impl Token {
    /// Checks `text` and makes it a token.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text, MAX_NAME)?;
        if text.contains('*') {
            return Err(NameError::Star);
        }
        Ok(Self(text.into()))
    }

    /// Checks what a publisher addresses: as long as a topic may be. Whether it may be so long has still to
    /// be looked at: see [`check_address`].
    pub fn addressed(text: &str) -> Result<Self, NameError> {
        match check(text, MAX_TOPIC) {
            Err(NameError::TooLong) => Err(NameError::AddressTooLong),
            Ok(()) if text.contains('*') => Err(NameError::Star),
            checked => checked.map(|()| Self(text.into())),
        }
    }

    /// Makes a token of a topic of the Mercure hub, whose rules are wider: no control characters, `*` as
    /// it is, and up to 16 KiB, as topics about subscriptions have another topic in them, percent-encoded.
    pub fn of_topic(text: &str) -> Result<Self, NameError> {
        check(text, 4 * MAX_TOPIC)?;
        Ok(Self(text.into()))
    }

    /// The token's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// Equal, ordered and hashed as its text is: all are derived from that alone.
impl Borrow<str> for Token {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name that a subscriber gave itself with `id=`: 1–255 bytes of UTF-8, no control characters.
/// Several subscribers may have the same.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(SmolStr);

impl ClientId {
    /// Checks `text` and makes it a client id.
    pub fn new(text: &str) -> Result<Self, NameError> {
        check(text, MAX_NAME)?;
        Ok(Self(text.into()))
    }

    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The number of an event: microseconds since 1970 where the clock allows, unique, strictly
/// growing, below 2^53 so that JavaScript keeps it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(pub u64);

impl EventId {
    /// The first number that is no event id any more: 2^53.
    pub const END: u64 = 1 << 53;
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_bounds() {
        assert!(Token::new("room1").is_ok());
        assert!(Token::new("550e8400-e29b").is_ok());
        assert!(Token::new("szoba é").is_ok());
        assert_eq!(Token::new(""), Err(NameError::Empty));
        assert_eq!(Token::new("a*"), Err(NameError::Star));
        assert_eq!(Token::new("a\nb"), Err(NameError::Control));
        assert_eq!(Token::new("a\u{85}b"), Err(NameError::Control));
        assert!(Token::new(&"x".repeat(255)).is_ok());
        assert_eq!(Token::new(&"x".repeat(256)), Err(NameError::TooLong));
    }

    #[test]
    fn a_topic_may_be_longer() {
        assert!(Token::of_topic(&"x".repeat(16384)).is_ok());
        assert!(Token::of_topic("https://example.org/*").is_ok());
        assert_eq!(Token::of_topic(&"x".repeat(16385)), Err(NameError::TooLong));
        assert_eq!(Token::of_topic(""), Err(NameError::Empty));
        assert_eq!(Token::of_topic("a\r"), Err(NameError::Control));
    }

    #[test]
    fn a_client_id_may_have_a_star() {
        assert!(ClientId::new("a*b").is_ok());
        assert_eq!(ClientId::new("\0"), Err(NameError::Control));
    }
}
