//! A connected socket, plain or with TLS: the one seam through which the bytes of all who connect pass.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_linger;
use rustix::net::{SendFlags, Shutdown, shutdown};

use super::identity::Identity;
use super::tls::Session;

/// A non-blocking connected socket, TCP or Unix.
pub struct Stream {
    socket: OwnedFd,
    // Boxed, as a plain client must not pay for it.
    tls: Option<Box<RefCell<Session>>>,
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
        Ok(Self { socket, tls })
    }

    /// Whether it speaks TLS.
    pub fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Whether a TLS handshake is still to be done, so that no data can flow. Reading does it.
    pub fn is_handshaking(&self) -> bool {
        (self.tls.as_ref()).is_some_and(|session| session.borrow().is_handshaking())
    }

    /// Goes on with the TLS handshake until it is done; without TLS it is.
    ///
    /// # Errors
    /// `WouldBlock` when more must come first, a [`super::tls::Trouble`], or the socket's error.
    pub fn shake_hands(&self) -> io::Result<()> {
        match &self.tls {
            None => Ok(()),
            Some(session) => session.borrow_mut().shake_hands(self.as_fd()),
        }
    }

    /// Reads what is there; 0 = the peer has ended its side.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, a [`super::tls::Trouble`], or the socket's error.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.tls {
            None => receive(self.as_fd(), buffer),
            Some(session) => session.borrow_mut().read(self.as_fd(), buffer),
        }
    }

    /// Writes as much as the socket takes, with TLS in whole records: see [`Stream::unsent`].
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing, else the socket's error.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        match &self.tls {
            None => send(self.as_fd(), bytes),
            Some(session) => session.borrow_mut().write(self.as_fd(), bytes),
        }
    }

    /// Bytes that were written here and that the socket has not taken yet: with TLS the rest of a
    /// record, which must go before anything else can.
    pub fn unsent(&self) -> usize {
        (self.tls.as_ref()).map_or(0, |session| session.borrow().unsent())
    }

    /// Sends them as far as the socket takes them; for when it takes more. Whether none are left.
    ///
    /// # Errors
    /// The socket's.
    pub fn push(&self) -> io::Result<bool> {
        match &self.tls {
            None => Ok(true),
            Some(session) => session.borrow_mut().push(self.as_fd()),
        }
    }

    /// Ends our side; what was written before still arrives, but what is [`Stream::unsent`].
    pub fn finish(&self) {
        if let Some(session) = &self.tls {
            session.borrow_mut().close(self.as_fd());
        }
        // Fails only when the peer is gone, which the next read tells anyway.
        let _gone = shutdown(&self.socket, Shutdown::Write);
    }

    /// Has the connection be reset when it is closed: what the peer has not read is thrown away at once,
    /// and the kernel keeps nothing for it (socket(7), SO_LINGER).
    pub fn reset(&self) {
        // Fails for no socket that is connected.
        let _never = set_socket_linger(&self.socket, Some(Duration::ZERO));
    }

    /// The descriptor's number, which the client list shows.
    pub fn descriptor(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

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
