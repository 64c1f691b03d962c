//! `hasses sign`: a signed query for a first page, or for a script.

use std::path::PathBuf;
use std::time::Duration;

use hasses_actors::auth::signed;
use hasses_actors::model::deadlines::since_1970;
use hasses_actors::wire::http::Refused;
use hasses_actors::wire::http::query::{Query, parameters};
use hasses_actors::wire::info;

use crate::failure::{Failure, short};
use crate::keys;
use crate::values;
use crate::words::{self, Word};

/// What `hasses sign --help` says.
const HELP: &str = "\
Usage: hasses sign --key FILE --for TIME QUERY

Signs a subscriber's query with the secret that --subscribe-key of the daemon names, and
prints it, to stand after the '?' of the URL. It is good for TIME from now on: 30s, 10m,
1h, 7d.

  hasses sign --key /etc/hasses/secret --for 1h 'token=room1&id=7'

What else may stand in QUERY: presence=1 (the page may learn who else is there), info=JSON
(what others are shown of it, percent-encoded, 1024 bytes at most), until=1 (the stream ends
with that TIME, which otherwise is looked at when it connects), and all that a subscriber
may ask for. lastEventId, recent, ping, format and positions may also follow the signature.
";

/// What is asked for.
#[derive(Debug, Default)]
struct Asked {
    key: Option<PathBuf>,
    lasts: Option<Duration>,
    query: Option<String>,
}

/// Answers a command line: the arguments after `sign`.
pub(crate) fn sign(arguments: Vec<String>) -> Result<String, Failure> {
    if arguments
        .iter()
        .any(|argument| argument == "--help" || argument == "-h")
    {
        return Ok(HELP.to_owned());
    }
    let (key, lasts, query) = match understand(arguments).map_err(Failure::usage)? {
        Asked {
            key: Some(key),
            lasts: Some(lasts),
            query: Some(query),
        } => (key, lasts, query),
        Asked { key: None, .. } => return Err(usage("--key FILE is missing: the secret's file")),
        Asked { lasts: None, .. } => return Err(usage("--for TIME is missing, such as --for 1h")),
        Asked { query: None, .. } => {
            return Err(usage("the query is missing, such as 'token=room1'"));
        }
    };
    check(&query).map_err(Failure::usage)?;
    // What the file's mode should be is told by the daemon, which reads it too.
    let (keys, _) = keys::read("--key", &key).map_err(Failure::start)?;
    let expires = (since_1970() + lasts).as_secs();
    let signed = signed::sign(&keys, &query, expires).ok_or_else(|| {
        Failure::start("--key: it is a public key, which signs nothing; URLs need a secret")
    })?;
    Ok(signed + "\n")
}

fn usage(why: &str) -> Failure {
    Failure::usage(format!("sign: {why}"))
}

fn understand(arguments: Vec<String>) -> Result<Asked, String> {
    let mut asked = Asked::default();
    for word in words::cut(arguments) {
        match word {
            Word::Stray(query) if asked.query.is_none() => asked.query = Some(query),
            Word::Option {
                name,
                value: Some(value),
            } => {
                let told = |why| format!("sign: --{name} '{}': {why}", short(&value));
                let twice = match name.as_str() {
                    "key" => asked
                        .key
                        .replace(values::file(&value).map_err(told)?)
                        .is_some(),
                    "for" => asked
                        .lasts
                        .replace(lasting(&value).map_err(told)?)
                        .is_some(),
                    _ => return Err(format!("sign: --{} is not an option", short(&name))),
                };
                if twice {
                    return Err(format!("sign: --{name} is given twice"));
                }
            }
            Word::Option { name, value: None } => {
                return Err(format!("sign: --{} needs a value", short(&name)));
            }
            Word::Stray(text) | Word::Old(text) => {
                return Err(format!(
                    "sign: '{}' is too much; hasses sign --help shows how it is used",
                    short(&text)
                ));
            }
        }
    }
    Ok(asked)
}

/// How long: a whole number and a unit.
fn lasting(text: &str) -> Result<Duration, String> {
    let why = || "it needs a time such as 30s, 10m, 1h or 7d, up to 3650d".to_owned();
    let unit = text.chars().next_back().ok_or_else(why)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return Err(why()),
    };
    let number = &text[..text.len() - 1];
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = number.parse().ok().filter(|_| digits).ok_or_else(why)?;
    match number.checked_mul(seconds) {
        Some(seconds @ 1..=315_360_000) => Ok(Duration::from_secs(seconds)),
        _ => Err(why()),
    }
}

/// Whether the daemon would take the query, and nothing on the way to it would change it.
fn check(query: &str) -> Result<(), String> {
    if query.starts_with('?') {
        return Err("sign: the query stands after the '?', which is no part of it".into());
    }
    // What browsers encode (WHATWG URL, the special-query percent-encode set).
    let kept = |char: &char| char.is_ascii_graphic() && !"\"#<>'".contains(*char);
    if let Some(char) = query.chars().find(|char| !kept(char)) {
        return Err(format!(
            "sign: {char:?} in the query must be percent-encoded, as a browser would do it \
             and the signature not hold any more"
        ));
    }
    for (name, _) in parameters(query) {
        if let "expires" | "sign" = name {
            return Err(format!("sign: the query has {name}= already"));
        }
    }
    let told = |refused: Refused| format!("sign: {}", refused.reason);
    let query = Query::read(Some(query)).map_err(told)?;
    match query.info.map(info::read) {
        Some(Err(refused)) => Err(told(refused)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn refused(line: &[&str]) -> String {
        let failure = sign(line.iter().map(|word| (*word).to_owned()).collect()).unwrap_err();
        failure.messages.concat()
    }

    #[test]
    fn times() {
        for (text, seconds) in [("30s", 30), ("10m", 600), ("1h", 3600), ("7d", 604_800)] {
            assert_eq!(lasting(text), Ok(Duration::from_secs(seconds)));
        }
        for text in [
            "",
            "h",
            "1",
            "-1h",
            "+1h",
            "1.5h",
            "0s",
            "1é",
            "9999d",
            "99999999999999999999d",
        ] {
            assert!(lasting(text).unwrap_err().contains("30s"), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (line, told) in [
            (&["subscribe=a", "--for", "1h"][..], "--key FILE is missing"),
            (&["--key", "/k", "subscribe=a"], "--for TIME is missing"),
            (&["--key=/k", "--for=1h"], "the query is missing"),
            (&["--key", "/k", "--for", "soon", "subscribe=a"], "'soon'"),
            (&["--key", "/k", "--key", "/l"], "--key is given twice"),
            (&["--for"], "--for needs a value"),
            (&["--four", "1h"], "--four is not an option"),
            (&["a", "b"], "'b' is too much"),
            (
                &["--key", "/none", "--for", "1h", "subscribe=a"],
                "--key /none: No such",
            ),
        ] {
            let text = refused(line);
            assert!(text.contains(told), "{text}");
        }
        for (query, told) in [
            ("?subscribe=a", "after the '?'"),
            ("subscribe=a b", "percent-encoded"),
            ("subscribe=é", "percent-encoded"),
            ("subscribe='a'", "percent-encoded"),
            ("subscribe=a&expires=1", "expires= already"),
            ("sign=1&subscribe=a", "sign= already"),
            ("subscribe=", "empty token"),
            ("id=7", "which tokens?"),
            ("subscribe=a&info=Ann", "info= is no JSON"),
            ("subscribe=a&until=noon", "until=\"noon\" must be 0 or 1"),
            (
                "subscribe=a&presence=yes",
                "presence=\"yes\" must be 0 or 1",
            ),
        ] {
            let text = refused(&["--key", "/k", "--for", "1h", query]);
            assert!(text.contains(told), "{text}");
        }
    }
}
