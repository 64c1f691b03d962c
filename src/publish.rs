//! `hasses publish`: a message from the shell.

use std::io::{self, IsTerminal, Read, Write};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::control::{self, Asked};
use crate::failure::Failure;

/// The option that names what is sent again.
const KEY: &str = "idempotency-key";

const HELP: &str = "\
Usage: hasses publish TOKEN [DATA] [--option value | --option=value]...

Publishes DATA to the subscribers of TOKEN, through the control address of a running
hasses, and prints the event's id and how many subscribers it is on its way to. TOKEN is
taken whole, '-' and all; prefix* and * are understood. Without DATA, or with -, standard
input is published, all of it, less one newline at its end; it has to be UTF-8. Behind --
nothing is an option.

  --event NAME            the event's name
  --except ID             spares the subscribers with this id
  --idempotency-key KEY   publishes only if nothing with this key was published in the
                          last five minutes: so a message can be sent again safely
";

const EXAMPLES: &str = "
  hasses publish room1 'hello'
  hasses publish 'user-*' 'back in five minutes' --event notice
  date | hasses publish clock --control unix:/run/hasses.sock

It ends with 0 when the message was taken in, with 1 when it was not, or nobody knows as no
answer came, and with 2 when the command line is wrong.
";

/// Carries out the arguments after `publish`; what it says then.
pub(crate) fn publish(arguments: Vec<String>) -> Result<String, Failure> {
    let Some(asked) = Asked::read("publish", arguments, &["event", "except", KEY])? else {
        return Ok([HELP, control::HELP, EXAMPLES].concat());
    };
    let (token, data) = match asked.strays.as_slice() {
        [token] => (token, None),
        [token, data] if data == "-" => (token, None),
        [token, data] => (token, Some(data)),
        [] => return Err(usage("the token is missing")),
        _ => {
            return Err(usage(
                "there is more than a token and its data; quote the data",
            ));
        }
    };
    let body = match data {
        Some(data) => data.clone().into_bytes(),
        None => input()?,
    };
    let encoded = |text| utf8_percent_encode(text, NON_ALPHANUMERIC);
    let mut target = format!("/publish/{}?", encoded(token));
    for option in ["event", "except"] {
        if let Some(value) = asked.own(option) {
            target += &format!("{option}={}&", encoded(value));
        }
    }
    told(&asked.request_with("POST", &target, &key(&asked)?, &body)?)
}

/// The header line for the key, if there is one.
fn key(asked: &Asked) -> Result<String, Failure> {
    match asked.own(KEY) {
        None => Ok(String::new()),
        Some(key) if key.chars().any(char::is_control) => Err(usage(&format!(
            "--{KEY}: it may not contain control characters"
        ))),
        Some(key) => Ok(format!("Idempotency-Key: {key}\r\n")),
    }
}

fn usage(why: &str) -> Failure {
    Failure::usage(format!(
        "publish: {why}; hasses publish --help shows how it is used"
    ))
}

/// Standard input, less one newline, or CR LF, at its end.
fn input() -> Result<Vec<u8>, Failure> {
    let mut data = Vec::new();
    let mut stdin = io::stdin().lock();
    if stdin.is_terminal() {
        let waits = "hasses: publish: type the message; Ctrl-D at the start of a line ends it";
        // If standard error is closed, nobody is there to be told.
        let _ = writeln!(io::stderr(), "{waits}");
    }
    let read = stdin.read_to_end(&mut data);
    read.map_err(|error| Failure::start(format!("standard input: {error}")))?;
    if data.last() == Some(&b'\n') {
        data.pop();
        if data.last() == Some(&b'\r') {
            data.pop();
        }
    }
    match str::from_utf8(&data) {
        Ok(_) => Ok(data),
        // As an argument is refused that is none.
        Err(wrong) => Err(Failure::usage(format!(
            "publish: standard input is not UTF-8, from byte {} on",
            wrong.valid_up_to() + 1
        ))),
    }
}

/// The answer in words.
fn told(answer: &[u8]) -> Result<String, Failure> {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    match (answer["id"].as_u64(), answer["recipients"].as_u64()) {
        (Some(id), Some(recipients)) => Ok(format!("id {id} recipients {recipients}\n")),
        _ => Err(Failure::start("publish: the answer is not that of hasses")),
    }
}
