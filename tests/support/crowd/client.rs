//! One client: its connection, never blocking, and what it saw in its life.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use super::topic::{Form, Interest};

/// One thing that a client saw.
#[derive(Debug, Clone, Copy)]
pub enum Seen {
    /// A stream was opened with this `Last-Event-ID`, in this run of the daemon.
    Opened {
        after: Option<u64>,
        run: usize,
    },
    Gap {
        after: Option<u64>,
        oldest: Option<u64>,
        /// Which of its tokens it stands for.
        tokens: [bool; 2],
    },
    Event(u64),
    Position(u64),
}

/// Which event has which id, as the clients say: its publisher and number there.
pub type Sightings = HashMap<u64, (usize, usize)>;

pub struct Client {
    pub interest: Interest,
    /// As a browser has it.
    pub last: Option<u64>,
    pub log: Vec<Seen>,
    pub connection: Option<Connection>,
    /// Whether it reads nothing at present.
    pub stalled: bool,
    /// How often it was told to come back later, as the daemon was about to end.
    pub refused: usize,
}

pub struct Connection {
    pub socket: TcpStream,
    run: usize,
    asked_after: Option<u64>,
    old_http: bool,
    in_stream: bool,
    /// As it came.
    raw: Vec<u8>,
    /// Without the chunks' framing.
    text: Vec<u8>,
}

impl Client {
    pub fn new(interest: Interest) -> Self {
        Self {
            interest,
            last: None,
            log: Vec::new(),
            connection: None,
            stalled: false,
            refused: 0,
        }
    }

    /// Connects and asks for what it has missed.
    pub fn connect(&mut self, to: SocketAddr, run: usize, random: &mut fastrand::Rng) {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        // So that the daemon soon feels who does not read.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&to.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        let old_http = random.u8(..10) == 0;
        let version = if old_http { "1.0" } else { "1.1" };
        let query = self.interest.query();
        let (in_query, header) = match self.last {
            None => (String::new(), String::new()),
            Some(last) if random.bool() => (format!("&lastEventId={last}"), String::new()),
            Some(last) => (String::new(), format!("Last-Event-ID: {last}\r\n")),
        };
        let request =
            format!("GET /sse?{query}{in_query} HTTP/{version}\r\nHost: x\r\n{header}\r\n");
        socket.write_all(request.as_bytes()).unwrap();
        socket.set_nonblocking(true).unwrap();
        self.stalled = false;
        self.connection = Some(Connection {
            socket,
            run,
            asked_after: self.last,
            old_http,
            in_stream: false,
            raw: Vec::new(),
            text: Vec::new(),
        });
    }

    /// Takes what has come, at most `turns` times; false when the stream has ended.
    pub fn read(&mut self, sightings: &mut Sightings, turns: usize) -> bool {
        let Some(connection) = &mut self.connection else {
            return true;
        };
        let mut buffer = [0; 16384];
        for _ in 0..turns {
            match connection.socket.read(&mut buffer) {
                Ok(0) => return false,
                Ok(length) => connection.raw.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return false,
            }
            if !connection.unwrap_chunks(&mut self.log) {
                self.refused += 1;
                return false;
            }
            let mut used = 0;
            while let Some(length) = find(&connection.text[used..], b"\n\n") {
                let block = std::str::from_utf8(&connection.text[used..used + length]).unwrap();
                let seen = read_block(block, &self.interest, sightings);
                if let Some(Seen::Event(id) | Seen::Position(id)) = seen {
                    self.last = Some(id);
                }
                self.log.extend(seen);
                used += length + 2;
            }
            connection.text.drain(..used);
        }
        true
    }
}

impl Connection {
    /// Moves what is complete from `raw` to `text`; logs the head of the answer. False where that says that
    /// the daemon is about to end.
    fn unwrap_chunks(&mut self, log: &mut Vec<Seen>) -> bool {
        let mut used = 0;
        if !self.in_stream {
            let Some(length) = find(&self.raw, b"\r\n\r\n") else {
                return true;
            };
            let head = String::from_utf8_lossy(&self.raw[..length]);
            if head.starts_with("HTTP/1.1 503 ") {
                assert!(head.contains("Retry-After: "), "{head}");
                return false;
            }
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert_ne!(head.contains("chunked"), self.old_http, "{head}");
            log.push(Seen::Opened {
                after: self.asked_after,
                run: self.run,
            });
            self.in_stream = true;
            used = length + 4;
        }
        if self.old_http {
            self.text.extend_from_slice(&self.raw[used..]);
            self.raw.clear();
            return true;
        }
        while let Some(length) = find(&self.raw[used..], b"\r\n") {
            let size = std::str::from_utf8(&self.raw[used..used + length]).unwrap();
            let size = usize::from_str_radix(size, 16).expect("a chunk's size");
            let content = used + length + 2;
            if self.raw.len() < content + size + 2 {
                break;
            }
            self.text
                .extend_from_slice(&self.raw[content..content + size]);
            used = content + size;
            assert_eq!(self.raw[used..used + 2], *b"\r\n", "the chunk's end");
            used += 2;
        }
        self.raw.drain(..used);
        true
    }
}

fn find(text: &[u8], end: &[u8]) -> Option<usize> {
    text.windows(end.len()).position(|window| window == end)
}

/// Understands a block; none for one that says only `retry:`.
fn read_block(block: &str, interest: &Interest, sightings: &mut Sightings) -> Option<Seen> {
    let field = |name: &str| {
        let mut lines = block.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    };
    let id = field("id").map(|id| id.parse().expect("a decimal id"));
    match (id, field("event"), field("data")) {
        (None, Some("gap"), Some(data)) => {
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            Some(Seen::Gap {
                after: data["after"].as_u64(),
                oldest: data["oldest"].as_u64(),
                tokens: interest.named(&data),
            })
        }
        (Some(id), Some("ping"), Some(seconds)) => {
            assert_eq!(interest.form, Form::Ping, "{block:?}");
            let _heartbeat: u32 = seconds.parse().expect("the seconds of the heartbeat");
            Some(Seen::Position(id))
        }
        (Some(id), None, Some(data)) => {
            let shown = (interest.form == Form::Json).then(|| interest.data(id, data));
            let data = shown.as_deref().unwrap_or(data);
            let mut parts = data.split(':');
            let mut number = || parts.next().unwrap().parse().expect("a number");
            let event = (number(), number());
            let known = *sightings.entry(id).or_insert(event);
            assert_eq!(known, event, "two events with the id {id}");
            Some(Seen::Event(id))
        }
        (Some(id), None, None) if interest.form != Form::Ping => Some(Seen::Position(id)),
        (None, None, None) if field("retry").is_some() => None,
        _ => panic!("a block that nobody promised: {block:?}"),
    }
}
