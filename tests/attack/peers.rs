//! What attackers do with connections: never wait, never read, come in thousands.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use crate::scene::Scene;

/// Bytes that are written at once.
const PORTION: usize = 64 * 1024;

/// A connection that writes one text again and again, and reads all that comes, without ever waiting.
pub(crate) struct Flood<'a> {
    scene: &'a Scene,
    socket: TcpStream,
    text: Vec<u8>,
    written: usize,
    buffer: Vec<u8>,
}

impl<'a> Flood<'a> {
    /// What follows `begin` is written without a pause.
    pub(crate) fn new(scene: &'a Scene, to: SocketAddr, begin: &str, text: &str) -> Self {
        let mut socket = scene.connect(to).unwrap();
        socket.write_all(begin.as_bytes()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            scene,
            socket,
            text: text.repeat((PORTION / text.len()).max(1)).into_bytes(),
            written: 0,
            buffer: vec![0; 1 << 20],
        }
    }

    /// Writes and reads what can be, once; whether the daemon still has it.
    pub(crate) fn go_on(&mut self) -> bool {
        match self.socket.write(&self.text[self.written..]) {
            Ok(count) => {
                self.scene.sent(count);
                self.written = (self.written + count) % self.text.len();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return false,
        }
        match self.socket.read(&mut self.buffer) {
            Err(error) => error.kind() == ErrorKind::WouldBlock,
            Ok(count) => count > 0,
        }
    }
}

/// Floods by one connection of each kind, that are made anew when the daemon has had enough of them.
pub(crate) fn flood(scene: &Scene, kinds: &[(SocketAddr, &str, &str)]) {
    let begin = |(to, begin, text): &(SocketAddr, &str, &str)| Flood::new(scene, *to, begin, text);
    let mut floods: Vec<Flood> = kinds.iter().map(begin).collect();
    while !scene.is_over() {
        for (flood, kind) in floods.iter_mut().zip(kinds) {
            if !flood.go_on() {
                *flood = begin(kind);
            }
        }
    }
}

/// Connects, writes, and keeps the last `most` connections open without reading anything; again and again.
pub(crate) fn pile_up(scene: &Scene, to: SocketAddr, bytes: &[u8], most: usize) {
    let mut kept = std::collections::VecDeque::new();
    while !scene.is_over() {
        match scene.connect(to) {
            Some(socket) => {
                send(scene, &socket, bytes);
                kept.push_back(socket);
            }
            // As many as the system allows.
            None => sleep(Duration::from_millis(1)),
        }
        if kept.len() > most {
            kept.pop_front();
        }
    }
}

/// Writes what the system takes at once.
pub(crate) fn send(scene: &Scene, mut socket: &TcpStream, bytes: &[u8]) {
    socket.set_nonblocking(true).unwrap();
    if let Ok(count) = socket.write(bytes) {
        scene.sent(count);
    }
}

/// One request on a connection of its own, and all that comes until the daemon ends it or nothing comes for
/// a second.
pub(crate) fn ask(scene: &Scene, to: SocketAddr, request: &[u8]) {
    let Some(mut socket) = scene.connect(to) else {
        return;
    };
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    if socket.write_all(request).is_ok() {
        scene.sent(request.len());
        let mut buffer = vec![0; 1 << 16];
        while !scene.is_over() && socket.read(&mut buffer).is_ok_and(|count| count > 0) {}
    }
}

/// The head of a `POST` whose body has so many bytes.
pub(crate) fn post(target: &str, length: usize) -> String {
    format!(
        "POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

/// A request for a stream.
pub(crate) fn subscribe(query: &str) -> String {
    format!("GET /sse?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n")
}
