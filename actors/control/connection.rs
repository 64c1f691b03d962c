//! A publisher's socket.

use std::io;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use futures_lite::FutureExt;
use rustix::net::SendFlags;

use crate::intake::Gone;
use crate::system::Failure;

/// Bytes of one read.
const PORTION: usize = 64 * 1024;
/// How long a request may take to be complete.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long a publisher may take to read a last answer.
const LINGER: Duration = Duration::from_secs(2);

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// Its socket failed.
    Failed(io::Error),
    /// The registry is gone.
    Gone,
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Gone> for Broken {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// A publisher's socket, and what was read from it and not yet used.
pub(super) struct Connection {
    socket: Async<OwnedFd>,
    buffer: Vec<u8>,
    /// When the first of the bytes in the buffer came.
    began: Instant,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Result<Self, Failure> {
        let socket = Async::new_nonblocking(socket).map_err(|error| Failure(error.to_string()))?;
        Ok(Self {
            socket,
            buffer: Vec::new(),
            began: Instant::now(),
        })
    }

    /// What was read and not yet used.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// When a request whose first bytes are in the buffer must be complete.
    pub(super) fn due(&self) -> Instant {
        self.began + REQUEST_TIME
    }

    /// A new request begins with what is in the buffer: it has its own time.
    pub(super) fn begin_request(&mut self) {
        self.began = Instant::now();
    }

    /// Takes line ends off the front.
    pub(super) fn skip_line_ends(&mut self) {
        let line_end = |byte: &&u8| matches!(byte, b'\r' | b'\n');
        let count = self.buffer.iter().take_while(line_end).count();
        self.consume(count);
    }

    /// Takes bytes off the front.
    pub(super) fn consume(&mut self, count: usize) {
        self.buffer.drain(..count);
    }

    /// Takes all bytes.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    /// Reads once, behind what is there; 0 = the publisher has ended its side.
    pub(super) async fn read_more(&mut self) -> io::Result<usize> {
        let mut portion = [0; 4096];
        let count = read(&self.socket, &mut portion).await?;
        if self.buffer.is_empty() {
            self.began = Instant::now();
        }
        self.buffer.extend_from_slice(&portion[..count]);
        Ok(count)
    }

    /// Reads once into `buffer`, which is made as large as a portion.
    pub(super) async fn read_portion(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.resize(PORTION, 0);
        read(&self.socket, buffer).await
    }

    /// How many bytes can be read now.
    pub(super) fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(self.socket.get_ref()).unwrap_or(0)
    }

    /// Reads once if something is there.
    pub(super) fn read_now(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.resize(PORTION, 0);
        Ok(rustix::io::read(self.socket.get_ref(), &mut buffer[..])?)
    }

    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let send =
                |socket: &OwnedFd| Ok(rustix::net::send(socket, bytes, SendFlags::NOSIGNAL)?);
            let count = self.socket.write_with(send).await?;
            bytes = &bytes[count..];
        }
        Ok(())
    }

    /// Ends our side; what was written before still arrives.
    pub(super) fn finish(&self) {
        // Fails only where the publisher is gone already.
        let _gone = rustix::net::shutdown(self.socket.get_ref(), rustix::net::Shutdown::Write);
    }

    /// Reads on, for a short time, until the publisher has ended its side.
    pub(super) async fn discard(&self) {
        let mut buffer = [0; 4096];
        let end = async { while let Ok(1..) = read(&self.socket, &mut buffer).await {} };
        let late = async {
            Timer::after(LINGER).await;
        };
        end.or(late).await;
    }
}

async fn read(socket: &Async<OwnedFd>, buffer: &mut [u8]) -> io::Result<usize> {
    socket
        .read_with(|socket| Ok(rustix::io::read(socket, &mut *buffer)?))
        .await
}
