//! How a start fails: an exit code and what to say.

use std::fmt::Display;

/// Why hasses did not start, or ended with an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The exit code: 2 = it was asked for something wrong, 1 = the start or the run failed.
    pub(crate) code: u8,
    /// What to tell, each in one line.
    pub(crate) messages: Vec<String>,
}

impl Failure {
    /// An option, or a line of the config file, is wrong.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self {
            code: 2,
            messages: vec![one_line(&message.to_string())],
        }
    }

    /// What was asked for is well formed, but cannot be done here.
    pub(crate) fn start(message: impl Display) -> Self {
        Self {
            code: 1,
            messages: vec![one_line(&message.to_string())],
        }
    }

    /// An exit code, where everything has been told already.
    pub(crate) fn told(code: u8) -> Self {
        Self {
            code,
            messages: Vec::new(),
        }
    }

    /// Several things cannot be done here.
    pub(crate) fn several(messages: &[String]) -> Self {
        Self {
            code: 1,
            messages: messages.iter().map(|message| one_line(message)).collect(),
        }
    }
}

/// The text with its control characters escaped, and without the numbers of the system's errors, which
/// stand behind their words.
fn one_line(text: &str) -> String {
    let text = without_numbers(text);
    let mut line = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

fn without_numbers(text: &str) -> String {
    let mut pieces = text.split(" (os error ");
    let mut told = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        told += piece.split_once(')').map_or("", |(_number, rest)| rest);
    }
    told
}

/// A text without the user and password of a URL, if it is one.
pub(crate) fn without_login(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, rest)) => format!("{scheme}://…@{rest}"),
            None => text.to_owned(),
        },
        None => text.to_owned(),
    }
}

/// At most the first 80 characters of a text that came from outside.
pub(crate) fn short(text: &str) -> String {
    const MOST: usize = 80;
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_words() {
        let told = |text: &str| Failure::start(text).messages.concat();
        let text = "a: No such file (os error 2); b\n: Busy (os error 16)";
        assert_eq!(told(text), "a: No such file; b\\n: Busy");
        assert_eq!(told("a (b)"), "a (b)");
    }
}
