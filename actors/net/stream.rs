//! A connected socket, plain or with TLS: the one seam through which the bytes of all who connect pass.

use std::cell::RefCell;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{SendFlags, Shutdown, shutdown};

use super::identity::Identity;
use super::tls::Session;

/// Where a client's bytes go and come from: a socket of its own, or one of the streams that share one.
#[derive(Debug)]
pub struct Stream(Kind);

enum Kind {
    /// A non-blocking connected socket, TCP or Unix.
    Socket {
        socket: OwnedFd,
        // Boxed, as a plain client must not pay for it.
        tls: Option<Box<RefCell<Session>>>,
    },
    /// A socket that its client shares with its streams (HTTP/2).
    Shared(Rc<Stream>),
    /// One of those streams. Boxed twice, so that a client with a socket pays nothing for it.
    Channel(Box<Box<dyn Channel>>),
}

/// A stream of a connection that has several.
pub trait Channel {
    /// As [`Stream::read`].
    ///
    /// # Errors
    /// As there.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize>;
    /// As [`Stream::write`]. What it takes is not to be sent again.
    ///
    /// # Errors
    /// As there.
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    /// As [`Stream::finish`].
    fn finish(&self);
    /// The connection's socket.
    fn socket(&self) -> &Stream;
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Socket { tls: None, .. } => "plain",
            Self::Socket { .. } => "TLS",
            Self::Shared(_) => "shared",
            Self::Channel(_) => "channel",
        })
    }
}

impl Stream {
    /// Takes a socket that is non-blocking already; with an identity it speaks TLS.
    ///
    /// # Errors
    /// TLS cannot be begun; none is expected.
    pub fn new(socket: OwnedFd, identity: Option<&Identity>) -> io::Result<Self> {
        let tls = match identity {
            Some(identity) => Some(Box::new(RefCell::new(Session::new(identity)?))),
            None => None,
        };
        Ok(Self(Kind::Socket { socket, tls }))
    }

    /// One of the streams of a connection.
    pub fn channel(channel: impl Channel + 'static) -> Self {
        Self(Kind::Channel(Box::new(Box::new(channel))))
    }

    /// The same socket twice, for a client that shares it with its streams.
    pub fn shared(self) -> (Self, Rc<Self>) {
        let shared = Rc::new(self);
        (Self(Kind::Shared(Rc::clone(&shared))), shared)
    }

    /// Whether it is one of the streams of a connection.
    pub fn is_channel(&self) -> bool {
        matches!(self.0, Kind::Channel(_))
    }

    /// Whether it is the socket of a connection with streams.
    pub fn is_shared(&self) -> bool {
        matches!(self.0, Kind::Shared(_))
    }

    fn tls(&self) -> Option<&RefCell<Session>> {
        match &self.0 {
            Kind::Socket { tls, .. } => tls.as_deref(),
            Kind::Shared(stream) => stream.tls(),
            Kind::Channel(_) => None,
        }
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls().is_some()
    }

    /// Whether a TLS handshake is still to be done, so that no data can flow. Reading does it.
    pub fn is_handshaking(&self) -> bool {
        self.tls()
            .is_some_and(|session| session.borrow().is_handshaking())
    }

    /// Whether TLS has agreed on HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.tls()
            .is_some_and(|session| session.borrow().is_http2())
    }

    /// Goes on with the TLS handshake until it is done; without TLS it is.
    ///
    /// # Errors
    /// `WouldBlock` when more must come first, a [`super::tls::Trouble`], or the socket's error.
    pub fn shake_hands(&self) -> io::Result<()> {
        match self.tls() {
            None => Ok(()),
            Some(session) => session.borrow_mut().shake_hands(self.as_fd()),
        }
    }

    /// Reads what is there; 0 = the peer has ended its side.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, a [`super::tls::Trouble`], or the socket's error.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Socket { socket, tls: None } => receive(socket.as_fd(), buffer),
            Kind::Socket {
                socket,
                tls: Some(session),
            } => session.borrow_mut().read(socket.as_fd(), buffer),
            Kind::Shared(stream) => stream.read(buffer),
            Kind::Channel(channel) => channel.read(buffer),
        }
    }

    /// Writes as much as the socket takes, with TLS in whole records: see [`Stream::unsent`].
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing, else the socket's error.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.0 {
            Kind::Socket { socket, tls: None } => send(socket.as_fd(), bytes),
            Kind::Socket {
                socket,
                tls: Some(session),
            } => session.borrow_mut().write(socket.as_fd(), bytes),
            Kind::Shared(stream) => stream.write(bytes),
            Kind::Channel(channel) => channel.write(bytes),
        }
    }

    /// Bytes that were written here and that the socket has not taken yet: with TLS the rest of a
    /// record, which must go before anything else can.
    pub fn unsent(&self) -> usize {
        self.tls().map_or(0, |session| session.borrow().unsent())
    }

    /// Sends them as far as the socket takes them; for when it takes more. Whether none are left.
    ///
    /// # Errors
    /// The socket's.
    pub fn push(&self) -> io::Result<bool> {
        match self.tls() {
            None => Ok(true),
            Some(session) => session.borrow_mut().push(self.as_fd()),
        }
    }

    /// Ends our side; what was written before still arrives, but what is [`Stream::unsent`].
    pub fn finish(&self) {
        if let Kind::Channel(channel) = &self.0 {
            return channel.finish();
        }
        if let Some(session) = self.tls() {
            session.borrow_mut().close(self.as_fd());
        }
        // Fails only when the peer is gone, which the next read tells anyway.
        let _gone = shutdown(self, Shutdown::Write);
    }

    /// Has the connection be reset when it is closed: what the peer has not read is thrown away at once,
    /// and the kernel keeps nothing for it (socket(7), SO_LINGER). A stream among others is reset by
    /// being dropped before its end.
    pub fn reset(&self) {
        if !self.is_channel() {
            // Fails for no socket that is connected.
            let _never = set_socket_linger(self, Some(Duration::ZERO));
        }
    }

    /// The descriptor's number, which the client list shows.
    pub fn descriptor(&self) -> i32 {
        self.as_fd().as_raw_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.0 {
            Kind::Socket { socket, .. } => socket.as_fd(),
            Kind::Shared(stream) => stream.as_fd(),
            Kind::Channel(channel) => channel.socket().as_fd(),
        }
    }
}

const _: () = assert!(
    size_of::<Option<Stream>>() == 16,
    "very many clients have one"
);

/// Reads from a socket.
pub(super) fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match rustix::io::read(socket, &mut *buffer) {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}

/// Writes to a socket.
pub(super) fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match rustix::net::send(socket, bytes, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            result => return result.map_err(io::Error::from),
        }
    }
}
