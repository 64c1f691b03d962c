//! Readiness of the clients' sockets: each is registered once, edge-triggered, for both directions.
//!
//! The poller's own descriptor can be watched, so async-io watches it: an epoll within an epoll, all
//! on one thread.

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use async_io::Async;
use polling::{Event, Events, PollMode, Poller};

use crate::model::ClientKey;
use crate::runtime::turn;

/// Readiness events taken in one look.
const LOOK: NonZeroUsize = NonZeroUsize::new(1024).unwrap();

/// The clients' poller.
#[derive(Debug)]
pub(super) struct Reactor {
    poller: Async<Poller>,
}

impl Reactor {
    /// Opens an epoll instance.
    ///
    /// # Errors
    /// What the system says: too few descriptors.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            poller: Async::new(Poller::new()?)?,
        })
    }

    /// Watches a socket for both directions until [`Reactor::unwatch`].
    ///
    /// # Errors
    /// What `epoll_ctl` says, such as `ENOSPC` or `ENOMEM`.
    #[expect(
        unsafe_code,
        reason = "polling cannot know that the source is deleted before it is closed"
    )]
    pub(super) fn watch(&self, socket: BorrowedFd<'_>, key: ClientKey) -> io::Result<()> {
        let interest = Event::all(key.to_number());
        // SAFETY: the socket must be deleted from the poller before it is closed. The pool is the
        // only caller: it owns the socket in the client's slot, and closes it in `ClientPool::leave`
        // alone, which calls `unwatch` first; when the pool itself is dropped, the poller, and
        // every registration with it, goes in the same drop.
        unsafe {
            self.poller
                .get_ref()
                .add_with_mode(&socket, interest, PollMode::Edge)
        }
    }

    /// Forgets a socket.
    pub(super) fn unwatch(&self, socket: BorrowedFd<'_>) {
        // Fails only for a socket that is not registered, which is what is wanted.
        let _unknown = self.poller.get_ref().delete(socket.as_fd());
    }

    /// Waits for readiness and tells of it, for ever. `ready(key, readable, writable)`.
    ///
    /// # Errors
    /// What `epoll_wait` says; none is expected.
    pub(super) async fn run(&self, mut ready: impl FnMut(ClientKey, bool, bool)) -> io::Result<()> {
        let mut events = Events::with_capacity(LOOK);
        loop {
            self.poller.readable().await?;
            loop {
                events.clear();
                self.poller
                    .get_ref()
                    .wait(&mut events, Some(Duration::ZERO))?;
                for event in events.iter() {
                    ready(
                        ClientKey::from_number(event.key),
                        event.readable,
                        event.writable,
                    );
                }
                if events.len() < LOOK.get() {
                    break;
                }
                turn::pause().await;
            }
        }
    }
}
