//! Accepting connections, with the errors of `accept` told apart.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use async_io::{Async, Timer};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_send_buffer_size;
use rustix::net::{SocketFlags, acceptfrom_with};

use super::peer::Peer;
use super::{Bound, Listener};
use crate::runtime::turn;

/// How long accepting pauses when the system has no descriptor or memory left for a connection.
const PAUSE: Duration = Duration::from_millis(100);
/// The least send buffer, in bytes.
const SEND_BUFFER: usize = 64 * 1024;
/// How often such a pause is told of.
const TELL: Duration = Duration::from_secs(10);

/// A listening socket that is being accepted from.
#[derive(Debug)]
pub struct Acceptor {
    listener: Async<OwnedFd>,
    name: String,
    told: Option<Instant>,
}

impl Acceptor {
    /// Accepts from a copy of a bound socket, which stays as it is.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn new(bound: &Bound) -> io::Result<Self> {
        let listener = match bound.try_clone()?.listener {
            Listener::Tcp(listener) => OwnedFd::from(listener),
            Listener::Unix(listener) => OwnedFd::from(listener),
        };
        Ok(Self {
            listener: Async::new(listener)?,
            name: bound.address().to_string(),
            told: None,
        })
    }

    /// Bounds what the kernel keeps of what was written to a connection and not yet sent: about `bytes`,
    /// and no more than net.core.wmem_max allows. Connections inherit it (socket(7), SO_SNDBUF).
    pub fn bound_send_buffers(&self, bytes: usize) {
        // Less would cut ordinary events into many writes. A refusal would leave the system's own bound.
        let _refused = set_socket_send_buffer_size(&self.listener, bytes.max(SEND_BUFFER));
    }

    /// The next connection, non-blocking; waits until there is one. No error ends it: those of
    /// single connections are passed over, and where the system has run out of something it pauses.
    pub async fn next(&mut self) -> (OwnedFd, Peer) {
        loop {
            turn::pause().await;
            match accept(self.listener.as_fd()) {
                Ok(connection) => return connection,
                // The connection broke before it was accepted (accept(2), "Error handling").
                Err(
                    Errno::INTR
                    | Errno::CONNABORTED
                    | Errno::NETDOWN
                    | Errno::PROTO
                    | Errno::NOPROTOOPT
                    | Errno::HOSTDOWN
                    | Errno::NONET
                    | Errno::HOSTUNREACH
                    | Errno::OPNOTSUPP
                    | Errno::NETUNREACH
                    | Errno::PERM,
                ) => {}
                Err(Errno::AGAIN) => {
                    if let Err(error) = self.listener.readable().await {
                        self.pause(&error).await;
                    }
                }
                Err(error) => self.pause(&error.into()).await,
            }
        }
    }

    async fn pause(&mut self, error: &io::Error) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL) {
            self.told = Some(Instant::now());
            log::error!("cannot accept connections on {} now: {error}", self.name);
        }
        Timer::after(PAUSE).await;
    }
}

fn accept(listener: BorrowedFd<'_>) -> Result<(OwnedFd, Peer), Errno> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let (socket, address) = acceptfrom_with(listener, flags)?;
    let peer = address.and_then(|address| SocketAddr::try_from(address).ok());
    Ok((socket, peer.map_or(Peer::Unix, Peer::from)))
}
