//! The config file: options one a line as on the command line, or the old daemon's switches.

use crate::words::{self, Word};

/// The words of one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    /// Counted from 1.
    pub(crate) number: usize,
    /// What stands in it, at least one.
    pub(crate) words: Vec<Word>,
}

/// Reads a file's text. A `#` at the start of a line or after a blank begins a comment, except as the
/// first character of a value (`--delimiter #`). A line that begins with `--` is one option, whose
/// value goes to the end of the line; of the old switches several may share a line.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    text.lines()
        .zip(1..)
        .filter_map(|(line, number)| {
            let line = line.trim();
            let words = match line.strip_prefix("--") {
                Some(option) => vec![one_option(option)],
                None => words::cut(
                    line.split_whitespace()
                        .take_while(|word| !word.starts_with('#'))
                        .map(str::to_owned),
                ),
            };
            (!words.is_empty()).then_some(Line { number, words })
        })
        .collect()
}

/// The option in a line, without its dashes.
fn one_option(text: &str) -> Word {
    let end = text
        .find(|char: char| char == '=' || char.is_whitespace())
        .unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    let value = match rest.strip_prefix('=') {
        Some(value) => Some(before_comment(value)),
        None if words::is_switch(name) && rest.trim_start().starts_with('#') => None,
        None => Some(before_comment(rest.trim_start())).filter(|value| !value.is_empty()),
    };
    Word::Option {
        name: name.to_owned(),
        value: value.map(|value| unquoted(value).to_owned()),
    }
}

/// The value without the quotes that a shell would have taken away.
fn unquoted(value: &str) -> &str {
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    ['\'', '"'].into_iter().find_map(inside).unwrap_or(value)
}

fn before_comment(value: &str) -> &str {
    let comment = value
        .match_indices('#')
        .map(|(at, _)| at)
        .find(|at| value[..*at].ends_with(char::is_whitespace));
    value[..comment.unwrap_or(value.len())].trim_end()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn option(name: &str, value: Option<&str>) -> Word {
        Word::Option {
            name: name.to_owned(),
            value: value.map(str::to_owned),
        }
    }

    #[test]
    fn a_line_is_read_as_on_the_command_line() {
        let old = |text: &str| Word::Old(text.to_owned());
        for (line, words) in [
            ("--path /sse", vec![option("path", Some("/sse"))]),
            ("  --path=/sse  ", vec![option("path", Some("/sse"))]),
            ("--path \t /sse # x", vec![option("path", Some("/sse"))]),
            ("--log /a b.log", vec![option("log", Some("/a b.log"))]),
            ("--log /a#b", vec![option("log", Some("/a#b"))]),
            ("--path '/sse'", vec![option("path", Some("/sse"))]),
            ("--path=\"/s e\" # x", vec![option("path", Some("/s e"))]),
            ("--delimiter '", vec![option("delimiter", Some("'"))]),
            ("--reinit", vec![option("reinit", None)]),
            ("--reinit # why", vec![option("reinit", None)]),
            ("--delimiter #", vec![option("delimiter", Some("#"))]),
            ("--delimiter=#", vec![option("delimiter", Some("#"))]),
            ("--path", vec![option("path", None)]),
            ("--path=", vec![option("path", Some(""))]),
            ("-p=80", vec![old("-p=80")]),
            (" -p=80  -q # x", vec![old("-p=80"), old("-q")]),
            ("-p=80 --reinit", vec![old("-p=80"), option("reinit", None)]),
            (
                "port = 80",
                ["port", "=", "80"]
                    .map(|word| Word::Stray(word.to_owned()))
                    .to_vec(),
            ),
        ] {
            assert_eq!(lines(line), [Line { number: 1, words }], "{line:?}");
        }
    }

    #[test]
    fn comments_blank_lines_and_line_ends_are_passed_over() {
        let found = lines("\u{feff}# one\r\n\r\n   \n--reinit\r\n #x\n-p=1");
        let numbers: Vec<usize> = found.iter().map(|line| line.number).collect();
        assert_eq!(numbers, [4, 6]);
        assert_eq!(found[0].words, [option("reinit", None)]);
    }
}
