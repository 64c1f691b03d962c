//! Makes JavaScript shorter: comments and blanks go, and names that only the script itself uses become short.
//!
//! This is no general minifier. It asks of the source that every statement ends in a semicolon, that none is empty,
//! and that a renamed word is used for nothing that comes from outside: no name of the language, the browser, the daemon's
//! JSON or the script's public face.

use std::collections::HashMap;

/// Words that only one tab's script uses. What tabs tell each other is not among them: tabs may have scripts of
/// different builds.
const OWN_WORDS: &[&str] = &[
    "asked",
    "backoff",
    "batch",
    "batchOf",
    "beat",
    "callback",
    "callbacks",
    "carried",
    "carriers",
    "carries",
    "complain",
    "complete",
    "connection",
    "deadline",
    "deafen",
    "doubtful",
    "ears",
    "ends",
    "entry",
    "failure",
    "floor",
    "fresh",
    "headed",
    "heard",
    "known",
    "lacks",
    "lasts",
    "listener",
    "listeners",
    "listensTo",
    "meets",
    "mine",
    "missed",
    "named",
    "need",
    "needs",
    "opened",
    "options",
    "owned",
    "parts",
    "pause",
    "placed",
    "positions",
    "reason",
    "recents",
    "refusal",
    "refusals",
    "response",
    "room",
    "rooms",
    "said",
    "settle",
    "signed",
    "slot",
    "told",
    "tries",
    "voice",
    "voices",
    "waiting",
    "waits",
    "wanted",
    "warned",
    "wish",
];

/// Words behind which a `/` begins a regular expression.
const BEFORE_REGEX: &[&str] = &["return", "typeof", "case", "of", "in", "await"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Word,
    Text,
    Sign,
}

/// Shortens `source`.
pub(crate) fn minify(source: &str) -> String {
    let tokens = tokens(source);
    let names = short_names(&tokens);
    let mut out = String::with_capacity(source.len());
    let mut before = "";
    for (kind, token) in tokens {
        if (kind, token) == (Kind::Sign, "}") && [";", ","].contains(&before) {
            out.pop();
        }
        let token = names.get(token).map_or(token, String::as_str);
        if needs_blank(before, token) {
            out.push(' ');
        }
        out += token;
        before = token_end(token);
    }
    out.push('\n');
    out
}

fn token_end(token: &str) -> &str {
    let last = token.char_indices().last().map_or(0, |(at, _)| at);
    &token[last..]
}

/// Whether two tokens would be read as one.
fn needs_blank(before: &str, token: &str) -> bool {
    let (Some(last), Some(first)) = (before.chars().last(), token.chars().next()) else {
        return false;
    };
    let in_word = |char: char| char.is_alphanumeric() || "_$#".contains(char);
    (in_word(last) && in_word(first)) || (last == first && "+-".contains(last))
}

/// The tokens of `source`, without comments and blanks. What stands in a template's `${}` is tokens too.
fn tokens(source: &str) -> Vec<(Kind, &str)> {
    let mut tokens: Vec<(Kind, &str)> = Vec::new();
    // How deep in braces each open template is.
    let mut templates: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut at = 0;
    while let Some(char) = source[at..].chars().next() {
        let rest = &source[at..];
        let (kind, length) = if char.is_whitespace() {
            at += char.len_utf8();
            continue;
        } else if rest.starts_with("//") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if rest.starts_with("/*") {
            at += rest.find("*/").map_or(rest.len(), |end| end + 2);
            continue;
        } else if char == '\'' || char == '"' {
            (Kind::Text, quoted(rest, char))
        } else if char == '`' || (char == '}' && templates.last() == Some(&depth)) {
            if char == '}' {
                templates.pop();
            }
            let length = template(rest);
            if rest[..length].ends_with("${") {
                templates.push(depth);
            }
            (Kind::Text, length)
        } else if char == '/' && begins_regex(&tokens) {
            (Kind::Text, regex(rest))
        } else if char.is_alphanumeric() || "_$#".contains(char) {
            let in_word = |char: char| char.is_alphanumeric() || "_$#".contains(char);
            (
                Kind::Word,
                rest.find(|char| !in_word(char)).unwrap_or(rest.len()),
            )
        } else {
            match char {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            let twice = ["++", "--"].iter().any(|sign| rest.starts_with(sign));
            (Kind::Sign, if twice { 2 } else { char.len_utf8() })
        };
        tokens.push((kind, &rest[..length]));
        at += length;
    }
    tokens
}

/// The length of a string literal, quotes included.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            char if char == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// The length of a template's text: up to its end, or to the next `${`, included.
fn template(rest: &str) -> usize {
    let mut escaped = false;
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '`' => return at + 1,
            '$' if rest[at..].starts_with("${") => return at + 2,
            _ => {}
        }
    }
    rest.len()
}

/// Whether a `/` behind these tokens begins a regular expression instead of dividing.
fn begins_regex(tokens: &[(Kind, &str)]) -> bool {
    match tokens.last() {
        None => true,
        Some((Kind::Word, word)) => BEFORE_REGEX.contains(word),
        Some((Kind::Text, _)) => false,
        Some((Kind::Sign, sign)) => !matches!(*sign, ")" | "]" | "}"),
    }
}

/// The length of a regular expression, less its flags.
fn regex(rest: &str) -> usize {
    let (mut escaped, mut in_class) = (false, false);
    for (at, char) in rest.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '[' => in_class = true,
            ']' => in_class = false,
            '/' if !in_class => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A short name for each private field and each of [`OWN_WORDS`], the shortest for the most frequent.
fn short_names<'a>(tokens: &[(Kind, &'a str)]) -> HashMap<&'a str, String> {
    let mut counts: HashMap<&str, usize> = HashMap::new();
    let mut taken: Vec<&str> = Vec::new();
    for (kind, token) in tokens {
        let own = token.len() > 1 && token.starts_with('#') || OWN_WORDS.contains(token);
        if *kind == Kind::Word && own {
            *counts.entry(token).or_default() += 1;
        } else if *kind == Kind::Word {
            taken.push(token);
        }
    }
    let mut words: Vec<_> = counts.into_iter().collect();
    words.sort_by_key(|&(word, count)| (usize::MAX - count, word));
    let letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let pairs = letters
        .chars()
        .map(String::from)
        .chain(letters.chars().flat_map(|first| {
            letters
                .chars()
                .map(move |second| format!("{first}{second}"))
        }));
    let mut free = pairs.filter(|name| !taken.contains(&name.as_str()));
    let mut short = HashMap::new();
    for (word, _) in words {
        let Some(name) = free.next() else { break };
        let mark = if word.starts_with('#') { "#" } else { "" };
        short.insert(word, format!("{mark}{name}"));
    }
    short
}
