//! What a client does with its own slot: wait, read, write.

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;

use super::ClientPool;
use super::inner::Inner;
use super::pool::{LINGER_TIME, SCRATCH};
use super::queues::{MUCH, Queue};
use super::slot::{Flags, Opening, Slot};
use crate::messages::client::Message;
use crate::model::{ClientKey, Form};
use crate::net::stream::Stream;
use crate::wire::sse;

/// An event of at least this many bytes is written from where it lies; smaller ones are joined.
const JOINED: usize = SCRATCH / 8;

/// A client's hold on its slot.
pub struct ClientHandle {
    pub(super) pool: Rc<ClientPool>,
    pub(super) index: u32,
}

/// What became of the events that wait.
#[derive(Debug, PartialEq, Eq)]
pub enum Flushed {
    /// All are written, and nothing else waits.
    Empty,
    /// All before a message of another kind are written: [`ClientHandle::message`] gives it.
    Message,
    /// The socket takes no more now.
    Blocked,
    /// The socket takes no more, and too much waits.
    Overflowing,
}

impl ClientHandle {
    /// The client's name.
    pub fn key(&self) -> ClientKey {
        self.with(|slot| ClientKey {
            index: self.index,
            generation: slot.generation,
        })
    }

    /// Waits until something can be read, or a message waits.
    pub fn input(&self) -> impl Future<Output = ()> {
        self.until(|slot| slot.flags.readable || !slot.waiting.is_empty())
    }

    /// Waits until a message waits.
    pub fn mail(&self) -> impl Future<Output = ()> {
        self.until(|slot| !slot.waiting.is_empty())
    }

    /// Waits until something can be written, or never will be: too much waits, or the time is over.
    pub fn output(&self) -> impl Future<Output = ()> {
        self.until(|slot| slot.flags.writable || slot.flags.overflowing || slot.is_expired())
    }

    /// Whether the time for what is being done is over.
    pub fn is_expired(&self) -> bool {
        self.with(|slot| slot.is_expired())
    }

    /// Whether the socket has taken all that was written.
    pub fn is_clear(&self) -> bool {
        self.with(|slot| slot.unsent() == 0)
    }

    /// Whether a TLS handshake has still to be done.
    pub fn is_handshaking(&self) -> bool {
        self.with(|slot| slot.socket.as_ref().is_some_and(Stream::is_handshaking))
    }

    /// Whether TLS has agreed on HTTP/2.
    pub fn is_http2(&self) -> bool {
        self.with(|slot| slot.socket.as_ref().is_some_and(Stream::is_http2))
    }

    /// Whether the socket takes no more, and too much waits.
    pub fn is_overflowing(&self) -> bool {
        self.with(|slot| slot.flags.overflowing)
    }

    /// Waits until a stream has something to do; whether something can be read.
    pub fn work(&self) -> impl Future<Output = bool> {
        poll_fn(|_| {
            self.with(|slot| {
                let flags = slot.flags;
                let writes = flags.writable && !slot.waiting.is_empty();
                let works = flags.readable || flags.overflowing || writes;
                if flags.is_open() {
                    slot.flags.opening = if works {
                        Opening::Open
                    } else {
                        Opening::AtRest
                    };
                }
                if works {
                    Poll::Ready(flags.readable)
                } else {
                    Poll::Pending
                }
            })
        })
    }

    /// Waits for the next turn, at the back of the bulk queue: for who has had enough for now.
    pub fn step_back(&self) -> impl Future<Output = ()> {
        let mut stepped = false;
        poll_fn(move |_| {
            if std::mem::replace(&mut stepped, true) {
                return Poll::Ready(());
            }
            let mut inner = self.pool.inner.borrow_mut();
            inner.enqueue(self.index, Queue::Bulk);
            Poll::Pending
        })
    }

    /// Reads what is there once, into the buffer that all clients share, and gives it to `take`;
    /// nothing at all means that the peer has ended its side. `None`: nothing is there now.
    ///
    /// # Errors
    /// The socket's.
    pub fn read<R>(&self, take: impl FnOnce(&[u8]) -> R) -> io::Result<Option<R>> {
        let mut scratch = self.pool.scratch.borrow_mut();
        let count = {
            let inner = &mut *self.pool.inner.borrow_mut();
            let slot = &mut inner.slots[self.index as usize];
            let (handshake, result) = match &slot.socket {
                Some(socket) => (socket.is_handshaking(), socket.read(&mut scratch)),
                None => (false, Ok(0)),
            };
            slot.flags.readable = result.is_ok();
            inner.queues.moved += match &result {
                _ if handshake => MUCH,
                Ok(count) => *count,
                Err(_) => 0,
            };
            result
        };
        match count {
            Ok(count) => Ok(Some(take(&scratch[..count]))),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes what the socket takes now; how many bytes that is.
    ///
    /// # Errors
    /// The socket's.
    pub fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut inner = self.pool.inner.borrow_mut();
        let inner = &mut *inner;
        let slot = &mut inner.slots[self.index as usize];
        let count = write(&slot.socket, &mut slot.flags, bytes)?;
        if count > 0 {
            slot.wrote_at = self.pool.now.get();
        }
        inner.totals.bytes += count as u64;
        inner.queues.moved += count;
        Ok(count)
    }

    /// Writes the events that wait, joined, as far as the socket takes them.
    ///
    /// # Errors
    /// The socket's.
    pub fn flush(&self) -> io::Result<Flushed> {
        let inner = &mut *self.pool.inner.borrow_mut();
        self.pool.flush(inner, self.index)
    }

    /// Takes the events that wait before any other message, to be written with what is in `bytes`;
    /// `lead` is a part of the first.
    pub fn gather(&self, mut lead: &[u8], bytes: &mut Vec<u8>) {
        let events = self.with(|slot| {
            let chunked = slot.flags.chunked;
            let mut taken = 0;
            for message in slot.waiting.iter() {
                let Message::Event(frame) = message else {
                    break;
                };
                match std::mem::take(&mut lead) {
                    [] => bytes.extend_from_slice(frame.bytes(chunked)),
                    lead => sse::append(&[lead, frame.bytes(false)], chunked, bytes),
                }
                taken += frame.bytes(chunked).len();
            }
            if !lead.is_empty() {
                sse::append(&[lead], chunked, bytes);
            }
            slot.written(taken)
        });
        self.pool.inner.borrow_mut().totals.events += events;
    }

    /// Throws away what waits, for which there is no stream any more; whether the time is over, or
    /// the daemon's.
    pub fn discard(&self) -> bool {
        self.with(|slot| {
            slot.bytes = 0;
            slot.written = 0;
            let waiting = std::mem::take(&mut slot.waiting);
            waiting
                .iter()
                .any(|message| matches!(message, Message::Expired | Message::Finish { .. }))
        })
    }

    /// Takes the message at the front, if it is no event.
    pub fn message(&self) -> Option<Message> {
        self.with(|slot| match slot.waiting.front() {
            None | Some(Message::Event(_)) => None,
            Some(_) => slot.waiting.pop(),
        })
    }

    /// What the stream's blocks look like.
    pub fn form(&self) -> Form {
        self.with(|slot| slot.flags.form)
    }

    /// Fixes how events are framed, before the first can come.
    pub fn frame(&self, chunked: bool) {
        self.with(|slot| slot.flags.chunked = chunked);
    }

    /// Whether it belongs to a trusted proxy.
    pub fn is_proxy(&self) -> bool {
        self.with(|slot| slot.flags.proxy)
    }

    /// Says whether it belongs to a trusted proxy.
    pub fn set_proxy(&self, proxy: bool) {
        self.with(|slot| slot.flags.proxy = proxy);
    }

    /// Gives the peer its time anew, for a further part of what it sends.
    pub fn more_time(&self) {
        self.pool.give_time(self.key());
    }

    /// Its request is complete, so it is awaited no more.
    pub fn asked(&self) {
        self.pool.inner.borrow_mut().asked(self.index);
    }

    /// Whether events are framed as chunks.
    pub fn is_chunked(&self) -> bool {
        self.with(|slot| slot.flags.chunked)
    }

    /// Says whether a further request may come on the open stream.
    pub fn set_replaceable(&self, replaceable: bool) {
        self.with(|slot| slot.flags.replaceable = replaceable);
    }

    /// Whether a further request may come on the open stream.
    pub fn is_replaceable(&self) -> bool {
        self.with(|slot| slot.flags.replaceable)
    }

    /// Opens the stream: it gets position blocks, and the request's time does not count any more.
    pub fn open(&self) {
        let inner = &mut *self.pool.inner.borrow_mut();
        inner.slots[self.index as usize].flags.opening = Opening::Open;
        inner.queues.pending.leave(self.index);
    }

    /// The address it counts for while it has no stream.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.pool.inner.borrow().queues.pending.address(self.index)
    }

    /// Becomes the carrier of streams, with which it shares its socket from now on.
    pub(super) fn carry(&self) -> Option<Rc<Stream>> {
        self.asked();
        self.open();
        let inner = &mut *self.pool.inner.borrow_mut();
        inner.carriers.push(self.index);
        let slot = &mut inner.slots[self.index as usize];
        let (ours, shared) = slot.socket.take()?.shared();
        slot.socket = Some(ours);
        Some(shared)
    }

    /// Says whether all was taken that was written to the shared socket.
    pub(super) fn set_flow(&self, clear: bool) {
        let now = self.pool.now.get();
        self.with(|slot| {
            slot.flags.writable = clear;
            if clear {
                slot.wrote_at = now;
            }
        });
    }

    /// Whether more can be read.
    pub(super) fn is_readable(&self) -> bool {
        self.with(|slot| slot.flags.readable)
    }

    /// Waits for the next turn, whatever it is for.
    pub(super) fn next_turn(&self) -> impl Future<Output = ()> + use<> {
        let mut waited = false;
        poll_fn(move |_| {
            if std::mem::replace(&mut waited, true) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    /// Says which address it counts for, as a trusted proxy has told.
    pub fn set_address(&self, address: Option<IpAddr>) {
        let key = self.key();
        self.pool
            .inner
            .borrow_mut()
            .queues
            .pending
            .moved(key, address);
    }

    /// Ends our side of the connection and gives the peer a little time to read what it got.
    pub fn finish(&self) {
        let due = self.pool.now.get() + LINGER_TIME;
        let key = self.key();
        let mut inner = self.pool.inner.borrow_mut();
        inner.lingering.push_back((due, key));
        inner.queues.pending.set_idle(self.index, true);
        let slot = &mut inner.slots[self.index as usize];
        slot.flags.opening = Opening::Closed;
        if let Some(socket) = &slot.socket {
            socket.finish();
        }
    }

    /// Waits for a condition. These are no `async fn`s, as a stream's state has them inside.
    fn until(&self, condition: fn(&Slot) -> bool) -> impl Future<Output = ()> {
        poll_fn(move |_| {
            if self.with(|slot| condition(slot)) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    fn with<R>(&self, act: impl FnOnce(&mut Slot) -> R) -> R {
        act(&mut self.pool.inner.borrow_mut().slots[self.index as usize])
    }
}

impl ClientPool {
    /// Writes the events that wait for a client: see [`ClientHandle::flush`].
    pub(super) fn flush(&self, inner: &mut Inner, index: u32) -> io::Result<Flushed> {
        let slot = &mut inner.slots[index as usize];
        loop {
            let rest = match slot.waiting.front() {
                Some(Message::Event(front)) => {
                    &front.bytes(slot.flags.chunked)[slot.written as usize..]
                }
                Some(_) => return Ok(Flushed::Message),
                None => return Ok(Flushed::Empty),
            };
            let (asked, count) = if rest.len() >= JOINED || slot.waiting.len() == 1 {
                (rest.len(), write(&slot.socket, &mut slot.flags, rest)?)
            } else {
                let scratch = &mut **self.scratch.borrow_mut();
                let length = slot.join(scratch);
                let joined = &scratch[..length];
                (length, write(&slot.socket, &mut slot.flags, joined)?)
            };
            inner.totals.bytes += count as u64;
            inner.queues.moved += count;
            inner.totals.events += slot.written(count);
            if count > 0 {
                slot.wrote_at = self.now.get();
            }
            if count < asked {
                let given_up = count == 0 && slot.flags.overflowing;
                slot.flags.overflowing = given_up || slot.behind() > self.limit.get();
                return Ok(if slot.flags.overflowing {
                    Flushed::Overflowing
                } else {
                    Flushed::Blocked
                });
            }
        }
    }
}

fn write(socket: &Option<Stream>, flags: &mut Flags, bytes: &[u8]) -> io::Result<usize> {
    let Some(socket) = socket.as_ref().filter(|_| flags.writable) else {
        return Ok(0);
    };
    let count = match socket.write(bytes) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        result => result?,
    };
    // A short write means a full socket; the next edge tells when there is room again.
    flags.writable = count == bytes.len() && socket.unsent() == 0;
    Ok(count)
}
