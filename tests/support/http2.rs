//! A client of HTTP/2 that says exactly what a test wants it to say, frame by frame (RFC 9113).

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::PATIENCE;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;
/// Flags: the end of the stream, or an acknowledgement; the end of the header block.
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The reason of a RST_STREAM or GOAWAY frame.
    pub fn reason(&self) -> u32 {
        let tail = self.payload.last_chunk().unwrap();
        u32::from_be_bytes(*tail)
    }
}

pub struct Client {
    pub socket: TcpStream,
    unread: Vec<u8>,
}

impl Client {
    /// Connects, and says the preface and these settings.
    pub fn with(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket
            .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            .unwrap();
        let mut client = Self {
            socket,
            unread: Vec::new(),
        };
        client.settings(settings);
        client
    }

    pub fn to(address: SocketAddr) -> Self {
        Self::with(address, &[])
    }

    pub fn settings(&mut self, settings: &[(u16, u32)]) {
        let bytes = settings.iter().flat_map(|(name, value)| {
            let (name, value) = (name.to_be_bytes(), value.to_be_bytes());
            name.into_iter().chain(value)
        });
        self.send(SETTINGS, 0, 0, &bytes.collect::<Vec<u8>>());
    }

    pub fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        self.socket
            .write_all(&frame(kind, flags, stream, payload))
            .unwrap();
    }

    /// Asks for a path.
    pub fn get(&mut self, stream: u32, path: &str) {
        let flags = END_HEADERS | END_STREAM;
        self.send(HEADERS, flags, stream, &request("GET", path));
    }

    /// Posts a body, as fast as the windows of the connection and of the stream allow.
    pub fn post_at_length(&mut self, stream: u32, block: &[u8], mut body: &[u8]) {
        self.send(HEADERS, END_HEADERS, stream, block);
        let (mut all, mut one) = (65_535, 65_535);
        while !body.is_empty() {
            let room = body.len().min(all).min(one).min(16_384);
            if room == 0 {
                let frame = self.next(WINDOW_UPDATE);
                let more = frame.reason() as usize;
                *(if frame.stream == 0 {
                    &mut all
                } else {
                    &mut one
                }) += more;
                continue;
            }
            let part;
            (part, body) = body.split_at(room);
            self.send(DATA, u8::from(body.is_empty()), stream, part);
            (all, one) = (all - room, one - room);
        }
    }

    pub fn window(&mut self, stream: u32, bytes: u32) {
        self.send(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes());
    }

    /// The next frame; none when the daemon has closed the connection.
    pub fn try_frame(&mut self) -> Option<Frame> {
        self.frame_within(PATIENCE)
            .unwrap_or_else(|| panic!("no frame came"))
    }

    /// The next frame, if one comes; inside, none when the daemon has closed the connection.
    pub fn frame_within(&mut self, patience: Duration) -> Option<Option<Frame>> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(head) = self.unread.first_chunk::<9>() {
                let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
                let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
                let (kind, flags) = (head[3], head[4]);
                if self.unread.len() >= 9 + length {
                    let payload = self.unread[9..9 + length].to_vec();
                    self.unread.drain(..9 + length);
                    return Some(Some(Frame {
                        kind,
                        flags,
                        stream,
                        payload,
                    }));
                }
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).unwrap();
            let mut buffer = [0; 65536];
            match self.socket.read(&mut buffer) {
                Ok(0) => return Some(None),
                Ok(count) => self.unread.extend_from_slice(&buffer[..count]),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(_) => return Some(None),
            }
        }
    }

    /// The next frame of this kind; others are passed over.
    pub fn next(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.try_frame().expect("a frame, not the connection's end");
            if frame.kind == kind {
                return frame;
            }
            assert_ne!(frame.kind, GOAWAY, "{frame:?}");
        }
    }

    /// Reads a stream until it has said `text`; what else comes is passed over.
    pub fn hear(&mut self, stream: u32, text: &str) -> String {
        let mut said = String::new();
        loop {
            let frame = self.next(DATA);
            if frame.stream == stream {
                said += std::str::from_utf8(&frame.payload).unwrap();
                if said.contains(text) {
                    return said;
                }
            }
        }
    }

    /// Waits for the answer's head and the first block.
    pub fn subscribe(&mut self, stream: u32, query: &str) {
        self.get(stream, &format!("/sse?{query}"));
        self.hear(stream, "id: ");
    }

    /// Why the daemon ends the connection.
    pub fn goaway(&mut self) -> u32 {
        loop {
            let frame = self
                .try_frame()
                .expect("a GOAWAY, not the connection's end");
            if frame.kind == GOAWAY {
                return frame.reason();
            }
        }
    }
}

pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

/// A request's header block, written out (RFC 7541 §6.2.2).
pub fn request(method: &str, path: &str) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
    ] {
        field(name, value, &mut block);
    }
    block
}

pub fn field(name: &str, value: &str, block: &mut Vec<u8>) {
    block.push(0);
    for text in [name, value] {
        // RFC 7541 §5.1.
        block.push(text.len().min(127) as u8);
        if let Some(mut rest) = text.len().checked_sub(127) {
            while rest >= 128 {
                block.push(rest as u8 | 128);
                rest >>= 7;
            }
            block.push(rest as u8);
        }
        block.extend_from_slice(text.as_bytes());
    }
}
