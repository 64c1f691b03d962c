//! A secret that two sides share.

use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq;

/// The most bytes of a secret that a publisher sends with its messages.
pub const MAX_SECRET: usize = 1024;

/// What publishers must know: 1 to [`MAX_SECRET`] bytes of UTF-8 without blanks and control
/// characters, so that it fits into one line of text and into a header field (RFC 6750 §2.1).
///
/// Nothing prints it: `Debug` says only that it is there.
// Read on another thread when it is read again.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<[u8]>);

/// Why some bytes are no secret. They are not shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretError {
    /// There are none.
    Empty,
    /// There are more than [`MAX_SECRET`].
    Long,
    /// They are not UTF-8, or have a blank or a control character among them.
    Unprintable,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the secret is empty"),
            Self::Long => write!(f, "the secret is longer than {MAX_SECRET} bytes"),
            Self::Unprintable => f.write_str(
                "the secret needs to be one word of UTF-8, without blanks, line ends and control characters",
            ),
        }
    }
}

impl std::error::Error for SecretError {}

impl Secret {
    /// Checks and takes a secret.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(bytes: &[u8]) -> Result<Self, SecretError> {
        if bytes.is_empty() {
            return Err(SecretError::Empty);
        }
        if bytes.len() > MAX_SECRET {
            return Err(SecretError::Long);
        }
        match std::str::from_utf8(bytes) {
            Ok(text) if !text.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                Ok(Self(bytes.into()))
            }
            _ => Err(SecretError::Unprintable),
        }
    }

    /// Whether this is it. How long that takes tells nothing but the secret's length.
    pub fn is(&self, offered: &[u8]) -> bool {
        self.0.ct_eq(offered).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_same_bytes_are_it() {
        let secret = Secret::new("gehe\u{ed}m=/+".as_bytes()).unwrap();
        assert!(secret.is("gehe\u{ed}m=/+".as_bytes()));
        for offered in [
            "",
            "g",
            "gehe\u{ed}m=/",
            "gehe\u{ed}m=/+ ",
            "Gehe\u{ed}m=/+",
        ] {
            assert!(!secret.is(offered.as_bytes()), "{offered}");
        }
    }

    #[test]
    fn it_is_one_printable_word() {
        assert_eq!(Secret::new(b""), Err(SecretError::Empty));
        assert!(Secret::new(&[b'x'; MAX_SECRET]).is_ok());
        assert_eq!(Secret::new(&[b'x'; MAX_SECRET + 1]), Err(SecretError::Long));
        for bytes in [&b"a b"[..], b"a\n", b"\r", b"a\0", b"\xff", b"\t"] {
            assert_eq!(Secret::new(bytes), Err(SecretError::Unprintable));
        }
    }

    #[test]
    fn it_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new(b"hidden").unwrap()), "Secret");
    }
}
