//! HTTP on the control port beside publishing: lists, figures, disconnecting, connections.

mod clients;
mod connection;
mod disconnect;
mod events;
mod live;

use std::net::SocketAddr;
use std::time::Instant;

use support::{Connection, PATIENCE, Response};

/// One request without a body, and its whole answer.
fn ask(address: SocketAddr, line: &str) -> Response {
    let mut connection = Connection::to(address);
    send(&mut connection, line);
    answer(&mut connection)
}

fn send(connection: &mut Connection, line: &str) {
    let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    connection.send(request.as_bytes());
}

/// A whole answer, also a chunked one.
fn answer(connection: &mut Connection) -> Response {
    let mut head = connection.head();
    match head.header("transfer-encoding").as_deref() {
        Some("chunked") => {
            while let Some(chunk) = chunk(connection) {
                head.body += &chunk;
            }
        }
        _ => {
            let length = head.header("content-length").unwrap().parse().unwrap();
            let body = connection.exactly(length, Instant::now() + PATIENCE);
            head.body = String::from_utf8(body).unwrap();
        }
    }
    head
}

/// The next chunk; none at the end.
fn chunk(connection: &mut Connection) -> Option<String> {
    let size = usize::from_str_radix(&connection.line(), 16).unwrap();
    let mut chunk = connection.exactly(size + 2, Instant::now() + PATIENCE);
    assert!(chunk.ends_with(b"\r\n"));
    chunk.truncate(size);
    (size > 0).then(|| String::from_utf8(chunk).unwrap())
}
