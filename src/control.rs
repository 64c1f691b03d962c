//! Asking a running hasses through its control address, for the helpers of the shell.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hasses_actors::model::Secret;

use crate::failure::{Failure, short};
use crate::http::{self, Answer, Site, Socket};
use crate::plan::CONTROL;
use crate::secret_file;
use crate::suggest;
use crate::values;
use crate::words::{self, Word};

/// How long connecting, and each read or write, may take.
const PATIENCE: Duration = Duration::from_secs(4);
/// The option that names the secret's file.
const SECRET: &str = "--control-secret";
/// The most bytes of an answer that are read.
const MOST: u64 = 16 << 20;

/// What the helpers' help says of their common options.
pub(crate) const HELP: &str = "\
\x20 --control ADDR          the daemon's control address: HOST:PORT or unix:/path
                          (default 127.0.0.1:8085)
  --control-secret FILE   the file with its secret, if it asks for one
";

/// A helper's command line, understood.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// What stands alone, in order.
    pub(crate) strays: Vec<String>,
    /// The helper's own options.
    own: Vec<(String, String)>,
    control: Option<Site>,
    secret: Option<PathBuf>,
}

impl Asked {
    /// Understands a command line of `helper`, which has these options besides the common ones; none
    /// where only help is wanted. Behind `--` nothing is an option.
    pub(crate) fn read(
        helper: &str,
        mut arguments: Vec<String>,
        options: &[&str],
    ) -> Result<Option<Self>, Failure> {
        let end = arguments.iter().position(|argument| argument == "--");
        let plain = end.map(|end| arguments.split_off(end));
        if arguments.iter().any(|argument| argument == "--help") {
            return Ok(None);
        }
        let mut asked = Self::default();
        for word in words::cut(arguments) {
            let taken = match word {
                Word::Stray(text) => {
                    asked.strays.push(text);
                    Ok(())
                }
                Word::Option { name, value } => asked.take(options, name, value),
                Word::Old(text) => Err(format!("{} is not an option", short(&text))),
            };
            taken.map_err(|why| {
                let more = format!("hasses {helper} --help shows how it is used");
                Failure::usage(format!("{helper}: {why}; {more}"))
            })?;
        }
        asked.strays.extend(plain.into_iter().flatten().skip(1));
        Ok(Some(asked))
    }

    fn take(&mut self, known: &[&str], name: String, value: Option<String>) -> Result<(), String> {
        let common = ["control", "control-secret"];
        if !known.iter().chain(&common).any(|known| *known == name) {
            let shown = short(&name);
            let known = known.iter().chain(&common).copied();
            return Err(match suggest::nearest(&name, known) {
                Some(meant) => format!("--{shown} is not an option; did you mean --{meant}?"),
                None => format!("--{shown} is not an option"),
            });
        }
        if words::is_switch(&name) && value.is_some() {
            return Err(format!("--{name} takes no value"));
        }
        // A switch that is there.
        let value = match value {
            None if words::is_switch(&name) => String::new(),
            value => value.ok_or_else(|| format!("--{name} needs a value"))?,
        };
        let told = |why| format!("--{name} '{}': {why}", short(&value));
        let twice = match name.as_str() {
            "control" => {
                let site = Site::control(&value).map_err(told)?;
                self.control.replace(site).is_some()
            }
            "control-secret" => {
                let file = values::file(&value).map_err(told)?;
                self.secret.replace(file).is_some()
            }
            _ => {
                let twice = self.own(&name).is_some();
                self.own.push((name.clone(), value));
                twice
            }
        };
        if twice {
            Err(format!("--{name} is given twice"))
        } else {
            Ok(())
        }
    }

    /// The value of one of the helper's own options.
    pub(crate) fn own(&self, name: &str) -> Option<&str> {
        let mut own = self.own.iter();
        own.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// Makes a request; the answer's body.
    ///
    /// Errors: the daemon cannot be reached, or says why it does not do it.
    pub(crate) fn request(
        &self,
        method: &str,
        target: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        self.request_with(method, target, "", body)
    }

    /// As [`Asked::request`], with further header lines.
    pub(crate) fn request_with(
        &self,
        method: &str,
        target: &str,
        fields: &str,
        body: &[u8],
    ) -> Result<Vec<u8>, Failure> {
        let site = self.site()?;
        let length = format!("{fields}Content-Length: {}\r\n", body.len());
        let mut answer = self.send(&site, (method, target), &length, body, true)?;
        let read = answer.body(MOST);
        let body = read.map_err(|error| Failure::start(format!("{site}: {}", told(&error))))?;
        if answer.status == 200 {
            return Ok(body);
        }
        Err(refused(answer.status, &body, &site))
    }

    /// The control address.
    pub(crate) fn site(&self) -> Result<Site, Failure> {
        match &self.control {
            Some(site) => Ok(site.clone()),
            None => Site::control(CONTROL).map_err(Failure::start),
        }
    }

    /// Sends a GET with further header lines and reads the head of its answer, whatever its status; `known`: the
    /// site may be told the secret.
    ///
    /// Errors: the daemon cannot be reached, or what answers does not speak HTTP.
    pub(crate) fn open(
        &self,
        site: &Site,
        target: &str,
        fields: &str,
        known: bool,
    ) -> Result<Answer<Socket>, Failure> {
        self.send(site, ("GET", target), fields, b"", known)
    }

    fn send(
        &self,
        site: &Site,
        (method, target): (&str, &str),
        fields: &str,
        body: &[u8],
        known: bool,
    ) -> Result<Answer<Socket>, Failure> {
        let secret = match &self.secret {
            Some(path) if known => authorization(path)?,
            _ => String::new(),
        };
        let Site { host, prefix, .. } = site;
        let mut request = format!(
            "{method} {prefix}{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             {secret}{fields}\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        let socket = http::connect(site, PATIENCE, None, &["http/1.1"]).map_err(|trouble| {
            Failure::start(format!(
                "{site}: {trouble} (--control names the daemon's control address)"
            ))
        })?;
        exchange(socket, &request).map_err(|error| {
            let known = if method == "GET" {
                ""
            } else {
                ", so nobody knows whether it was done"
            };
            Failure::start(format!(
                "{site}: {}{known}; is this the control address of hasses?",
                told(&error)
            ))
        })
    }
}

/// Sends the request and reads the head of the answer.
fn exchange(mut socket: Socket, request: &[u8]) -> io::Result<Answer<Socket>> {
    // Where the daemon does not want it all, its answer says why.
    let sent = socket.write_all(request);
    match http::read_answer(socket) {
        Ok(answer) => Ok(answer),
        Err(error) => sent.and(Err(error)),
    }
}

/// What went wrong, in words.
fn told(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            format!("no answer within {} s", PATIENCE.as_secs())
        }
        _ => error.to_string(),
    }
}

/// The header line for the secret in a file, read as the daemon reads it.
fn authorization(path: &Path) -> Result<String, Failure> {
    let file = secret_file::read(SECRET, path).map_err(Failure::start)?;
    Secret::new(&file.bytes)
        .map_err(|error| Failure::start(format!("{SECRET} {}: {error}", path.display())))?;
    // A secret is UTF-8.
    let secret = String::from_utf8_lossy(&file.bytes);
    Ok(format!("Authorization: Bearer {secret}\r\n"))
}

/// Why the daemon did not do it.
pub(crate) fn refused(status: u16, body: &[u8], site: &Site) -> Failure {
    let error: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = str::from_utf8(body).unwrap_or_default().trim();
    let why = error["error"].as_str().unwrap_or(match text {
        // As subscribers are told.
        text if !text.is_empty() && !text.contains(['<', '\n', '{']) => text,
        _ => "this is not how the control address of hasses answers; is it another port?",
    });
    Failure::start(format!("{site}: refused with {status}: {why}"))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    fn read(line: &str) -> Result<Asked, String> {
        let line = line.split_whitespace().map(str::to_owned).collect();
        Asked::read("publish", line, &["event"])
            .map(Option::unwrap)
            .map_err(|failure| format!("{} {}", failure.code, failure.messages.concat()))
    }

    #[test]
    fn a_command_line() {
        let asked = read("room1 --control=unix:/s - --event e --control-secret /f").unwrap();
        assert_eq!(asked.strays, ["room1", "-"]);
        assert_eq!(asked.own("event"), Some("e"));
        assert_eq!(asked.own("except"), None);
        assert_eq!(asked.control, Some(Site::control("unix:/s").unwrap()));
        assert_eq!(asked.secret, Some("/f".into()));
        assert_eq!(
            read("a -- -x --event").unwrap().strays,
            ["a", "-x", "--event"]
        );
        for (line, why) in [
            ("--except 7", "--except is not an option"),
            ("-x", "-x is not an option"),
            ("--event", "--event needs a value"),
            ("--event a --event b", "--event is given twice"),
            ("--control a:1 --control b:1", "--control is given twice"),
            ("--control nowhere", "--control 'nowhere': not an address"),
        ] {
            let told = read(line).unwrap_err();
            assert!(
                told.starts_with("2 publish: ") && told.contains(why),
                "{told}"
            );
        }
    }

    #[test]
    fn refusals() {
        let site = Site::control("localhost:1").unwrap();
        let told = |status, body: &str| refused(status, body.as_bytes(), &site).messages.concat();
        assert_eq!(
            told(400, "{\"error\":\"no \\u0007 token\"}\n"),
            "localhost:1: refused with 400: no \\u{7} token"
        );
        assert_eq!(
            told(500, "<html>"),
            "localhost:1: refused with 500: this is not how the control address of hasses answers; is it another port?"
        );
    }
}
