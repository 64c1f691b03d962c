//! A connected client's socket: the one seam through which all client bytes pass.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{Shutdown, shutdown};

/// A non-blocking connected socket, TCP or Unix.
#[derive(Debug)]
pub struct Stream {
    socket: OwnedFd,
}

impl Stream {
    /// Takes a socket that is non-blocking already.
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    /// Reads what is there; 0 = the peer has ended its side.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, else the socket's error.
    pub fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match rustix::io::read(&self.socket, &mut *buffer) {
                Err(Errno::INTR) => {}
                result => return result.map_err(io::Error::from),
            }
        }
    }

    /// Writes as much as the socket takes.
    ///
    /// # Errors
    /// `WouldBlock` when it takes nothing, else the socket's error.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match rustix::net::send(&self.socket, bytes, rustix::net::SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => {}
                result => return result.map_err(io::Error::from),
            }
        }
    }

    /// Ends our side; what was written before still arrives.
    pub fn finish(&self) {
        // Fails only when the peer is gone, which the next read tells anyway.
        let _gone = shutdown(&self.socket, Shutdown::Write);
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
