//! `hasses status`: how a running hasses is.

use serde_json::{Map, Value};

use crate::control::{self, Asked};
use crate::failure::{Failure, short};

const HELP: &str = "\
Usage: hasses status [--option value | --option=value]...

Prints the figures of a running hasses, asked for at its control address, one a line.

  --json                  all of them as one object of JSON, for scripts
";

const EXAMPLES: &str = "
  hasses status
  hasses status --control unix:/run/hasses.sock

It ends with 0, with 1 when hasses does not answer, so that scripts can ask whether it
runs, and with 2 when the command line is wrong.
";

/// What people look for first, in words; all others come behind it, by their own names.
const FIRST: [(&str, &str); 14] = [
    ("version", "version"),
    ("running_seconds", "running for"),
    ("pid", "process"),
    ("mode", "mode"),
    ("loglevel", "log level"),
    ("sseconncli", "subscribers"),
    ("allconncli", "connections"),
    ("maxconncli", "most connections"),
    ("connections", "connections since the start"),
    ("msgproccnt", "messages taken in"),
    ("msgsendcnt", "events sent"),
    ("bytes_sent", "bytes sent"),
    ("refused", "refused"),
    ("slow_disconnects", "too slow, disconnected"),
];

/// Carries out the arguments after `status`; what it says then.
pub(crate) fn status(arguments: Vec<String>) -> Result<String, Failure> {
    let Some(asked) = Asked::read("status", arguments, &["json"])? else {
        return Ok([HELP, control::HELP, EXAMPLES].concat());
    };
    if let Some(stray) = asked.strays.first() {
        return Err(Failure::usage(format!(
            "status: '{}' is too much; hasses status --help shows how it is used",
            short(stray)
        )));
    }
    let answer = asked.request("GET", "/status", b"")?;
    if asked.own("json").is_some() {
        let mut text = String::from_utf8_lossy(&answer).trim_end().to_owned();
        text.push('\n');
        return Ok(text);
    }
    let figures = serde_json::from_slice(&answer)
        .map_err(|_| Failure::start("status: the answer is not that of hasses"))?;
    Ok(lines(&figures))
}

fn lines(figures: &Map<String, Value>) -> String {
    let first = FIRST.iter().filter_map(|(key, words)| {
        let value = figures.get(*key)?;
        let value = match (*key, value.as_u64()) {
            ("running_seconds", Some(seconds)) => lasting(seconds),
            ("pid", Some(number)) => number.to_string(),
            ("loglevel", Some(0)) => "quiet".to_owned(),
            ("loglevel", Some(1)) => "normal".to_owned(),
            ("loglevel", Some(2)) => "debug".to_owned(),
            _ => shown(value),
        };
        Some(((*words).to_owned(), value))
    });
    let known = |key: &str| FIRST.iter().any(|(first, _)| *first == key);
    let others = figures.iter().filter(|(key, _)| !known(key));
    let others = others.map(|(key, value)| (key.replace('_', " "), shown(value)));
    let all: Vec<(String, String)> = first.chain(others).collect();
    let width = all
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let line = |(name, value): (String, String)| format!("{name:width$}  {value}\n");
    all.into_iter().map(line).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.escape_debug().to_string(),
        Value::Number(number) => number.as_u64().map_or_else(|| number.to_string(), grouped),
        value => value.to_string(),
    }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds in the two largest of their units.
fn lasting(seconds: u64) -> String {
    let units = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = seconds;
    let parts = units.map(|(size, unit)| {
        let count = rest / size;
        rest %= size;
        (count, unit)
    });
    let shown = parts.iter().skip_while(|(count, _)| *count == 0).take(2);
    let shown: Vec<String> = shown
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count} {unit}"))
        .collect();
    match shown.as_slice() {
        [] => "0 s".to_owned(),
        shown => shown.join(" "),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn figures_stand_in_lines() {
        let figures = r#"{"zeta_z":1,"pid":7000,"cors":"a\nb","version":"2","running_seconds":93784,
            "msgproccnt":1234567,"loglevel":1}"#;
        let told = lines(&serde_json::from_str(figures).unwrap());
        let expected = "version            2\nrunning for        1 d 2 h\nprocess            7000\n\
                        log level          normal\nmessages taken in  1,234,567\ncors               a\\nb\n\
                        zeta z             1\n";
        assert_eq!(told, expected);
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, told) in [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (86_400, "1 d")] {
            assert_eq!(lasting(seconds), told);
        }
    }
}
