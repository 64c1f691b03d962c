//! What a topic, an id and a type may be made of.

use std::fmt;

use crate::model::names::MAX_TOPIC;

/// Why a text can be no topic, selector or id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextError {
    /// It has no bytes.
    Empty,
    /// It has more than [`MAX_TOPIC`] bytes.
    TooLong,
    /// It has a control character (Unicode category Cc) or a format character (Cf) in it.
    Control,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty"),
            Self::TooLong => write!(f, "is longer than {MAX_TOPIC} bytes"),
            Self::Control => f.write_str("has a control or format character in it"),
        }
    }
}

impl std::error::Error for TextError {}

/// Checks that `text` has 1 to [`MAX_TOPIC`] bytes and no control or format character.
pub fn check(text: &str) -> Result<(), TextError> {
    if text.is_empty() {
        Err(TextError::Empty)
    } else if text.len() > MAX_TOPIC {
        Err(TextError::TooLong)
    } else if text.chars().any(|c| c.is_control() || is_format(c)) {
        Err(TextError::Control)
    } else {
        Ok(())
    }
}

/// Whether a character has the Unicode category Cf, in which the eye sees nothing.
fn is_format(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
        | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
        | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_eye_does_not_see_is_refused() {
        for good in [
            "a",
            "https://example.org/books/1",
            "é ü",
            "*",
            &"x".repeat(MAX_TOPIC),
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check(""), Err(TextError::Empty));
        assert_eq!(check(&"x".repeat(MAX_TOPIC + 1)), Err(TextError::TooLong));
        for bad in [
            "a\n",
            "\0",
            "a\u{85}",
            "a\u{200b}b",
            "\u{feff}a",
            "a\u{202e}b",
            "\u{e0041}",
        ] {
            assert_eq!(check(bad), Err(TextError::Control), "{bad:?}");
        }
    }
}
