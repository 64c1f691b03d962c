//! An actor's mailbox and its addresses.
//!
//! Nearly every message passes from one actor to another on the one thread, so the queue is a plain one
//! behind a lock that is always free; other threads (the log, the bus's connection) may send as well.

use std::collections::VecDeque;
use std::fmt;
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::reply::{Reply, reply};
use super::turn;

/// Messages that an actor takes without waiting between two looks at its turn's time.
const IN_A_ROW: u32 = 16;
/// Places of a queue that stay when it is empty.
const PLACES: usize = 256;

/// What waits, and who waits for it.
struct Queue<M> {
    messages: VecDeque<M>,
    bound: usize,
    addresses: usize,
    /// Whether the mailbox is gone.
    closed: bool,
    /// The actor, while it waits for a message.
    actor: Option<Waker>,
    /// Senders that wait for room.
    senders: Vec<Waker>,
}

struct Shared<M>(Mutex<Queue<M>>);

impl<M> Shared<M> {
    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        // Nobody panics while it is locked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where messages to an actor are sent; cheap to clone.
pub struct Address<M> {
    shared: Arc<Shared<M>>,
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} waiting)", self.depth())
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        self.shared.lock().addresses += 1;
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M> Drop for Address<M> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.addresses -= 1;
        let actor = if queue.addresses == 0 {
            queue.actor.take()
        } else {
            None
        };
        drop(queue);
        if let Some(actor) = actor {
            actor.wake();
        }
    }
}

/// A message that did not get into a mailbox.
#[derive(Debug, PartialEq, Eq)]
pub enum Undelivered<M> {
    /// The mailbox is full now.
    Full(M),
    /// The actor is gone.
    Closed(M),
}

impl<M> Address<M> {
    /// Delivers a message, waiting while the mailbox is full.
    ///
    /// # Errors
    /// [`Undelivered::Closed`] when the actor is gone.
    pub async fn send(&self, message: M) -> Result<(), Undelivered<M>> {
        let mut message = message;
        loop {
            message = match self.try_send(message) {
                Err(Undelivered::Full(message)) => message,
                delivered_or_closed => return delivered_or_closed,
            };
            poll_fn(|context| self.poll_room(context)).await;
        }
    }

    /// Whether the mailbox has room, or is gone.
    fn poll_room(&self, context: &Context<'_>) -> Poll<()> {
        let mut queue = self.shared.lock();
        if queue.closed || queue.messages.len() < queue.bound {
            return Poll::Ready(());
        }
        let known = |waker: &Waker| waker.will_wake(context.waker());
        if !queue.senders.iter().any(known) {
            queue.senders.push(context.waker().clone());
        }
        Poll::Pending
    }

    /// Delivers a message if there is room for it now.
    ///
    /// # Errors
    /// The message back, with the reason.
    pub fn try_send(&self, message: M) -> Result<(), Undelivered<M>> {
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(Undelivered::Closed(message));
        }
        if queue.messages.len() >= queue.bound {
            return Err(Undelivered::Full(message));
        }
        queue.messages.push_back(message);
        let actor = queue.actor.take();
        drop(queue);
        if let Some(actor) = actor {
            actor.wake();
        }
        Ok(())
    }

    /// Sends a request and waits for its answer. `request` makes the message around the [`Reply`].
    /// For an unbounded mailbox, or one that is known to have room.
    ///
    /// # Errors
    /// [`Gone`] when the actor is gone, or dropped the request unanswered.
    pub async fn call<T>(&self, request: impl FnOnce(Reply<T>) -> M) -> Result<T, Gone> {
        let (reply, answer) = reply();
        self.try_send(request(reply)).map_err(|_| Gone)?;
        answer.wait().await.ok_or(Gone)
    }

    /// How many messages wait in the mailbox.
    pub fn depth(&self) -> usize {
        self.shared.lock().messages.len()
    }
}

/// The actor that was called is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Where an actor takes its messages from.
pub struct Mailbox<M> {
    shared: Arc<Shared<M>>,
    /// Messages taken since the last look at the turn's time.
    in_a_row: u32,
}

impl<M> Mailbox<M> {
    /// The next message; `None` when every address is gone and nothing is left. Who takes one message
    /// after the other lets others have their turns in between.
    pub async fn next(&mut self) -> Option<M> {
        poll_fn(|context| self.poll_next(context)).await
    }

    /// As [`Mailbox::next`], for an actor that waits for several things in one `poll_fn`.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<M>> {
        if self.in_a_row >= IN_A_ROW {
            self.in_a_row = 0;
            if turn::is_over() {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        let mut queue = self.shared.lock();
        if let Some(message) = queue.messages.pop_front() {
            has_room(queue);
            self.in_a_row += 1;
            return Poll::Ready(Some(message));
        }
        self.in_a_row = 0;
        if queue.addresses == 0 {
            return Poll::Ready(None);
        }
        match &mut queue.actor {
            Some(known) if known.will_wake(context.waker()) => {}
            actor => *actor = Some(context.waker().clone()),
        }
        Poll::Pending
    }

    /// How many messages wait.
    pub fn depth(&self) -> usize {
        self.shared.lock().messages.len()
    }

    /// The next message if one waits.
    pub fn try_recv(&mut self) -> Option<M> {
        let mut queue = self.shared.lock();
        let message = queue.messages.pop_front()?;
        has_room(queue);
        Some(message)
    }
}

/// A message was taken out.
fn has_room<M>(mut queue: MutexGuard<'_, Queue<M>>) {
    if queue.messages.is_empty() && queue.messages.capacity() > PLACES {
        // A rush is over: its memory goes back.
        queue.messages = VecDeque::new();
    }
    if !queue.senders.is_empty() {
        let senders = std::mem::take(&mut queue.senders);
        drop(queue);
        senders.into_iter().for_each(Waker::wake);
    }
}

impl<M> Drop for Mailbox<M> {
    fn drop(&mut self) {
        let mut queue = self.shared.lock();
        queue.closed = true;
        let (left, senders) = (
            std::mem::take(&mut queue.messages),
            std::mem::take(&mut queue.senders),
        );
        drop(queue);
        senders.into_iter().for_each(Waker::wake);
        // The queue would keep the messages, and their replies, as long as an address lives.
        drop(left);
    }
}

/// A mailbox that holds at most `bound` messages (at least one), and its address.
pub fn mailbox<M>(bound: usize) -> (Address<M>, Mailbox<M>) {
    let queue = Queue {
        messages: VecDeque::new(),
        bound: bound.max(1),
        addresses: 1,
        closed: false,
        actor: None,
        senders: Vec::new(),
    };
    let shared = Arc::new(Shared(Mutex::new(queue)));
    let mailbox = Mailbox {
        shared: Arc::clone(&shared),
        in_a_row: 0,
    };
    (Address { shared }, mailbox)
}

/// A mailbox without a bound. Only where something else bounds it: each sender awaits a reply before it
/// sends again (the registry's callers), or looks at `depth()` first (the logger's). `try_send` is never
/// refused as full.
pub fn unbounded<M>() -> (Address<M>, Mailbox<M>) {
    mailbox(usize::MAX)
}
