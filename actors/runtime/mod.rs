//! Actors: typed addresses and mailboxes, replies, stopping.
//!
//! An actor is a future that owns its state and takes typed messages from its [`Mailbox`]; others
//! hold an [`Address`] of it and nothing else. The supervisor starts actors and learns of their ends
//! ([`crate::runtime::supervisor`]).
//!
//! # Semantics
//!
//! * **Order.** Messages from one sender arrive in the order in which they were sent. Messages of
//!   several senders are taken in one total order, that of their arrival in the mailbox.
//! * **Full mailbox.** Every mailbox has a bound. [`Address::send`] waits for room, which is how
//!   pressure reaches whoever writes to us; [`Address::try_send`] never waits and gives the message
//!   back. Awaited sends form a graph without circles (drawn in the crate's documentation), so
//!   waiting always ends.
//! * **Close.** When a mailbox is dropped, `send` and `try_send` give the message back as
//!   [`Undelivered::Closed`]; what was in it is dropped, so that each [`Reply`] in it tells its
//!   asker. When the last address is dropped, [`Mailbox::next`] gives what is left, then `None`.
//! * **Reply.** A [`Reply`] is used once. Dropped unused, it makes its [`Answer`] give `None`:
//!   nobody waits forever for an actor that died.
//! * **Panic.** A panic ends the one actor that panicked, its mailbox closes, and the supervisor is
//!   told, as of any other end.
//! * **Stop.** An actor is asked to stop, never killed: it watches its [`CancellationToken`], finishes
//!   what it has taken in, and returns.

pub mod executor;
pub mod supervisor;
pub mod turn;

use std::fmt;
use std::future::{pending, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use async_channel::{Receiver, Sender, TrySendError};
use async_io::Timer;
use futures_channel::oneshot;
use futures_lite::Stream;

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

/// The right to answer one request, once.
#[derive(Debug)]
pub struct Reply<T> {
    sender: oneshot::Sender<T>,
}

impl<T> Reply<T> {
    /// Whether whoever asked has gone.
    pub fn is_closed(&self) -> bool {
        self.sender.is_canceled()
    }

    /// Answers. Whoever asked may have gone; then the answer is dropped.
    pub fn send(self, answer: T) {
        let _gone = self.sender.send(answer);
    }
}

/// The answer to come.
#[derive(Debug)]
pub struct Answer<T> {
    receiver: oneshot::Receiver<T>,
}

impl<T> Answer<T> {
    /// Waits for the answer; `None` when the request was dropped unanswered.
    pub async fn wait(self) -> Option<T> {
        self.receiver.await.ok()
    }
}

/// A pair for one request: the reply goes into the message, the answer stays.
pub fn reply<T>() -> (Reply<T>, Answer<T>) {
    let (sender, receiver) = oneshot::channel();
    (Reply { sender }, Answer { receiver })
}

/// Tells an actor that it should come to its end.
#[derive(Debug, Clone)]
pub struct CancellationToken {
    // Nothing is ever sent: closing is the signal, and it reaches every clone.
    signal: Receiver<Never>,
}

#[derive(Debug)]
enum Never {}

impl CancellationToken {
    /// Waits until stopping is asked for.
    pub async fn cancelled(&self) {
        while self.signal.recv().await.is_ok() {}
    }

    /// Waits until stopping is asked for, and gives `value` then: what an actor that waits for several
    /// things does at its end.
    pub async fn cancelled_then<T>(&self, value: T) -> T {
        self.cancelled().await;
        value
    }

    /// Whether stopping was asked for.
    pub fn is_cancelled(&self) -> bool {
        self.signal.is_closed()
    }
}

/// The other side of a [`CancellationToken`]; dropping it asks to stop too.
#[derive(Debug)]
pub struct CancelGuard {
    signal: Sender<Never>,
}

impl CancelGuard {
    /// Asks everyone who holds the [`CancellationToken`] to come to an end.
    pub fn cancel(&self) {
        self.signal.close();
    }
}

/// A fresh pair.
pub fn cancellation() -> (CancelGuard, CancellationToken) {
    let (sender, receiver) = async_channel::bounded(1);
    (
        CancelGuard { signal: sender },
        CancellationToken { signal: receiver },
    )
}

/// Waits until a moment; for ever where there is none.
pub async fn timer(due: Option<Instant>) {
    match due {
        Some(due) => drop(Timer::at(due).await),
        None => pending().await,
    }
}

/// Says to one who waits that there may be something to do. What is said while nobody waits is kept, once.
#[derive(Debug)]
pub struct Signal(Sender<()>, Receiver<()>);

impl Default for Signal {
    fn default() -> Self {
        let (sender, receiver) = async_channel::bounded(1);
        Self(sender, receiver)
    }
}

impl Signal {
    /// Gives it.
    pub fn give(&self) {
        // Refused only when it was given already.
        let _given = self.0.try_send(());
    }

    /// Waits until it is given; gives `value` then.
    pub async fn given_then<T>(&self, value: T) -> T {
        // It is never closed, as both sides are here.
        let _always = self.1.recv().await;
        value
    }
}

/// Something that happens once, and for which others wait.
#[derive(Debug)]
pub struct Latch(CancelGuard);

impl Latch {
    /// Lets everyone who waits go on.
    pub fn open(&self) {
        self.0.cancel();
    }
}

/// The side of a [`Latch`] that waits.
#[derive(Debug, Clone)]
pub struct Opened(CancellationToken);

impl Opened {
    /// Waits until the latch is open, or dropped.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }
}

/// A latch that is closed.
pub fn latch() -> (Latch, Opened) {
    let (guard, token) = cancellation();
    (Latch(guard), Opened(token))
}

/// Why an actor could not go on, told to its supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure(pub String);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    #[test]
    fn order_is_kept() {
        let (address, mut mailbox) = mailbox(8);
        for n in 0..5 {
            assert_eq!(address.try_send(n), Ok(()));
        }
        assert_eq!(address.depth(), 5);
        for n in 0..5 {
            assert_eq!(block_on(mailbox.next()), Some(n));
        }
    }

    #[test]
    fn a_full_mailbox_refuses_an_offer_and_holds_a_send() {
        let (address, mut mailbox) = mailbox(1);
        assert_eq!(address.try_send(1), Ok(()));
        assert_eq!(address.try_send(2), Err(Undelivered::Full(2)));
        block_on(async {
            let mut waiting = Box::pin(address.send(2));
            assert!(poll_once(&mut waiting).await.is_none());
            assert_eq!(mailbox.next().await, Some(1));
            assert_eq!(waiting.await, Ok(()));
            assert_eq!(mailbox.try_recv(), Some(2));
            assert_eq!(mailbox.try_recv(), None);
        });
    }

    #[test]
    fn an_unbounded_mailbox_takes_every_message() {
        let (address, mut mailbox) = unbounded();
        for n in 0..100_000 {
            assert_eq!(address.try_send(n), Ok(()));
        }
        assert_eq!(mailbox.try_recv(), Some(0));
    }

    #[test]
    fn a_dropped_mailbox_gives_messages_back_and_tells_askers() {
        let (address, mailbox) = mailbox(2);
        let (to_asker, answer) = reply::<u8>();
        assert!(address.try_send(Some(to_asker)).is_ok());
        drop(mailbox);
        assert!(block_on(answer.wait()).is_none());
        assert!(matches!(
            block_on(address.send(None)),
            Err(Undelivered::Closed(None))
        ));
        assert!(matches!(
            address.try_send(None),
            Err(Undelivered::Closed(None))
        ));
    }

    #[test]
    fn a_mailbox_without_addresses_gives_its_rest_and_ends() {
        let (address, mut mailbox) = mailbox(2);
        assert!(address.try_send(1).is_ok());
        drop(address);
        assert_eq!(block_on(mailbox.next()), Some(1));
        assert_eq!(block_on(mailbox.next()), None);
    }

    #[test]
    fn a_reply_answers_once_or_tells_of_its_loss() {
        let (to_asker, answer) = reply();
        to_asker.send(7);
        assert_eq!(block_on(answer.wait()), Some(7));
        let (to_asker, answer) = reply::<u8>();
        drop(to_asker);
        assert_eq!(block_on(answer.wait()), None);
        let (to_asker, answer) = reply();
        drop(answer);
        to_asker.send(7);
    }

    #[test]
    fn a_stop_reaches_every_clone() {
        let (guard, stop) = cancellation();
        let other = stop.clone();
        block_on(async {
            assert!(poll_once(stop.cancelled()).await.is_none());
            assert!(!other.is_cancelled());
            guard.cancel();
            stop.cancelled().await;
            other.cancelled().await;
            assert!(other.is_cancelled());
        });
    }

    #[test]
    fn a_dropped_stopper_asks_to_stop() {
        let (guard, stop) = cancellation();
        drop(guard);
        block_on(stop.cancelled());
    }
}
