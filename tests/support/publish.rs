//! Publishers: each channel as a backend uses it.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::{Connection, PATIENCE, Response};

/// Connects, writes, closes.
pub fn tcp(address: SocketAddr, text: impl AsRef<[u8]>) {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.write_all(text.as_ref()).unwrap();
}

/// Connects to a Unix socket, writes, closes.
pub fn unix(path: &Path, text: impl AsRef<[u8]>) {
    let mut socket = UnixStream::connect(path).unwrap();
    socket.write_all(text.as_ref()).unwrap();
}

/// Opens the FIFO as `echo text > fifo` does, writes at once, closes.
pub fn fifo(path: &Path, text: impl AsRef<[u8]>) {
    let mut pipe = OpenOptions::new().write(true).open(path).unwrap();
    pipe.write_all(text.as_ref()).unwrap();
}

/// Writes over TCP, says that this was all, and reads the lines that come back.
pub fn talk_tcp(address: SocketAddr, text: impl AsRef<[u8]>) -> Vec<String> {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.write_all(text.as_ref()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    BufReader::new(socket).lines().map(Result::unwrap).collect()
}

/// Writes over TCP and reads one line.
pub fn ask_tcp(address: SocketAddr, text: &str) -> String {
    Connection::to(address).send(text.as_bytes()).line()
}

/// One HTTP request with a body to the control port.
pub fn post(address: SocketAddr, target: &str, kind: &str, body: &[u8]) -> Response {
    let kind = match kind {
        "" => String::new(),
        kind => format!("Content-Type: {kind}\r\n"),
    };
    let head = format!(
        "POST {target} HTTP/1.1\r\nHost: {address}\r\n{kind}Content-Length: {}\r\n\r\n",
        body.len()
    );
    Connection::to(address)
        .send(head.as_bytes())
        .send(body)
        .response()
}

/// `POST /publish/TARGET`, which must succeed; returns the id and the number of recipients.
pub fn http(address: SocketAddr, target: &str, data: &str) -> (u64, u64) {
    let answer = post(address, &format!("/publish/{target}"), "", data.as_bytes());
    assert_eq!(answer.status, 200, "{answer:?}");
    let answer = answer.json();
    let number = |key: &str| answer[key].as_u64().unwrap();
    (number("id"), number("recipients"))
}

/// Publishes one JSON line after the other over one connection; each must be taken in. Returns
/// their ids.
pub fn json_lines(address: SocketAddr, lines: impl IntoIterator<Item = String>) -> Vec<u64> {
    let mut connection = Connection::to(address);
    let ids = lines.into_iter().map(|line| {
        let line = line.strip_suffix('}').expect("an object");
        connection.send(format!("{line},\"ack\":true}}\n").as_bytes());
        let answer: serde_json::Value = serde_json::from_str(&connection.line()).unwrap();
        answer["id"].as_u64().unwrap_or_else(|| panic!("{answer}"))
    });
    ids.collect()
}
