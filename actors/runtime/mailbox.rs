//! An actor's mailbox and its addresses: a channel of `async-channel`, which gives way to others when an
//! actor takes many messages in a row.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_channel::{Receiver, Sender, TrySendError};
use futures_lite::Stream;

use super::reply::{Reply, reply};
use super::turn;

/// Messages that an actor takes without waiting between two looks at its turn's time.
const IN_A_ROW: u32 = 16;

/// Where messages to an actor are sent; cheap to clone.
pub struct Address<M> {
    sender: Sender<M>,
}

impl<M> fmt::Debug for Address<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} waiting)", self.depth())
    }
}

impl<M> Clone for Address<M> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
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
        // The mailbox nearly always has room, and then no listener need be set up.
        match self.try_send(message) {
            Err(Undelivered::Full(message)) => self
                .sender
                .send(message)
                .await
                .map_err(|refused| Undelivered::Closed(refused.0)),
            delivered_or_closed => delivered_or_closed,
        }
    }

    /// Delivers a message if there is room for it now.
    ///
    /// # Errors
    /// The message back, with the reason.
    pub fn try_send(&self, message: M) -> Result<(), Undelivered<M>> {
        self.sender
            .try_send(message)
            .map_err(|refused| match refused {
                TrySendError::Full(message) => Undelivered::Full(message),
                TrySendError::Closed(message) => Undelivered::Closed(message),
            })
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
        self.sender.len()
    }
}

/// The actor that was called is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// Where an actor takes its messages from.
pub struct Mailbox<M> {
    // As a stream: one that is waited on again while nothing came goes on waiting.
    receiver: Pin<Box<Receiver<M>>>,
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
        let polled = self.receiver.as_mut().poll_next(context);
        self.in_a_row = if polled.is_ready() {
            self.in_a_row + 1
        } else {
            0
        };
        polled
    }

    /// How many messages wait.
    pub fn depth(&self) -> usize {
        self.receiver.len()
    }

    /// The next message if one waits.
    pub fn try_recv(&mut self) -> Option<M> {
        self.receiver.try_recv().ok()
    }
}

impl<M> Drop for Mailbox<M> {
    fn drop(&mut self) {
        // The channel would keep its messages, and their replies, as long as an address lives.
        self.receiver.close();
        while self.receiver.try_recv().is_ok() {}
    }
}

/// A mailbox that holds at most `bound` messages (at least one), and its address.
pub fn mailbox<M>(bound: usize) -> (Address<M>, Mailbox<M>) {
    joined(async_channel::bounded(bound.max(1)))
}

/// A mailbox without a bound. Only where something else bounds it: each sender awaits a reply before it
/// sends again (the registry's callers), or looks at `depth()` first (the logger's). `try_send` is never
/// refused as full.
pub fn unbounded<M>() -> (Address<M>, Mailbox<M>) {
    joined(async_channel::unbounded())
}

fn joined<M>((sender, receiver): (Sender<M>, Receiver<M>)) -> (Address<M>, Mailbox<M>) {
    let receiver = Box::pin(receiver);
    let mailbox = Mailbox {
        receiver,
        in_a_row: 0,
    };
    (Address { sender }, mailbox)
}
