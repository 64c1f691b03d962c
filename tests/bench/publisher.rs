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
    /// A request each.
    Http(Posts),
}

/// How messages are posted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Posts {
    pub(crate) address: SocketAddr,
    /// How many requests may be unanswered.
    pub(crate) pipeline: usize,
    /// The request that publishes this text to this token.
    pub(crate) request: fn(&str, &str) -> String,
}

#[derive(Debug)]
pub(crate) struct Publisher {
    pipe: OwnedFd,
    posts: Option<Posts>,
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
        let (pipe, posts) = match channel {
            Channel::Text(address) => (connect(address)?, None),
            Channel::Http(posts) => (connect(&posts.address)?, Some(*posts)),
            Channel::Fifo(path) => {
                use rustix::fs::{Mode, OFlags};
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                (rustix::fs::open(path, flags, Mode::empty())?, None)
            }
        };
        Ok(Self {
            pipe,
            posts,
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
        match &self.posts {
            Some(posts) => self.unanswered < posts.pipeline,
            None => self.out.len() - self.written < BACKLOG,
        }
    }

    /// Puts a message in; it is not written yet.
    pub(crate) fn put(&mut self, target: Target, payload: &[u8]) {
        let name = match target {
            Target::Token(token) => format!("tok{token}"),
            Target::All if self.posts.is_some() => "all".to_owned(),
            Target::All => "*".to_owned(),
        };
        let out = &mut self.out;
        if let Some(posts) = &self.posts {
            let payload = String::from_utf8_lossy(payload);
            out.extend_from_slice((posts.request)(&name, &payload).as_bytes());
            self.unanswered += 1;
        } else {
            for part in [name.as_bytes(), b"=", payload, b";"] {
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
