//! A bare HTTP client: it sends what it is given and reads what comes, byte for byte.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rustls::{ClientConnection, StreamOwned};

use super::PATIENCE;

/// What a connection goes over: a socket, or TLS on one.
pub trait Wire: Read + Write + Send {
    /// The socket.
    fn tcp(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

/// TLS over any of these, as a client speaks it.
pub type Tls<T> = StreamOwned<ClientConnection, T>;

impl<T: Wire> Wire for Tls<T> {
    fn tcp(&self) -> &TcpStream {
        self.sock.tcp()
    }
}

/// One connection, with what was read but not yet used.
pub struct Connection {
    socket: Box<dyn Wire>,
    /// What was read; what stands before `used` has been taken.
    unread: Vec<u8>,
    used: usize,
    ended: bool,
}

/// The head of an answer, and its body where it has one that ends.
#[derive(Debug)]
pub struct Response {
    pub version: String,
    pub status: u16,
    headers: Vec<(String, String)>,
    pub body: String,
}

impl Response {
    /// The header's value; several are joined by a comma (RFC 9110 §5.3).
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .iter()
            .filter(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

impl Connection {
    pub fn to(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    /// Over a socket that is connected already.
    pub fn over(socket: impl Wire + 'static) -> Self {
        socket.tcp().set_nodelay(true).unwrap();
        Self {
            socket: Box::new(socket),
            unread: Vec::new(),
            used: 0,
            ended: false,
        }
    }

    /// Sends bytes; the other side may have hung up already, which the answer will show.
    pub fn send(&mut self, bytes: &[u8]) -> &mut Self {
        let _ = self.socket.write_all(bytes);
        self
    }

    /// Whether something has come or the other side has hung up; does not wait.
    pub fn is_answered(&self) -> bool {
        self.socket.tcp().set_nonblocking(true).unwrap();
        let peeked = self.socket.tcp().peek(&mut [0]);
        self.socket.tcp().set_nonblocking(false).unwrap();
        !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// Says that nothing more will be sent.
    pub fn finish(&mut self) -> &mut Self {
        let _ = self.socket.tcp().shutdown(std::net::Shutdown::Write);
        self
    }

    /// Reads more; false at the end of the connection (a reset is an end too).
    pub fn read_more(&mut self, deadline: Instant) -> bool {
        let left = deadline.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "waited in vain for more");
        self.socket.tcp().set_read_timeout(Some(left)).unwrap();
        self.unread.drain(..self.used);
        self.used = 0;
        let mut buffer = [0; 65536];
        match self.socket.read(&mut buffer) {
            Ok(length) => {
                self.unread.extend_from_slice(&buffer[..length]);
                self.ended = length == 0;
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => self.ended = true,
            // With a time-out a read ends when the process goes on after a halt (signal(7)).
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => panic!(
                "nothing came in time ({error}); before it: {:?}",
                String::from_utf8_lossy(&self.unread)
            ),
        }
        !self.ended
    }

    /// Takes everything up to and including `end`; none when the connection ends before it.
    pub fn until(&mut self, end: &[u8], deadline: Instant) -> Option<Vec<u8>> {
        let mut searched = 0;
        loop {
            let waiting = &self.unread[self.used..];
            let found = waiting[searched..]
                .windows(end.len())
                .position(|window| window == end);
            if let Some(at) = found {
                return Some(self.take(searched + at + end.len()));
            }
            searched = waiting.len().saturating_sub(end.len() - 1);
            if !self.read_more(deadline) {
                return None;
            }
        }
    }

    /// Takes exactly this many bytes.
    pub fn exactly(&mut self, count: usize, deadline: Instant) -> Vec<u8> {
        let taken = self.exactly_or_end(count, deadline);
        taken.expect("the connection ended too early")
    }

    /// Takes exactly this many bytes; none if the connection ends before.
    pub fn exactly_or_end(&mut self, count: usize, deadline: Instant) -> Option<Vec<u8>> {
        while self.unread.len() - self.used < count {
            if !self.read_more(deadline) {
                return None;
            }
        }
        Some(self.take(count))
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let from = self.used;
        self.used += count;
        self.unread[from..self.used].to_vec()
    }

    /// Takes everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let deadline = Instant::now() + PATIENCE;
        while !self.ended && self.read_more(deadline) {}
        self.take(self.unread.len() - self.used)
    }

    /// One line without its end.
    pub fn line(&mut self) -> String {
        let line = self
            .until(b"\n", Instant::now() + PATIENCE)
            .expect("a line");
        String::from_utf8(line).unwrap().trim_end().to_owned()
    }

    /// Reads the head of an answer.
    pub fn head(&mut self) -> Response {
        let head = self.until(b"\r\n\r\n", Instant::now() + PATIENCE);
        let head = head.expect("an answer, not the end of the connection");
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.split("\r\n");
        let mut status = lines.next().unwrap().splitn(3, ' ');
        let version = status.next().unwrap().to_owned();
        let status = status.next().unwrap().parse().unwrap();
        let headers = lines
            .take_while(|line| !line.is_empty())
            .map(|line| {
                let (name, value) = line.split_once(':').unwrap();
                (name.to_owned(), value.trim().to_owned())
            })
            .collect();
        Response {
            version,
            status,
            headers,
            body: String::new(),
        }
    }

    /// Reads a whole answer: by its Content-Length, else to the end of the connection.
    pub fn response(&mut self) -> Response {
        let mut response = self.head();
        let length = response.header("content-length").map(|text| text.parse());
        let body = match length {
            _ if matches!(response.status, 204 | 304) => Vec::new(),
            Some(length) => self.exactly(length.unwrap(), Instant::now() + PATIENCE),
            None => self.rest(),
        };
        response.body = String::from_utf8(body).unwrap();
        response
    }
}
