//! Peers that never make the daemon wait: they always have something to be read, and always take what
//! is written.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::bystander::Bystander;
use support::Daemon;

/// One request, again and again on one connection, with all answers read as they come; `PORTION` of them
/// are under way.
struct Flood {
    socket: TcpStream,
    /// What is written, and how much of it was.
    text: Vec<u8>,
    written: usize,
    buffer: Vec<u8>,
}

impl Flood {
    /// What follows `begin` is written without a pause.
    fn new(address: SocketAddr, begin: &str, text: &str) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.write_all(begin.as_bytes()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            text: text.repeat(64 * 1024 / text.len()).into_bytes(),
            written: 0,
            buffer: vec![0; 1 << 20],
        }
    }

    /// Writes and reads what can be, once.
    fn go_on(&mut self) {
        let rest = &self.text[self.written..];
        match self.socket.write(rest) {
            Ok(count) => self.written = (self.written + count) % self.text.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            // The daemon has had enough of it.
            Err(_) => return,
        }
        let _nothing_now = self.socket.read(&mut self.buffer);
    }
}

/// Attacks with one connection until it was tried for long enough.
fn flood(daemon: &Daemon, address: SocketAddr, begin: &str, text: &str) {
    let mut flood = Flood::new(address, begin, text);
    Bystander::of(daemon).withstands(move || flood.go_on());
}

#[test]
fn requests_without_a_pause_hold_nobody_up() {
    let daemon = Daemon::start("");
    for target in ["/healthz", "/", "/status", "/nothing"] {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
            flood(&daemon, daemon.control, "", &request);
        }
    }
}

#[test]
fn bytes_that_are_thrown_away_hold_nobody_up() {
    let daemon = Daemon::start("--reinit");
    let bytes = "x".repeat(4096);
    for (address, begin) in [
        (
            daemon.control,
            "GET /live HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        (daemon.control, "BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
        (
            daemon.listen,
            "GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n",
        ),
        (daemon.listen, "GET /sse?subscribe=a HTTP/1.0\r\n\r\n"),
        (daemon.listen, "GET /sse?subscribe=a HTTP/1.1\r\n\r\n"),
    ] {
        flood(&daemon, address, begin, &bytes);
    }
}
