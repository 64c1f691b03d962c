//! A subscriber: chunked decoding (RFC 9112 §7.1) and the event stream's interpretation
//! (WHATWG HTML §9.2.6), strict about both.

use std::collections::VecDeque;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Instant;

use super::{Connection, PATIENCE, Response};

/// An open event stream.
pub struct Stream {
    connection: Connection,
    pub head: Response,
    chunked: bool,
    blocks: VecDeque<Block>,
    /// A block that has not ended yet.
    begun: String,
    /// Whether the stream ended as it should: by the last chunk, or over HTTP/1.0 by the end of
    /// the connection.
    pub ended_well: bool,
}

/// What stands between two empty lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    pub id: Option<u64>,
    pub event: Option<String>,
    pub data: Option<String>,
    pub retry: Option<u64>,
    /// As it came, with the empty line.
    pub raw: String,
}

impl Block {
    fn parse(raw: &str) -> Self {
        let mut block = Self {
            raw: raw.to_owned(),
            ..Self::default()
        };
        let mut data: Vec<&str> = Vec::new();
        for line in raw.lines().filter(|line| !line.is_empty()) {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => data.push(value),
                "id" => block.id = Some(value.parse().expect("a decimal id")),
                "event" => block.event = Some(value.to_owned()),
                // A comment: the heartbeat of a stream without positions.
                "" if value.is_empty() => {}
                "retry" => block.retry = Some(value.parse().expect("a decimal retry")),
                _ => panic!("no field that is promised: {line:?}"),
            }
        }
        block.data = (!data.is_empty()).then(|| data.join("\n"));
        block
    }

    /// As it came, but for the `retry:` that a stream's first block begins with.
    pub fn without_retry(&self) -> &str {
        match self.retry {
            Some(_) => self.raw.split_once('\n').unwrap().1,
            None => &self.raw,
        }
    }

    /// Whether it only says how far the stream has come.
    pub fn is_position(&self) -> bool {
        self.id.is_some() && self.data.is_none() && self.event.is_none()
    }
}

/// What a stream said before its first position.
pub struct Start {
    pub gap: Option<Block>,
    pub events: Vec<Block>,
    pub position: u64,
    /// The rest.
    pub stream: Stream,
}

impl Start {
    /// What the events before the position said.
    pub fn data(&self) -> Vec<&str> {
        let data = self.events.iter().map(|event| event.data.as_deref());
        data.map(|data| data.expect("data")).collect()
    }

    /// The gap's data, in full; fails without a gap.
    pub fn gap_data(&self) -> &str {
        let gap = self.gap.as_ref().expect("a gap");
        let data = gap.data.as_deref().expect("a gap has data");
        // The first block has the line with `retry:` too.
        let retry = gap.retry.map(|retry| format!("retry: {retry}\n"));
        let lines = gap.raw.strip_prefix(&retry.unwrap_or_default());
        assert_eq!(lines.unwrap(), format!("event: gap\ndata: {data}\n\n"));
        data
    }
}

impl Stream {
    /// Subscribes with a `Last-Event-ID`, as an EventSource that comes back, and reads up to the
    /// position.
    pub fn resume(address: SocketAddr, query: &str, last: impl Display) -> Start {
        Self::starting(address, query, &format!("Last-Event-ID: {last}\r\n"))
    }

    /// Subscribes with further header fields and reads up to the position.
    pub fn starting(address: SocketAddr, query: &str, headers: &str) -> Start {
        let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        Self::request(address, &request).start()
    }

    /// Reads up to the position.
    pub fn start(mut self) -> Start {
        let (mut gap, mut events) = (None, Vec::new());
        loop {
            let block = self.block().expect("a position, not the stream's end");
            if block.is_position() {
                return Start {
                    gap,
                    events,
                    position: block.id.unwrap(),
                    stream: self,
                };
            }
            if block.event.as_deref() == Some("gap") && block.id.is_none() {
                assert!(gap.is_none() && events.is_empty(), "a gap comes first");
                gap = Some(block);
            } else if block.data.is_some() {
                events.push(block);
            }
        }
    }

    /// Subscribes over HTTP/1.1 and waits for the position block: from then on nothing is missed.
    pub fn open(address: SocketAddr, query: &str) -> Self {
        let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let mut stream = Self::request(address, &request);
        stream.position();
        stream
    }

    /// Sends any request whose answer must be a stream.
    pub fn request(address: SocketAddr, request: &str) -> Self {
        let mut connection = Connection::to(address);
        connection.send(request.as_bytes());
        Self::answered(connection)
    }

    /// Reads the head of the answer to a request that was sent.
    pub fn answered(mut connection: Connection) -> Self {
        let head = connection.head();
        assert_eq!(head.status, 200, "{head:?} {:?}", connection.rest());
        let chunked = head.header("transfer-encoding").as_deref() == Some("chunked");
        Self {
            connection,
            head,
            chunked,
            blocks: VecDeque::new(),
            begun: String::new(),
            ended_well: false,
        }
    }

    /// The next chunk's content; none at the end, or where a reset cut the stream off. Every chunk must hold whole blocks alone, or
    /// lines that need no block: `retry:` and comments.
    pub fn chunk(&mut self, deadline: Instant) -> Option<String> {
        let size = self.connection.until(b"\r\n", deadline)?;
        let size = std::str::from_utf8(&size).unwrap().trim_end();
        let size = usize::from_str_radix(size, 16).expect("a chunk size");
        let mut content = self.connection.exactly_or_end(size + 2, deadline)?;
        assert!(content.ends_with(b"\r\n"), "{content:?}");
        content.truncate(size);
        let content = String::from_utf8(content).unwrap();
        if size == 0 {
            self.ended_well = true;
            return None;
        }
        let whole = content
            .rsplit_once("\n\n")
            .map_or(&*content, |(_, rest)| rest);
        assert!(
            whole.is_empty()
                || whole == ":\n"
                || whole.starts_with("retry: ") && whole.ends_with('\n'),
            "a block cut in two: {content:?}"
        );
        Some(content)
    }

    fn more(&mut self, deadline: Instant) -> bool {
        let content = if self.chunked {
            self.chunk(deadline)
        } else {
            let block = self.connection.until(b"\n\n", deadline);
            self.ended_well = block.is_none();
            block.map(|block| String::from_utf8(block).unwrap())
        };
        let Some(content) = content else { return false };
        self.begun += &content;
        while let Some(end) = self.begun.find("\n\n") {
            let rest = self.begun.split_off(end + 2);
            let block = std::mem::replace(&mut self.begun, rest);
            self.blocks.push_back(Block::parse(&block));
        }
        true
    }

    /// The next block of any kind; none at the end of the stream.
    pub fn block(&mut self) -> Option<Block> {
        self.block_until(Instant::now() + PATIENCE)
    }

    fn block_until(&mut self, deadline: Instant) -> Option<Block> {
        while self.blocks.is_empty() {
            if !self.more(deadline) {
                return None;
            }
        }
        self.blocks.pop_front()
    }

    /// The next event as a browser would show it; none at the end of the stream.
    pub fn try_event(&mut self) -> Option<Block> {
        // One deadline for all: heartbeats must not keep a hopeless wait alive.
        let deadline = Instant::now() + PATIENCE;
        loop {
            let block = self.block_until(deadline)?;
            if block.data.is_some() {
                return Some(block);
            }
        }
    }

    /// The next event; fails the test when none comes.
    pub fn event(&mut self) -> Block {
        self.try_event().expect("an event, not the stream's end")
    }

    /// The next event's data.
    pub fn data(&mut self) -> String {
        self.event().data.unwrap()
    }

    /// The data of the events up to one that says `end`.
    pub fn data_until(&mut self, end: &str) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            match self.data() {
                data if data == end => return all,
                data => all.push(data),
            }
        }
    }

    /// The number of the next position block.
    pub fn position(&mut self) -> u64 {
        loop {
            let block = self.block().expect("a position, not the stream's end");
            assert_eq!(block.data, None, "a position must come first");
            if block.is_position() {
                return block.id.unwrap();
            }
        }
    }

    /// Sends something on the connection that carries the stream.
    pub fn send(&mut self, bytes: &[u8]) {
        self.connection.send(bytes);
    }

    /// Reads to the end of the stream and gives the connection back.
    pub fn into_connection(mut self) -> Connection {
        let deadline = Instant::now() + PATIENCE;
        while self.block_until(deadline).is_some() {}
        assert!(self.ended_well, "the stream broke off");
        self.connection
    }
}
