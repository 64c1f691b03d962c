//! The clients' home: very many actors of one kind, each a boxed future in a small slot.
//!
//! A client is like any actor — a future with a mailbox — but cheaper: it awaits nothing except its
//! own slot (its socket's readiness, its mailbox), so it needs no waker. Whoever changes a slot puts
//! it into a queue, and [`ClientPool::turn`] polls what is in the queues:
//!
//! * **fast**: sockets that became ready, and events for few recipients;
//! * **bulk**: events for many. It gets a guaranteed share, so neither starves the other, and a
//!   message for one client does not wait behind a broadcast to all;
//! * **pending**: connections whose requests are not complete. They have at most half of the time while
//!   others have something to do.
//!
//! A slot is freed only after the registry has handled its client's end ([`ClientPool::free`]), so an
//! index that the registry holds always means the client it knows.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::handle::{ClientHandle, Flushed};
use super::inner::Inner;
use super::mailbox::Waiting;
use super::queues::{MUCH, Queue, Queues};
use super::reactor::Reactor;
use super::slot::{ClientFuture, Opening, Slot};
use super::timing::Timing;
use crate::http2::Corked;
use crate::messages::client::{End, Ending};
use crate::model::ClientKey;
use crate::net::stream::Stream;
use crate::runtime::executor::ActorPool;

/// Tenths of a second that a client has for its request, and for reading an answer's end.
pub(super) const REQUEST_TIME: u32 = 100;
pub(super) const LINGER_TIME: u32 = 20;
/// Bytes of one message's place in a mailbox.
pub(super) const PLACE: usize = 16;
/// Bytes of the buffer that all clients share for reading, and for joining what they write.
pub(super) const SCRATCH: usize = 64 * 1024;

/// What a turn, or the registry, wants to know of all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Clients connected now, streams and others.
    pub connected: usize,
    /// Sockets that they have; streams of one connection share one.
    pub sockets: usize,
    /// Events written whole.
    pub events: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// The clients' home.
pub struct ClientPool {
    pub(super) inner: RefCell<Inner>,
    reactor: Reactor,
    /// Connections with several streams, to be flushed at the end of the slice.
    pub(super) corked: RefCell<Vec<Corked>>,
    /// Bytes that may wait for a client beyond the event that is being written.
    pub(super) limit: Cell<usize>,
    /// Connections that may be without a request; with more, the address that has most of them gives
    /// one up, so that who opens connections and says nothing keeps nobody out.
    awaiting_request: usize,
    pub(super) scratch: RefCell<Box<[u8]>>,
    exited: Box<dyn Fn(ClientKey, End)>,
    began: Instant,
    pub(super) now: Cell<u32>,
    /// When pending connections may have turns again though others have something to do.
    pub(super) pending_from: Cell<Instant>,
    /// Connections without a request wait for the registry: see [`ClientPool::hold_pending`].
    pub(super) held: Cell<bool>,
    /// When pings were sent last, in tenths of a second.
    pub(super) pinged_at: Cell<u32>,
    pub(super) timing: Timing,
}

impl ClientPool {
    /// An empty pool whose clients may have `limit` bytes waiting, and of which `awaiting_request` may be
    /// without a request; `exited` is told of each end.
    ///
    /// # Errors
    /// Too few descriptors for a poller.
    pub fn new(
        limit: usize,
        awaiting_request: usize,
        exited: impl Fn(ClientKey, End) + 'static,
    ) -> io::Result<Rc<Self>> {
        Ok(Rc::new(Self {
            inner: RefCell::new(Inner {
                slots: Vec::new(),
                vacant: Vec::new(),
                queues: Queues::default(),
                backlog: 0,
                over_soft_limit: 0,
                pressed: false,
                paused: None,
                growth: 0,
                grown: Rc::default(),
                requests: VecDeque::new(),
                awaiting_request: 0,
                lingering: VecDeque::new(),
                carriers: Vec::new(),
                totals: Totals::default(),
            }),
            reactor: Reactor::new()?,
            corked: RefCell::default(),
            limit: Cell::new(limit),
            awaiting_request,
            scratch: RefCell::new(vec![0; SCRATCH].into()),
            exited: Box::new(exited),
            began: Instant::now(),
            now: Cell::new(0),
            pending_from: Cell::new(Instant::now()),
            held: Cell::new(false),
            pinged_at: Cell::new(0),
            timing: Timing::default(),
        }))
    }

    /// Gives a connected socket a client. It has its first turn when the socket is ready. `address` is
    /// the one it counts for while it has no stream.
    ///
    /// # Errors
    /// The socket could not be watched; it is closed.
    pub fn join<F>(
        self: &Rc<Self>,
        socket: Stream,
        address: Option<IpAddr>,
        life: impl FnOnce(ClientHandle) -> F,
    ) -> io::Result<ClientKey>
    where
        F: Future<Output = End> + 'static,
    {
        let key = self.vacant_slot();
        if let Err(error) = self.reactor.watch(socket.as_fd(), key) {
            self.inner.borrow_mut().vacant.push(key.index);
            return Err(error);
        }
        self.settle(key, socket, address, life);
        Ok(key)
    }

    /// Gives one of the streams of a connection a client, which has its first turn soon: `channel` is told
    /// its name. Whoever has the connection wakes it ([`ClientPool::wake`]).
    pub(super) fn join_channel<F>(
        self: &Rc<Self>,
        channel: impl FnOnce(ClientKey) -> Stream,
        address: Option<IpAddr>,
        life: impl FnOnce(ClientHandle) -> F,
    ) -> ClientKey
    where
        F: Future<Output = End> + 'static,
    {
        let key = self.vacant_slot();
        self.settle(key, channel(key), address, life);
        self.wake(key, true, true);
        key
    }

    fn vacant_slot(&self) -> ClientKey {
        let inner = &mut *self.inner.borrow_mut();
        let index = inner.vacant.pop().unwrap_or(inner.slots.len() as u32);
        if index as usize == inner.slots.len() {
            inner.slots.push(Slot::default());
        }
        ClientKey {
            index,
            generation: inner.slots[index as usize].generation,
        }
    }

    fn settle<F>(
        self: &Rc<Self>,
        key: ClientKey,
        socket: Stream,
        address: Option<IpAddr>,
        life: impl FnOnce(ClientHandle) -> F,
    ) where
        F: Future<Output = End> + 'static,
    {
        let life: ClientFuture = Box::pin(life(ClientHandle {
            pool: Rc::clone(self),
            index: key.index,
        }));
        // Looked at anew: the last turn may be long ago.
        self.look_at_clock();
        let now = self.now.get();
        let inner = &mut *self.inner.borrow_mut();
        inner.totals.connected += 1;
        inner.totals.sockets += usize::from(!socket.is_channel());
        inner.requests.push_back((now + REQUEST_TIME, key));
        inner.awaiting_request += 1;
        inner.queues.pending.enter(key, address);
        let slot = &mut inner.slots[key.index as usize];
        *slot = Slot {
            life: Some(life),
            socket: Some(socket),
            generation: key.generation,
            wrote_at: now,
            ..Slot::default()
        };
        slot.flags.awaiting_request = true;
        inner.give_up_awaiting_request(self.awaiting_request, self.limit.get());
    }

    /// A stream's client is a trusted proxy's if its connection is.
    pub(super) fn follow(&self, key: ClientKey, carrier: ClientKey) {
        let slots = &mut self.inner.borrow_mut().slots;
        slots[key.index as usize].flags.proxy = slots[carrier.index as usize].flags.proxy;
    }

    /// Says that a client can read or write again, and gives it a turn.
    pub(super) fn wake(&self, key: ClientKey, readable: bool, writable: bool) {
        let inner = &mut *self.inner.borrow_mut();
        let slot = &mut inner.slots[key.index as usize];
        if slot.generation == key.generation && slot.life.is_some() {
            slot.flags.readable |= readable;
            slot.flags.writable |= writable;
            inner.enqueue(key.index, Queue::Fast);
        }
    }

    /// Gives those that carry streams a turn, to look whether their peers still live.
    pub fn wake_carriers(&self) {
        let inner = &mut *self.inner.borrow_mut();
        let carriers = std::mem::take(&mut inner.carriers);
        for &index in &carriers {
            inner.enqueue(index, Queue::Bulk);
        }
        inner.carriers = carriers;
    }

    /// Which version of HTTP a client speaks, once its stream is open; `None` for a connection that only
    /// carries the streams of others.
    pub fn http_version(&self, index: u32) -> Option<&'static str> {
        let inner = self.inner.borrow();
        let slot = &inner.slots[index as usize];
        match &slot.socket {
            Some(socket) if socket.is_shared() => None,
            Some(socket) if socket.is_channel() => Some("2"),
            _ if slot.flags.chunked => Some("1.1"),
            _ => Some("1.0"),
        }
    }

    /// Says that a client is a trusted proxy's; for who has just let it join.
    pub fn set_proxy(&self, key: ClientKey) {
        self.inner.borrow_mut().slots[key.index as usize]
            .flags
            .proxy = true;
    }

    /// Gives a client's slot to the next one; for the registry, when it has handled the end.
    pub fn free(&self, key: ClientKey) {
        let mut inner = self.inner.borrow_mut();
        let slot = &mut inner.slots[key.index as usize];
        // `usize::MAX` is the poller's own key.
        slot.generation = (slot.generation + 1) % (u32::MAX - 1);
        inner.vacant.push(key.index);
    }

    /// Tells the slots of their sockets' readiness, for ever.
    ///
    /// # Errors
    /// What the poller says.
    pub async fn watch(&self) -> io::Result<()> {
        let ready = |key: ClientKey, readable: bool, writable: bool| {
            let inner = &mut *self.inner.borrow_mut();
            let slot = &mut inner.slots[key.index as usize];
            if slot.generation == key.generation && slot.life.is_some() {
                slot.flags.readable |= readable;
                if writable {
                    slot.push();
                }
                // Very many for which much waits hold up nobody for whom little does.
                let much = slot.bytes >= MUCH;
                let queue = if much { Queue::Bulk } else { Queue::Fast };
                inner.enqueue(key.index, queue);
            }
        };
        self.reactor.run(ready).await
    }

    /// How many clients wait for a turn: in the fast queue, in the bulk queue, and without a request.
    pub fn queues(&self) -> (usize, usize, usize) {
        let queues = &self.inner.borrow().queues;
        (
            queues.fast.len(),
            queues.bulk.len(),
            queues.pending.waiting(),
        )
    }

    /// The totals.
    pub fn totals(&self) -> Totals {
        self.inner.borrow().totals
    }

    /// Events written to one client, and bytes that wait for it.
    pub fn figures(&self, index: u32) -> (u64, u64) {
        let inner = self.inner.borrow();
        let slot = &inner.slots[index as usize];
        (u64::from(slot.events), slot.outstanding())
    }

    /// As if a client's socket had been found ready.
    #[cfg(test)]
    pub(crate) fn set_writable(&self, index: u32) {
        self.inner.borrow_mut().slots[index as usize].flags.writable = true;
    }

    /// As if this were the time, in tenths of a second since the pool began.
    #[cfg(test)]
    pub(crate) fn set_now(&self, tenths: u32) {
        self.now.set(tenths);
    }

    /// Takes all that waits for a client which does nothing itself.
    #[cfg(test)]
    pub(crate) fn take_waiting(&self, index: u32) -> Vec<crate::messages::client::Message> {
        let mut inner = self.inner.borrow_mut();
        let slot = &mut inner.slots[index as usize];
        slot.bytes = 0;
        std::iter::from_fn(|| slot.waiting.pop()).collect()
    }

    /// Seconds since the pool began, at the last turn.
    pub fn seconds(&self) -> u32 {
        self.now.get() / 10
    }

    pub(super) fn look_at_clock(&self) -> Instant {
        let now = Instant::now();
        let since = now - self.began;
        let tenths = since.as_secs() as u32 * 10 + since.subsec_millis() / 100;
        self.now.set(tenths);
        now
    }

    pub(super) fn poll(&self, index: u32) {
        let life = {
            let inner = &mut *self.inner.borrow_mut();
            let slot = &mut inner.slots[index as usize];
            slot.flags.queued = false;
            inner.backlog -= std::mem::take(&mut slot.unpolled) as usize;
            inner.over_soft_limit -= usize::from(std::mem::take(&mut slot.flags.over_soft_limit));
            if inner.paused.is_some() {
                inner.go_on();
            }
            let written = self.write_for(inner, index);
            if matches!(written, Ok(true)) {
                return;
            }
            (inner.slots[index as usize].life.take(), written.err())
        };
        let (Some(mut life), broken) = life else {
            return;
        };
        if let Some(error) = broken {
            drop(life);
            return self.leave(index, error.into());
        }
        let mut context = Context::from_waker(Waker::noop());
        let polled = catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(&mut context)));
        match polled {
            Ok(Poll::Pending) => self.inner.borrow_mut().slots[index as usize].life = Some(life),
            Ok(Poll::Ready(end)) => self.leave(index, end),
            Err(panic) => self.leave(
                index,
                End::Panicked(crate::runtime::supervisor::panic_text(&*panic)),
            ),
        }
    }

    /// Does for a stream at rest what it would do itself with events that it has only to write, for much
    /// less than a turn costs; whether that was all.
    ///
    /// # Errors
    /// The socket's.
    fn write_for(&self, inner: &mut Inner, index: u32) -> io::Result<bool> {
        let flags = inner.slots[index as usize].flags;
        if flags.opening != Opening::AtRest
            || !flags.writable
            || flags.readable
            || flags.overflowing
        {
            return Ok(false);
        }
        let flushed = self.flush(inner, index)?;
        Ok(matches!(flushed, Flushed::Empty | Flushed::Blocked))
    }

    /// Takes a client's things away and tells of its end.
    fn leave(&self, index: u32, end: End) {
        let (key, socket) = {
            let inner = &mut *self.inner.borrow_mut();
            inner.totals.connected -= 1;
            inner.asked(index);
            inner.queues.pending.leave(index);
            let slot = &mut inner.slots[index as usize];
            let socket = slot.socket.take();
            if let Some(socket) = socket.as_ref().filter(|socket| !socket.is_channel()) {
                self.reactor.unwatch(socket.as_fd());
                inner.totals.sockets -= 1;
                if socket.is_shared() {
                    inner.carriers.retain(|&carrier| carrier != index);
                }
            }
            slot.waiting = Waiting::Empty;
            (slot.bytes, slot.written) = (0, 0);
            slot.flags.opening = Opening::Closed;
            slot.flags.live = false;
            let generation = slot.generation;
            (ClientKey { index, generation }, socket)
        };
        if let Some(socket) = &socket
            && matches!(end, End::Slow | End::Finished(Ending::Outrun))
        {
            socket.reset();
        }
        // A stream of a connection tells that of its end.
        drop(socket);
        (self.exited)(key, end);
    }
}

impl ActorPool for ClientPool {
    fn turn(&self, turns: usize, time: Duration, idle: bool) -> bool {
        self.slice(turns, time, idle)
    }

    fn round(&self, time: Duration) {
        self.timing.round(time);
    }
}
