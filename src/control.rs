//! Asking a running hasses through its control address, for the helpers of the shell.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hasses_actors::model::Secret;
use hasses_actors::net::Endpoint;

use crate::failure::{Failure, short};
use crate::options::CONTROL;
use crate::secret_file;
use crate::values;
use crate::words::{self, Word};

/// Helpers are for the machine that hasses runs on.
const NO_TLS: &str = "this helper speaks no TLS; name an address without it, or let curl publish";

/// How long connecting, and each read or write, may take.
const PATIENCE: Duration = Duration::from_secs(20);
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
    control: Option<Endpoint>,
    secret: Option<PathBuf>,
}

/// An answer that says that it was done.
type Answer = Result<Vec<u8>, Failure>;

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
                Word::Old(text) => Err(format!("there is no option {}", short(&text))),
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
            return Err(format!("there is no option --{}", short(&name)));
        }
        let value = value.ok_or_else(|| format!("--{name} needs a value"))?;
        let told = |why| format!("--{name} '{}': {why}", short(&value));
        let twice = match name.as_str() {
            "control" => {
                let door = values::address(&value).map_err(told)?;
                if door.tls {
                    return Err(told(NO_TLS.to_owned()));
                }
                self.control.replace(door.endpoint).is_some()
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
        match twice {
            true => Err(format!("--{name} is given twice")),
            false => Ok(()),
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
    pub(crate) fn request(&self, method: &str, target: &str, body: &[u8]) -> Answer {
        let address = match &self.control {
            Some(address) => address.clone(),
            None => values::address(CONTROL).map_err(Failure::start)?.endpoint,
        };
        let secret = match &self.secret {
            None => String::new(),
            Some(path) => authorization(path)?,
        };
        let length = body.len();
        let mut request = format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
             {secret}Content-Length: {length}\r\n\r\n"
        )
        .into_bytes();
        request.extend_from_slice(body);
        let answered = connect(&address).and_then(|mut socket| exchange(&mut *socket, &request));
        let answer = answered.map_err(|error| {
            Failure::start(format!(
                "{address}: {error}; --control names the address where hasses takes messages in"
            ))
        })?;
        body_of(&answer, &address)
    }
}

/// Both directions of a socket.
trait Socket: Read + Write {}
impl<S: Read + Write> Socket for S {}

fn connect(address: &Endpoint) -> io::Result<Box<dyn Socket>> {
    if let Endpoint::Unix(path) = address {
        let socket = UnixStream::connect(path)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.set_write_timeout(Some(PATIENCE))?;
        return Ok(Box::new(socket));
    }
    let mut last = io::Error::other("the name has no address");
    for address in address.resolve()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(socket) => {
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.set_write_timeout(Some(PATIENCE))?;
                return Ok(Box::new(socket));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Sends the request and reads to the end of the connection.
fn exchange(socket: &mut dyn Socket, request: &[u8]) -> io::Result<Vec<u8>> {
    // Where the daemon does not want it all, its answer says why.
    let sent = socket.write_all(request);
    let mut answer = Vec::new();
    let read = socket.take(MOST).read_to_end(&mut answer);
    match answer.is_empty() {
        true => sent.and(read).and(Err(io::ErrorKind::UnexpectedEof.into())),
        false => Ok(answer),
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

/// The body of an answer with status 200.
fn body_of(answer: &[u8], address: &Endpoint) -> Answer {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Response::new(&mut fields);
    let (length, status) = match (head.parse(answer), head.code) {
        (Ok(httparse::Status::Complete(length)), Some(status)) => (length, status),
        _ => {
            return Err(Failure::start(format!(
                "{address}: what answers there is not the control address of hasses"
            )));
        }
    };
    let body = &answer[length..];
    if status == 200 {
        return Ok(body.to_vec());
    }
    let error: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let why = error["error"]
        .as_str()
        .unwrap_or("not as the control address of hasses answers; is this another port of it?");
    Err(Failure::start(format!(
        "{address}: refused with {status}: {why}"
    )))
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
        assert_eq!(asked.control, Some(Endpoint::Unix("/s".into())));
        assert_eq!(asked.secret, Some("/f".into()));
        assert_eq!(
            read("a -- -x --event").unwrap().strays,
            ["a", "-x", "--event"]
        );
        for (line, why) in [
            ("--except 7", "no option --except"),
            ("-x", "no option -x"),
            ("--event", "--event needs a value"),
            ("--event a --event b", "--event is given twice"),
            ("--control a:1 --control b:1", "--control is given twice"),
            ("--control nowhere", "--control 'nowhere': no address"),
        ] {
            let told = read(line).unwrap_err();
            assert!(
                told.starts_with("2 publish: ") && told.contains(why),
                "{told}"
            );
        }
    }

    #[test]
    fn answers() {
        let address = values::address("localhost:1").unwrap().endpoint;
        let body =
            |answer: &[u8]| body_of(answer, &address).map_err(|failure| failure.messages.concat());
        assert_eq!(body(b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nx"), Ok(b"x".to_vec()));
        let refused = body(b"HTTP/1.1 400 B\r\n\r\n{\"error\":\"no \\u0007 token\"}\n");
        let told = "localhost:1: refused with 400: no \\u{7} token";
        assert_eq!(refused, Err(told.to_owned()));
        let bare = body(b"HTTP/1.1 500 B\r\n\r\n<html>").unwrap_err();
        assert!(
            bare.ends_with(
                "500: not as the control address of hasses answers; is this another port of it?"
            ),
            "{bare}"
        );
        for other in [&b"SSH-2.0-OpenSSH\r\n"[..], b"HTTP/1.1 200 OK\r\n"] {
            assert!(body(other).unwrap_err().contains("not the control address"));
        }
    }
}
