//! A publisher's socket.

use std::cell::{Cell, RefCell};
use std::future::pending;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use futures_lite::FutureExt;

use super::places::Place;
use crate::net::identity::Identity;
use crate::net::stream::Stream;
use crate::net::tls::Trouble;
use crate::runtime::{Failure, Gone, Signal, turn};

/// Bytes of one read.
const PORTION: usize = 64 * 1024;
/// Bytes of one read where several requests of HTTP may come together.
const HTTP_PORTION: usize = 16 * 1024;
/// Bytes of answers, and for how long they wait at most for those to requests that are here already.
const ANSWERS: usize = 16 * 1024;
const ANSWERS_TIME: Duration = Duration::from_millis(1);
/// How long a request may take to be complete.
pub(super) const REQUEST_TIME: Duration = Duration::from_secs(10);
/// How long a body may take for each next byte, and in all.
pub(super) const BODY_SILENCE: Duration = Duration::from_secs(10);
pub(super) const BODY_TIME: Duration = Duration::from_secs(300);
/// How long nothing of an answer may be read. Whoever reads nothing that long is given up.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// U+FEFF as UTF-8, which some programs write in front of all text.
const BOM: &[u8] = "\u{feff}".as_bytes();
/// How long a publisher may take to read a last answer.
const LINGER: Duration = Duration::from_secs(2);

thread_local! {
    /// Where requests are read into: nobody keeps room for more than has come.
    static SCRATCH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Why a connection cannot go on.
#[derive(Debug)]
pub(super) enum Broken {
    /// Its place was given to another, or its memory is needed: why.
    GivenUp(&'static str),
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

/// Where a publisher's bytes go and come from.
enum Socket {
    Own(Async<Rc<Stream>>),
    /// One of the streams of a connection (HTTP/2), and what tells it that it can go on.
    Channel(Stream, Rc<Signal>),
}

impl Socket {
    fn stream(&self) -> &Stream {
        match self {
            Self::Own(socket) => socket.get_ref(),
            Self::Channel(stream, _) => stream,
        }
    }

    async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Own(socket) => socket.readable().await,
            Self::Channel(_, signal) => signal.given_then(Ok(())).await,
        }
    }

    async fn writable(&self) -> io::Result<()> {
        match self {
            Self::Own(socket) => socket.writable().await,
            Self::Channel(_, signal) => signal.given_then(Ok(())).await,
        }
    }
}

/// A publisher's socket, and what was read from it and not yet used.
///
/// A peer that reads and writes without a pause never makes its actor wait, so each read and each
/// write looks at the turn's time.
pub(super) struct Connection {
    socket: Socket,
    buffer: Vec<u8>,
    /// Answers that are not written yet, and since when the oldest waits.
    answers: Vec<u8>,
    answered: Instant,
    /// Whether the last read took all that was there, so that the next one would be in vain before the
    /// system tells of more.
    drained: Cell<bool>,
    /// When the first of the bytes in the buffer came.
    began: Instant,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd, identity: Option<&Identity>) -> Result<Self, Failure> {
        let socket = Stream::new(socket, identity).map(Rc::new);
        let socket = socket.and_then(Async::new_nonblocking);
        let socket = socket.map_err(|error| Failure(error.to_string()))?;
        Ok(Self::with(Socket::Own(socket)))
    }

    /// One of the streams of a connection, which gets the signal when it can go on.
    pub(super) fn channel(stream: Stream, signal: Rc<Signal>) -> Self {
        Self::with(Socket::Channel(stream, signal))
    }

    fn with(socket: Socket) -> Self {
        let now = Instant::now();
        Self {
            socket,
            buffer: Vec::new(),
            answers: Vec::new(),
            answered: now,
            drained: Cell::new(false),
            began: now,
        }
    }

    /// The socket, to be shared with the streams that it carries; none for one of them.
    pub(super) fn share(&self) -> Option<Rc<Stream>> {
        match &self.socket {
            Socket::Own(socket) => Some(Rc::clone(socket.get_ref())),
            Socket::Channel(..) => None,
        }
    }

    /// Does the TLS handshake, if one is to be done, each step of it in the publisher's turn.
    pub(super) async fn shake_hands(&self, place: &Place) -> io::Result<()> {
        let shaken = async {
            while self.socket.stream().is_handshaking() {
                self.ready().await?;
                let _turn = place.turn_to_shake_hands().await;
                match self.socket.stream().shake_hands() {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return result,
                }
            }
            Ok(())
        };
        let late = async {
            Timer::after(REQUEST_TIME).await;
            Err(Trouble::Late.into())
        };
        shaken.or(late).await
    }

    /// Whether TLS has agreed on HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.socket.stream().is_http2()
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

    /// Takes U+FEFF off the very front. Whether it is known that none is to come.
    pub(super) fn skip_mark(&mut self) -> bool {
        if self.buffer.starts_with(BOM) {
            self.consume(BOM.len());
            return true;
        }
        !BOM.starts_with(&self.buffer)
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
        loop {
            turn::pause().await;
            match self.read_scratch() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready().await?,
                result => return result,
            }
        }
    }

    /// Reads what is there, behind what is in the buffer.
    fn read_scratch(&mut self) -> io::Result<usize> {
        SCRATCH.with_borrow_mut(|scratch| {
            scratch.resize(HTTP_PORTION, 0);
            let count = self.try_read(scratch)?;
            if self.buffer.is_empty() {
                self.began = Instant::now();
            }
            self.buffer.extend_from_slice(&scratch[..count]);
            Ok(count)
        })
    }

    /// Reads once into `buffer`, which is made as large as a portion.
    pub(super) async fn read_portion(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.resize(PORTION, 0);
        self.read(buffer).await
    }

    /// How many bytes can be read now.
    pub(super) fn unread(&self) -> u64 {
        rustix::io::ioctl_fionread(self.socket.stream()).unwrap_or(0)
    }

    /// Reads once, behind what is in `input`; how much, none if nothing is there.
    pub(super) fn add_to(&self, input: &mut Vec<u8>) -> io::Result<Option<usize>> {
        let mut portion = [0; 4 * 4096];
        match self.socket.stream().read(&mut portion) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            result => {
                let count = result?;
                input.extend_from_slice(&portion[..count]);
                Ok(Some(count))
            }
        }
    }

    /// Reads once if something is there.
    pub(super) fn read_now(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        buffer.resize(PORTION, 0);
        self.socket.stream().read(buffer)
    }

    /// Has an answer written, with those that wait: when it is [flushed](Self::flush).
    pub(super) fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if self.answers.is_empty() {
            self.answered = Instant::now();
        }
        write(&mut self.answers);
    }

    /// Whether answers wait that should not do so for longer.
    pub(super) fn is_to_flush(&self) -> bool {
        self.buffer.is_empty()
            || self.answers.len() >= ANSWERS
            || (!self.answers.is_empty() && self.answered.elapsed() >= ANSWERS_TIME)
    }

    /// Writes the answers that wait, before anything else is written or awaited.
    ///
    /// # Errors
    /// As [`Connection::write_all`].
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.answers.is_empty() {
            return Ok(());
        }
        let mut answers = std::mem::take(&mut self.answers);
        self.write_all(&answers).await?;
        if answers.capacity() <= ANSWERS {
            answers.clear();
            self.answers = answers;
        }
        Ok(())
    }

    /// Writes all of these bytes.
    ///
    /// # Errors
    /// The socket's; `TimedOut` when nothing of it could be written for 30 seconds.
    pub(super) async fn write_all(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.when_writable(|stream| stream.write(bytes)).await?;
            bytes = &bytes[written..];
            turn::pause().await;
        }
        self.when_writable(|stream| {
            if stream.push()? {
                Ok(())
            } else {
                Err(io::ErrorKind::WouldBlock.into())
            }
        })
        .await
    }

    /// Writes what the socket takes at once.
    pub(super) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.stream().write(bytes)
    }

    /// Writes once, when the socket takes something.
    async fn when_writable<T>(&self, write: impl Fn(&Stream) -> io::Result<T>) -> io::Result<T> {
        // A timer is made only for who does not read.
        match write(self.socket.stream()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
        let written = async {
            loop {
                self.socket.writable().await?;
                match write(self.socket.stream()) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return done,
                }
            }
        };
        let late = async {
            Timer::after(WRITE_PATIENCE).await;
            Err(io::ErrorKind::TimedOut.into())
        };
        written.or(late).await
    }

    /// Waits until something can be read, or written, as far as either is wanted.
    pub(super) async fn moves(&self, reads: bool, writes: bool) -> io::Result<()> {
        let readable = async {
            if reads {
                self.socket.readable().await
            } else {
                pending().await
            }
        };
        if writes {
            readable.or(self.socket.writable()).await
        } else {
            readable.await
        }
    }

    /// Has what the publisher has not read be thrown away when the connection is closed.
    pub(super) fn reset(&self) {
        self.socket.stream().reset();
    }

    /// Ends our side; what was written before still arrives.
    pub(super) fn finish(&self) {
        self.socket.stream().finish();
    }

    /// Reads on, for a short time, until the publisher has ended its side.
    pub(super) async fn discard(&self) {
        let mut buffer = [0; 512];
        let end = async { while let Ok(1..) = self.read(&mut buffer).await {} };
        let late = async {
            Timer::after(LINGER).await;
        };
        end.or(late).await;
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            turn::pause().await;
            match self.try_read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready().await?,
                result => return result,
            }
        }
    }

    /// Reads what is there.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.drained.take() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let count = self.socket.stream().read(buffer)?;
        // With TLS a read ends with a record, and a stream among others has no readiness of its own.
        let plain = matches!(&self.socket, Socket::Own(socket) if !socket.get_ref().is_tls());
        self.drained.set(plain && 0 < count && count < buffer.len());
        Ok(count)
    }

    /// Waits until more can be read; what TLS itself has still to send is sent meanwhile.
    async fn ready(&self) -> io::Result<()> {
        self.moves(true, self.socket.stream().unsent() > 0).await
    }
}
