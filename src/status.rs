//! `hasses status`: how a running hasses is.

use serde_json::{Map, Value};

use crate::control::{self, Asked};
use crate::failure::{Failure, short};

const HELP: &str = "\
Usage: hasses status [--option value | --option=value]...

Prints the figures of a running hasses, asked for at its control address, one a line.

";

const EXAMPLES: &str = "
  hasses status
  hasses status --control unix:/run/hasses.sock

It ends with 0, with 1 when hasses does not answer, so that scripts can ask whether it
runs, and with 2 when the command line is wrong.
";

/// What people look for first; all others come behind it.
const FIRST: [&str; 9] = [
    "version",
    "running_seconds",
    "pid",
    "allconncli",
    "sseconncli",
    "maxconncli",
    "msgproccnt",
    "msgsendcnt",
    "bytes_sent",
];

/// Carries out the arguments after `status`; what it says then.
pub(crate) fn status(arguments: Vec<String>) -> Result<String, Failure> {
    let Some(asked) = Asked::read("status", arguments, &[])? else {
        return Ok([HELP, control::HELP, EXAMPLES].concat());
    };
    if let Some(stray) = asked.strays.first() {
        return Err(Failure::usage(format!(
            "status: '{}' is too much; hasses status --help shows how it is used",
            short(stray)
        )));
    }
    let answer = asked.request("GET", "/status", b"")?;
    let figures = serde_json::from_slice(&answer)
        .map_err(|_| Failure::start("status: the answer is not that of hasses"))?;
    Ok(lines(&figures))
}

fn lines(figures: &Map<String, Value>) -> String {
    let mut keys: Vec<&String> = figures.keys().collect();
    let place = |key: &&String| FIRST.iter().position(|first| first == *key);
    keys.sort_by_key(|key| place(key).unwrap_or(FIRST.len()));
    let width = keys.iter().map(|key| key.len()).max().unwrap_or_default();
    let line = |key: &String| match &figures[key] {
        Value::String(text) => format!("{key:width$}  {}\n", text.escape_debug()),
        value => format!("{key:width$}  {value}\n"),
    };
    keys.into_iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn figures_stand_in_lines() {
        let figures = r#"{"zeta":1,"pid":7,"cors":"a\nb","version":"2"}"#;
        let told = lines(&serde_json::from_str(figures).unwrap());
        assert_eq!(told, "version  2\npid      7\ncors     a\\nb\nzeta     1\n");
    }
}
