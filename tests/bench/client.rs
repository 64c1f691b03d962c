//! One subscriber's connection: the answer's head is checked, then the stream is searched for stamps.
//!
//! A payload begins with `@`, 16 hexadecimal digits and `@`: the time when it was published. How a
//! server frames it does not matter.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use memchr::{memchr, memmem};
use socket2::{Domain, Protocol, Socket, Type};

use crate::Outcome;
use crate::ledger::{Ledger, Place};

/// Bytes of a stamp.
pub(crate) const STAMP: usize = 18;
/// Clients for each source address: a range of ports that is two thirds full is searched for
/// milliseconds at each connect.
const PER_ADDRESS: u32 = 5000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Connecting,
    Head,
    Open,
    Gone,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) socket: Socket,
    pub(crate) state: State,
    place: Place,
    /// The answer's head so far, then the start of a stamp that a read's end has cut.
    rest: Vec<u8>,
    next: usize,
}

impl Client {
    /// Begins to connect; `number` is its number among all on this machine.
    pub(crate) fn connect(server: SocketAddr, place: Place, number: u32) -> io::Result<Self> {
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::IPV4, kind, Some(Protocol::TCP))?;
        // A reset at the end leaves no TIME_WAIT behind.
        socket.set_linger(Some(Duration::ZERO))?;
        let source = u32::from(Ipv4Addr::new(127, 0, 0, 2)) + number / PER_ADDRESS;
        socket.bind(&SocketAddr::from((Ipv4Addr::from(source), 0)).into())?;
        match socket.connect(&server.into()) {
            Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => Err(error),
            _ => Ok(Self {
                socket,
                state: State::Connecting,
                place,
                rest: Vec::new(),
                next: 0,
            }),
        }
    }

    /// Asks for the stream, once the connection is there.
    pub(crate) fn request(&mut self, target: &str, fields: &str) -> io::Result<()> {
        if let Some(error) = self.socket.take_error()? {
            return Err(error);
        }
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\n\
             Accept: text/event-stream\r\nCache-Control: no-cache\r\n{fields}\r\n"
        );
        self.socket.send(request.as_bytes())?;
        self.state = State::Head;
        Ok(())
    }

    pub(crate) fn token(&self) -> u32 {
        self.place.token
    }

    /// Takes what was read at `now`.
    pub(crate) fn take(&mut self, bytes: &[u8], ledger: &mut Ledger, now: u64) -> Outcome<()> {
        if self.state == State::Open && self.rest.is_empty() {
            self.scan(bytes, ledger, now);
            return Ok(());
        }
        let mut all = std::mem::take(&mut self.rest);
        all.extend_from_slice(bytes);
        if self.state == State::Open {
            self.scan(&all, ledger, now);
        } else if let Some(end) = memmem::find(&all, b"\r\n\r\n") {
            if !all.starts_with(b"HTTP/1.1 200 ") {
                let answer = String::from_utf8_lossy(&all);
                return Err(format!("instead of a stream: {}", answer.escape_debug()).into());
            }
            self.state = State::Open;
            self.scan(&all[end + 4..], ledger, now);
        } else {
            self.rest = all;
        }
        Ok(())
    }

    fn scan(&mut self, mut bytes: &[u8], ledger: &mut Ledger, now: u64) {
        while let Some(at) = memchr(b'@', bytes) {
            bytes = &bytes[at..];
            if bytes.len() < STAMP {
                self.rest = bytes.to_vec();
                return;
            }
            match stamp(&bytes[1..STAMP]) {
                Some(stamp) => {
                    ledger.arrived(self.place, &mut self.next, stamp, now);
                    bytes = &bytes[STAMP..];
                }
                None => bytes = &bytes[1..],
            }
        }
    }
}

/// Reads 16 hexadecimal digits and `@`.
fn stamp(bytes: &[u8]) -> Option<u64> {
    let (b'@', digits) = bytes.split_last()? else {
        return None;
    };
    digits.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}
