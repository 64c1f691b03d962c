//! Readiness of the clients' sockets: each is registered once, edge-triggered, for both directions.
//!
//! It is epoll as it is: a general poller would watch a timer and a wake-up of its own besides, at four
//! more system calls for each look. Its descriptor can be watched, so async-io watches it: an epoll
//! within an epoll, all on one thread.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use async_io::Async;
use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::retry_on_intr;

use crate::crowd::Key;

/// Readiness events taken in one look.
const LOOK: usize = 1024;
/// A look does not wait.
const NOW: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 0,
};

/// What became of a socket.
#[derive(Debug, Clone, Copy)]
pub struct Readiness {
    /// Something can be read, or the end.
    pub readable: bool,
    /// Something can be written, or never again.
    pub writable: bool,
    /// The peer has ended its side, or the connection is broken: what comes before that can be read
    /// still, and no further edge tells of it.
    pub ended: bool,
}

/// The clients' poller.
#[derive(Debug)]
pub struct Reactor {
    epoll: Async<OwnedFd>,
}

impl Reactor {
    /// Opens an epoll instance.
    ///
    /// # Errors
    /// What the system says: too few descriptors.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        Ok(Self {
            epoll: Async::new_nonblocking(epoll)?,
        })
    }

    /// Watches a socket for both directions until it is closed, which must not be before all that
    /// holds it is.
    ///
    /// # Errors
    /// What `epoll_ctl` says, such as `ENOSPC` or `ENOMEM`.
    pub fn watch(&self, socket: BorrowedFd<'_>, key: Key) -> io::Result<()> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(
            &self.epoll,
            socket,
            EventData::new_u64(key.to_number()),
            flags,
        )?;
        Ok(())
    }

    /// Waits for readiness and tells of it, for ever.
    ///
    /// # Errors
    /// What `epoll_wait` says; none is expected.
    pub async fn run(&self, mut ready: impl FnMut(Key, Readiness)) -> io::Result<()> {
        let mut events: Vec<Event> = Vec::with_capacity(LOOK);
        loop {
            self.epoll.readable().await?;
            loop {
                events.clear();
                retry_on_intr(|| {
                    epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&NOW))
                })?;
                for event in &events {
                    let Event { flags, data } = *event;
                    ready(Key::from_number(data.u64()), flags.into());
                }
                if events.len() < LOOK {
                    break;
                }
            }
        }
    }
}

impl From<EventFlags> for Readiness {
    fn from(flags: EventFlags) -> Self {
        let broken = EventFlags::HUP | EventFlags::ERR;
        Self {
            readable: flags.intersects(EventFlags::IN | EventFlags::RDHUP | broken),
            writable: flags.intersects(EventFlags::OUT | broken),
            ended: flags.intersects(EventFlags::RDHUP | broken),
        }
    }
}
