//! The publisher's connection: text over TCP, a FIFO, or pipelined HTTP.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use memchr::memmem;
use rustix::io::Errno;

use crate::Outcome;
use crate::ledger::Target;

/// No more is written ahead than this.
const BACKLOG: usize = 256 * 1024;

/// How messages get to a server.
#[derive(Debug, Clone)]
pub(crate) enum Channel {
    /// `tokn=message;` over TCP.
    Text(SocketAddr),
    /// The same into a FIFO.
    Fifo(PathBuf),
    /// `POST /pub?to=tokn`, so many unanswered at most.
    Http(SocketAddr, usize),
}

#[derive(Debug)]
pub(crate) struct Publisher {
    pipe: OwnedFd,
    /// For HTTP: how many requests may be unanswered.
    pipeline: Option<usize>,
    unanswered: usize,
    out: Vec<u8>,
    written: usize,
    answers: Vec<u8>,
}

impl Publisher {
    pub(crate) fn open(channel: &Channel) -> io::Result<Self> {
        let connect = |address: &SocketAddr| {
            let socket = TcpStream::connect(address)?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            Ok::<OwnedFd, io::Error>(socket.into())
        };
        let (pipe, pipeline) = match channel {
            Channel::Text(address) => (connect(address)?, None),
            Channel::Http(address, pipeline) => (connect(address)?, Some(*pipeline)),
            Channel::Fifo(path) => {
                use rustix::fs::{Mode, OFlags};
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                (rustix::fs::open(path, flags, Mode::empty())?, None)
            }
        };
        Ok(Self {
            pipe,
            pipeline,
            unanswered: 0,
            out: Vec::new(),
            written: 0,
            answers: Vec::new(),
        })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }

    /// Whether one more message may be put in.
    pub(crate) fn has_room(&self) -> bool {
        match self.pipeline {
            Some(pipeline) => self.unanswered < pipeline,
            None => self.out.len() - self.written < BACKLOG,
        }
    }

    /// Puts a message in; it is not written yet.
    pub(crate) fn put(&mut self, target: Target, payload: &[u8]) {
        let (name, number) = match (target, self.pipeline) {
            (Target::Token(token), _) => ("tok", token.to_string()),
            (Target::All, Some(_)) => ("all", String::new()),
            (Target::All, None) => ("*", String::new()),
        };
        let out = &mut self.out;
        if self.pipeline.is_some() {
            let length = payload.len();
            let head = format!(
                "POST /pub?to={name}{number} HTTP/1.1\r\nHost: 127.0.0.1\r\n\
                 Content-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"
            );
            out.extend_from_slice(head.as_bytes());
            out.extend_from_slice(payload);
            self.unanswered += 1;
        } else {
            for part in [name.as_bytes(), number.as_bytes(), b"=", payload, b";"] {
                out.extend_from_slice(part);
            }
        }
    }

    /// Writes what is there, as far as the server takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.written < self.out.len() {
            match rustix::io::write(&self.pipe, &self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.written = 0;
        } else if self.written > BACKLOG {
            self.out.drain(..self.written);
            self.written = 0;
        }
        Ok(())
    }

    /// Reads the server's answers.
    pub(crate) fn answers(&mut self) -> Outcome<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(0) => return Err("the server closed the publisher's connection".into()),
                Ok(count) => self.answers.extend_from_slice(&buffer[..count]),
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let mut taken = 0;
        while let Some(length) = answer(&self.answers[taken..])? {
            taken += length;
            self.unanswered -= 1;
        }
        self.answers.drain(..taken);
        Ok(())
    }
}

/// The length of the answer at the start, if it is whole.
fn answer(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(head) = memmem::find(bytes, b"\r\n\r\n") else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
    if !text.starts_with("http/1.1 2") {
        return Err(format!("a message was refused: {}", text.escape_debug()).into());
    }
    let length = text
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.unwrap_or("0").trim().parse()?;
    Ok(Some(head + 4 + length).filter(|end| *end <= bytes.len()))
}
