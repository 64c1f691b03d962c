//! Text from outside made fit for one line that people read.

use std::borrow::Cow;
use std::fmt::Write;

/// Escapes what would break a line, forge one or turn its direction: control characters (Unicode
/// category Cc), the line and paragraph separators, and the bidirectional controls (UAX #9) become
/// `\n`, `\r`, `\t` or `\u{…}`. A backslash stays as it is.
pub fn escape(text: &str) -> Cow<'_, str> {
    escape_if(text, breaks_a_line)
}

/// Like [`escape`], but a backslash is doubled, so that the value can be told from its escapes.
pub fn escape_value(text: &str) -> Cow<'_, str> {
    escape_if(text, |c| c == '\\' || breaks_a_line(c))
}

fn breaks_a_line(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{2028}' | '\u{2029}'
            | '\u{61c}' | '\u{200e}' | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

fn escape_if(text: &str, escapes: impl Fn(char) -> bool) -> Cow<'_, str> {
    let Some(first) = text.find(&escapes) else {
        return Cow::Borrowed(text);
    };
    let (clean, rest) = text.split_at(first);
    let mut escaped = String::with_capacity(text.len() + 16);
    escaped.push_str(clean);
    for c in rest.chars() {
        match c {
            _ if !escapes(c) => escaped.push(c),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\\' => escaped.push_str("\\\\"),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(escaped, "\\u{{{:x}}}", u32::from(c));
            }
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_text_is_borrowed() {
        for text in ["", "hello", r"C:\new", "szoba é 🙂 \"x\""] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn what_breaks_a_line_is_escaped() {
        assert_eq!(escape("a\nb\r\tc"), r"a\nb\r\tc");
        assert_eq!(escape("\0\x1b[31m\x7f"), r"\u{0}\u{1b}[31m\u{7f}");
        assert_eq!(escape("\u{85}\u{2028}\u{2029}"), r"\u{85}\u{2028}\u{2029}");
        assert_eq!(escape("a\u{202e}b\u{2066}"), r"a\u{202e}b\u{2066}");
        assert_eq!(escape_value("a\\n\nb"), r"a\\n\nb");
    }

    proptest! {
        #[test]
        fn nothing_that_breaks_a_line_is_left(text in any::<String>()) {
            prop_assert!(!escape(&text).contains(breaks_a_line));
            prop_assert!(!escape_value(&text).contains(breaks_a_line));
        }
    }
}
